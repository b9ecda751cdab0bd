"""How fast the billing run is, beside the floor measured in the same run: a raw COPY of the very rows that it wrote.

Prints a line and writes bench.json. Usage: billing_run.py [LICENSES] [WORKERS]. Each license has 30 readings, tiers
and tax; nothing is asserted, ratios are what counts.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import psycopg
from eventsourcing.persistence import StoredEvent

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from adapters.embedded import Embedded
from domain.application.catalog import PublishVersions
from domain.counted_users import counted_users_id
from domain.events import Event, encode
from domain.events.account import AccountOpened, Party
from domain.events.counted_users import Reading, ReadingsRecorded
from domain.events.license import LicenseStarted
from domain.identity import ACCOUNT_BUCKETS, Kind, make_id
from domain.package_version import Component, Counted, Counting, PackageVersion
from domain.price import Graduated, Tier

JANUARY, FEBRUARY = date(2025, 1, 1), date(2025, 2, 1)
WRITTEN = {
    "event": "topic IN ('invoice.issued', 'credit_note.issued')",
    "billed_line": "true",
    "coverage": "true",
    "document_v1": "true",
}


def package() -> PackageVersion:
    tiers = (Tier(10, Decimal("1.20")), Tier(50, Decimal("0.90")), Tier(None, Decimal("0.60")))
    users = Component(
        id="users", name="Users", prices={"EUR": Graduated(tiers)}, mode="in_arrears", quantity=Counted("users")
    )
    return PackageVersion("bench", 1, "Bench", JANUARY, (users,), countings=(Counting("users", "peak"),))


def stored(stream, event: Event) -> StoredEvent:
    return StoredEvent(stream, 1, event.stored_as, encode(event))


def population(licenses: int) -> Iterator[StoredEvent]:
    """One account, license and month of readings each, spread over the buckets."""
    for n in range(licenses):
        bucket = n % ACCOUNT_BUCKETS
        account, license = make_id(Kind.ACCOUNT, bucket, None, n), make_id(Kind.LICENSE, bucket, JANUARY, n)
        yield stored(account, AccountOpened(
            reference=f"a{n}", party=Party(name=f"Account {n}"), parent=None, payer=None, currency="EUR",
            billing_day=1, zone="UTC", tax_percent=Decimal(19),
        ))  # fmt: skip
        yield stored(license, LicenseStarted(
            reference=f"l{n}", account=account, package="bench", version=1, type="production", start_on=JANUARY,
            currency="EUR", quantities={},
        ))  # fmt: skip
        readings = tuple(Reading(date(2025, 1, d), 5 + (n * 7 + d) % 60, f"{n}-{d}") for d in range(1, 31))
        month = ReadingsRecorded(license=license, counter="users", month=JANUARY, readings=readings)
        yield stored(counted_users_id(license, "users", JANUARY), month)


def fill(tally: Tally, licenses: int) -> None:
    tally.billing.execute(PublishVersions(versions=(package(),)))
    batch: list[StoredEvent] = []
    for event in population(licenses):
        batch.append(event)
        if len(batch) == 15_000:
            tally.log.insert_events(batch)
            batch = []
    tally.log.insert_events(batch)
    tally.follower().catch_up()


def floor(dsn: str) -> float:
    """Seconds to COPY the same rows into the same tables, indexes and constraints and all."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        data = {}
        for table, where in WRITTEN.items():
            rows = f"COPY (SELECT * FROM {table} WHERE {where}) TO STDOUT (FORMAT BINARY)".encode()
            with connection.cursor().copy(rows) as copy:
                data[table] = b"".join(bytes(part) for part in copy)
            connection.execute(f"CREATE TABLE floor_{table} (LIKE {table} INCLUDING ALL)".encode())
        connection.execute("CHECKPOINT")
        begun = time.perf_counter()
        for table, body in data.items():
            into = f"COPY floor_{table} FROM STDIN (FORMAT BINARY)".encode()
            with connection.cursor().copy(into) as copy:
                copy.write(body)
        return time.perf_counter() - begun


def main(licenses: int, workers: int) -> None:
    home = Path(tempfile.mkdtemp(prefix="tally-bench-"))
    home.chmod(0o755)
    server = Embedded(home)
    try:
        with Tally(server.start()) as tally:
            fill(tally, licenses)
            begun = time.perf_counter()
            run_billing(tally, FEBRUARY, FEBRUARY, workers=workers)
            seconds = time.perf_counter() - begun
            copied = floor(tally.dsn)
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
    name = f"billing_run_{licenses // 1000}k_vs_copy"
    figure = {"name": name, "value": licenses / seconds, "unit": "licenses/s", "floor": licenses / copied}
    figure["ratio"] = copied / seconds
    Path("bench.json").write_text(json.dumps({"figures": [figure]}, indent=1) + "\n")
    rates = f"{licenses / seconds:,.0f}/s with {workers} workers; COPY {licenses / copied:,.0f}/s"
    print(f"{name}: {rates}; ratio {copied / seconds:.3f}")


if __name__ == "__main__":
    main(*(int(word) for word in [*sys.argv[1:], "10000", "2"][:2]))
