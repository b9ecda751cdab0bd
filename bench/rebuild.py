"""How fast the register of documents is made from the whole log, beside the library's ProjectionRunner.

The runner follows the library's own tables into a view of one row for each event, each in a transaction with its
tracking record, as the library documents it; it has fewer events, rates are compared. Its view is empty at first: so is
our register, as one of a new name is. Then it is made again over its own rows, which readers go on seeing meanwhile.
"""

from __future__ import annotations

import time
from datetime import date
from decimal import Decimal
from uuid import UUID, uuid5

from eventsourcing.projection import ProjectionRunner

from adapters.bootstrap import Tally
from bench.figure import Figure
from bench.ground import Ground, apart, checkpoint, settle
from bench.library import Invoice, Register, Registering, Shop, environment
from bench.population import FEBRUARY, JANUARY, account_id, append, license_id, stored
from domain.events.account import Party
from domain.events.documents import InvoiceIssued, Line, TaxTotal
from domain.identity import ACCOUNT_BUCKETS, Kind, make_id
from projections.documents import Documents

EVENTS = 50_000
FLOOR_EVENTS = 3_000
VAT = Decimal(19)


def figures(ground: Ground) -> list[Figure]:
    """A projection rebuilt from 50,000 events, against the library's ProjectionRunner."""
    with ground.database("rebuild") as dsn:
        apart(_filled, dsn)
        rounds = [(*apart(_rebuilt, ours), _floor(ground)) for ours in ground.copies("rebuild", ground.rounds)]
    return [
        Figure.of_rounds("rebuild_vs_projection_runner", "events/s", [(made, floor) for made, _, floor in rounds]),
        Figure.of_rounds(
            "rebuild_over_old_rows_vs_projection_runner", "events/s", [(again, floor) for _, again, floor in rounds]
        ),
    ]


def _filled(dsn: str) -> None:
    with Tally(dsn) as tally:
        append(tally, (stored(_document_id(n), _issued(n)) for n in range(EVENTS)))
    settle(dsn)


def _rebuilt(dsn: str) -> tuple[float, float]:
    """Events in a second where the register of documents is made from nothing, and where it is made again."""
    with Tally(dsn) as tally:
        return _rate(tally), _rate(tally)


def _rate(tally: Tally) -> float:
    checkpoint(tally.dsn)
    begun = time.perf_counter()
    tally.follower().rebuild(Documents.name)
    return EVENTS / (time.perf_counter() - begun)


def _floor(ground: Ground) -> float:
    with ground.database("rebuild_library") as theirs:
        return FLOOR_EVENTS / apart(_run, theirs)


def _document_id(n: int) -> UUID:
    return make_id(Kind.INVOICE, n % ACCOUNT_BUCKETS, FEBRUARY, n)


def _issued(n: int) -> InvoiceIssued:
    line = Line(
        number=1, kind="charge", license=license_id(n), component="users", text="Users", start=JANUARY,
        end=FEBRUARY, amount=5000, tax=950, tax_percent=VAT, price="5000", base_start=JANUARY, base_end=FEBRUARY,
    )  # fmt: skip
    return InvoiceIssued(
        document=f"INV-2025-{n:06}", series="INV", account=account_id(n), party=Party(name=f"Account {n}"),
        currency="EUR", issued_on=FEBRUARY, due_on=date(2025, 2, 15), through=FEBRUARY, lines=(line,),
        taxes=(TaxTotal(VAT, 5000, 950),), net=5000, tax=950, gross=5950, cut=1, run="bench",
    )  # fmt: skip


def _run(dsn: str) -> float:
    """Seconds until the runner has recorded the last event (not until anybody notices)."""
    shop = Shop(environment(dsn))
    for start in range(0, FLOOR_EVENTS, 500):
        shop.save(*map(_invoice, range(start, start + 500)))
    last = shop.recorder.max_notification_id()
    settle(dsn)
    begun = time.perf_counter()
    with ProjectionRunner(
        application_class=Shop, projection_class=Registering, view_class=Register, env=environment(dsn)
    ) as runner:
        runner.wait(last, timeout=120)
        seconds = runner.view.last - begun
    shop.close()
    return seconds


def _invoice(n: int) -> Invoice:
    """Without lines: the runner would write rows of them too, and our register only counts them."""
    return Invoice(
        f"INV-2025-{n:06}", "INV", uuid5(UUID(int=0), str(n)), f"Account {n}", "EUR", FEBRUARY.isoformat(),
        FEBRUARY.isoformat(), FEBRUARY.isoformat(), [], [{"percent": VAT, "net": 5000, "tax": 950}], 5000, 950, 5950,
        "bench",
    )  # fmt: skip
