"""Killed by the operating system at every point of the protocol, a successor finds the books as they should be."""

from __future__ import annotations

import ast
import multiprocessing
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from adapters.sandbox.desk import Clock
from adapters.sandbox.server import Sandbox
from domain.account import Account
from domain.application.payments import collection, issued, receivables
from jobs.verify import verify
from tests.doors import CALLS
from tests.protocol_worker import PLAYS, Worker, behind_doors, live
from tests.store.test_collect import invoices

JOBS = Path(__file__).resolve().parents[2] / "jobs"
HARMLESS = {
    "__future__", "collections", "concurrent", "dataclasses", "datetime", "functools", "json", "typing", "uuid"
}  # fmt: skip


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.protocol_worker"])
    return context


@pytest.mark.parametrize("name", PLAYS)
def test_killed_at_each_point_nothing_is_taken_twice_and_nothing_acknowledged_is_lost(tally, dsn, processes, name):
    play = PLAYS[name]
    for step, invoice in enumerate(invoices(tally, play.points + 1)):
        with Sandbox(clock=Clock(time.time)) as sandbox:
            successor = behind_doors(tally, sandbox.url)
            play.before(successor, invoice)
            worker = processes.Process(target=live, args=(dsn, sandbox.url, name, invoice, step))
            worker.start()
            worker.join()
            assert worker.exitcode == (-signal.SIGKILL if step < play.points else 0), f"point {step} of {name!r}"
            play.story(successor, invoice)
            at_rest(successor, invoice)
    tally.follower().catch_up()
    assert [check.name for check in verify(tally.pool) if check.found] == []


def at_rest(worker: Worker, invoice: UUID) -> None:
    """Nothing moves any more, and what the provider holds for us is what our books have, to the cent."""
    found = issued(worker.tally.billing, invoice)
    money = receivables(worker.tally.billing, found.account, found.currency)
    held = collection(worker.tally.billing, invoice).live
    assert held is None or held.state == "action_required"
    lines = list(worker.stripe.movements(datetime(2025, 1, 31, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1)))
    assert sum(line.kind == "payment" for line in lines) <= 1, "nobody is charged twice"
    assert sum(line.kind == "refund" for line in lines) <= 1, "nothing goes back twice"
    kept = [one.kept for one in money.receipts.values() if one.booked.source == "stripe"]
    assert sum(line.amount for line in lines) == sum(kept)
    assert worker.tally.billing.find(Account, found.account, "account").credit_rule is None or money.credit == 0


def test_the_jobs_that_move_money_reach_the_world_by_doors_only():
    """What they import is how they could get out: no client, no server, no connection of their own."""
    for name in ("collect", "refund", "news", "inbox", "take_in", "dun", "payout"):
        tree = ast.parse((JOBS / f"{name}.py").read_text())
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        roots = {one.partition(".")[0] for one in imported if one}
        assert roots <= {"domain", "jobs", "msgspec", "psycopg", "psycopg_pool", *HARMLESS}, (name, roots)
        connects = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "connect"]
        assert not connects, name
    assert {"create", "confirm", "cancel", "look", "find", "refund", "find_refund", "authenticate"} <= set(CALLS)
