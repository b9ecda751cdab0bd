"""The tables that counts arrive in, and the statements that let a report in once.

Readings and observations are two kinds of reports, each deduplicated by report id within a license. Observations stand
in parcels: what a part of a file says of one counter of a license is one row of arrays, beside the ids of its reports.
Subjects stand in them as keyed hashes; their names are in a dictionary that can be erased (name = NULL) without a trace
in the counts. Every key begins with the bucket.
"""

from __future__ import annotations

from typing import NamedTuple

DDL = (
    """CREATE TABLE IF NOT EXISTS reading (
        bucket smallint NOT NULL, license uuid NOT NULL, report text COLLATE "C" NOT NULL, counter text NOT NULL,
        day date NOT NULL, quantity bigint NOT NULL, PRIMARY KEY (bucket, license, report))""",
    """CREATE TABLE IF NOT EXISTS observation_report (
        bucket smallint NOT NULL, license uuid NOT NULL, report text COLLATE "C" NOT NULL,
        PRIMARY KEY (bucket, license, report))""",
    """CREATE TABLE IF NOT EXISTS observation_parcel (
        bucket smallint NOT NULL, license uuid NOT NULL, counter text NOT NULL,
        first_at timestamptz NOT NULL, last_at timestamptz NOT NULL,
        reports text[] NOT NULL, observed_at timestamptz[] NOT NULL, subjects uuid[] NOT NULL)""",
    # A parcel that fits into a page is not compressed: that cost more time than reading it saves.
    "ALTER TABLE observation_parcel SET (toast_tuple_target = 8160)",
    "CREATE INDEX IF NOT EXISTS observation_parcel_time ON observation_parcel (bucket, license, counter, last_at)",
    """CREATE TABLE IF NOT EXISTS subject (
        bucket smallint NOT NULL, license uuid NOT NULL, subject uuid NOT NULL, name text,
        PRIMARY KEY (bucket, license, subject))""",
    """CREATE TABLE IF NOT EXISTS to_close (
        bucket smallint NOT NULL, license uuid NOT NULL, counter text NOT NULL, first_at timestamptz NOT NULL,
        dirty_from date, closed_to date, PRIMARY KEY (bucket, license, counter))""",
    "CREATE TABLE IF NOT EXISTS counting_key (key bytea PRIMARY KEY)",
    """INSERT INTO counting_key SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
        WHERE NOT EXISTS (SELECT 1 FROM counting_key)""",
)

REPORT_LENGTH = 40
"""Report ids up to so many characters are keys as they are, longer ones as a (longer) digest."""

REPORTS, PARCELS = (
    "observation_report (bucket, license, report)",
    ("observation_parcel (bucket, license, counter, first_at, last_at, reports, observed_at, subjects)"),
)
TOUCHED, NAMED = "touched (bucket, license, counter, first_at)", "named (bucket, license, subject, name)"
"""What an import touched, and whom it names; a row may be there more than once."""

SCRATCH = (
    "CREATE TEMP TABLE touched (bucket smallint, license uuid, counter text, first_at timestamptz) ON COMMIT DROP",
    "CREATE TEMP TABLE named (bucket smallint, license uuid, subject uuid, name text) ON COMMIT DROP",
)


class Intake(NamedTuple):
    """How one kind of report gets from the staging table into its own."""

    content: str
    stage: str
    columns: str
    add: tuple[str, ...]
    other_before: str
    drop_known: str


def _intake(table: str, content: str, types: str, add: tuple[str, ...], other_before: str) -> Intake:
    columns = ", ".join(column.split()[0] for column in types.split(", "))
    return Intake(
        content,
        f'CREATE TEMP TABLE staged (line bigint, bucket smallint, license uuid, report text COLLATE "C", {types}) '
        "ON COMMIT DROP",
        f"staged (line, bucket, license, report, {columns})",
        add,
        f"SELECT s.line, s.report FROM staged s JOIN {table} o USING (bucket, license, report) WHERE {other_before} "
        "ORDER BY 1 LIMIT 20",
        f"DELETE FROM staged s USING {table} o "
        "WHERE o.bucket = s.bucket AND o.license = s.license AND o.report = s.report",
    )


READINGS = _intake(
    "reading",
    "counter, day, quantity",
    "counter text, day date, quantity bigint, name text",
    (
        "INSERT INTO reading SELECT bucket, license, report, counter, day, quantity FROM staged "
        "ORDER BY bucket, license, report",
    ),
    "(o.counter, o.day, o.quantity) <> (s.counter, s.day, s.quantity)",
)
OBSERVATIONS = _intake(
    "observation_report",
    "counter, observed_at, subject",
    "counter text, observed_at timestamptz, subject uuid",
    (
        "INSERT INTO observation_report SELECT bucket, license, report FROM staged ORDER BY bucket, license, report",
        f"""INSERT INTO {PARCELS}
        SELECT bucket, license, counter, min(observed_at), max(observed_at), array_agg(report), array_agg(observed_at),
            array_agg(subject) FROM staged GROUP BY bucket, license, counter, line / 5000""",
        f"INSERT INTO {TOUCHED} SELECT bucket, license, counter, min(observed_at) FROM staged GROUP BY 1, 2, 3",
    ),
    # The same report stands in a parcel of the same time; one that stands at another time says something else.
    """(s.license, s.report, s.counter, s.observed_at, s.subject) NOT IN (
        SELECT p.license, unnest(reports), p.counter, unnest(p.observed_at), unnest(p.subjects)
        FROM observation_parcel p JOIN (SELECT DISTINCT bucket, license, counter FROM staged) t
        USING (bucket, license, counter)
        WHERE p.last_at >= (SELECT min(observed_at) FROM staged)
        AND p.first_at <= (SELECT max(observed_at) FROM staged))""",
)


def other_in_file(intake: Intake) -> str:
    """Finds reports that stand in the file with different content: the first line of each of two contents."""
    return f"""
        SELECT lines[1], lines[2], report FROM (
            SELECT license, report, array_agg(line ORDER BY line) AS lines FROM (
                SELECT license, report, {intake.content}, min(line) AS line FROM staged
                GROUP BY license, report, {intake.content}
            ) c GROUP BY license, report HAVING count(*) > 1
        ) f ORDER BY 1 LIMIT 20"""


DROP_REPEATED = """
DELETE FROM staged s USING staged o WHERE o.license = s.license AND o.report = s.report AND o.line < s.line"""

# Who names subjects of a bucket holds its head, so nobody adds one meanwhile; ON CONFLICT would cost twice as much.
ADD_SUBJECTS = """
INSERT INTO subject SELECT DISTINCT ON (bucket, license, subject) bucket, license, subject, name FROM named n
WHERE NOT EXISTS (
    SELECT 1 FROM subject s WHERE s.bucket = n.bucket AND s.license = n.license AND s.subject = n.subject)
ORDER BY bucket, license, subject"""

# A day before the instant's UTC day: in some zone it was still that day.
MARK = """
INSERT INTO to_close AS t (bucket, license, counter, first_at, dirty_from)
SELECT bucket, license, counter, min(first_at), (min(first_at) AT TIME ZONE 'UTC')::date - 1 FROM touched
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (bucket, license, counter) DO UPDATE
SET first_at = least(t.first_at, excluded.first_at), dirty_from = least(t.dirty_from, excluded.dirty_from)"""

NEW_READINGS = """
DECLARE new_readings NO SCROLL CURSOR FOR
SELECT license, counter, date_trunc('month', day::timestamp)::date,
    array_agg(day ORDER BY line), array_agg(quantity ORDER BY line), array_agg(name ORDER BY line)
FROM staged GROUP BY bucket, license, counter, 3 ORDER BY bucket, license, counter, 3"""
"""For each license, counter and month its new readings, in the order of the file."""
