"""Customers who leave a provider's page make way for another payment; nobody is charged twice, whatever they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
import requests

from adapters.bootstrap import Tally
from adapters.sandbox.server import Sandbox
from domain.application.payments import BookReceipt, collection, issued, receivables
from domain.errors import Conflict
from domain.payment import Reply
from jobs.collect import Collector
from jobs.news import Reader
from tests.providers.conftest import paypal_at
from tests.providers.faults import AtPayPal
from tests.providers.stripe_world import BACK, NOW, stripe_at
from tests.store.test_collect import invoices

CARD = ("cus_1", "pm_card_visa")


class Watched:
    """PayPal's port, with something that happens just before a look at an order."""

    def __init__(self, provider: Any) -> None:
        self.provider, self.before_look = provider, list[Callable[[], object]]()

    def look(self, object_id: str) -> Reply:
        if self.before_look:
            self.before_look.pop(0)()
        found: Reply = self.provider.look(object_id)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.provider, name)


def collector_at(tally: Tally, sandbox: Sandbox, paypal: Any = None) -> Collector:
    return Collector(tally.billing, {"stripe": stripe_at(sandbox), "paypal": paypal or paypal_at(sandbox)}, lambda: NOW)


def approve(url: str) -> None:
    assert requests.post(url, data={"payer": "payer-good"}, timeout=5, allow_redirects=False).status_code == 303


def taken(tally: Tally, sandbox: Sandbox, invoice: UUID) -> tuple[int, int]:
    """What was taken at Stripe and at PayPal; all of it is booked, and none of it twice."""
    found = issued(tally.billing, invoice)
    money = receivables(tally.billing, found.account, found.currency)
    moved = sandbox.stripe.books.captured[str(invoice)], AtPayPal(sandbox).taken(invoice)
    assert sum(moved) == sum(one.booked.amount for one in money.receipts.values())
    assert sum(moved) in (0, found.gross)
    return moved


def test_a_page_that_its_customer_left_makes_way_and_an_approval_afterwards_takes_nothing(tally, sandbox):
    (invoice,), collector = invoices(tally, 1), collector_at(tally, sandbox)
    left = collector.offer(invoice, "paypal", BACK)
    with pytest.raises(Conflict):
        collector.begin(invoice, "stripe", *CARD)
    collector.make_way(invoice)
    ended = collection(tally.billing, invoice).attempt(left.opened.attempt)
    assert (ended.state, ended.code) == ("cancelled", "not_approved")
    assert collector.begin(invoice, "stripe", *CARD).state == "succeeded"
    approve(left.url)
    reader = Reader(collector, tally.pool, "paypal")
    for hint in AtPayPal(sandbox).hints():
        for news in collector.providers["paypal"].news(hint):
            assert reader.take_in(news)[0] == "done"
    assert collector.learn(ended).state == "cancelled"
    assert sandbox.paypal.books.orders[left.object]["order"]["intent"] == "AUTHORIZE", "made dead as soon as it can be"
    assert taken(tally, sandbox, invoice) == (2380, 0)


def test_a_page_that_was_approved_meanwhile_is_captured_and_makes_no_way(tally, sandbox):
    (invoice,), collector = invoices(tally, 1), collector_at(tally, sandbox)
    approve(collector.offer(invoice, "paypal", BACK).url)
    collector.make_way(invoice)
    assert taken(tally, sandbox, invoice) == (0, 2380)


def test_an_approval_between_the_withdrawal_and_the_look_after_it_is_made_dead_at_paypal(tally, sandbox):
    (invoice,), paypal = invoices(tally, 1), Watched(paypal_at(sandbox))
    collector = collector_at(tally, sandbox, paypal)
    left = collector.offer(invoice, "paypal", BACK)

    def once_withdrawn() -> None:
        if collection(tally.billing, invoice).attempt(left.opened.attempt).withdrawn:
            approve(left.url)
        else:
            paypal.before_look.append(once_withdrawn)

    paypal.before_look.append(once_withdrawn)
    collector.make_way(invoice)
    assert collection(tally.billing, invoice).live is None
    assert sandbox.paypal.books.orders[left.object]["order"]["intent"] == "AUTHORIZE"
    assert collector.begin(invoice, "stripe", *CARD).state == "succeeded"
    assert taken(tally, sandbox, invoice) == (2380, 0)


def test_a_worker_who_saw_the_approval_before_the_withdrawal_captures_nothing_afterwards(tally, sandbox):
    """He looks, others make way, and only then he goes on."""
    (invoice,), others = invoices(tally, 1), collector_at(tally, sandbox)
    left = others.offer(invoice, "paypal", BACK)
    seen_as_approved = Reply("open", left.object)

    class Late(Watched):
        def look(self, object_id: str) -> Reply:
            if not self.before_look:
                return self.provider.look(object_id)
            self.before_look.pop()()
            return seen_as_approved

    late = Late(paypal_at(sandbox))

    def meanwhile() -> None:
        others.make_way(invoice)
        approve(left.url)

    late.before_look.append(meanwhile)
    collector_at(tally, sandbox, late).carry_on(left)
    assert others.begin(invoice, "stripe", *CARD).state == "succeeded"
    assert taken(tally, sandbox, invoice) == (2380, 0)


def test_a_page_at_stripe_is_closed_and_a_card_that_waits_for_its_bank_makes_no_way(tally, sandbox):
    (paged, waiting), collector = invoices(tally, 2), collector_at(tally, sandbox)
    left = collector.offer(paged, "stripe", BACK)
    collector.make_way(paged)
    assert "expired" in requests.get(left.url, timeout=5).text
    assert collector.offer(paged, "paypal", BACK).state == "action_required"
    collector.begin(waiting, "stripe", "cus_1", "pm_card_authenticationRequired")
    collector.make_way(waiting)
    held = collection(tally.billing, waiting).live
    assert held is not None
    assert held.state == "action_required"


@pytest.mark.parametrize("amount", [2380, 1000])
def test_a_card_that_waits_for_its_bank_is_not_brought_to_the_customer_for_what_was_paid_meanwhile(
    tally, sandbox, amount
):
    (invoice,), collector = invoices(tally, 1), collector_at(tally, sandbox)
    waiting = collector.begin(invoice, "stripe", "cus_1", "pm_card_authenticationRequired")
    account = issued(tally.billing, invoice).account
    tally.billing.execute(BookReceipt(account, "EUR", "bank:1", "bank", amount, NOW.date(), invoices=(invoice,)))
    assert collector.authenticate(waiting).state == "cancelled"
    assert collector.providers["stripe"].look(waiting.object).state == "cancelled"
