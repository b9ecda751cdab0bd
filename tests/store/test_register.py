"""Documents are in the register as soon as they are issued, or follow as always; the rows are the same either way.

Who wants no documents has passed them by then, unless it is held or has not come so far.
"""

from __future__ import annotations

from datetime import date

import psycopg
import pytest
from msgspec.structs import replace

from adapters.bootstrap import Tally
from domain.events.account import Party
from domain.events.documents import InvoiceIssued
from domain.identity import ACCOUNT_BUCKETS, Kind, bucket_of, make_id
from jobs import bill
from jobs.register import Entered, enter
from jobs.verify import verify
from projections import ALL
from projections.documents import Documents
from projections.follower import LOCK, Follower
from tests.builders import declared_package, open_account, publish, start

FEBRUARY = date(2025, 2, 1)
INVOICE = InvoiceIssued(
    document="INV-000001", series="INV", account=make_id(Kind.ACCOUNT, 1, None, "a"), party=Party(name="A"),
    currency="EUR", issued_on=FEBRUARY, due_on=FEBRUARY, through=FEBRUARY, lines=(), taxes=(), net=1, tax=0, gross=1,
    cut=0, run="r",
)  # fmt: skip


@pytest.fixture
def ready(tally: Tally) -> Tally:
    """Three accounts with a license each, followed to the end."""
    publish(tally, declared_package())
    for name in ("a", "b", "c"):
        open_account(tally, name)
        start(tally, name, name, "declared", FEBRUARY, quantities={"seats": 10})
    tally.follower().catch_up()
    return tally


def issued(tally: Tally) -> None:
    """A run and nothing else: nobody follows what it issues."""
    with tally.pool.connection() as connection:
        run = bill.open_run(connection, FEBRUARY, FEBRUARY)
    bill.work(tally.log, tally.pool, tally.packages, run)


def register(tally: Tally) -> list[tuple]:
    with tally.pool.connection() as connection:
        return connection.execute("SELECT * FROM document_v1 ORDER BY bucket, document").fetchall()


def waiting(tally: Tally) -> dict[str, int]:
    """How many events of accounts' buckets each projection has still to pass; those that have come up are left out."""
    with tally.pool.connection() as connection:
        rows = connection.execute(
            "SELECT t.projection, sum(h.position - t.position)::int FROM tracking t JOIN bucket_head h USING (bucket) "
            "WHERE t.bucket < %s AND t.position < h.position GROUP BY t.projection",
            [ACCOUNT_BUCKETS],
        )
        return dict(rows.fetchall())


def rebuilt(tally: Tally) -> list[tuple]:
    tally.follower().rebuild(Documents.name)
    return register(tally)


def test_what_a_run_issues_is_in_the_register_at_once_as_following_would_write_it(ready):
    issued(ready)
    entered = register(ready)
    assert len(entered) == 3
    ready.follower().catch_up()
    assert (register(ready), ready.follower().parked()) == (entered, []), "nobody enters it a second time"
    assert rebuilt(ready) == entered


def test_where_somebody_follows_just_now_nobody_waits_and_the_documents_follow(ready, dsn):
    with psycopg.connect(dsn) as busy:
        busy.execute("SELECT FROM tracking WHERE projection = %s FOR UPDATE", [Documents.name])
        issued(ready)
        assert register(ready) == []
    ready.follower().catch_up()
    assert len(register(ready)) == 3
    assert register(ready) == rebuilt(ready)


def test_projections_that_want_no_documents_have_passed_them_by_when_they_are_issued(ready):
    issued(ready)
    assert waiting(ready) == {}
    ready.follower().catch_up()
    assert ready.follower().lag() == dict.fromkeys(ready.follower().lag(), 0)


def test_who_is_held_or_behind_is_not_moved_and_follows_with_nothing_skipped(ready, dsn):
    open_account(ready, "late")
    start(ready, "late", "late", "declared", FEBRUARY, quantities={"seats": 10})
    Follower(ready.pool, [one for one in ALL if one.name != "change_v1"]).catch_up()
    with psycopg.connect(dsn) as busy:
        busy.execute(LOCK, ["account_v2"])
        issued(ready)
    assert len(register(ready)) == 4
    assert waiting(ready) == {"account_v2": 4, "change_v1": 3}
    ready.follower().catch_up()
    with ready.pool.connection() as connection:
        followed = connection.execute("SELECT * FROM change_v1 ORDER BY 1, 2, 3").fetchall()
        ready.follower().rebuild("change_v1")
        assert connection.execute("SELECT * FROM change_v1 ORDER BY 1, 2, 3").fetchall() == followed
    assert waiting(ready) == {}


def test_a_register_that_is_behind_enters_nothing_before_what_it_has_not_had(ready):
    with ready.pool.connection() as connection:
        behind = "UPDATE tracking SET position = position - 1 WHERE projection = %s AND position > 0"
        connection.execute(behind, [Documents.name])
    issued(ready)
    assert register(ready) == []
    ready.follower().catch_up()
    assert len(register(ready)) == 3


def test_a_register_that_refuses_a_document_does_not_stop_the_run(ready, dsn):
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("ALTER TABLE document_v1 ADD CONSTRAINT broken CHECK (gross < 0)")
        issued(ready)
        assert register(ready) == []
        owner.execute("ALTER TABLE document_v1 DROP CONSTRAINT broken")
    ready.follower().catch_up()
    assert len(register(ready)) == 3
    assert ready.follower().parked() == []


@pytest.mark.parametrize(
    ("change", "error"),
    [({"net": 2**63}, "OverflowError"), ({"party": Party(name="a\0b")}, "CharacterNotInRepertoire")],
)
def test_a_document_that_no_row_holds_is_left_to_following_and_parked_there_while_others_are_entered(
    tally, change, error
):
    tally.follower().catch_up()
    fine, odd = (make_id(Kind.INVOICE, bucket, FEBRUARY, "x") for bucket in (1, 2))
    for document, issued in ((odd, replace(INVOICE, **change)), (fine, INVOICE)):
        with tally.log.append() as append:
            first = append.append([(document, 1, issued)])
            enter(append, [Entered(bucket_of(document), document, issued)], first)
    entered = register(tally)
    assert [row[1] for row in entered] == [fine]
    tally.follower().catch_up()
    assert [(name, stream, why.partition(":")[0]) for name, _, stream, _, why in tally.follower().parked()] == [
        ("document_v1", odd, error)
    ]
    assert register(tally) == rebuilt(tally) == entered


@pytest.mark.parametrize(
    ("tampered", "check"),
    [
        ("UPDATE document_v1 SET net = net - 1, tax = tax + 1", "register"),
        ("UPDATE document_v1 SET party = 'Z'", "register"),
        ("DELETE FROM document_v1", "register"),
        ("INSERT INTO document_v1 SELECT bucket, gen_random_uuid(), number || 'x', 'X', kind, account, party, "
         "currency, issued_on, due_on, through, net, tax, gross, lines, run FROM document_v1", "register"),
        ("UPDATE billed_line SET body = replace(encode(body, 'escape'), '\"tax\":', '\"tax\":1')::bytea", "lines"),
        ("DELETE FROM billed_line", "lines"),
        ("UPDATE billed_line SET document = gen_random_uuid()", "lines"),
    ],
)  # fmt: skip
def test_a_cell_of_the_register_or_a_byte_of_a_line_that_is_not_as_it_was_issued_is_found(ready, dsn, tampered, check):
    issued(ready)
    ready.follower().catch_up()
    assert [one.name for one in verify(ready.pool) if one.found] == []
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute(tampered)
    assert check in [one.name for one in verify(ready.pool) if len(one.found) >= 3]
