"""Attempts and receipts on a real database: one live attempt of an invoice, every receipt once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Literal
from uuid import UUID

import psycopg
import pytest

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from domain.application.holds import ReleaseHold
from domain.application.licensing import CancelLicense
from domain.application.payments import (
    BindObject,
    BookReceipt,
    DrawCredit,
    OpenAttempt,
    RecordOutcome,
    collection,
    issued,
    receivables,
)
from domain.application.returns import GiveBack, OpenRefund, RecordDispute, RecordRefund, UndoReturn
from domain.collection import Attempt
from domain.errors import Conflict, IntegrityError, Refusal, Stale
from domain.identity import Kind
from domain.news import DisputeNews, RefundNews
from domain.payment import RefundReply, Reply
from jobs.collect import Collector
from jobs.news import Reader
from jobs.refund import Refunder, follow_refunds
from jobs.settle import settle
from jobs.verify import verify
from tests.builders import declared_package, open_account, publish, start

FEBRUARY = date(2025, 2, 1)
NOW = datetime(2025, 2, 1, 9, tzinfo=UTC)


def an_invoice(tally: Tally, account: str = "acme") -> UUID:
    """One invoice of 23.80 EUR (10 seats at 2.00, 19 % tax), and its id."""
    if not tally.billing.names(Kind.PACKAGE):
        publish(tally, declared_package())
    open_account(tally, account)
    start(tally, f"{account}-license", account, "declared", FEBRUARY, quantities={"seats": 10})
    run_billing(tally, FEBRUARY, FEBRUARY)
    return next(
        one for one, _, left in owed(tally) if left and issued(tally.billing, one).party.name == account.title()
    )


def owed(tally: Tally) -> list[tuple[UUID, int, int]]:
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        return connection.execute("SELECT invoice, gross, left_open FROM receivable_v1 ORDER BY number").fetchall()


def live(tally: Tally) -> int:
    with tally.pool.connection() as connection:
        return connection.execute("SELECT count(*) FROM live_instrument").fetchone()[0]


def opened(tally: Tally, invoice: UUID) -> Attempt:
    return tally.billing.execute(OpenAttempt(invoice, "stripe", NOW, customer="cus_1", method="pm_1"))


def learned(tally: Tally, attempt: Attempt, state: str, **more: object) -> None:
    reply = Reply(state, object="pi_1", **more)  # type: ignore[arg-type]
    tally.billing.execute(RecordOutcome(attempt.opened.invoice, attempt.opened.attempt, reply, FEBRUARY))


def paid(tally: Tally, attempt: Attempt, amount: int = 2380, payment: str = "ch_1", currency: str = "EUR") -> None:
    learned(tally, attempt, "succeeded", payment=payment, amount=amount, currency=currency)


def test_of_attempts_begun_at_once_one_is_opened(tally):
    invoice = an_invoice(tally)

    def begin(_: int) -> bool:
        try:
            opened(tally, invoice)
        except Refusal:
            return False
        return True

    with ThreadPoolExecutor(8) as workers:
        assert sum(workers.map(begin, range(16))) == 1
    assert live(tally) == 1


def test_the_database_itself_holds_a_second_live_attempt_of_an_invoice_back(tally):
    invoice = an_invoice(tally)
    opened(tally, invoice)
    with tally.pool.connection() as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("INSERT INTO live_instrument SELECT bucket, invoice, invoice FROM live_instrument")


def test_a_declined_attempt_is_live_until_its_object_is_dead(tally):
    invoice = an_invoice(tally)
    attempt = opened(tally, invoice)
    tally.billing.execute(BindObject(invoice, attempt.opened.attempt, "pi_1"))
    learned(tally, attempt, "declined", code="insufficient_funds")
    with pytest.raises(Conflict, match="live attempt"):
        opened(tally, invoice)
    learned(tally, attempt, "cancelled")
    assert opened(tally, invoice).opened.attempt != attempt.opened.attempt


@pytest.mark.parametrize("late", ["pending", "declined", "action_required", "unknown", "cancelled"])
def test_a_late_message_does_not_undo_a_payment(tally, late):
    invoice = an_invoice(tally)
    attempt = opened(tally, invoice)
    paid(tally, attempt)
    learned(tally, attempt, late)
    paid(tally, attempt)
    assert collection(tally.billing, invoice).attempt(attempt.opened.attempt).state == "succeeded"
    assert [(gross, left) for _, gross, left in owed(tally)] == [(2380, 0)]
    assert live(tally) == 0


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [(2381, "EUR", "23.81 EUR"), (2380, "JPY", "2380 JPY"), (0, "EUR", "0.00 EUR"), (2380, "usdc", "2380 of 'usdc'")],
)
def test_money_that_was_not_asked_for_is_not_settled_but_looked_at(tally, amount, currency, said):
    invoice = an_invoice(tally)
    attempt = opened(tally, invoice)
    words = f"^stripe took {said} for INV-000001, and was asked for 23.80 EUR$"
    with pytest.raises(IntegrityError, match=words):
        paid(tally, attempt, amount, currency=currency)
    assert [(gross, left) for _, gross, left in owed(tally)] == [(2380, 2380)]


def test_money_that_moved_after_all_is_credit_and_pays_the_next_invoice(tally):
    first = an_invoice(tally)
    attempt = opened(tally, first)
    account = attempt.opened.account
    tally.billing.execute(BookReceipt(account, "EUR", "bank:1", "bank", 2380, FEBRUARY, invoices=(first,)))
    paid(tally, attempt)
    assert receivables(tally.billing, account, "EUR").credit == 2380
    run_billing(tally, date(2025, 3, 1), date(2025, 3, 1))
    tally.follower().catch_up()
    assert settle(tally.billing, tally.pool, date(2025, 3, 1), tally.follower().catch_up).drawn == 1
    assert [left for _, _, left in owed(tally)] == [0, 0]


def test_a_receipt_is_booked_for_one_account_only(tally):
    first, second = an_invoice(tally), an_invoice(tally, "zenith")
    accounts = [issued(tally.billing, one).account for one in (first, second)]
    tally.billing.execute(BookReceipt(accounts[0], "EUR", "bank:1", "bank", 100, FEBRUARY, invoices=(first,)))
    tally.billing.execute(BookReceipt(accounts[0], "EUR", "bank:1", "bank", 100, FEBRUARY, invoices=(first,)))
    with pytest.raises(Stale):
        tally.billing.execute(BookReceipt(accounts[1], "EUR", "bank:1", "bank", 100, FEBRUARY, invoices=(second,)))
    assert sorted(left for _, _, left in owed(tally)) == [2280, 2380]


def test_a_credit_note_is_credit_once_and_pays_what_is_open(tally):
    invoice = an_invoice(tally)
    account = issued(tally.billing, invoice).account
    tally.billing.execute(BookReceipt(account, "EUR", "bank:1", "bank", 2380, FEBRUARY, invoices=(invoice,)))
    tally.billing.execute(CancelLicense("acme-license", FEBRUARY, date(2025, 2, 15)))
    run_billing(tally, date(2025, 2, 15), date(2025, 2, 15))
    tally.follower().catch_up()
    assert settle(tally.billing, tally.pool, date(2025, 2, 15), tally.follower().catch_up).credit_notes == 1
    tally.follower().catch_up()
    assert settle(tally.billing, tally.pool, date(2025, 2, 15), tally.follower().catch_up).credit_notes == 0
    assert receivables(tally.billing, account, "EUR").credit == 1190


def test_rows_are_what_the_log_says_after_all_that_can_happen_to_money(tally):
    invoice = an_invoice(tally)
    attempt = opened(tally, invoice)
    paid(tally, attempt)
    account = attempt.opened.account
    tally.billing.execute(GiveBack(account, "EUR", "stripe:ch_1", "re_1", "refund", 1000, FEBRUARY))
    tally.billing.execute(UndoReturn(account, "EUR", "stripe:ch_1", "re_1", FEBRUARY))
    tally.billing.execute(GiveBack(account, "EUR", "stripe:ch_1", "dp_1", "dispute", 2380, FEBRUARY))

    def rows() -> list[object]:
        tally.follower().catch_up()
        with tally.pool.connection() as connection:
            tables = ("settlement_v1", "receipt_v1", "attempt_v1")
            return [connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2".encode()).fetchall() for table in tables]

    before = rows()
    assert [(gross, left) for _, gross, left in owed(tally)] == [(2380, 2380)]
    tally.follower().rebuild("settlement_v1")
    assert rows() == before
    assert receivables(tally.billing, account, "EUR").credit == 0


def paid_invoice(tally: Tally) -> UUID:
    invoice = an_invoice(tally)
    paid(tally, opened(tally, invoice))
    return invoice


def left(tally: Tally, invoice: UUID) -> int:
    return next(left for one, _, left in owed(tally) if one == invoice)


def test_what_a_refund_opens_again_is_on_hold_until_a_person_says_so(tally):
    invoice = paid_invoice(tally)
    account = issued(tally.billing, invoice).account
    refund = tally.billing.execute(OpenRefund(account, "EUR", "stripe:ch_1", NOW, 1000, "a favor"))
    assert (refund.opened.payment, refund.opened.amount, left(tally, invoice)) == ("ch_1", 1000, 1000)
    with pytest.raises(Conflict, match="on hold"):
        opened(tally, invoice)
    with pytest.raises(Conflict, match=r"13\.80 EUR"):
        tally.billing.execute(OpenRefund(account, "EUR", "stripe:ch_1", NOW, 1381))
    failed = RecordRefund(account, "EUR", refund.opened.refund, RefundReply("failed", "re_1"), FEBRUARY)
    assert tally.billing.execute(failed)
    assert not tally.billing.execute(failed)
    assert (left(tally, invoice), collection(tally.billing, invoice).holds) == (0, set()), "the money pays it again"
    tally.billing.execute(OpenRefund(account, "EUR", "stripe:ch_1", NOW))
    assert len(tally.billing.execute(ReleaseHold(invoice, FEBRUARY, "it is owed after all"))) == 1
    opened(tally, invoice)


def test_credit_does_not_pay_what_a_refund_or_a_dispute_opened_until_a_person_says_so(tally):
    """It would take back what was given, or charge for a second time what is argued about."""
    invoice = paid_invoice(tally)
    account = issued(tally.billing, invoice).account
    tally.billing.execute(OpenRefund(account, "EUR", "stripe:ch_1", NOW, 1000, "a favor"))
    news = DisputeNews("dp_1", "ch_1", "open", 1380, 1380, 0, "EUR")
    tally.billing.execute(RecordDispute(account, "stripe:ch_1", "stripe", news, FEBRUARY))
    tally.billing.execute(BookReceipt(account, "EUR", "bank:1", "bank", 3000, FEBRUARY))

    def credit_after_settling() -> int:
        settle(tally.billing, tally.pool, FEBRUARY, tally.follower().catch_up)
        return receivables(tally.billing, account, "EUR").credit

    assert (credit_after_settling(), left(tally, invoice)) == (3000, 2380)
    assert tally.billing.execute(DrawCredit(account, "EUR", (invoice,), FEBRUARY)) == 0
    tally.billing.execute(ReleaseHold(invoice, FEBRUARY, "it is owed after all"))
    assert (credit_after_settling(), left(tally, invoice)) == (620, 0)


def test_a_refund_after_one_that_failed_is_not_charged_again_either(tally):
    """Found by 20,000 calls through a bad network: credit of the first was refunded, and its invoice was not held."""
    invoice = paid_invoice(tally)
    account = issued(tally.billing, invoice).account
    first = refunded(tally, account, 1000)
    tally.billing.execute(RecordRefund(account, "EUR", first, RefundReply("failed", "re_1"), FEBRUARY))
    refunded(tally, account, 600)
    assert left(tally, invoice) == 600
    with pytest.raises(Conflict, match="on hold"):
        opened(tally, invoice)


def test_a_dispute_holds_what_it_opens_and_a_won_one_pays_it_again(tally):
    invoice = paid_invoice(tally)
    account = issued(tally.billing, invoice).account

    def told(state: Literal["open", "won"], withdrawn: int, given_back: int) -> bool:
        news = DisputeNews("dp_1", "ch_1", state, 2380, withdrawn, given_back, "EUR", "fraudulent")
        return tally.billing.execute(RecordDispute(account, "stripe:ch_1", "stripe", news, FEBRUARY))

    assert told("open", 0, 0)
    assert left(tally, invoice) == 0
    assert told("open", 2380, 0)
    assert not told("open", 2380, 0)
    assert left(tally, invoice) == 2380
    assert collection(tally.billing, invoice).holds == {"dispute:stripe:dp_1"}
    assert told("won", 2380, 0)
    assert collection(tally.billing, invoice).holds == {"dispute:stripe:dp_1"}, "its money is yet to come"
    assert told("won", 2380, 2380)
    assert (left(tally, invoice), collection(tally.billing, invoice).holds) == (0, set())
    assert [check.name for check in verify(tally.pool) if check.found] == []


def disputed(
    tally: Tally, account: UUID, state: Literal["open", "won"], withdrawn: int, given_back: int = 0, name: str = "dp_1"
) -> bool:
    news = DisputeNews(name, "ch_1", state, 2380, withdrawn, given_back, "EUR", "fraudulent")
    return tally.billing.execute(RecordDispute(account, "stripe:ch_1", "stripe", news, FEBRUARY))


def refunded(tally: Tally, account: UUID, amount: int = 0) -> UUID:
    return tally.billing.execute(OpenRefund(account, "EUR", "stripe:ch_1", NOW, amount)).opened.refund


def test_a_dispute_about_money_that_was_refunded_before_it_is_won_without_a_return_to_undo(tally):
    invoice = paid_invoice(tally)
    account = issued(tally.billing, invoice).account
    refunded(tally, account)
    assert disputed(tally, account, "open", 2380)
    assert disputed(tally, account, "won", 2380, 2380)
    money = receivables(tally.billing, account, "EUR")
    assert (money.disputes["stripe:dp_1"].state, money.credit, left(tally, invoice)) == ("won", 0, 2380)


def test_a_refund_that_fails_because_a_dispute_has_the_money_gives_no_credit_and_releases_nothing(tally):
    invoice = paid_invoice(tally)
    account = issued(tally.billing, invoice).account
    refund = refunded(tally, account)
    disputed(tally, account, "open", 2380)
    reply = RefundReply("failed", "re_1", code="charge_disputed")
    tally.billing.execute(RecordRefund(account, "EUR", refund, reply, FEBRUARY))
    assert receivables(tally.billing, account, "EUR").credit == 0, "the bank has it"
    with pytest.raises(Conflict, match="on hold"):
        opened(tally, invoice)
    disputed(tally, account, "won", 2380, 2380)
    assert receivables(tally.billing, account, "EUR").credit == 0
    assert (left(tally, invoice), collection(tally.billing, invoice).holds) == (0, set()), "now it pays again"
    tally.follower().catch_up()
    assert [check.name for check in verify(tally.pool) if check.found] == []


def test_a_dispute_that_is_won_before_its_money_is_told_of_holds_the_invoice_until_that_is_back(tally):
    """The provider's books are behind its word: the invoice would be charged again."""
    invoice = paid_invoice(tally)
    account = issued(tally.billing, invoice).account
    assert disputed(tally, account, "won", 2380)
    with pytest.raises(Conflict, match="on hold"):
        opened(tally, invoice)
    assert disputed(tally, account, "won", 2380, 2380)
    assert (left(tally, invoice), collection(tally.billing, invoice).holds) == (0, set())


def test_of_two_disputes_about_a_payment_the_one_that_is_won_gives_nothing_that_the_other_took(tally):
    invoice = paid_invoice(tally)
    account = issued(tally.billing, invoice).account
    disputed(tally, account, "open", 2380)
    disputed(tally, account, "open", 2380, name="dp_2")
    disputed(tally, account, "won", 2380, 2380)
    assert (receivables(tally.billing, account, "EUR").credit, left(tally, invoice)) == (0, 2380)
    with pytest.raises(Conflict, match="on hold"):
        opened(tally, invoice)
    disputed(tally, account, "won", 2380, 2380, name="dp_2")
    assert (left(tally, invoice), collection(tally.billing, invoice).holds) == (0, set())
    assert [check.name for check in verify(tally.pool) if check.found] == []


def test_news_of_a_refund_that_the_projections_do_not_know_yet_is_not_booked_as_another_one(tally):
    invoice = paid_invoice(tally)
    account = issued(tally.billing, invoice).account
    tally.follower().catch_up()
    refund = refunded(tally, account, 1000)
    reader = Reader(Collector(tally.billing, {}, lambda: NOW), tally.pool, "stripe")
    news = RefundNews("re_1", refund, "ch_1", "succeeded", 1000, "EUR")
    assert reader.take_in(news)[0] == "done"
    assert receivables(tally.billing, account, "EUR").refund(refund).state == "succeeded"
    assert left(tally, invoice) == 1000


@pytest.mark.parametrize(
    ("amount", "currency", "said"), [(999, "EUR", "9.99 EUR"), (1000, "USD", "10.00 USD"), (0, "EUR", "0.00 EUR")]
)
def test_a_refund_of_another_amount_than_we_asked_for_waits_for_a_person(tally, amount, currency, said):
    invoice = paid_invoice(tally)
    account = issued(tally.billing, invoice).account
    refund = refunded(tally, account, 1000)
    tally.follower().catch_up()
    reader = Reader(Collector(tally.billing, {}, lambda: NOW), tally.pool, "stripe")
    verdict, why = reader.take_in(RefundNews("re_1", refund, "ch_1", "succeeded", amount, currency))
    assert verdict == "quarantined"
    assert f"gives {said} back" in why
    assert "asked for 10.00 EUR" in why
    assert receivables(tally.billing, account, "EUR").refund(refund).state == "open"
    asked = Refunder(tally.billing, {"stripe": Answering(RefundReply("succeeded", "re_1", amount, currency))})
    assert follow_refunds(asked, tally.pool) == {"does not fit": 1}
    assert receivables(tally.billing, account, "EUR").refund(refund).state == "open"


class Answering:
    """A provider that has but one answer about refunds."""

    def __init__(self, reply: RefundReply) -> None:
        self.find_refund = lambda refund: reply


def test_a_refund_by_a_provider_that_there_is_no_key_for_is_refused_before_anything_is_booked(tally):
    invoice = paid_invoice(tally)
    account = issued(tally.billing, invoice).account
    with pytest.raises(Conflict, match="no key for stripe"):
        Refunder(tally.billing, {}).begin(OpenRefund(account, "EUR", "stripe:ch_1", NOW))
    assert left(tally, invoice) == 0
