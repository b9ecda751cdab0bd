"""What the opponent looks at: what must add up in one world, and what must be the same in two.

Nothing is asked of the database: only what commands list, so that what a person adds up by hand is what is checked.
"""

from __future__ import annotations

import re
from collections import defaultdict
from decimal import Decimal
from typing import Any

from domain.money import written
from tests.scenario.opponent_world import World

ALL = ["--limit", "1000"]


def unbalanced(world: World) -> str:
    """What does not hold in a world, or nothing."""
    broken = [check for check in world.ask("verify") if check["found"]]
    if broken:
        return f"verify: {broken}"
    receipts, owed = world.ask("payments", "list", *ALL), world.ask("payments", "open", *ALL)
    return _unpaid(world, receipts, owed) or _lost(world, receipts)


def _unpaid(world: World, receipts: list[Any], owed: list[Any]) -> str:
    """Of every account, what its invoices ask for less what receipts paid of them is what is open."""
    left: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for document in world.ask("invoices", "list", *ALL):
        if document["kind"] == "invoice":
            left[document["party"], document["currency"]] += Decimal(document["gross"])
    for receipt in receipts:
        paid = Decimal(receipt["amount"]) - Decimal(receipt["returned"]) - Decimal(receipt["credit"])
        left[receipt["account"], receipt["currency"]] -= paid
    for invoice in owed:
        left[invoice["account"], invoice["currency"]] -= Decimal(invoice["open"])
    wrong = {key: amount for key, amount in left.items() if amount}
    return f"invoices less what was paid is not what is open: {wrong}" if wrong else ""


def _lost(world: World, receipts: list[Any]) -> str:
    """All that the bank told is a receipt, went back, or waits for a person; open payouts are still to be made."""
    told = {currency: Decimal(written(amount, currency)) for currency, amount in world.sent.items()}
    left = defaultdict(Decimal, told)
    for receipt in receipts:
        left[receipt["currency"]] += Decimal(receipt["returned"])
        left[receipt["currency"]] -= Decimal(receipt["amount"]) if receipt["receipt"].startswith("bank:") else 0
    for waiting in world.ask("bank", "unmatched", *ALL):
        left[waiting["currency"]] -= Decimal(waiting["amount"])
    for payout in world.ask("payments", "payouts", *ALL):
        left[payout["currency"]] -= Decimal(payout["amount"])
    wrong = {currency: amount for currency, amount in left.items() if amount}
    return f"money of the bank that is nowhere, or twice: {wrong}" if wrong else ""


def books(world: World) -> dict[str, list[Any]]:
    """Everything that must be the same in both worlds, without the numbers, which depend on who came first."""
    listed = {
        "receipts": (["payments", "list", *ALL], ["account", "received_on", "amount", "returned", "credit"]),
        "open invoices": (["payments", "open", *ALL], ["account", "currency", "gross", "open", "due_on"]),
        "transfers in suspense": (["bank", "unmatched", *ALL], ["booked_on", "currency", "amount", "why"]),
        "payouts": (["payments", "payouts", "--all", *ALL], ["account", "currency", "amount", "opened_on", "state"]),
        "chases": (["dunning", "list", "--ended", *ALL], ["account", "due_on", "open", "state", "stage", "effect"]),
        "licenses": (["licenses", "list", *ALL], ["license", "package", "type", "start_on", "end_on", "suspended"]),
    }  # fmt: skip
    found = {
        what: sorted([_unnumbered(row[name]) for name in names] for row in world.ask(*words))
        for what, (words, names) in listed.items()
    }
    return {"documents": _documents(world), **found}


def _unnumbered(value: Any) -> str:
    """A value without the digits of an invoice's number."""
    return re.sub(r"\b(INV|CN|PO)-[0-9A-F]+", r"\1", str(value))


def _documents(world: World) -> list[Any]:
    documents = []
    for listed in world.ask("invoices", "list", *ALL):
        shown = world.ask("invoices", "show", listed["number"])
        lines = sorted(
            [line[name] for name in ("license", "component", "kind", "from", "until", "quantity", "amount", "tax")]
            for line in shown["lines"]
        )
        documents.append([listed["party"], listed["gross"], shown["issued_on"], lines])
    return sorted(documents)
