"""What is done with goes after its time, nothing else does: what waits, failed or was set aside is never dropped."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from adapters.bootstrap import Tally
from adapters.cli.main import main
from adapters.schedule import Scheduler
from jobs.retention import old, prune

OUTBOX = """INSERT INTO outbox
(bucket, message, position, destination, type, body, recorded_at, due_at, state, tried_at)
VALUES (1, %s, 1, 'ep_1', 'invoice.issued', '', %s, %s, %s, %s)"""
INBOX = """INSERT INTO webhook_inbox (bucket, provider, event, kind, happened_at, received_at, headers, body, digest,
state, why) VALUES (1, 'stripe', %s, 'charge.succeeded', %s, %s, '{}', '', '', %s, '')"""
MESSAGES = {"sent": True, "skipped": True, "dropped": True, "waiting": False, "dead": False}
WEBHOOKS = {"done": True, "foreign": True, "new": False, "parked": False, "quarantined": False}
NOW = datetime.now(UTC)
OLD, YOUNG = NOW - timedelta(days=91), NOW - timedelta(days=89)


def rows(tally: Tally) -> None:
    """One of each state, old and young; and one that was recorded long ago and delivered only now."""
    with psycopg.connect(tally.dsn) as connection:
        for at, age in ((OLD, "old"), (YOUNG, "young")):
            for state in MESSAGES:
                connection.execute(OUTBOX, [f"{age} {state}", at, at, state, at if state == "sent" else None])
            for state in WEBHOOKS:
                connection.execute(INBOX, [f"{age} {state}", at, at, state])
        connection.execute(OUTBOX, ["delivered late", OLD, OLD, "sent", YOUNG])


def left(tally: Tally) -> set[str]:
    with psycopg.connect(tally.dsn) as connection:
        found = connection.execute("SELECT message FROM outbox UNION ALL SELECT event FROM webhook_inbox").fetchall()
    return {name for (name,) in found}


STAYS = {
    *(f"young {state}" for state in MESSAGES | WEBHOOKS),
    *(f"old {state}" for state, goes in (MESSAGES | WEBHOOKS).items() if not goes),
    "delivered late",
}


def test_what_is_done_with_is_dropped_after_its_time_and_nothing_else(tally):
    rows(tally)
    before = NOW - timedelta(days=90)
    assert old(tally.pool, before) == prune(tally.pool, before) == {"messages": 3, "webhooks": 2}
    assert left(tally) == STAYS
    assert prune(tally.pool, before) == {"messages": 0, "webhooks": 0}


def test_the_leading_scheduler_drops_it_once_a_day(tally):
    rows(tally)
    with Scheduler(tally) as leader:
        leader.wake()
        assert left(tally) == STAYS
        with psycopg.connect(tally.dsn) as connection:
            connection.execute(OUTBOX, ["old again", OLD, OLD, "sent", OLD])
        leader.wake()
        assert left(tally) == STAYS | {"old again"}, "once a day"


def test_a_command_counts_it_and_drops_it_when_told_to(tally, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", tally.dsn)
    rows(tally)
    assert main(["retention", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "older_than_days": 90, "dropped": False, "messages": 3, "webhooks": 2,
    }  # fmt: skip
    assert main(["retention", "--drop", "--json"]) == 0
    assert left(tally) == STAYS
    monkeypatch.setenv("TALLY_KEEP_DAYS", "31")
    assert main(["retention", "--drop"]) == 0
    assert {name for name in left(tally) if name.startswith("young")} == {
        f"young {state}" for state, goes in (MESSAGES | WEBHOOKS).items() if not goes
    }


@pytest.mark.parametrize("days", ["30", "0", "-1", "ninety", "1e3"])
def test_no_time_is_shorter_than_what_providers_repeat(tally, monkeypatch, capsys, days):
    monkeypatch.setenv("DATABASE_URL", tally.dsn)
    monkeypatch.setenv("TALLY_KEEP_DAYS", days)
    assert main(["retention", "--drop"]) == 2
    assert "TALLY_KEEP_DAYS" in capsys.readouterr().err
