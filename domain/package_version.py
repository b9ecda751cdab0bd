"""What a version of a package says: components and their prices, limits, how users are counted, what may change when.

These are values: a version is published once and never edited. They are written inside events, so a new field needs
a default. Money is decimal in major units, as the catalog wrote it.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

from domain.credit_rule import CreditRule
from domain.grid import MONTHLY, Cadence
from domain.ladder import Ladder
from domain.price import Price

Measure = Literal["snapshot", "last", "peak", "average", "distinct", "sum", "declared"]
"""Which quantity of a period is billed; `snapshot` is that of one day of the month."""

Window = Literal["month"] | int
"""The days that a day's count looks back over: since the first of its calendar month, or the last n days."""


class Exclusion(msgspec.Struct, frozen=True):
    """Subjects that are not counted, from a day to the day before another, and why.

    Shapes: `subject` is a subject as observed, or `*@domain` for all of a domain.
    """

    subject: str
    reason: str
    start: date | None = None
    end: date | None = None


class Fold(msgspec.Struct, frozen=True):
    """An alias that counts as its main subject, as of the day of the observation.

    Shapes: `alias` and `main` are subjects, or both `@domain` for an alias domain.
    """

    alias: str
    main: str
    start: date | None = None
    end: date | None = None


class Counting(msgspec.Struct, frozen=True):
    """How one counter is counted: versioned data, because history has to be counted by the rules of its time."""

    counter: str
    measure: Measure
    window: Window = "month"
    threshold_days: int = 1
    snapshot_day: int = 1
    direction: str = ""
    subject: str = ""
    exclusions: tuple[Exclusion, ...] = ()
    folds: tuple[Fold, ...] = ()


class Fixed(msgspec.Struct, frozen=True, tag="fixed"):
    """Always the same quantity."""

    quantity: int = 1


class Declared(msgspec.Struct, frozen=True, tag="declared"):
    """The quantity that the license was sold for, by component."""

    minimum: int = 0


class Counted(msgspec.Struct, frozen=True, tag="counted"):
    """The counted users of the period, at least the committed quantity where there is one.

    Shapes: with `or_counter`, the larger of the count and ceil(other count ÷ per): max(A, ceil(B / n)); with `by_day`
    each unit of usage is paid for the days that it was there, in the tier that it was in, and entering a tier whole.
    """

    counter: str
    minimum: int = 0
    or_counter: str = ""
    per: int = 1
    by_day: bool = False


Quantity = Fixed | Declared | Counted

Mode = Literal["in_advance", "in_arrears", "in_arrears_greedy", "as_used"]
ChargeKind = Literal["recurring", "one_time", "usage", "minimum", "maximum"]


class Component(msgspec.Struct, frozen=True):
    """One thing that is charged for.

    Shapes: `charge` recurring is divided by days; one_time is charged once when the component begins; usage is charged
    whole per period, in arrears or, in mode as_used, with every run what it has come to so far; minimum tops the other
    components of the package up to its price each period, maximum takes off what is above it.
    `prices` by currency code. A new version of the package keeps the id of a component that is the same thing.
    """

    id: str
    name: str
    prices: dict[str, Price]
    charge: ChargeKind = "recurring"
    quantity: Quantity = Fixed()
    cadence: Cadence = MONTHLY
    mode: Mode = "in_advance"
    reversible: bool = True

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def counters(self) -> tuple[str, ...]:
        """The counters that it is charged by."""
        rule = self.quantity
        if not isinstance(rule, Counted):
            return ()
        return (rule.counter, rule.or_counter) if rule.or_counter else (rule.counter,)


Partial = Literal["prorate", "full", "free"]


class Proration(msgspec.Struct, frozen=True):
    """How parts of periods are paid. Source: the settings of ADR-0009.

    Shapes: `month_days` 0 = actual days, 30 = every month counts 30; `leading`/`trailing` = the begun first and last
    period, each as a whole; `leading_base` = what the begun first period is a part of: the period of the grid, or one
    cadence back from its end whatever the cycle day (28 February − 1 month = 28 January); `match_on` = what makes a
    billed day the same day: days, or days in the same period; `grid_on_change` = when periods are counted anew: never,
    when a change brings another cadence, or always (at each change, return from a pause, or move of the billing day).
    """

    month_days: int = 0
    leading: Partial = "prorate"
    trailing: Partial = "prorate"
    leading_base: Literal["aligned", "shifted"] = "aligned"
    match_on: Literal["days", "period"] = "days"
    reverse_on: Literal["effective", "known"] = "effective"
    usage_correction: Literal["reverse_and_rebill", "up_only", "never"] = "reverse_and_rebill"
    cycle_day_from: Literal["account", "license", "calendar"] = "account"
    grid_on_change: Literal["restart", "continue", "always"] = "restart"


class ChangeRules(msgspec.Struct, frozen=True):
    """When a change takes effect, and what stands in its way.

    Shapes: upgrades are now or at the renewal; downgrades too, and now only inside `downgrade_within_days` of the start
    of a term where that is set. Notice in days; `notice_from` counts it from the day or the next month's first.
    """

    upgrade: Literal["now", "renewal"] = "now"
    downgrade: Literal["now", "renewal"] = "renewal"
    downgrade_within_days: int = 0
    notice_days: int = 0
    notice_from: Literal["day", "next_month"] = "day"
    cancel: Literal["now", "period_end", "term_end"] = "period_end"
    pausing_reasons: tuple[str, ...] = ("manual",)


Unlimited = Literal["unlimited"]
NoneAllowed = Literal["none"]


class Limit(msgspec.Struct, frozen=True):
    """An entitlement: a typed value, where unlimited, none and unset are three different things.

    Shapes: `kind` flag | integer | level | quantity | soft_hard; `value` an integer, a flag (0/1), or a word; unset is
    the absence of the limit. `mode` is what happens above it; `counter` names what is measured against it; `grace_days`
    is how long over is tolerated in mode soft; `warn_percent` of the value begins the warning.
    """

    name: str
    kind: Literal["flag", "integer", "level", "quantity", "soft_hard"]
    value: int | Unlimited | NoneAllowed
    hard: int | None = None
    counter: str = ""
    mode: Literal["hard", "soft", "alert", "statistics"] = "soft"
    grace_days: int = 0
    warn_percent: int = 90
    pooled: bool = False


class PackageVersion(msgspec.Struct, frozen=True, cache_hash=True):
    """One version of a package, as published.

    Shapes: `term_months` 0 = no term; `trial_days` 0 = no trial; `nfr_included` = units that an NFR license has free
    (None: all of them); `dunning` None = the default ladder; `credit` None = it is kept. Versions count from 1 without
    gaps.
    """

    package: str
    version: int
    name: str
    effective_on: date
    components: tuple[Component, ...]
    limits: tuple[Limit, ...] = ()
    countings: tuple[Counting, ...] = ()
    proration: Proration = Proration()
    changes: ChangeRules = ChangeRules()
    term_months: int = 0
    trial_days: int = 0
    nfr_included: int | None = None
    rank: int = 0
    dunning: Ladder | None = None
    credit: CreditRule | None = None

    def component(self, component_id: str) -> Component | None:
        """The component with this id, if the version has it."""
        return next((found for found in self.components if found.id == component_id), None)

    def counting(self, counter: str) -> Counting | None:
        """How the version counts a counter, if it does."""
        for found in self.countings:
            if found.counter == counter:
                return found
        return None
