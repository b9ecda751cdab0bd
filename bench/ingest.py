"""How fast raw observations are imported from a CSV file and closed into counts, beside a bare COPY of their rows.

The floor copies what is left of the same observations when they are hashed, (license, day, 16 bytes of subject), into
a table without keys; it neither reads a file nor refuses a report that it has seen before, nor counts anybody.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import psycopg
from eventsourcing.persistence import StoredEvent

from adapters.bootstrap import Tally
from adapters.count_files import read_rows
from bench.figure import Figure
from bench.ground import Ground, apart, checkpoint, copy_in, copy_out
from bench.population import FEBRUARY, JANUARY, account_id, license_id, opened, packages, started, stored
from domain.application.catalog import PublishVersions
from domain.identity import Kind, name_bucket
from jobs.close_counts import close_counts
from jobs.import_counts import import_counts

LICENSES, DAYS, SUBJECTS = 300, 20, 50
OBSERVATIONS = LICENSES * DAYS * SUBJECTS
HASHED = "(SELECT license, unnest(observed_at)::date, uuid_send(unnest(subjects)) FROM observation_parcel)"
DIRECTORY = "directory (bucket, kind, name, id)"


def figures(ground: Ground) -> list[Figure]:
    """300,000 observations imported and closed, against COPY of the same rows hashed."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "observations.csv"
        path.write_text("\n".join(_lines()) + "\n")
        rounds = [_round(ground, path) for _ in range(ground.rounds)]
    return [Figure.of_rounds("ingest_vs_copy", "observations/s", rounds)]


def _round(ground: Ground, path: Path) -> tuple[float, float]:
    with ground.database("ingest") as dsn:
        return OBSERVATIONS / apart(_taken_in, dsn, str(path)), OBSERVATIONS / apart(_copied, dsn)


def _lines() -> Iterator[str]:
    """A file in the order in which a product reports: day by day, all licenses."""
    yield "license,counter,observed_at,subject,report_id"
    for day in range(DAYS):
        on: date = JANUARY + timedelta(days=day)
        for n in range(LICENSES):
            for s in range(SUBJECTS):
                yield f"l{n},users,{on}T{8 + s % 10:02}:{s:02}:00Z,user-{s + day}@l{n}.example,{day}-{n}-{s}"


def _taken_in(dsn: str, path: str) -> float:
    """Seconds from the file to closed counts."""
    with Tally(dsn) as tally:
        _sell(tally)
        checkpoint(dsn)
        begun = time.perf_counter()
        done = import_counts(tally.log, lambda names: tally.billing.resolve(Kind.LICENSE, names), path, read_rows(path))
        closed = close_counts(tally.log, tally.pool, tally.packages, FEBRUARY)
        seconds = time.perf_counter() - begun
    assert (done.new, closed) == (OBSERVATIONS, LICENSES), (done, closed)
    return seconds


def _sell(tally: Tally) -> None:
    """The licenses that the file names."""
    tally.billing.execute(PublishVersions(versions=packages()))
    names = [(name_bucket(f"l{n}"), int(Kind.LICENSE), f"l{n}", license_id(n)) for n in range(LICENSES)]
    tally.log.insert_events([event for n in range(LICENSES) for event in _sold(n)], rows={DIRECTORY: names})
    tally.follower().catch_up()


def _sold(n: int) -> tuple[StoredEvent, StoredEvent]:
    return stored(account_id(n), opened(n)), stored(license_id(n), started(n))


def _copied(dsn: str) -> float:
    """Seconds to COPY the same rows, hashed."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        made = copy_out(connection, HASHED)
        connection.execute("CREATE TABLE floor_observation (license uuid, day date, subject bytea)")
        checkpoint(dsn)
        begun = time.perf_counter()
        copy_in(connection, "floor_observation", made)
        return time.perf_counter() - begun
