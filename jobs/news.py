"""Takes in what providers tell: webhook, return of the customer, poller and person come to the same commands here.

News is what an object is now, so that it may come twice, late and in any order. What is not ours is left alone, what
cannot be matched yet waits, and what does not fit the books is set aside for a person. Source: ADR-0022.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date
from typing import Literal
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from domain.application.accounts import LeavePaymentMethod, RemovePaymentMethod
from domain.application.payments import collection, receivables
from domain.application.returns import GiveBack, RecordDispute, RecordRefund, UndoReturn
from domain.errors import Conflict, IntegrityError, Invalid, NotFound, Stale
from domain.news import DisputeNews, MethodNews, News, PaymentNews, RefundNews, RevokedNews
from domain.payment import RefundReply
from jobs.collect import Collector

Verdict = Literal["done", "foreign", "unmatched", "quarantined"]
RECEIPT = "SELECT account, currency FROM receipt_v1 WHERE receipt = %s"
OURS = "SELECT account, currency FROM refund_v1 WHERE refund = %s"
CHARGED_BY = """SELECT a.reference, m.token FROM method_v1 m JOIN account_v2 a USING (bucket, account)
WHERE m.provider = %s AND m.customer = %s AND (m.token = %s OR %s = '')"""


@dataclass(frozen=True)
class Reader:
    """Takes in the news of one provider; the projections have caught up before."""

    collector: Collector
    pool: ConnectionPool[psycopg.Connection]
    provider: str

    def take_in(self, news: News) -> tuple[Verdict, str]:
        """What became of a piece of news, and why. Raises: Unavailable when the provider does not answer."""
        try:
            return self._take_in(news)
        except NotFound as error:
            return "unmatched", str(error)
        except Stale:
            raise
        except (Conflict, Invalid, IntegrityError) as error:
            return "quarantined", str(error)

    def _take_in(self, news: News) -> tuple[Verdict, str]:
        match news:
            case PaymentNews():
                return self._payment(news)
            case RefundNews():
                return self._refund(news)
            case DisputeNews():
                return self._dispute(news)
            case MethodNews():
                return self._method(news)
            case RevokedNews():
                return self._revoked(news)

    def _payment(self, news: PaymentNews) -> tuple[Verdict, str]:
        """The attempt is looked at by the object that is bound to it: news of another object never pays for it."""
        if news.attempt is None or news.invoice is None:
            return "foreign", "bears no reference of ours"
        attempt = collection(self.collector.billing, news.invoice).attempt(news.attempt)
        if attempt.opened.provider != self.provider or (attempt.object and attempt.object != news.object):
            return "quarantined", f"{news.object} names an attempt that is bound to {attempt.object}"
        learned = self.collector.learn(attempt)
        return "done", f"{learned.opened.document} is {learned.state}"

    def _refund(self, news: RefundNews) -> tuple[Verdict, str]:
        if news.state == "unknown":
            return "unmatched", "the provider does not say where it stands"
        ours = self._ours(news)
        if ours and news.refund:
            reply = RefundReply(news.state, news.object, news.amount, news.currency, news.code)
            self._execute(RecordRefund(*ours, news.refund, reply, self._today()))
        else:
            self._refund_by_hand(news)
        return "done", f"refund {news.object} is {news.state}"

    def _ours(self, news: RefundNews) -> tuple[UUID, str] | None:
        """Whose refund of ours it is; the books are asked too, for one that was begun a moment ago is in no projection.

        None: somebody made it at the provider's own pages.
        """
        if news.refund is None:
            return None
        if found := self._row(OURS, news.refund):
            return found
        account, currency = self._receipt(news.payment)
        known = receivables(self.collector.billing, account, currency).refunds
        return (account, currency) if news.refund in known else None

    def _refund_by_hand(self, news: RefundNews) -> None:
        """A refund that somebody made at the provider's own pages."""
        (account, currency), receipt = self._receipt(news.payment), f"{self.provider}:{news.payment}"
        if currency != news.currency:
            raise IntegrityError(f"refund {news.object} is in {news.currency}, its payment in {currency}")
        words, on = (account, currency, receipt, f"{self.provider}:{news.object}"), self._today()
        # One that failed before we heard of it is booked too, so that older news of it books nothing afterwards.
        self._execute(GiveBack(*words, "refund", news.amount, on))
        if news.state == "failed":
            self._execute(UndoReturn(*words, on, news.code))

    def _dispute(self, news: DisputeNews) -> tuple[Verdict, str]:
        account, currency = self._receipt(news.payment)
        if currency != news.currency:
            raise IntegrityError(f"dispute {news.object} is in {news.currency}, its payment in {currency}")
        receipt = f"{self.provider}:{news.payment}"
        self._execute(RecordDispute(account, receipt, self.provider, news, self._today()))
        return "done", f"dispute {news.object} is {news.state}"

    def _method(self, news: MethodNews) -> tuple[Verdict, str]:
        left = LeavePaymentMethod(news.account, self.provider, news.customer, news.method, news.label)
        charged = self._execute(left)
        return "done", f"{news.account} is {'' if charged else 'no longer '}charged by {news.label or news.method}"

    def _revoked(self, news: RevokedNews) -> tuple[Verdict, str]:
        with self.pool.connection() as connection:
            words = [self.provider, news.customer, news.method, news.method]
            rows = connection.execute(CHARGED_BY, words).fetchall()
        for account, token in rows:
            self._execute(RemovePaymentMethod(account, token, news.why))
        return ("done", news.why) if rows else ("foreign", "no account is charged by it")

    def _receipt(self, payment: str) -> tuple[UUID, str]:
        found = self._row(RECEIPT, f"{self.provider}:{payment}")
        if found is None:
            raise NotFound(f"no payment {payment} is booked")
        return found

    def _row(self, statement: str, value: object) -> tuple[UUID, str] | None:
        with self.pool.connection() as connection:
            return connection.execute(statement.encode(), [value]).fetchone()

    def _execute(self, command: object) -> object:
        execute: Callable[[object], object] = self.collector.billing.execute  # type: ignore[assignment]
        return execute(command)

    def _today(self) -> date:
        return self.collector.now().astimezone(UTC).date()
