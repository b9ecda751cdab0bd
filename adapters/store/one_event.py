"""One event in one round trip: the append that commands do most, and that a busy machine does by the thousand.

psycopg works out anew for every statement how its values are written and its answer is read, which takes longer than
the append itself. Here both are known. A statement by itself is a transaction: when its answer is there, it is
committed. It must not be sent inside another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent
from psycopg.generators import execute
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult

from jobs.fields import EPOCH, MICROSECOND

NAME = b"tally_append_one"
STATEMENT = b"SELECT append_one($1, $2, $3, $4, $5, $6, $7, $8)"
FORMATS = [Format.BINARY] * 8

Connection = psycopg.Connection[tuple[object, ...]]


def append_one(
    connection: Connection,
    bucket: int,
    stream: UUID,
    event: StoredEvent,
    command: UUID | None,
    body: bytes,
    now: datetime | None,
) -> int:
    """Appends one event by a connection that is idle; the position before it. Raises: what psycopg raises."""
    values = [
        bucket.to_bytes(2, "big"),
        None if now is None else ((now - EPOCH) // MICROSECOND).to_bytes(8, "big", signed=True),
        stream.bytes,
        event.originator_version.to_bytes(4, "big"),
        event.topic.encode(),
        event.state,
        None if command is None else command.bytes,
        body,
    ]
    try:
        return _appended(connection, values)
    except psycopg.errors.InvalidSqlStatementName:
        # The connection is new, or somebody made it forget its statements.
        connection.pgconn.send_prepare(NAME, STATEMENT)
        _answer(connection)
        return _appended(connection, values)


def _appended(connection: Connection, values: Sequence[bytes | None]) -> int:
    connection.pgconn.send_query_prepared(NAME, values, FORMATS, Format.BINARY)
    return int.from_bytes(_answer(connection).get_value(0, 0) or b"", "big")


def _answer(connection: Connection) -> PGresult:
    answers: list[PGresult] = connection.wait(execute(connection.pgconn))
    if answers[0].status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        raise psycopg.errors.error_from_result(answers[0])
    return answers[0]
