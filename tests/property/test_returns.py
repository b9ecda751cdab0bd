"""Nobody is charged twice for what a refund or a dispute opened, and what comes back pays what its going had opened."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.aggregate import Recorded
from domain.application import Billing
from domain.application.payments import BookReceipt, collection, receivables
from domain.application.returns import OpenRefund, RecordDispute, RecordRefund
from domain.errors import Refusal
from domain.events.account import Party
from domain.events.documents import InvoiceIssued
from domain.identity import Kind, make_id
from domain.news import DisputeNews
from domain.payment import RefundReply

DAY, NOW = date(2025, 1, 31), datetime(2025, 1, 31, tzinfo=UTC)
ACCOUNT = make_id(Kind.ACCOUNT, 1, None, "acme")
GROSS = {make_id(Kind.INVOICE, 1, DAY, n): gross for n, gross in enumerate((60, 40))}
RECEIPT = "stripe:ch"
PAID = sum(GROSS.values())

amounts = st.integers(1, PAID)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("refund"), amounts),
        st.tuples(st.just("learned"), st.integers(0, 3), st.sampled_from(["pending", "succeeded", "failed"])),
        st.tuples(st.just("dispute"), st.sampled_from("ab"), st.sampled_from(["open", "won"]), amounts, st.booleans()),
    ),
    max_size=12,
)  # fmt: skip


class World:
    """Two invoices that one payment by a provider paid, kept in memory, and what is told of that payment."""

    def __init__(self) -> None:
        self.billing = Billing()
        self.refunds: list[UUID] = []
        self.withdrawn: dict[str, int] = {}
        for invoice, gross in GROSS.items():
            self._issue(invoice, gross)
        self.billing.execute(BookReceipt(ACCOUNT, "EUR", RECEIPT, "stripe", PAID, DAY, invoices=tuple(GROSS)))

    def _issue(self, invoice: UUID, gross: int) -> None:
        issued = InvoiceIssued(
            document=f"INV-{gross}", series="INV", account=ACCOUNT, party=Party(name="A"), currency="EUR",
            issued_on=DAY, due_on=DAY, through=DAY, lines=(), taxes=(), net=gross, tax=0, gross=gross, cut=0, run="",
        )  # fmt: skip
        self.billing.recorder.insert_events([self.billing.mapper.to_stored_event(Recorded(invoice, 1, issued))])

    def take(self, step: tuple) -> None:  # type: ignore[type-arg]
        match step:
            case "refund", amount:
                opened = self.billing.execute(OpenRefund(ACCOUNT, "EUR", RECEIPT, NOW, amount)).opened
                self.refunds.append(opened.refund)
            case "learned", which, state if self.refunds:
                self.learned(self.refunds[which % len(self.refunds)], state)
            case "dispute", name, state, amount, back:
                self.withdrawn[name] = max(amount, self.withdrawn.get(name, 0))
                self.disputed(name, state, self.withdrawn[name] if back else 0)

    def learned(self, refund: UUID, state: str) -> None:
        opened = receivables(self.billing, ACCOUNT, "EUR").refund(refund).opened
        reply = RefundReply(state, "re", amount=opened.amount, currency="EUR")  # type: ignore[arg-type]
        self.billing.execute(RecordRefund(ACCOUNT, "EUR", refund, reply, DAY))

    def disputed(self, name: str, state: str, given_back: int) -> None:
        news = DisputeNews(name, "ch", state, PAID, self.withdrawn[name], given_back, "EUR", "")  # type: ignore[arg-type]
        self.billing.execute(RecordDispute(ACCOUNT, RECEIPT, "stripe", news, DAY))

    def undo_all(self) -> None:
        """Every refund fails, every dispute is won and its money is back."""
        for refund in self.refunds:
            self.learned(refund, "failed")
        for name, withdrawn in self.withdrawn.items():
            self.disputed(name, "won", withdrawn)


@given(steps)
def test_what_goes_back_is_held_and_what_is_here_again_pays_as_before(history):
    world = World()
    for step in history:
        with suppress(Refusal):
            world.take(step)
        money = receivables(world.billing, ACCOUNT, "EUR")
        left = {invoice: money.open_amount(invoice, gross) for invoice, gross in GROSS.items()}
        assert PAID - sum(left.values()) + money.credit == money.receipt(RECEIPT).kept, "every cent is somewhere"
        open_and_free = [one for one, owed in left.items() if owed and not collection(world.billing, one).holds]
        assert not open_and_free, "it would be charged a second time"
    world.undo_all()
    money = receivables(world.billing, ACCOUNT, "EUR")
    assert money.credit == 0
    assert [money.open_amount(*one) for one in GROSS.items()] == [0, 0]
    assert [collection(world.billing, one).holds for one in GROSS] == [set(), set()]
