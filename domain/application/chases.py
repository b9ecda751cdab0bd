"""What settling an invoice does to its chase and to the licenses that it stopped, in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from uuid import UUID

from domain.aggregate import Aggregate
from domain.application import Billing
from domain.application.catalog import version_of
from domain.application.renewals import ends_unrenewed
from domain.dunning import Dunning, dunning_id
from domain.events.dunning import DunningEnded, End
from domain.invoice import Invoice
from domain.ladder import STOPPING, EndsOn
from domain.license import UNPAID, License
from domain.receivables import Receivables


def dunning(billing: Billing, invoice: UUID) -> Dunning:
    """The chase of an invoice; none yet when there was none."""
    return billing.find_or_new(Dunning, dunning_id(invoice))


def ended_by_payment(
    billing: Billing, money: Receivables, owed: Iterable[tuple[UUID, int]], on: date
) -> Iterator[Aggregate]:
    """The chases that end because their invoices are paid, and the licenses that these do not stop any more.

    Shapes: `owed` as (invoice, gross). A license that two of the invoices stopped is one aggregate.
    """
    freed: dict[UUID, License] = {}
    for invoice, gross in owed:
        held = dunning(billing, invoice)
        if money.open_amount(invoice, gross) <= 0 and held.version and held.ended in (None, "written_off"):
            _end(billing, held, money, invoice, on, freed)
            yield held
    yield from freed.values()


def _end(
    billing: Billing, held: Dunning, money: Receivables, invoice: UUID, on: date, freed: dict[UUID, License]
) -> None:
    issued = billing.find(Invoice, invoice, "invoice").issued
    assert issued is not None
    restored = tuple(one for one in stopped(billing, held, freed) if freed[one].settle(invoice, on))
    why: End = "credited" if money.sources(invoice) == {"credit_note"} else "paid"
    held.end(
        DunningEnded(
            invoice=invoice, document=issued.document, account=issued.account, why=why, on=on, restored=restored
        )
    )  # fmt: skip


def stopped(billing: Billing, held: Dunning, known: dict[UUID, License]) -> tuple[UUID, ...]:
    """The licenses that a chase stopped, put where they are known as aggregates."""
    if held.started is None or held.effect not in STOPPING:
        return ()
    for license in held.started.licenses:
        if license not in known:
            known[license] = billing.find(License, license, "license")
    return held.started.licenses


def stop(billing: Billing, held: Dunning, on: date, ends: EndsOn | None = None) -> Iterator[License]:
    """The licenses of a chase, stopped as far as it has come; with `ends` for good, at once or with their period.

    Billing pauses when a step that was taken says so, or the package for whatever is unpaid.
    """
    known: dict[UUID, License] = {}
    for one in stopped(billing, held, known):
        license = known[one]
        current = license.current(on)
        rules = version_of(billing, current.package, current.version).changes
        assert held.started is not None
        pauses = held.pauses_billing or UNPAID in rules.pausing_reasons
        changed = license.demand(held.started.invoice, held.effect, on, pauses)
        if ends and license.end_on is None and license.start_on <= on:
            end_on = on if ends == "step" else ends_unrenewed(billing, license, on)
            license.cancel(on, end_on, f"unpaid: {held.started.document}")
            changed = True
        if changed:
            yield license
