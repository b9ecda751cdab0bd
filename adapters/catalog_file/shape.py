"""The shape of a catalog file, guarded by pydantic: what may be written where, and the words for it."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from domain.credit_rule import KEEP

INTEGER = re.compile(r"\A-?(0|[1-9][0-9]{0,17})\Z")
DECIMAL = re.compile(r"\A(0|[1-9][0-9]{0,14})(\.[0-9]{1,12})?\Z")
SIGNED = re.compile(r"\A-(0|[1-9][0-9]{0,14})(\.[0-9]{1,12})?\Z")
DAY = re.compile(r"\A(20[0-9]{2}|2100)-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\Z")
SPAN = re.compile(r"\A([1-9][0-9]{0,3}) (day|week|month|quarter|year)s?\Z")
PERCENT = re.compile(r"\A(0|[1-9][0-9]{0,2}) ?%\Z")
SINGLE = {"day": (0, 1), "week": (0, 7), "month": (1, 0), "quarter": (3, 0), "year": (12, 0)}


def _integer(value: Any) -> int:
    if isinstance(value, str) and INTEGER.match(value):
        return int(value)
    raise ValueError("a whole number in plain digits is needed")


def _amount(value: Any) -> Decimal:
    if isinstance(value, str) and DECIMAL.match(value):
        return Decimal(value)
    if isinstance(value, str) and SIGNED.match(value):
        raise ValueError("a price cannot be below zero")
    raise ValueError("a plain decimal is needed, such as 49.00")


def _day(value: Any) -> date:
    if not isinstance(value, str) or not DAY.match(value):
        raise ValueError("a day of this century is needed, such as 2025-01-31, without a time")
    return date.fromisoformat(value)


def _flag(value: Any) -> bool:
    if value in ("true", "false") and isinstance(value, str):
        return str(value) == "true"
    raise ValueError("true or false is needed")


def span_of(value: Any) -> tuple[int, int]:
    """A length of time as (months, days), one of them zero."""
    text = str(value) if isinstance(value, str) else ""
    if text in SINGLE:
        return SINGLE[text]
    if match := SPAN.match(text):
        months, days = SINGLE[match[2]]
        return months * int(match[1]), days * int(match[1])
    raise ValueError("a length of time is needed, such as month, 3 months, 14 days or year")


def _months(value: Any) -> int:
    months, days = span_of(value)
    if days:
        raise ValueError("whole months or years are needed")
    return months


def _days(value: Any) -> int:
    months, days = span_of(value)
    if months:
        raise ValueError("days or weeks are needed")
    return days


def _after(value: Any) -> int:
    return 0 if value == "0 days" else _days(value)


def _percent(value: Any) -> int:
    if isinstance(value, str) and PERCENT.match(value) and int(value.rstrip(" %")) <= 100:
        return int(value.rstrip(" %"))
    raise ValueError("a percentage up to 100 % is needed")


def _text(value: Any) -> str:
    if isinstance(value, str) and 0 < len(value) <= 200:
        return str(value)
    raise ValueError("a text of 1 to 200 characters is needed")


Integer = Annotated[int, BeforeValidator(_integer)]
Count = Annotated[int, BeforeValidator(_integer), Field(ge=0, le=10**12)]
Positive = Annotated[int, BeforeValidator(_integer), Field(ge=1, le=10**12)]
Amount = Annotated[Decimal, BeforeValidator(_amount)]
Day = Annotated[date, BeforeValidator(_day)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Length = Annotated[tuple[int, int], BeforeValidator(span_of)]
Months = Annotated[int, BeforeValidator(_months)]
Days = Annotated[int, BeforeValidator(_days)]
Percent = Annotated[int, BeforeValidator(_percent)]
Text = Annotated[str, BeforeValidator(_text)]
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class Shape(BaseModel):
    """Nothing is ignored and nothing is guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class TierShape(Shape):
    """One step of a ladder."""

    up_to: Positive | None = None
    unit: Amount = Decimal(0)
    flat: Amount = Decimal(0)


class BlockShape(Shape):
    """Units sold in blocks."""

    size: Positive
    price: Amount
    included: Count = 0


class AllowanceShape(Shape):
    """Units included, then a rate."""

    included: Count
    unit: Amount
    flat: Amount = Decimal(0)


class PriceShape(Shape):
    """One price model for one currency: exactly one of these."""

    flat: Amount | None = None
    per_unit: Amount | None = None
    graduated: tuple[TierShape, ...] | None = None
    volume: tuple[TierShape, ...] | None = None
    stairstep: tuple[TierShape, ...] | None = None
    block: BlockShape | None = None
    allowance: AllowanceShape | None = None

    @model_validator(mode="after")
    def one_model(self) -> PriceShape:
        if len(self.model_fields_set) != 1:
            names = ", ".join(type(self).model_fields)
            raise ValueError(f"exactly one price model is needed: {names}")
        return self


class LargerOf(Shape):
    """Another counter that counts if it comes to more."""

    counted: Id
    per: Positive


class QuantityShape(Shape):
    """How many units are charged for."""

    fixed: Count | None = None
    declared: Flag | None = None
    counted: Id | None = None
    minimum: Count = 0
    or_if_more: LargerOf | None = None
    by_day: Flag = False

    @model_validator(mode="after")
    def one_kind(self) -> QuantityShape:
        if sum(value is not None for value in (self.fixed, self.declared, self.counted)) != 1:
            raise ValueError("exactly one of fixed, declared and counted is needed")
        return self


class ComponentShape(Shape):
    """One thing that is charged for."""

    name: Text
    charge: Literal["recurring", "once", "usage", "minimum", "maximum"] = "recurring"
    every: Length = (1, 0)
    bill: Literal["in advance", "in arrears", "in arrears greedy", "as used"] = "in advance"
    quantity: QuantityShape = QuantityShape.model_validate({"fixed": "1"})
    refundable: Flag = True
    price: dict[Currency, PriceShape] = Field(min_length=1)


class ExcludeShape(Shape):
    """Subjects that are not counted, and why."""

    subject: Text
    reason: Text
    from_: Day | None = Field(default=None, alias="from")
    until: Day | None = None


class FoldShape(Shape):
    """An alias that counts as its main subject."""

    alias: Text
    main: Text
    from_: Day | None = Field(default=None, alias="from")
    until: Day | None = None


def _window(value: Any) -> Any:
    return "month" if value == "month" else _days(value)


class CounterShape(Shape):
    """How a counter is counted."""

    measure: Literal["snapshot", "last", "peak", "average", "distinct", "sum", "declared"]
    window: Annotated[Literal["month"] | int, BeforeValidator(_window)] = "month"
    threshold_days: Positive = 1
    snapshot_day: Annotated[int, BeforeValidator(_integer), Field(ge=1, le=31)] = 1
    direction: Literal["", "incoming", "outgoing", "archiving"] = ""
    subject: str = ""
    exclude: tuple[ExcludeShape, ...] = ()
    fold: tuple[FoldShape, ...] = ()


class LimitShape(Shape):
    """An entitlement and what happens above it."""

    up_to: Count | Literal["unlimited", "none"] | None = None
    hard: Count | None = None
    level: Count | None = None
    quantity: Count | None = None
    counter: Id | None = None
    mode: Literal["hard", "soft", "alert", "statistics"] = "soft"
    grace: Days = 0
    warn_at: Percent = 90
    pooled: Flag = False

    @model_validator(mode="after")
    def one_value(self) -> LimitShape:
        if sum(value is not None for value in (self.up_to, self.level, self.quantity)) != 1:
            raise ValueError("exactly one of up_to, level and quantity is needed")
        return self


class ChangesShape(Shape):
    """When changes take effect."""

    upgrade: Literal["now", "at renewal"] = "now"
    downgrade: Literal["now", "at renewal"] = "at renewal"
    downgrade_within: Days = 0
    notice: Days = 0
    notice_from: Literal["day", "next month"] = "day"
    cancel: Literal["now", "at period end", "at term end"] = "at period end"
    billing_pauses_for: tuple[Id, ...] = ("manual",)


class ProrationShape(Shape):
    """How parts of periods are paid."""

    days: Literal["actual", "30"] = "actual"
    first_period: Literal["prorate", "full", "free"] = "prorate"
    last_period: Literal["prorate", "full", "free"] = "prorate"
    first_period_of: Literal["grid", "cadence back"] = "grid"
    match_on: Literal["days", "period"] = "days"
    reverse: Literal["when effective", "when known"] = "when effective"
    usage_corrections: Literal["both ways", "up only", "never"] = "both ways"
    billing_day_from: Literal["account", "license", "calendar"] = "account"
    grid_on_change: Literal["restart", "continue", "always"] = "restart"


class StepShape(Shape):
    """One step of the ladder of an overdue invoice."""

    name: Text
    after: Annotated[int, BeforeValidator(_after)]
    retry: Flag = False
    remind: Id | Literal[""] = ""
    effect: Literal["none", "warn", "read only", "filter off", "delivery off", "removed"] = "none"
    restores: Literal["service", "configuration", "nothing"] | None = None
    ends: Literal["at once", "with the period"] = "at once"
    pauses_billing: Flag = False


class LadderShape(Shape):
    """How overdue invoices are chased."""

    days: Literal["calendar", "business"] = "calendar"
    calendar: str = "weekdays"
    claimed_transfer_waits: Days = 10
    transit_waits: Days = 14
    customer_waits: Days = 3
    steps: tuple[StepShape, ...] = Field(min_length=1, max_length=50)


class LadderFileShape(Shape):
    """A ladder alone, for one account."""

    dunning: LadderShape


class CreditShape(Shape):
    """What becomes of credit that nobody needs."""

    pay_out: Literal["never", "when idle", "when leaving"]
    after: Annotated[int, BeforeValidator(_after)] = KEEP.after
    over: dict[Currency, Amount] = {}


class PackageShape(Shape):
    """One package."""

    name: Text
    effective_on: Day
    rank: Integer = 0
    term: Months = 0
    trial: Days = 0
    nfr_included: Count | Literal["all"] = "all"
    counters: dict[Id, CounterShape] = {}
    components: dict[Id, ComponentShape] = Field(min_length=1)
    limits: dict[Id, Any] = {}
    changes: ChangesShape = ChangesShape()
    proration: ProrationShape = ProrationShape()
    dunning: LadderShape | None = None
    credit: CreditShape | None = None


class CatalogShape(Shape):
    """The file."""

    catalog: Literal["1"]
    packages: dict[Id, PackageShape] = Field(min_length=1)
