"""A slow, obvious oracle, written apart from the engine: day by day, in fractions, for what a license owes.

It knows nothing of coverage or differences: it says what each day of a finished period is worth, and the engine's books
must come to that however they got there. Days are priced at price ÷ days of their period; the engine rounds at the
borders of its pieces, so a period's money may differ by less than one minor unit for each piece, and whole periods not.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from fractions import Fraction

from hypothesis import given, settings

from domain import price as prices
from domain.events import license as events
from domain.package_version import Counted
from tests.books import START, Books
from tests.property.histories import facts, packages
from tests.property.test_convergence import END, lived, readings, targets


def price_of(model, quantity: int) -> Fraction:
    """What a quantity costs for a period, in cents, by walking its units."""
    cents = Fraction(100)
    match model:
        case prices.Flat():
            return Fraction(model.amount) * cents
        case prices.PerUnit():
            return sum((Fraction(model.unit) for _ in range(quantity)), Fraction(0)) * cents
        case prices.Graduated():
            total, entered = Fraction(0), set()
            for unit in range(1, quantity + 1):
                at = next(n for n, tier in enumerate(model.tiers) if tier.up_to is None or unit <= tier.up_to)
                total += Fraction(model.tiers[at].unit)
                entered.add(at)
            entered.add(0)
            return (total + sum(Fraction(model.tiers[n].flat) for n in entered)) * cents
        case prices.Volume():
            tier = next(t for t in model.tiers if t.up_to is None or quantity <= t.up_to)
            return (quantity * Fraction(tier.unit) + Fraction(tier.flat)) * cents
        case prices.Stairstep():
            tier = next(t for t in model.tiers if t.up_to is None or quantity <= t.up_to)
            return Fraction(tier.flat) * cents
        case prices.Block():
            rest, blocks = quantity - model.included, 0
            while rest > 0:
                rest, blocks = rest - model.size, blocks + 1
            return blocks * Fraction(model.price) * cents
    over = max(quantity - model.included, 0)
    return (Fraction(model.flat) + over * Fraction(model.unit)) * cents


class Oracle:
    """Answers for one license from its facts, day by day."""

    def __init__(self, books: Books, billing_day: int) -> None:
        self.bodies = [fact.body for fact in books.license_facts]
        self.packages, self.counts, self.billing_day = books.packages, books.counts, billing_day

    def serves(self, on: date) -> bool:
        end, saved = None, None
        paused = False
        since = None
        for body in self.bodies:
            if isinstance(body, events.LicenseCancelled):
                saved, end = end, body.end_on if end is None else min(end, body.end_on)
            elif isinstance(body, events.CancellationWithdrawn):
                end = saved
            elif isinstance(body, events.LicenseSuspended):
                since = body.from_on
            elif isinstance(body, events.LicenseResumed):
                paused = paused or (since is not None and since <= on < body.on)
        return on >= START and (end is None or on < end) and not paused

    def change(self, on: date):
        withdrawn = {body.change for body in self.bodies if isinstance(body, events.ChangeWithdrawn)}
        best, held = START, self.bodies[0]
        for body in self.bodies:
            if isinstance(body, events.LicenseChanged) and body.change not in withdrawn:
                effective = max(body.effective_on, START)
                if effective <= on and self._later(body, held, effective, best):
                    best, held = effective, body
        return held

    def _later(self, body, held, effective, best) -> bool:
        if effective != best:
            return effective > best
        mine = body.effective_on
        theirs = held.effective_on if isinstance(held, events.LicenseChanged) else date.min
        return mine >= theirs

    def period(self, component, on: date) -> tuple[date, date]:
        cadence = component.cadence
        if cadence.days:
            start = START
            while start > on:
                start -= timedelta(days=cadence.days)
            while start + timedelta(days=cadence.days) <= on:
                start += timedelta(days=cadence.days)
            return start, start + timedelta(days=cadence.days)
        year, month = START.year, START.month
        while True:
            start = self._clamped(year, month)
            later = month - 1 + cadence.months
            end = self._clamped(year + later // 12, later % 12 + 1)
            if start <= on < end:
                return start, end
            back = -cadence.months if on < start else cadence.months
            year, month = year + (month - 1 + back) // 12, (month - 1 + back) % 12 + 1

    def _clamped(self, year: int, month: int) -> date:
        return date(year, month, min(self.billing_day, monthrange(year, month)[1]))

    def quantity(self, component, held, period) -> int | None:
        if not isinstance(component.quantity, Counted):
            return held.quantities[component.id]
        first = max(period[0], START)
        last = period[1]
        while last > first and not self._in_service(last - timedelta(days=1)):
            last -= timedelta(days=1)
        seen = [q for at, q in self.counts.items() if first <= date.fromordinal(at) < last]
        return max(seen) if seen else None

    def _in_service(self, on: date) -> bool:
        end = None
        saved = None
        for body in self.bodies:
            if isinstance(body, events.LicenseCancelled):
                saved, end = end, body.end_on if end is None else min(end, body.end_on)
            elif isinstance(body, events.CancellationWithdrawn):
                end = saved
        return end is None or on < end


def owed_by_day(books: Books, billing_day: int) -> dict[tuple[str, date], Fraction]:
    """Cents for every served day of every component whose period is over at the end."""
    oracle, worth = Oracle(books, billing_day), {}
    day = START
    while day < END:
        if oracle.serves(day):
            held = oracle.change(day)
            version = books.packages[held.package, 1]
            for component in version.components:
                period = oracle.period(component, day)
                quantity = oracle.quantity(component, held, period)
                if period[1] <= END and quantity is not None:
                    length = (period[1] - period[0]).days
                    price = price_of(component.prices["EUR"], quantity)
                    worth[f"{held.package}/{component.id}", day] = price / length
        day += timedelta(days=1)
    return worth


@settings(max_examples=2000)
@given(packages(grid_on_change="continue", month_days=0), facts(discounts=False), targets, readings)
def test_the_books_come_to_what_the_oracle_says_of_every_day(packages, happened, stops, counts):
    books = lived(packages, happened, stops, counts, billing_day=17)
    oracle = owed_by_day(books, 17)
    billed_days, money, pieces = set(), {}, {}
    for live in books.coverage().live():
        if live.base[1] > END.toordinal():
            continue
        name = live.stream.component
        billed_days |= {(name, date.fromordinal(at)) for a, b in live.spans for at in range(a, b)}
        place = (name, live.base)
        money[place] = money.get(place, 0) + live.left
        pieces[place] = pieces.get(place, 0) + 1 + len(live.spans)
    assert billed_days == set(oracle)
    for place, amount in money.items():
        name, (start, end) = place
        exact = sum(oracle.get((name, date.fromordinal(at)), Fraction(0)) for at in range(start, end))
        whole = pieces[place] == 2 and all((name, date.fromordinal(at)) in oracle for at in range(start, end))
        assert abs(amount - exact) <= (Fraction(1, 2) if whole else pieces[place]), (place, amount, exact)
