"""Pays out credit by rule: refunds by the provider that brought the money, and payouts for finance to make by bank.

What a rule lets go is reserved in one commit, and only then a provider is asked, by the protocol of every refund; a
crash in between is taken up by following refunds. Nothing goes while an invoice is open or due. Source: ADR-0033.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from domain.account import Account
from domain.application import Billing
from domain.application.payments import receivables
from domain.application.payouts import FailPayout, PaidOut, PayOut, RecordPayout
from domain.errors import NotFound, Refusal
from domain.identity import bucket_of
from domain.terms import Packages
from jobs.credit import below, paid_for
from jobs.preview import preview
from jobs.rate import Run
from jobs.refund import Refunder, follow_refunds, state_after

Pool = ConnectionPool[psycopg.Connection]
CANDIDATES = """SELECT a.reference, r.account, r.currency FROM receipt_v1 r JOIN account_v2 a USING (bucket, account)
WHERE r.credit > 0 AND (%(zone)s = '' OR a.zone = %(zone)s) AND NOT EXISTS (SELECT FROM receivable_v1 i
    WHERE i.bucket = r.bucket AND i.account = r.account AND i.currency = r.currency AND i.left_open > 0)
GROUP BY a.reference, r.account, r.currency ORDER BY a.reference, r.currency"""
"""Payers with credit and without an open invoice: what is open could need it."""
OPEN = """SELECT FROM receivable_v1 WHERE bucket = %s AND account = %s AND currency = %s AND left_open > 0 LIMIT 1"""
SOLD = """SELECT DISTINCT package, version FROM change_v1
WHERE bucket = %s AND license = ANY(%s::uuid[]) AND state = 'agreed'"""
PAYOUT = "SELECT payout, account, state FROM payout_v1 WHERE reference = %s"


class Way(NamedTuple):
    """A part of an account's credit and where it goes. Units: minor units. Shapes: `name` of the receipt or payout."""

    account: str
    currency: str
    amount: int
    by: str
    name: str
    state: str


@dataclass
class Paid:
    """What a run paid out or would, and how many payers' credit stays for which reason."""

    ways: list[Way] = field(default_factory=list)
    kept: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Payer:
    """Pays out by the providers that there are keys for; finance makes the rest.

    Shapes: `follow` brings the projections up to the log.
    """

    refunder: Refunder
    pool: Pool
    packages: Packages
    follow: Callable[[], object]

    @property
    def billing(self) -> Billing:
        """The door for commands."""
        return self.refunder.billing

    def pay_out(self, on: date, zone: str = "", progress: Callable[[int], None] = lambda done: None) -> Paid:
        """Takes up refunds that a crash left behind, and pays out what the rules of a day let go; twice is as once."""
        self.follow()
        follow_refunds(self.refunder, self.pool)
        paid = Paid()
        for account, wanted in self._candidates(on, zone):
            try:
                if self._may_go(wanted, paid):
                    self._go(account, wanted, paid)
            except Refusal as error:  # one payer's fault never stops the others
                paid.kept[str(error)] += 1
            progress(1)
        self.follow()
        return paid

    def _go(self, account: str, wanted: PayOut, paid: Paid) -> None:
        """Reserves what goes out, and then asks for the refunds; others may have been faster."""
        begun: PaidOut = self.billing.execute(wanted)
        if begun.kept:
            paid.kept[begun.kept] += 1
        for opened in begun.refunds:
            state, said = state_after(partial(self.refunder.ask, opened)), opened.opened
            paid.ways.append(Way(account, said.currency, said.amount, said.provider, said.receipt, state))
        if begun.payout:
            by_bank = begun.payout.said
            paid.ways.append(Way(account, by_bank.currency, by_bank.amount, "bank", by_bank.reference, "open"))

    def preview(self, on: date, zone: str = "") -> Paid:
        """What `pay_out` would begin, by the same decision."""
        self.follow()
        paid = Paid()
        for account, wanted in self._candidates(on, zone):
            if not self._may_go(wanted, paid):
                continue
            planned = wanted.decide(self.billing, receivables(self.billing, wanted.account, wanted.currency)).plan
            for name, amount in planned.refunds:
                paid.ways.append(Way(account, wanted.currency, amount, name.partition(":")[0], name, "would be asked"))
            for name, amount in planned.by_bank:
                paid.ways.append(Way(account, wanted.currency, amount, "bank", name, "would be proposed"))
        return paid

    def _candidates(self, on: date, zone: str) -> Iterator[tuple[str, PayOut]]:
        with self.pool.connection() as connection:
            found = connection.execute(CANDIDATES, {"zone": zone}).fetchall()
        for reference, account, currency in found:
            licenses = paid_for(self.pool, account, on)
            if not self._has_rule(account, licenses):
                continue
            providers = tuple(sorted(self.refunder.providers))
            yield reference, PayOut(account, currency, tuple(licenses), providers, self.refunder.now(), on)

    def _has_rule(self, account: UUID, licenses: Sequence[UUID]) -> bool:
        """Whether anybody said anything of the account's credit: else its licenses, however many, are not read."""
        if self.billing.find(Account, account, "account").credit_rule is not None:
            return True
        with self.pool.connection() as connection:
            sold = connection.execute(SOLD, [bucket_of(account), licenses]).fetchall()
        return any(self.packages(*one).credit is not None for one in sold)

    def _may_go(self, wanted: PayOut, paid: Paid) -> bool:
        """Whether credit goes out; what is dear to ask is asked last, of the books as they are at that moment."""
        decided = wanted.decide(self.billing, receivables(self.billing, wanted.account, wanted.currency))
        if kept := decided.kept or self._needed(wanted):
            paid.kept[kept] += 1
        return not kept

    def _needed(self, wanted: PayOut) -> str:
        self.follow()
        with self.pool.connection() as connection:
            where = [bucket_of(wanted.account), wanted.account, wanted.currency]
            if connection.execute(OPEN, where).fetchone() is not None:
                return "an invoice is open"
        return "a bill is due" if self._is_due(wanted) else ""

    def _is_due(self, wanted: PayOut) -> bool:
        """Whether a run of the day would issue something to the payer, waits for counts to do so, or cannot tell.

        Who pays on the day does not say who paid for the days that are still to be billed: all below are looked at.
        """
        accounts = frozenset(below(self.pool, wanted.account))
        run = preview(self.pool, self.packages, Run("", wanted.on, wanted.on, accounts))
        payers = {issue.payer.id for issue in run.issues} | {lack.stream.payer for _, lack in run.missing}
        return wanted.account in payers or bool(run.failed)


class Named(NamedTuple):
    """A payout by its reference."""

    payout: UUID
    account: UUID
    state: str


def payout_named(pool: Pool, reference: str) -> Named:
    """A payout by its reference; the projections have caught up before. Raises: NotFound."""
    with pool.connection() as connection:
        row: tuple[Any, ...] | None = connection.execute(PAYOUT, [reference]).fetchone()
    if row is None:
        raise NotFound(f"there is no payout {reference}")
    return Named(*row)


def moved(billing: Billing, found: Named, transfer: str, amount: int, currency: str, on: date) -> None:
    """Books what a transfer says of a payout: out, it was made; in, it came back and is credit again.

    Units: `amount` in minor units, below zero when it went out. Raises: Conflict when it does not fit.
    """
    if amount < 0:
        billing.execute(RecordPayout(found.payout, transfer, -amount, currency, on))
    else:
        billing.execute(FailPayout(found.payout, on, "the transfer came back", transfer, amount, currency))
