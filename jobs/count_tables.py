"""The tables that counts arrive in, and the statements that let a report in once.

Readings and observations are two kinds of reports, each deduplicated by report id within a license. Subjects stand in
the observations as keyed hashes; their names are in a dictionary that can be erased (name = NULL) without a trace in
the counts. Every key begins with the bucket.
"""

from __future__ import annotations

from typing import NamedTuple

DDL = (
    """CREATE TABLE IF NOT EXISTS reading (
        bucket smallint NOT NULL, license uuid NOT NULL, report text COLLATE "C" NOT NULL, counter text NOT NULL,
        day date NOT NULL, quantity bigint NOT NULL, PRIMARY KEY (bucket, license, report))""",
    """CREATE TABLE IF NOT EXISTS observation (
        bucket smallint NOT NULL, license uuid NOT NULL, report text COLLATE "C" NOT NULL, counter text NOT NULL,
        observed_at timestamptz NOT NULL, subject uuid NOT NULL, PRIMARY KEY (bucket, license, report))""",
    "CREATE INDEX IF NOT EXISTS observation_time ON observation (bucket, license, counter, observed_at)",
    """CREATE TABLE IF NOT EXISTS subject (
        bucket smallint NOT NULL, license uuid NOT NULL, subject uuid NOT NULL, name text,
        PRIMARY KEY (bucket, license, subject))""",
    """CREATE TABLE IF NOT EXISTS to_close (
        bucket smallint NOT NULL, license uuid NOT NULL, counter text NOT NULL, dirty_from date, closed_to date,
        PRIMARY KEY (bucket, license, counter))""",
    "CREATE TABLE IF NOT EXISTS counting_key (key bytea PRIMARY KEY)",
    """INSERT INTO counting_key SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
        WHERE NOT EXISTS (SELECT 1 FROM counting_key)""",
)

REPORT_LENGTH = 40
"""Report ids up to so many characters are keys as they are, longer ones as a (longer) digest."""

SAME_REPORT = "o.bucket = s.bucket AND o.license = s.license AND o.report = s.report"


class Intake(NamedTuple):
    """How one kind of report gets from the staging table into its own."""

    stage: str
    columns: str
    add: str
    other_before: str
    drop_known: str


def _intake(table: str, content: str, stage: str) -> Intake:
    names = content.split(", ")
    other = " OR ".join(f"o.{name} <> s.{name}" for name in names)
    return Intake(
        f'CREATE TEMP TABLE staged (line bigint, bucket smallint, license uuid, report text COLLATE "C", {stage}, '
        "name text) ON COMMIT DROP",
        f"staged (line, bucket, license, report, {content}, name)",
        f"INSERT INTO {table} (bucket, license, report, {content}) SELECT bucket, license, report, {content} "
        "FROM staged ORDER BY bucket, license, report",
        f"SELECT s.line, s.report FROM staged s JOIN {table} o ON {SAME_REPORT} WHERE {other} ORDER BY 1 LIMIT 20",
        f"DELETE FROM staged s USING {table} o WHERE {SAME_REPORT}",
    )


READINGS = _intake("reading", "counter, day, quantity", "counter text, day date, quantity bigint")
OBSERVATIONS = _intake(
    "observation", "counter, observed_at, subject", "counter text, observed_at timestamptz, subject uuid"
)


def other_in_file(intake: Intake) -> str:
    """Finds reports that stand in the file with different content: the first line of each of two contents."""
    content = intake.columns.partition("report, ")[2].partition(", name")[0]
    return f"""
        SELECT lines[1], lines[2], report FROM (
            SELECT license, report, array_agg(line ORDER BY line) AS lines FROM (
                SELECT license, report, {content}, min(line) AS line FROM staged GROUP BY license, report, {content}
            ) c GROUP BY license, report HAVING count(*) > 1
        ) f ORDER BY 1 LIMIT 20"""


DROP_REPEATED = """
DELETE FROM staged s USING staged o WHERE o.license = s.license AND o.report = s.report AND o.line < s.line"""

ADD_SUBJECTS = """
INSERT INTO subject SELECT DISTINCT bucket, license, subject, name FROM staged WHERE name IS NOT NULL
ORDER BY bucket, license, subject ON CONFLICT DO NOTHING"""

# A day before the instant's UTC day: in some zone it was still that day.
MARK = """
INSERT INTO to_close AS t (bucket, license, counter, dirty_from)
SELECT bucket, license, counter, (min(observed_at) AT TIME ZONE 'UTC')::date - 1 FROM staged
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (bucket, license, counter) DO UPDATE SET dirty_from = least(t.dirty_from, excluded.dirty_from)"""

NEW_READINGS = """
DECLARE new_readings NO SCROLL CURSOR FOR
SELECT license, counter, date_trunc('month', day::timestamp)::date,
    array_agg(day ORDER BY line), array_agg(quantity ORDER BY line), array_agg(name ORDER BY line)
FROM staged GROUP BY bucket, license, counter, 3 ORDER BY bucket, license, counter, 3"""
"""For each license, counter and month its new readings, in the order of the file."""
