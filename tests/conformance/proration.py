"""Parts of periods: recurring charges over a life, single factors, days of months of 30, and changes in mid-period."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from domain.charge import part
from domain.errors import TallyError
from domain.events import license as events
from domain.grid import Cadence, position
from domain.license import License
from domain.money import rounded
from domain.package_version import Component, Mode, PackageVersion, Proration
from domain.price import Flat
from tests.books import ACCOUNT, LICENSE, Books
from tests.conformance.items import Item, compare
from tests.conformance.verdict import Case, Differs, Forgiven, expect
from tests.conformance.words import MODES, cadence, cents, day, decimal, number


def play(case: Case, forgiven: Forgiven) -> None:
    """One case of the family."""
    KINDS[case["kind"]](case, forgiven)


def sold(
    price: Decimal, rhythm: Cadence, mode: Mode, policy: Proration, currency: str, name: str = "p"
) -> PackageVersion:
    """A package with one flat recurring component."""
    fee = Component(id="fee", name="Fee", prices={currency: Flat(price)}, cadence=rhythm, mode=mode)
    return PackageVersion(name, 1, name, date(2000, 1, 1), (fee,), proration=policy)


def month_days(case: Case) -> int:
    """How many days a month has for the peer; 0 = as many as it has."""
    written = str(case.get("proration_days", "actual")).split(" ", maxsplit=1)[0]
    return 0 if written == "actual" else int(written)


def _recurring(case: Case, forgiven: Forgiven) -> None:
    if "error" in case["expected"]:
        _refused(case, forgiven)
        return
    items = [
        Item("recurring", day(one["start"]), day(one["end"]), cents(one["amount"], case["currency"]))
        for one in case["expected"]["items"]
    ]
    ours = [
        Item("recurring", line.start, line.end, line.amount, (line.start, line.end) != (line.base_start, line.base_end))
        for line in _life(case).run(day(case["target"]))
    ]
    compare(ours, items, forgiven)


def _life(case: Case) -> Books:
    policy = Proration(leading_base="shifted", month_days=month_days(case))
    rhythm, mode = cadence(case["billing_period"]), MODES[case["mode"]]
    package = sold(decimal(case["plan_price"]), rhythm, mode, policy, case["currency"])
    books = Books(
        {("p", 1): package}, case["bill_cycle_day"], start=day(case["start"]), currency=case["currency"]
    )  # fmt: skip
    if case["end"]:
        end = day(case["end"])
        books.record("license", events.LicenseCancelled(notice_on=end, end_on=end))
    return books


def _refused(case: Case, forgiven: Forgiven) -> None:
    """An end before the start is refused by the license; before the start nothing is due, where the peer refuses."""
    start, end = day(case["start"]), case["end"] and day(case["end"])
    if end and end < start:
        license = License(LICENSE)
        license.start(events.LicenseStarted(
            reference="l", account=ACCOUNT, package="p", version=1, type="production", start_on=start,
            currency=case["currency"], quantities={},
        ))  # fmt: skip
        try:
            license.cancel(start, end)
        except TallyError:
            return
        raise Differs("an end before the start was taken")
    expect("lines", _life(case).run(day(case["target"])), [])
    forgiven["refusal"] += 1


def _factor(case: Case, forgiven: Forgiven) -> None:
    base = (day(case["period_start"]).toordinal(), day(case["period_end"]).toordinal())
    service = (day(case["start"]).toordinal(), day(case["end"]).toordinal())
    days, expected = month_days(case), case["expected"]
    whole = position(base[1], days) - position(base[0], days)
    factor = Fraction(position(service[1], days) - position(service[0], days), whole)
    digits = 10 ** case["factor_scale"]
    expect(
        "factor", Fraction(rounded(factor.numerator * digits, factor.denominator), digits), number(expected["factor"])
    )
    price = Fraction(cents(case["plan_price"], case["currency"]))
    amount = part(price, *base, days, *service)
    ours = [Item("recurring", day(case["start"]), day(case["end"]), amount, part=True)]
    theirs = [
        Item("recurring", day(one["start"]), day(one["end"]), cents(one["amount"], case["currency"]))
        for one in expected.get("items", ())
    ]
    compare(ours, theirs, forgiven)


def _days(case: Case, forgiven: Forgiven) -> None:
    days = case["fixed_days_in_month"]
    start, end = (day(case[name]).toordinal() for name in ("start", "end"))
    expect("days", position(end, days) - position(start, days), case["expected"]["days"])


def _change(case: Case, forgiven: Forgiven) -> None:
    """Each component on books of its own, so that the lines keep the peer's order: credit and charge of each."""
    order = {"matched": 0, "removed": 1, "added": 2}
    lines: list[int] = []
    for component in sorted(case["components"], key=lambda one: order[one["kind"]]):
        lines += _changed(case, component)
    expected = case["expected"]
    for place, amount in expected["lines"].items():
        expect(f"line {place}", lines[int(place)] if int(place) < len(lines) else None, amount)
    if "net_amount_cents" in expected:
        expect("net", sum(lines), expected["net_amount_cents"])
    expect("lines", len(lines), expected.get("line_count", len(lines)))


def _changed(case: Case, component: dict[str, Any]) -> list[int]:
    """The lines that a change in mid-period adds for one component."""
    begin, end, on = (day(case[name]) for name in ("period_start", "period_end", "change_date"))
    kind = component["kind"]
    before = _fee(component.get("current_fee") or component.get("fee"), kind != "added")
    after = _fee(component.get("new_fee") or component.get("fee"), kind != "removed")
    if before is None and after is None:
        return []
    period = cadence(component.get("current_period") or component.get("period") or "monthly")
    rhythm = _rhythm(period, (end - begin).days)
    packages = {
        (name, 1): sold(fee or Decimal(0), rhythm, "in_advance", Proration(), "EUR", name)
        for name, fee in (("p", before), ("q", after))
    }
    books = Books(packages, start=begin)
    books.record("license", events.LicenseCancelled(notice_on=begin, end_on=end))
    books.run(begin)
    if on < end:
        books.record("license", _to_q(on))
    return [line.amount for line in sorted(books.run(on), key=lambda line: line.amount) if line.amount]


def _to_q(on: date) -> events.LicenseChanged:
    return events.LicenseChanged(
        change="c1", effective_on=on, package="q", version=1, type="production", quantities={}, direction="other"
    )


COUNTS = ("units", "slots", "initial_slots", "quantity")
"""What the peer calls how many of a fee are sold."""


def _rhythm(period: Cadence, days: int) -> Cadence:
    """The invoice's days, unless the component's own period is a quarter or more away: then its nominal days."""
    nominal = period.days or {1: 30, 3: 90, 6: 180, 12: 365}.get(period.months, period.months * 30)
    return Cadence(days=days if abs(nominal - days) * 4 <= days else nominal)


def _fee(fee: dict[str, Any] | None, holds: bool) -> Decimal | None:
    """The full price of a fee that days divide, in major units; usage and one-time fees are not touched by a change."""
    if fee is None or not holds or fee["type"] in ("usage", "one_time"):
        return None
    units = next((fee[name] for name in COUNTS if fee.get(name) is not None), 1)
    return Decimal(str(fee.get("rate", fee.get("unit_rate", 0)))) * units


KINDS = {"recurring_items": _recurring, "factor": _factor, "fixed_day_count": _days, "mid_period_change": _change}
