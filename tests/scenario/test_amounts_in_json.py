"""A business in currencies of no, two and three decimals, seen by every command that prints money with --json."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import date
from itertools import product
from typing import Any

import pytest
import typer

from adapters.cli.main import app, main
from adapters.sandbox.server import Sandbox
from domain.money import EXPONENT, minor
from domain.statement import Statement, Transfer
from tests.statements import camt053

PRICES = {"JPY": "2000", "EUR": "20.00", "BHD": "20.000"}
CATALOG = """catalog: 1
packages:
  filter:
    name: Filter
    effective_on: 2025-01-01
    components:
      seats: {{name: Seats, quantity: {{declared: true}}, price: {{{prices}}}}}
"""
DAY = "2025-02-01"
NAMED_MONEY = """amount credit given_back gross net of_the_period on_its_way open ours over paid returned tax theirs
withdrawn"""
AMOUNTS = frozenset(NAMED_MONEY.split())
"""The names of amounts; where the value is an object, its values are amounts."""
NAMED_NUMBERS = """after at_bank billed bucket chunks chunks_done credit_notes cut days days_overdue documents
downgrade_within_days failed known licenses line lines link minimum month_days months new nothing notice_days number
parked payers payments payouts rank settled skipped succeeded suspense term_months trial_days version"""
NUMBERS = frozenset(NAMED_NUMBERS.split())
"""The names of what is a number and no money: an integer under any other name fails."""
WHOLLY = frozenset({"body", "counts", "kept"})
"""What holds numbers by names of their own; `body` is an event that `explain` shows as it is stored."""
NO_MONEY = """accounts change|accounts dunning|accounts list|accounts open|accounts pay-by|accounts set-up
accounts show|bank allocate|bank return|counts close|counts import|counts measure|counts names|db start|db status
db stop|deliver|deliveries drop|deliveries list|deliveries replay|deliveries show|demo|doctor|dunning claim
dunning pause|dunning resume|dunning write-off|endpoints add|endpoints disable|endpoints enable|endpoints list
endpoints remove|endpoints rotate|endpoints test|endpoints types|licenses cancel|licenses commit|licenses discount
licenses end-discount|licenses list|licenses reactivate|licenses resume|licenses show|licenses start|licenses suspend
licenses uncancel|licenses withdraw-change|limits|mail disable|mail enable|mail test|payments approve|payments page
payments release|payments retry|payments take-back|projections list|projections rebuild|projections retry
providers confirm|retention|sandbox|scheduler|serve|webhooks catch-up|webhooks list|webhooks process|webhooks replay
webhooks show|worker"""
WITHOUT_MONEY = frozenset(NO_MONEY.replace("\n", "|").split("|"))
"""The other commands; `deliveries show` and `webhooks show` print a message as it is sent or came, in its units."""
Typed = Callable[..., Any]


@pytest.fixture
def typed(dsn: str, sandbox: Sandbox, monkeypatch: Any, capsys: Any) -> Typed:
    """Runs a command: what it printed as JSON."""
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("TALLY_STRIPE_KEY", "sk_test_1")
    monkeypatch.setenv("TALLY_STRIPE_BASE", sandbox.url)

    def run(*words: str) -> Any:
        status = main([*words, "--json"])
        printed = capsys.readouterr()
        assert status in (0, 3), printed.err
        return json.loads(printed.out)

    return run


def business(typed: Typed, folder: Any) -> Iterator[tuple[str, Any]]:
    """In each currency one who disputes what it paid, gets a part back, pays too much by bank, or does not pay.

    Shapes: what every command that prints money said, with its words.
    """

    def said(line: str, *words: str) -> tuple[str, Any]:
        return line, typed(*line.split(), *words)

    yield said("catalog apply", _catalog(folder), "--yes")
    for currency in PRICES:
        _customers(typed, currency)
    yield said("preview --through", DAY)
    yield said("bill --through", DAY, "--issued-on", DAY)
    yield said("invoices list")
    numbers = {one["party"]: one["number"] for one in typed("invoices", "list")}
    for currency, price in PRICES.items():
        yield said("bank import", _statement(folder, currency, price, numbers[f"{currency} bank"]), "--new-account")
    for line in ("payments collect", "reconcile", "payments settle"):
        yield said(line)
    receipts = {one["account"]: one["receipt"] for one in typed("payments", "list")}
    for currency, price in PRICES.items():
        yield said("payments refund", receipts[f"{currency} card"], "--amount", price)
    typed("webhooks", "catch-up")
    typed("webhooks", "process")
    yield said("dunning run --on 2025-03-01")
    for currency in PRICES:
        yield said("accounts credit", f"{currency} bank", "--pay-out", "idle", "--after", "0", "--over", "5")
    yield said("payments pay-out --preview")
    yield said("payments pay-out")
    for currency in PRICES:
        late = numbers[f"{currency} late"]
        yield said("accounts credit", f"{currency} bank")
        change = ["-q", "seats=3", "--on", "2025-02-11", "--preview"]
        yield said("licenses change", f"{currency} late", *change)
        for line in ("invoices show", "explain", "dunning show", "mail preview"):
            yield said(line, late)
    for line in LISTS:
        yield said(line)
    for receipt in receipts.values():
        yield said("payments show", receipt)


LISTS = ("catalog list", "catalog show filter", "bank unmatched", "dunning list", "payments attempts", "payments open",
         "payments list", "payments disputes", "payments holds", "payments refunds", "payments payouts",
         "verify")  # fmt: skip


def _catalog(folder: Any) -> str:
    prices = ", ".join(f'{currency}: {{per_unit: "{price}"}}' for currency, price in PRICES.items())
    (folder / "c.yaml").write_text(CATALOG.format(prices=prices))
    return str(folder / "c.yaml")


def _customers(typed: Typed, currency: str) -> None:
    for kind in ("angry", "bank", "card", "late"):
        name = f"{currency} {kind}"
        typed("accounts", "open", name, "--name", name, "--currency", currency, "--tax-percent", "10")
        typed("licenses", "start", name, "--account", name, "--package", "filter", "--on", DAY, "-q", "seats=2")
    typed("licenses", "cancel", f"{currency} bank", "--on", DAY, "--end-on", "2025-03-01")
    typed("accounts", "pay-by", f"{currency} angry", "stripe", "cus_1", "pm_card_createDispute")
    typed("accounts", "pay-by", f"{currency} card", "stripe", "cus_1", "pm_card_visa")


def _statement(folder: Any, currency: str, price: str, number: str) -> str:
    """Too much for an invoice, and as much for nothing that is known."""
    paid, on = minor(price, currency) * 3, date(2025, 2, 3)
    transfers = (Transfer(on, paid, number, "Bank", "DE00", f"{currency}1"),
                 Transfer(on, paid, "thanks", "Nobody", "DE00", f"{currency}2"))  # fmt: skip
    path = folder / f"{currency}.xml"
    path.write_text(camt053(Statement(f"DE{currency}", "1", currency, 0, 2 * paid, on, transfers)))
    return str(path)


def told(node: Any, path: tuple[str, ...] = (), currency: str = "") -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """Every value of an answer with the names that lead to it and the currency that stands beside it or names it."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from told(value, (*path, name), name if name in EXPONENT else str(node.get("currency", currency)))
    elif isinstance(node, list) and len(node) == 2 and str(node[0]) in EXPONENT:
        yield from told(node[1], path, node[0])
    elif isinstance(node, list):
        for value in node:
            yield from told(value, path, currency)
    else:
        yield path, node, currency


def faulty(path: tuple[str, ...], value: Any, currency: str) -> bool:
    """An amount that is no decimal of the currency beside it, or a number that nobody said to be no money."""
    if AMOUNTS.intersection(path) and value is not None:
        decimals = EXPONENT.get(currency, -1)
        return not (isinstance(value, str) and re.fullmatch(DECIMAL[decimals], value))
    return type(value) in (int, float) and path[-1] not in NUMBERS and not WHOLLY.intersection(path)


DECIMAL = {0: r"-?\d+", 2: r"-?\d+\.\d\d", 3: r"-?\d+\.\d{3}", -1: "no currency"}


def test_every_amount_in_json_is_a_decimal_of_its_currency_and_none_is_an_integer(typed, tmp_path):
    seen, wrong, asked = set[tuple[str, str]](), list[str](), set[str]()
    for words, answer in business(typed, tmp_path):
        asked.add(words)
        for path, value, currency in told(answer):
            seen |= {(name, currency) for name in AMOUNTS.intersection(path) if value is not None}
            if faulty(path, value, currency):
                wrong.append(f"{words}: {'.'.join(path)} is {value!r} {currency}")
    assert not wrong, "\n".join(wrong)
    assert seen == set(product(AMOUNTS, PRICES)), "an amount of a name that was not seen proves nothing"
    unasked = {name for name in _commands() if not any(words.startswith(name) for words in asked)}
    assert unasked == WITHOUT_MONEY, "a command is looked at here, or is known to print no money"


def _commands() -> Iterator[str]:
    root: Any = typer.main.get_command(app)
    for name, command in root.commands.items():
        below = getattr(command.loaded(), "commands", None)
        yield from (f"{name} {one}" for one in below) if below else (name,)
