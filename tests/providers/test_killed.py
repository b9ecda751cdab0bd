"""Killed by the operating system at every point of the protocol, a successor finds the books as they should be."""

from __future__ import annotations

import ast
import multiprocessing
import signal
from pathlib import Path
from uuid import UUID

import pytest

from adapters.bootstrap import Tally
from adapters.sandbox.server import Sandbox
from domain.application.payments import collection, issued, receivables
from jobs.verify import verify
from tests.doors import CALLS
from tests.protocol_worker import STORIES, behind_doors, live
from tests.store.test_collect import invoices

JOBS = Path(__file__).resolve().parents[2] / "jobs"
HARMLESS = {"__future__", "collections", "concurrent", "dataclasses", "datetime", "functools", "typing", "uuid"}
POINTS = {"a card is charged": 10, "a card declines": 14}
"""How many points each story has: another one fails the test until it is counted here."""


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.protocol_worker"])
    return context


@pytest.mark.parametrize("story", STORIES)
def test_killed_at_each_point_nothing_is_taken_twice_and_nothing_acknowledged_is_lost(tally, dsn, processes, story):
    with Sandbox() as sandbox:
        for step, invoice in enumerate(invoices(tally, POINTS[story] + 1)):
            worker = processes.Process(target=live, args=(dsn, sandbox.url, story, invoice, step))
            worker.start()
            worker.join()
            assert worker.exitcode == (-signal.SIGKILL if step < POINTS[story] else 0), f"point {step} of {story!r}"
            STORIES[story](behind_doors(tally, sandbox.url), invoice)
            at_rest(tally, sandbox, invoice)
    tally.follower().catch_up()
    assert [check.name for check in verify(tally.pool) if check.found] == []


def at_rest(tally: Tally, sandbox: Sandbox, invoice: UUID) -> None:
    """Nothing is under way, and what the provider took is what our books have."""
    found = issued(tally.billing, invoice)
    money = receivables(tally.billing, found.account, found.currency)
    assert collection(tally.billing, invoice).live is None
    taken = sandbox.stripe.books.captured[str(invoice)]
    assert taken in (0, found.gross)
    assert sum(one.booked.amount for one in money.receipts.values()) == taken


def test_the_jobs_that_move_money_reach_the_world_by_doors_only():
    """What they import is how they could get out: no client, no server, no connection of their own."""
    for name in ("collect", "refund", "news"):
        tree = ast.parse((JOBS / f"{name}.py").read_text())
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        roots = {one.partition(".")[0] for one in imported if one}
        assert roots <= {"domain", "jobs", "msgspec", "psycopg", "psycopg_pool", *HARMLESS}, (name, roots)
        connects = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "connect"]
        assert not connects, name
    assert {"create", "confirm", "cancel", "look", "find", "refund", "find_refund", "authenticate"} <= set(CALLS)
