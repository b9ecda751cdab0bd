"""What the opponent does to money: bank files, suspense, returns, credit and its payouts, dunning.

Numbers of invoices differ between worlds, so what names one is put into words in each world, from what that world
lists. What is picked is drawn before, and things are picked in an order that knows no numbers.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from domain.money import minor
from domain.statement import Statement, Transfer
from tests.scenario.opponent_world import Told, Words, World
from tests.statements import MAPPING, csv

BANKS = {"EUR": "DE02120300000000202051", "JPY": "JP0001"}
PAYS = ("exact", "exact", "exact", "short", "over", "several", "twice", "unknown", "unnamed", "out", "payout", "back")
NUMBER = re.compile(r"\b(INV|CN|PO)-[0-9A-F]+|bank:\S+")
ALL = ("--limit", "1000")


class Money:
    """Random steps of whoever keeps the books and the bank."""

    def __init__(self, chance: random.Random, folder: Path) -> None:
        self.chance, self.folder = chance, folder
        for currency, account in BANKS.items():
            mapping = MAPPING.replace("EUR", currency).replace(BANKS["EUR"], account)
            (folder / f"{currency}.yaml").write_text(mapping)

    def step(self, today: date, accounts: list[str]) -> Words | Told:
        """One step of money."""
        kinds: tuple[tuple[Callable[[date, list[str]], Words | Told], int], ...] = (
            (self._bank, 7), (self._bank_again, 1), (self._settle, 2), (self._allocate, 2), (self._return, 3),
            (self._credit, 2), (self._pay_out, 3), (self._take_back, 1), (self._dun, 4), (self._decide, 2),
        )  # fmt: skip
        return self.chance.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0](today, accounts)

    def last(self, today: date) -> Iterator[Words | Told]:
        """What any month ends with."""
        yield self._settle(today, [])
        yield self._dun(today, [])
        yield ["payments", "pay-out", "--on", str(today)]

    def _bank(self, today: date, _: list[str]) -> Told:
        currency = self.chance.choice(("EUR", "EUR", "JPY"))
        pays = [(self.chance.choice(PAYS), self.chance.randrange(1000)) for _ in range(self.chance.randint(1, 4))]
        overlapping = self.chance.random() < 0.3
        return lambda world: _statement(world, self.folder, currency, today, pays, overlapping)

    def _bank_again(self, *_: Any) -> Told:
        pick = self.chance.randrange(1000)
        return lambda world: world.statements[pick % len(world.statements)] if world.statements else ["verify"]

    def _settle(self, today: date, _: list[str]) -> Words:
        return ["payments", "settle", "--on", str(today)]

    def _allocate(self, *_: Any) -> Told:
        pick, count = self.chance.randrange(1000), self.chance.randint(1, 2)

        def told(world: World) -> Words:
            numbers = [one["number"] for one in owed(world)]
            chosen = [numbers[(pick + n) % len(numbers)] for n in range(count)] if numbers else ["INV-999999"]
            return ["bank", "allocate", _picked(_suspense(world), pick, "transfer"), *dict.fromkeys(chosen)]

        return told

    def _return(self, *_: Any) -> Told:
        """Money that went out, mostly: of a receipt, or of a payout."""
        pick, of_payout = self.chance.randrange(1000), self.chance.random() < 0.3

        def told(world: World) -> Words:
            out = [one for one in _suspense(world) if Decimal(one["amount"]) < 0] or _suspense(world)
            what = (
                _picked(_payouts(world), pick, "reference") if of_payout else _picked(_receipts(world), pick, "receipt")
            )
            return ["bank", "return", _picked(out, pick, "transfer"), what]

        return told

    def _credit(self, _: date, accounts: list[str]) -> Words:
        words = ["accounts", "credit", self.chance.choice(accounts)]
        rule = [
            "--pay-out",
            self.chance.choice(("never", "idle", "leaving")),
            "--after",
            str(self.chance.randint(0, 40)),
        ]
        return [*words, *self.chance.choice((rule, rule, [*rule, "--over", "3"], ["--packages"]))]

    def _pay_out(self, today: date, _: list[str]) -> Words:
        return ["payments", "pay-out", "--on", str(today + timedelta(days=self.chance.choice((0, 0, -5))))]

    def _take_back(self, *_: Any) -> Told:
        pick = self.chance.randrange(1000)
        return lambda world: ["payments", "take-back", _picked(_payouts(world), pick, "reference")]

    def _dun(self, today: date, _: list[str]) -> Words:
        return ["dunning", "run", "--on", str(today + timedelta(days=self.chance.choice((0, 0, 2, -3))))]

    def _decide(self, *_: Any) -> Told:
        pick = self.chance.randrange(1000)
        kind = self.chance.choice((["pause"], ["pause"], ["resume"], ["resume"], ["write-off"]))
        restore = ["--restore"] if kind == ["pause"] and self.chance.random() < 0.5 else []
        return lambda world: ["dunning", *kind, _picked(owed(world), pick, "number"), *restore]


def _unnumbered(row: dict[str, Any]) -> str:
    """What a row says but for names that depend on who came first."""
    kept = {name: value for name, value in row.items() if name not in ("number", "receipt", "transfer", "reference")}
    return NUMBER.sub("", repr(sorted((name, str(value)) for name, value in kept.items() if name != "suggestions")))


def units(row: dict[str, Any], name: str) -> int:
    """An amount of a row in minor units, as a bank's statement is made of them here."""
    return minor(row[name], row["currency"])


def _listed(world: World, *words: str) -> list[dict[str, Any]]:
    return sorted(world.ask(*words, *ALL), key=_unnumbered)


def owed(world: World, currency: str = "") -> list[dict[str, Any]]:
    """The open invoices, in an order that knows no numbers."""
    return [one for one in _listed(world, "payments", "open") if currency in ("", one["currency"])]


def _receipts(world: World) -> list[dict[str, Any]]:
    return _listed(world, "payments", "list")


def _suspense(world: World) -> list[dict[str, Any]]:
    return _listed(world, "bank", "unmatched")


def _payouts(world: World) -> list[dict[str, Any]]:
    return _listed(world, "payments", "payouts", "--all")


def _picked(rows: list[dict[str, Any]], pick: int, name: str) -> str:
    return str(rows[pick % len(rows)][name]) if rows else "nothing"


def _statement(
    world: World, folder: Path, currency: str, today: date, pays: list[tuple[str, int]], overlapping: bool
) -> Words:
    """The words that import what the bank told on a day, and in an overlapping file also what it told before."""
    new = [transfer for kind, pick in pays for transfer in _transfers(world, currency, today, kind, pick)]
    before = world.last.get(currency, ()) if overlapping else ()
    opening = world.sent[currency] - sum(one.amount for one in before)
    world.sent[currency] += sum(one.amount for one in new)
    world.last[currency] = tuple(new)
    number = str(len(world.statements))
    told = Statement(BANKS[currency], number, currency, opening, world.sent[currency], today, (*before, *new))
    path = world.home / f"statement{number}.csv"
    path.write_text(csv(told))
    written = [f"--{name}={amount / 100:.2f}" if currency == "EUR" else f"--{name}={amount}" for name, amount in
               (("opening", told.opening), ("closing", told.closing))]  # fmt: skip
    words = ["bank", "import", str(path), "--mapping", str(folder / f"{currency}.yaml"), *written, "--new-account"]
    world.statements.append(words)
    return words


def _transfers(world: World, currency: str, today: date, kind: str, pick: int) -> list[Transfer]:
    """What comes or goes for one reason; the pick is told too, so that no two are alike by chance."""
    invoices, paid = owed(world, currency), [one for one in _receipts(world) if one["currency"] == currency]
    payouts = [one for one in _payouts(world) if one["currency"] == currency]
    if kind == "out" and paid:
        return [Transfer(today, -units(paid[pick % len(paid)], "amount") or -1, f"back {pick}", "Bank")]
    if kind in ("payout", "back") and payouts:
        one = payouts[pick % len(payouts)]
        amount = units(one, "amount")
        return [Transfer(today, -amount if kind == "payout" else amount, one["reference"], f"n{pick}")]
    if not invoices or kind in ("unknown", "unnamed"):
        return [Transfer(today, 500 + pick, "INV-999999" if kind == "unknown" else f"thanks {pick}", f"n{pick}")]
    one, two = invoices[pick % len(invoices)], invoices[(pick + 1) % len(invoices)]
    left = units(one, "open")
    paid_is = {"short": max(left // 3, 1), "over": left + pick, "several": left + units(two, "open")}
    text = f"{one['number']} {two['number']}" if kind == "several" else one["number"].lower().replace("-", " ")
    transfer = Transfer(today, paid_is.get(kind, left), text, f"n{pick}")
    return [transfer, transfer] if kind == "twice" else [transfer]
