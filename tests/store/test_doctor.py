"""The doctor finds nothing in a healthy schema, and every illness that was planted."""

from __future__ import annotations

import psycopg
import pytest

from adapters.doctor import inspect
from adapters.schedule import install_queue
from tests.builders import open_account

ILLNESSES = {
    "declared": "CREATE TABLE stray (n integer)",
    "bucket first": "CREATE UNIQUE INDEX wrong ON directory (name, bucket)",
    "bucket in references": "CREATE TABLE subject_of (id uuid PRIMARY KEY); "
    "ALTER TABLE subject ADD FOREIGN KEY (license) REFERENCES subject_of (id) NOT VALID",
    "no sequences": "ALTER TABLE coverage ADD COLUMN n bigserial",
    "no triggers": "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
    "CREATE TRIGGER t BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION f()",
    "heads": "UPDATE bucket_head SET position = 9 WHERE bucket = 3",
    "clock": "UPDATE bucket_head SET recorded_at = now() + interval '1 year' WHERE bucket = 3",
    "append only": "GRANT UPDATE ON event TO tally_app",
}


def test_a_healthy_schema_has_nothing_to_say(tally):
    open_account(tally, "acme")
    install_queue(tally.dsn)
    with psycopg.connect(tally.dsn) as connection:
        assert inspect(connection) == []


@pytest.mark.parametrize(("rule", "illness"), ILLNESSES.items(), ids=ILLNESSES)
def test_a_planted_illness_is_found(dsn, rule, illness):
    with psycopg.connect(dsn) as connection:
        connection.execute(illness.encode())
        assert rule in {finding.rule for finding in inspect(connection)}
        connection.rollback()
