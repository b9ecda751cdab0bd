"""The periods of a subscription that a bill of a day is for, as Lago asks for them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from domain.charge import Rating
from domain.events import license as events
from domain.grid import MONTHLY, Cadence, Grid
from domain.package_version import Component, PackageVersion, Proration
from domain.period import day as date_of
from domain.price import Flat
from tests.books import Books
from tests.conformance.verdict import Case, Differs, NotExpressible, expect
from tests.conformance.words import cadence, decimal, number

EUR = {"EUR": Flat(decimal("1"))}


def boundaries(case: Case) -> None:
    """One case: every value that is expected of the bill of a day."""
    bill = Bill(case["inputs"])
    for name, theirs in case["expected"].items():
        _check(bill, name, theirs)


class Bill:
    """A subscription on the day that it is billed.

    Shapes: component `fee` by the plan's mode; `charges` and `fixed_charges` in arrears, monthly where the plan bills
    them monthly. A termination's day is still served.
    """

    def __init__(self, inputs: dict[str, Any]) -> None:
        self.inputs, self.zone = inputs, ZoneInfo(inputs["timezone"])
        self.on = self.local(inputs["billing_at"])
        self.rhythm = cadence(inputs["interval"])
        self.started = inputs["started_at"] and self.local(inputs["started_at"])
        if self.started:
            self.books = self._books()

    def local(self, instant: str) -> date:
        """The day of an instant in the customer's zone."""
        return _utc(instant).astimezone(self.zone).date()

    def first_day(self, name: str, instant: str) -> date:
        """The day that begins at an instant; where the bill before ended with it, it is the day after that bill's last,
        wherever the customer was then."""
        begins = _utc(instant)
        ends = f"{name}_to_datetime".removeprefix("fee_")
        billed = (row[ends] for row in self.inputs.get("other_records") or () if row.get(ends))
        if any(_utc(end) == begins - timedelta(seconds=1) for end in billed):
            return (begins + timedelta(hours=12)).date() if begins.hour >= 12 else begins.date()
        return self.local(instant)

    def cadence_of(self, name: str) -> Cadence:
        """How often a component is billed."""
        return MONTHLY if name != "fee" and self.inputs.get(f"bill_{name}_monthly") else self.rhythm

    def asked(self, name: str) -> Rating:
        """The charge that the bill of the day is for: the last one due, or else the first there will be."""
        owed, _ = self.books.owed(self.on, self.on.toordinal() + 800)
        own = sorted((c.rating for c in owed if c.stream.component == f"p/{name}"), key=lambda charge: charge.start)
        if self.inputs["current_usage"]:
            return next(charge for charge in own if charge.end > self.on.toordinal())
        due = [charge for charge in own if charge.due]
        return due[-1] if due else own[0]

    def grid(self, name: str) -> Grid:
        """The borders of a component."""
        return next(found.grid for found in self.books.terms() if found.stream.component == f"p/{name}")

    def is_due(self, name: str) -> bool:
        """Whether a component falls due since the last run: runs are as often as the most frequent component."""
        charge, runs = self.asked(name), min(self.cadence_of(one) for one in ("fee", "charges", "fixed_charges"))
        last_run = self.grid("charges" if self.cadence_of("charges") == runs else "fixed_charges")
        return charge.due and charge.end > last_run.period(self.on.toordinal() - 1)[0]

    def _books(self) -> Books:
        inputs = self.inputs
        mode = "in_advance" if inputs["pay_in_advance"] else "in_arrears"
        source = "calendar" if inputs["billing_time"] == "calendar" else "license"
        parts = tuple(
            Component(name, name, EUR, cadence=self.cadence_of(name), mode=mode if name == "fee" else "in_arrears")  # type: ignore[arg-type]
            for name in ("fee", "charges", "fixed_charges")
        )
        policy = Proration(cycle_day_from=source, grid_on_change="continue")  # type: ignore[arg-type]
        package = PackageVersion("p", 1, "P", date(2000, 1, 1), parts, proration=policy)
        anchor = min(self.local(inputs["subscription_at"]), self.started)
        books = Books({("p", 1): package}, start=anchor, type="trial" if anchor < self.started else "production")
        if anchor < self.started:
            books.record("license", _in_earnest(self.started))
        if inputs.get("terminated_at"):
            last = self.local(inputs["terminated_at"])
            books.record("license", events.LicenseCancelled(notice_on=last, end_on=date_of(last.toordinal() + 1)))
        return books


def _utc(instant: str) -> datetime:
    at = datetime.fromisoformat(instant.replace(" ", "T").replace("Z", "+00:00"))
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def _in_earnest(on: date) -> events.LicenseChanged:
    """The subscription begins after the day that its periods are counted from."""
    return events.LicenseChanged(
        change="c1", effective_on=on, package="p", version=1, type="production", quantities={}, direction="other"
    )


def _check(bill: Bill, name: str, theirs: Any) -> None:
    if not bill.started:
        expect(name, None, theirs or None)
        return
    for suffix, check in CHECKS.items():
        if name.endswith(suffix):
            check(bill, name.removesuffix(suffix).removesuffix("_") or "fee", theirs)
            return
    raise NotExpressible(f"no word for {name}")


def _not_due(bill: Bill, name: str) -> None:
    if bill.is_due(name):
        raise Differs(f"{name}: ours is due, theirs is not")


def _from(bill: Bill, name: str, theirs: str | None) -> None:
    if not theirs:
        _not_due(bill, name)
        return
    expect(f"{name} from", date_of(bill.asked(name).start), bill.first_day(name, theirs))


def _to(bill: Bill, name: str, theirs: str | None) -> None:
    if not theirs:
        _not_due(bill, name)
        return
    expect(f"{name} to", date_of(bill.asked(name).end - 1), bill.local(theirs))


def _period_to(bill: Bill, name: str, theirs: str | None) -> None:
    expect(f"{name} to", date_of(bill.asked(name).end - 1), bill.local(theirs) if theirs else None)


def _days(bill: Bill, name: str, theirs: int) -> None:
    charge = bill.asked(name)
    expect("days", charge.base_end - charge.base_start, theirs)


def _day_price(bill: Bill, name: str, theirs: float) -> None:
    charge, of = bill.asked("fee"), bill.inputs.get("call_args", {}).get("single_day_price", {})
    base = (charge.base_start, charge.base_end)
    if of.get("optional_from_date"):
        base = bill.grid("fee").period(date.fromisoformat(of["optional_from_date"]).toordinal())
    price = Fraction(of.get("plan_amount_cents", charge.price), base[1] - base[0])
    expect("price of a day", round(price, 9), round(number(theirs), 9))


def _next_end(bill: Bill, name: str, theirs: str) -> None:
    expect("end", date_of(bill.grid("fee").period(bill.on.toordinal())[1] - 1), bill.local(theirs))


def _beginning(bill: Bill, name: str, theirs: str) -> None:
    current = bill.inputs.get("call_args", {}).get("previous_beginning_of_period", {}).get("current_period", False)
    grid = bill.grid("fee")
    k = grid.index(bill.on.toordinal())
    expect("beginning", date_of(grid.border(k if current else k - 1)), bill.local(theirs))


def _first_month(bill: Bill, name: str, theirs: bool) -> None:
    expect("first month", _begins_its_period(bill), theirs)


def _very_first_month(bill: Bill, name: str, theirs: bool) -> None:
    period = bill.grid("fee").period(bill.on.toordinal())
    expect("first month", _begins_its_period(bill) and period[0] <= bill.started.toordinal() < period[1], theirs)


def _begins_its_period(bill: Bill) -> bool:
    """Whether the month of the day is the first of the component's period."""
    grid, on = bill.grid("fee"), bill.on.toordinal()
    return Grid(MONTHLY, grid.origin, grid.cycle_day).period(on)[0] == grid.period(on)[0]


LONG = ("semiannual", "yearly", "quarterly")
CHECKS = {
    "period_to_datetime": _period_to,
    "from_datetime": _from,
    "to_datetime": _to,
    "duration_in_days": _days,
    "single_day_price": _day_price,
    "next_end_of_period": _next_end,
    "previous_beginning_of_period": _beginning,
    **{f"first_month_in_first_{length}_period?": _very_first_month for length in LONG},
    **{f"first_month_in_{length}_period?": _first_month for length in LONG},
}
