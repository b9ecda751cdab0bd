"""Businesses to measure on: one account and license each, a month of readings, tiers, tax; each tenth is upgraded.

A license has 3 to 1,000 users, half of them fewer than 140, because what licenses share is worked out once: sizes of a
narrow band would flatter the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from multiprocessing import get_context
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from adapters.bootstrap import Tally
from bench.progress import share
from domain.application.catalog import PublishVersions
from domain.counted_users import counted_users_id
from domain.events import Event, encode
from domain.events.account import AccountOpened, Party
from domain.events.counted_users import Reading, ReadingsRecorded
from domain.events.license import LicenseChanged, LicenseStarted
from domain.identity import ACCOUNT_BUCKETS, Kind, make_id
from domain.package_version import Component, Counted, Counting, PackageVersion
from domain.price import Graduated, Tier

JANUARY, FEBRUARY = date(2025, 1, 1), date(2025, 2, 1)
TIERS = Graduated((Tier(10, Decimal("1.20")), Tier(50, Decimal("0.90")), Tier(None, Decimal("0.60"))))
MORE = Graduated((Tier(10, Decimal("1.80")), Tier(None, Decimal("1.10"))))
UPGRADED_ON = date(2025, 1, 16)
BATCH = 15_000
FILLED = """
SELECT sum(position) + (SELECT sum(position) / greatest(count(DISTINCT projection), 1) FROM tracking)
FROM bucket_head"""


def packages() -> tuple[PackageVersion, PackageVersion]:
    """What everybody has bought, users at their peak, in tiers, monthly in arrears; and what some were upgraded to."""
    return _package("bench", TIERS), _package("bench-more", MORE)


def _package(name: str, price: Graduated) -> PackageVersion:
    users = Component(id="users", name="Users", prices={"EUR": price}, mode="in_arrears", quantity=Counted("users"))
    return PackageVersion(name, 1, name, JANUARY, (users,), countings=(Counting("users", "peak"),))


@lru_cache(maxsize=16)
def account_id(n: int) -> UUID:
    """The nth account, spread over the buckets."""
    return make_id(Kind.ACCOUNT, n % ACCOUNT_BUCKETS, None, n)


@lru_cache(maxsize=16)
def license_id(n: int) -> UUID:
    """The nth license, beside its account."""
    return make_id(Kind.LICENSE, n % ACCOUNT_BUCKETS, JANUARY, n)


def quantities(n: int, month: date = JANUARY) -> list[int]:
    """The users of the nth license on thirty days: about as many, coming and going by a twentieth."""
    size = 3 + (n * 617 % 1000) ** 3 // 1_000_000
    return [size + (n + d * month.month) % (2 + size // 20) for d in range(1, 31)]


def stored(stream: UUID, event: Event, version: int = 1) -> StoredEvent:
    """An event of a stream, the first without a word, as the log holds it."""
    return StoredEvent(stream, version, event.stored_as, encode(event))


def opened(n: int) -> AccountOpened:
    """The nth account is opened."""
    return AccountOpened(
        reference=f"a{n}", party=Party(name=f"Account {n}"), parent=None, payer=None, currency="EUR",
        billing_day=1, zone="UTC", tax_percent=Decimal(19),
    )  # fmt: skip


def started(n: int) -> LicenseStarted:
    """The nth license is sold."""
    return LicenseStarted(
        reference=f"l{n}", account=account_id(n), package="bench", version=1, type="production", start_on=JANUARY,
        currency="EUR", quantities={},
    )  # fmt: skip


def upgraded() -> LicenseChanged:
    """A license follows the larger package from the middle of the month on."""
    return LicenseChanged(
        change="c1", effective_on=UPGRADED_ON, package="bench-more", version=1, type="production", quantities={},
        direction="upgrade",
    )  # fmt: skip


def counted(n: int, month: date = JANUARY) -> StoredEvent:
    """The month of the nth license is read, on thirty days where it has as many."""
    license = license_id(n)
    read = zip(_days(month), quantities(n, month), strict=False)
    readings = tuple([Reading(day, quantity, f"{n}-{day.day}") for day, quantity in read])
    recorded = ReadingsRecorded(license=license, counter="users", month=month, readings=readings)
    return stored(counted_users_id(license, "users", month), recorded)


@lru_cache
def _days(month: date) -> list[date]:
    days = [month + timedelta(days) for days in range(30)]
    return [day for day in days if day.month == month.month]


def population(licenses: Iterable[int]) -> Iterator[StoredEvent]:
    """One account, license and month of readings each; each tenth license is upgraded."""
    for n in licenses:
        license = license_id(n)
        yield stored(account_id(n), opened(n))
        yield stored(license, started(n))
        if n % 10 == 0:
            yield stored(license, upgraded(), 2)
        yield counted(n)


def append(tally: Tally, events: Iterable[StoredEvent]) -> None:
    """Fills the log in large batches."""
    left = iter(events)
    while batch := list(islice(left, BATCH)):
        tally.log.insert_events(batch)


def fill(dsn: str, licenses: int, workers: int = 1) -> None:
    """A business of so many licenses, followed to its end, by so many processes."""
    with Tally(dsn) as tally:
        tally.billing.execute(PublishVersions(versions=packages()))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as processes:
        for filling in [processes.submit(_fill, dsn, licenses, worker, workers) for worker in range(workers)]:
            filling.result()


def _fill(dsn: str, licenses: int, worker: int, workers: int) -> None:
    """One worker's buckets, so that none waits for another's."""
    with Tally(dsn) as tally:
        mine = (n for n in range(licenses) if n % ACCOUNT_BUCKETS * workers // ACCOUNT_BUCKETS == worker)
        append(tally, population(mine))
        tally.follower().catch_up()


def events_of(licenses: int) -> int:
    """How many events make a business of so many licenses."""
    return 3 * licenses + -(-licenses // 10)


def filled(dsn: str, licenses: int) -> Callable[[], float]:
    """How much of it is there: in the log, and followed by the average projection."""
    return share(dsn, FILLED, 2 * events_of(licenses))
