"""Credit that is paid out: by the instrument that brought it or by bank, once, and never what somebody may need."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from adapters.schedule import collect_day
from domain.application.accounts import ChangeAccount, SetCreditRule, account_named
from domain.application.licensing import CancelLicense
from domain.application.payments import BookReceipt, issued, receivables
from domain.application.payouts import FailPayout
from domain.application.returns import RecordDispute
from domain.credit_rule import KEEP, CreditRule
from domain.errors import Conflict, Unavailable
from domain.identity import Kind
from domain.news import DisputeNews
from domain.payment import Refund, RefundReply
from domain.statement import Statement, Transfer
from jobs import bank
from jobs.credit import credit_of
from jobs.payout import Paid, Payer, payout_named
from jobs.refund import Refunder, follow_refunds
from jobs.settle import settle
from jobs.verify import verify
from tests.builders import component, counted_package, declared_package, open_account, package, publish, start
from tests.store.test_payments import an_invoice

FEBRUARY, LATER = date(2025, 2, 1), date(2025, 2, 20)
NOW = datetime(2025, 2, 20, 9, tzinfo=UTC)
IDLE = CreditRule("idle", after=10)


class Giving:
    """A provider that gives money back, once for each refund, as its own books have it."""

    def __init__(self, state: Any = "succeeded") -> None:
        self.state, self.given = state, dict[UUID, Refund]()

    def refund(self, refund: Refund) -> RefundReply:
        self.given[refund.refund] = refund
        return RefundReply(self.state, f"re_{len(self.given)}", refund.amount, refund.currency, "")

    def find_refund(self, refund: Refund) -> RefundReply | None:
        return self.refund(refund) if refund.refund in self.given else None


@pytest.fixture
def invoice(tally: Tally) -> Iterator[UUID]:
    """One invoice of 23.80 EUR of acme, whose credit is paid out after ten idle days; the books hold at the end."""
    found = an_invoice(tally)
    tally.billing.execute(SetCreditRule("acme", IDLE))
    yield found
    tally.follower().catch_up()
    assert [f"{check.name}: {check.found}" for check in verify(tally.pool) if check.found] == []


def book(tally: Tally, invoice: UUID, receipt: str, amount: int, on: date = FEBRUARY) -> UUID:
    account = issued(tally.billing, invoice).account
    source: Any = receipt.partition(":")[0]
    tally.billing.execute(BookReceipt(account, "EUR", receipt, source, amount, on, invoices=(invoice,)))
    return account


def payer(tally: Tally, provider: Any = None) -> Payer:
    refunder = Refunder(tally.billing, {"stripe": provider} if provider else {}, lambda: NOW)
    return Payer(refunder, tally.pool, tally.packages, tally.follower().catch_up)


def ways(paid: Paid) -> list[tuple[str, int, str]]:
    return [(way.by, way.amount, way.state) for way in paid.ways]


def told(tally: Tally, amount: int, text: str, name: str = "s1", back: bool = False) -> str:
    """The bank tells of a transfer; what became of it."""
    transfer = Transfer(LATER, amount, text, "Acme", "", name, is_return=back)
    bank.import_statements(tally.pool, [Statement("DE1", name, "EUR", 0, amount, LATER, (transfer,))], new_account=True)
    tally.follower().catch_up()
    bank.settle_transfers(tally.billing, tally.pool)
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        row = connection.execute("SELECT state FROM bank_transfer ORDER BY transfer = %s DESC", [name]).fetchall()
    return " ".join(sorted(state for (state,) in row))


def test_what_was_paid_too_much_goes_back_to_the_card_that_paid_it_and_never_twice(tally, invoice):
    account, stripe = book(tally, invoice, "stripe:ch_1", 3000), Giving()
    assert ways(payer(tally, stripe).preview(LATER)) == [("stripe", 620, "would be asked")]
    assert stripe.given == {}
    assert ways(payer(tally, stripe).pay_out(LATER)) == [("stripe", 620, "succeeded")]
    assert ways(payer(tally, stripe).pay_out(LATER)) == []
    assert [(one.payment, one.amount) for one in stripe.given.values()] == [("ch_1", 620)]
    money = receivables(tally.billing, account, "EUR")
    assert (money.credit, money.receipts["stripe:ch_1"].kept, money.open_amount(invoice, 2380)) == (0, 2380, 0)


def test_workers_at_once_pay_out_once(tally, invoice):
    book(tally, invoice, "stripe:ch_1", 3000)
    stripe = Giving()
    with ThreadPoolExecutor(4) as workers:
        found = list(workers.map(lambda _: ways(payer(tally, stripe).pay_out(LATER)), range(4)))
    assert sum(amount for one in found for _, amount, _ in one) == 620
    assert len(stripe.given) == 1


def test_a_credit_note_takes_the_place_of_the_payment_that_then_goes_back(tally, invoice):
    account, stripe = book(tally, invoice, "stripe:ch_1", 2380), Giving()
    tally.billing.execute(CancelLicense("acme-license", FEBRUARY, date(2025, 2, 15)))
    run_billing(tally, date(2025, 2, 15), date(2025, 2, 15))
    settle(tally.billing, tally.pool, date(2025, 2, 15), tally.follower().catch_up)
    assert ways(payer(tally, stripe).pay_out(LATER)) == [], "money moved within ten days"
    assert ways(payer(tally, stripe).pay_out(date(2025, 2, 25))) == [("stripe", 1190, "succeeded")]
    money = receivables(tally.billing, account, "EUR")
    assert money.open_amount(invoice, 2380) == 0
    assert {name: one.paid.get(invoice) for name, one in money.receipts.items()} == {
        "stripe:ch_1": 1190, "credit_note:CN-000001": 1190
    }  # fmt: skip


def test_what_came_by_bank_is_proposed_to_finance_and_booked_when_the_bank_shows_it(tally, invoice):
    account = book(tally, invoice, "bank:t0", 3000)
    (way,) = payer(tally).pay_out(LATER).ways
    assert (way.by, way.amount, way.state) == ("bank", 620, "open")
    assert receivables(tally.billing, account, "EUR").credit == 0, "it is reserved"
    assert ways(payer(tally).pay_out(LATER)) == []
    assert told(tally, -619, f"refund {way.name}", "s0") == "suspense", "another amount"
    assert told(tally, -620, way.name.lower().replace("-", " "), "s1") == "settled suspense"
    assert payout_named(tally.pool, way.name).state == "paid"
    assert told(tally, -620, way.name, "s2") == "settled suspense suspense", "a second transfer is for a person"
    assert told(tally, 620, f"returned {way.name}", "s3", back=True) == "settled settled suspense suspense"
    assert (payout_named(tally.pool, way.name).state, receivables(tally.billing, account, "EUR").credit) == (
        "failed", 620
    )  # fmt: skip
    tally.billing.execute(SetCreditRule("acme", CreditRule("idle", after=5)))
    assert ways(payer(tally).pay_out(date(2025, 2, 24))) == [], "its days begin anew"
    (other,) = payer(tally).pay_out(date(2025, 2, 25)).ways
    assert (other.amount, other.name == way.name) == (620, False)


def test_a_person_says_which_transfer_made_a_payout_or_that_none_will(tally, invoice):
    account = book(tally, invoice, "bank:t0", 3000)
    (way,) = payer(tally).pay_out(LATER).ways
    told(tally, -620, "no reference", "s1")
    (waiting,) = bank.listed(tally.pool, "suspense")
    bank.return_transfer(tally.billing, tally.pool, waiting.transfer, way.name)
    tally.follower().catch_up()
    assert payout_named(tally.pool, way.name).state == "paid"
    with pytest.raises(Conflict, match="is settled"):
        bank.return_transfer(tally.billing, tally.pool, waiting.transfer, way.name)
    assert receivables(tally.billing, account, "EUR").receipts["bank:t0"].kept == 2380


@pytest.mark.parametrize("state", ["failed", "unknown", "pending"])
def test_what_the_provider_does_not_give_back_stays_reserved_or_is_proposed_to_finance(tally, invoice, state):
    account, stripe = book(tally, invoice, "stripe:ch_1", 3000), Giving(state)
    paid = ways(payer(tally, stripe).pay_out(LATER))
    assert paid == [("stripe", 620, {"failed": "failed", "unknown": "open", "pending": "pending"}[state])]
    assert receivables(tally.billing, account, "EUR").credit == (620 if state == "failed" else 0)
    again = ways(payer(tally, stripe).pay_out(LATER))
    assert again == ([("bank", 620, "open")] if state == "failed" else [])
    assert len(stripe.given) == 1


def test_old_money_and_money_without_a_key_is_not_asked_back(tally, invoice):
    book(tally, invoice, "stripe:ch_1", 3000)
    assert ways(payer(tally).pay_out(LATER)) == [], "there is no key"
    tally.billing.execute(CancelLicense("acme-license", FEBRUARY, date(2025, 3, 1)))
    assert ways(payer(tally, Giving()).preview(date(2025, 9, 1))) == [("bank", 620, "would be proposed")]


def test_nothing_goes_that_somebody_may_need(tally, invoice):
    account, stripe = book(tally, invoice, "bank:t0", 2380), Giving()
    book(tally, invoice, "stripe:ch_1", 620)

    def kept(on: date = LATER) -> list[str]:
        return list(payer(tally, stripe).preview(on).kept)

    assert kept(date(2025, 2, 5)) == ["money moved within 10 days"]
    assert kept(date(2025, 3, 1)) == ["a bill is due"]
    news = DisputeNews("dp_1", "ch_1", "open", 620, 0, 0, "EUR")
    tally.billing.execute(RecordDispute(account, "stripe:ch_1", "stripe", news, FEBRUARY))
    assert kept() == ["a dispute may need it"]
    tally.billing.execute(SetCreditRule("acme", CreditRule("idle", 10, (("EUR", Decimal("6.20")),))))
    assert kept() == ["it is not over what the rule keeps"]
    tally.billing.execute(SetCreditRule("acme", CreditRule("leaving", 10)))
    assert kept()[0] == "a dispute may need it"
    tally.billing.execute(SetCreditRule("acme", KEEP))
    assert kept() == ["the rule keeps it"]
    run_billing(tally, date(2025, 3, 1), date(2025, 3, 1))
    tally.billing.execute(SetCreditRule("acme", CreditRule("idle", 0)))
    assert (ways(payer(tally, stripe).pay_out(date(2025, 3, 2))), kept()) == ([], []), "an open invoice needs it"


def test_on_leaving_credit_goes_when_no_license_runs_for_so_long(tally, invoice):
    book(tally, invoice, "bank:t0", 3000)
    tally.billing.execute(SetCreditRule("acme", CreditRule("leaving", 10)))
    assert list(payer(tally).preview(LATER).kept) == ["a license runs"]
    tally.billing.execute(CancelLicense("acme-license", FEBRUARY, date(2025, 3, 1)))
    assert list(payer(tally).preview(date(2025, 3, 10)).kept) == ["a license runs"]
    assert ways(payer(tally).preview(date(2025, 3, 11))) == [("bank", 620, "would be proposed")]


def test_the_packages_say_it_where_the_account_does_not_and_the_most_keeping_one_holds(tally):
    publish(tally, declared_package("quick", credit=CreditRule("idle", 5)), declared_package("kept"))
    open_account(tally, "acme")
    start(tally, "l1", "acme", "quick", FEBRUARY, quantities={"seats": 10})
    run_billing(tally, FEBRUARY, FEBRUARY)
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        ((invoice,),) = connection.execute("SELECT invoice FROM receivable_v1").fetchall()
    book(tally, invoice, "bank:t0", 3000)
    assert ways(payer(tally).preview(LATER)) == [("bank", 620, "would be proposed")]
    start(tally, "l2", "acme", "kept", date(2025, 3, 1), quantities={"seats": 1})
    assert list(payer(tally).preview(LATER).kept) == ["the rule keeps it"]


def test_the_rule_of_the_packages_follows_who_pays_on_the_day(tally):
    """Whoever is to pay from April on has no rule of the packages before, in whatever order that was recorded."""
    publish(tally, declared_package("quick", credit=CreditRule("idle", 5)))
    open_account(tally, "top")
    open_account(tally, "acme", parent="top", payer="top")
    start(tally, "l1", "acme", "quick", FEBRUARY, quantities={"seats": 10})
    for account in tally.billing.resolve(Kind.ACCOUNT, ["top", "acme"]).values():
        tally.billing.execute(BookReceipt(account, "EUR", f"bank:{account}", "bank", 10000, FEBRUARY))

    def rules(on: date) -> dict[str, str]:
        accounts = [account_named(tally.billing, name) for name in ("top", "acme")]
        return {one.reference: credit_of(tally.billing, tally.pool, one, on).whose for one in accounts}

    packages, nobody, april = "of its packages", "nobody said otherwise", date(2025, 4, 1)
    for since, who in ((april, "self"), (FEBRUARY, "top")):
        tally.billing.execute(ChangeAccount("acme", since, payer=who))
        run_billing(tally, april, FEBRUARY)
        settle(tally.billing, tally.pool, FEBRUARY, tally.follower().catch_up)
        assert rules(LATER) == {"top": packages, "acme": nobody}
        assert rules(april) == {"top": nobody, "acme": packages}
        assert {way.account for way in payer(tally).preview(LATER).ways} == {"top"}
        assert {way.account for way in payer(tally).preview(april).ways} == {"acme"}


def test_the_scheduler_pays_out_once_in_the_zone_of_the_account_and_takes_up_what_a_crash_left(tally, invoice):
    account, stripe = book(tally, invoice, "stripe:ch_1", 3000), Giving("unknown")
    payer(tally, stripe).pay_out(LATER)
    book(tally, invoice, "bank:t0", 100)
    with Tally(tally.dsn, {"stripe": Giving()}) as worker:  # type: ignore[dict-item]
        worker.providers["stripe"].given = stripe.given  # type: ignore[attr-defined]
        collect_day(worker, "Europe/Berlin", LATER)
        assert [one.state for one in receivables(tally.billing, account, "EUR").refunds.values()] == ["succeeded"]
        assert receivables(tally.billing, account, "EUR").credit == 100, "it is of another zone"
        for _ in range(2):
            collect_day(worker, "UTC", LATER)
    with tally.pool.connection() as connection:
        assert connection.execute("SELECT amount, state FROM payout_v1").fetchall() == [(100, "open")]


def test_a_provider_that_does_not_answer_for_one_payer_does_not_stop_the_others(tally, invoice):
    """What was reserved stays so, and is asked for by the next run that follows refunds."""
    other = an_invoice(tally, "bolt")
    tally.billing.execute(SetCreditRule("bolt", IDLE))
    stripe, lost = Giving(), [Unavailable("no line")]

    def refund(wanted: Refund) -> RefundReply:
        if lost:
            raise lost.pop()
        return Giving.refund(stripe, wanted)

    stripe.refund = refund  # type: ignore[method-assign]
    for number, one in enumerate((invoice, other)):
        book(tally, one, f"stripe:ch_{number}", 3000)
    assert ways(payer(tally, stripe).pay_out(LATER)) == [("stripe", 620, "unavailable"), ("stripe", 620, "succeeded")]
    refunder = Refunder(tally.billing, {"stripe": stripe}, lambda: NOW + timedelta(minutes=3))  # type: ignore[dict-item]
    assert follow_refunds(refunder, tally.pool) == {"succeeded": 1}
    assert sorted((one.payment, one.amount) for one in stripe.given.values()) == [("ch_0", 620), ("ch_1", 620)]


def test_money_that_a_dispute_took_while_a_payout_was_open_is_no_credit_when_that_is_taken_back(tally, invoice):
    account, stripe = book(tally, invoice, "stripe:ch_1", 3000), Giving("failed")
    payer(tally, stripe).pay_out(LATER)
    (way,) = payer(tally, stripe).pay_out(LATER).ways
    assert (way.by, way.amount) == ("bank", 620)
    news = DisputeNews("dp_1", "ch_1", "lost", 3000, 3000, 0, "EUR")
    tally.billing.execute(RecordDispute(account, "stripe:ch_1", "stripe", news, LATER))
    tally.follower().catch_up()
    tally.billing.execute(FailPayout(payout_named(tally.pool, way.name).payout, LATER, "not made"))
    money = receivables(tally.billing, account, "EUR")
    assert (money.credit, money.receipts["stripe:ch_1"].kept) == (0, 0), "its bank has all of it"
    assert money.open_amount(invoice, 2380) == 2380


def test_a_bill_for_what_the_payer_paid_until_others_took_over_is_due_too(tally, invoice):
    publish(tally, package("arrears", component(mode="in_arrears")))
    open_account(tally, "sub", parent="acme", payer="acme")
    start(tally, "sub-license", "sub", "arrears", FEBRUARY)
    tally.billing.execute(ChangeAccount("sub", date(2025, 3, 1), payer="self"))
    tally.billing.execute(CancelLicense("acme-license", FEBRUARY, date(2025, 3, 1)))
    book(tally, invoice, "bank:t0", 3000)
    assert ways(payer(tally).preview(LATER)) == [("bank", 620, "would be proposed")]
    assert list(payer(tally).preview(date(2025, 3, 1)).kept) == ["a bill is due"]


def test_what_waits_for_a_count_may_be_due(tally, invoice):
    """A second license whose month nobody has counted: an empty preview says nothing yet."""
    book(tally, invoice, "bank:t0", 3000)
    assert payer(tally).preview(LATER).kept == {}
    publish(tally, counted_package())
    start(tally, "c1", "acme", "counted")
    assert list(payer(tally).preview(LATER).kept) == ["a bill is due"]


def test_what_could_not_be_rated_may_be_due(tally, invoice):
    book(tally, invoice, "bank:t0", 3000)
    payer(tally).preview(LATER)
    swap = """UPDATE basis_v2 SET facts = replace(encode(facts, 'escape'), %s, %s)::bytea WHERE kind = 3"""
    with tally.pool.connection() as connection:
        connection.execute(swap, ["EUR", "XXX"])
    assert list(payer(tally).preview(date(2025, 3, 1)).kept) == ["a bill is due"]
    with tally.pool.connection() as connection:
        connection.execute(swap, ["XXX", "EUR"])
