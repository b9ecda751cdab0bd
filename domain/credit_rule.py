"""The rule of an account's credit, as data: kept until an invoice takes it, or paid out when nobody needs it.

It is written inside events, so a new field needs a default. Source: ADR-0033.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Literal

import msgspec

from domain.errors import Invalid
from domain.money import minor

PayOutWhen = Literal["never", "idle", "leaving"]
WHEN: tuple[PayOutWhen, ...] = ("idle", "leaving", "never")
"""When credit is paid out, what keeps it longest at the end."""


class CreditRule(msgspec.Struct, frozen=True):
    """What becomes of an account's credit.

    Shapes: `pay_out` "never" keeps it until an invoice takes it; "idle" pays it out when nothing is open or due and no
    money came or was used for `after` days; "leaving" when, besides, the last license ended so many days ago; `over`
    (currency, amount): a currency's credit of so much or less is kept, more goes out in whole. A bank may take a debit
    back for eight weeks, which is shorter than the default.
    Units: `after` in calendar days; amounts in major units, as they were written.
    """

    pay_out: PayOutWhen = "never"
    after: int = 60
    over: tuple[tuple[str, Decimal], ...] = ()

    def kept(self, currency: str) -> int:
        """The credit of a currency that is not worth paying out, in minor units. Raises: Invalid."""
        return minor(dict(self.over).get(currency, Decimal(0)), currency)


KEEP = CreditRule()
"""What holds where neither the account nor a package says otherwise."""


def faults(rule: CreditRule) -> Iterator[tuple[str, str]]:
    """What in a rule cannot be meant: where, and what."""
    if not 0 <= rule.after <= 3650:
        yield "after", f"is 0 to 3650 days, not {rule.after}"
    for currency, amount in rule.over:
        try:
            if minor(amount, currency) < 0:
                yield f"over.{currency}", "is not below zero"
        except Invalid as error:
            yield f"over.{currency}", str(error)
    if rule.pay_out == "never" and rule != KEEP:
        yield "pay_out", "credit that is kept has no `after` and no `over`"


def check(rule: CreditRule) -> None:
    """Raises: Invalid for a rule that cannot be meant."""
    for where, what in faults(rule):
        raise Invalid(f"{where}: {what}")


def most_keeping(rules: Iterable[CreditRule]) -> CreditRule:
    """The rule that keeps credit longest; the first where they are equal."""
    return max(rules, key=lambda rule: (WHEN.index(rule.pay_out), rule.after))
