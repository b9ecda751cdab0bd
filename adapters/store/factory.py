"""Lets the eventsourcing library find the bucketed log: PERSISTENCE_MODULE = "adapters.store.factory"."""

from __future__ import annotations

from typing import Any

import psycopg
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    InfrastructureFactoryError,
    ProcessRecorder,
    TrackingRecorder,
)
from psycopg_pool import ConnectionPool

from adapters.store.recorder import BucketedRecorder

KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
WAIT = 30


def open_pool(
    dsn: str, size: int = 10, autocommit: bool = False, wait: int = WAIT
) -> ConnectionPool[psycopg.Connection]:
    """Connections that notice a dead line, working as the role that may only add to the log.

    Units: `wait` in seconds, for a connection and for a line on which nothing is acknowledged.
    """
    line = {**KEEPALIVE, "tcp_user_timeout": wait * 1000}
    return ConnectionPool(
        dsn, min_size=1, max_size=size, open=True, timeout=wait,
        kwargs={**line, "autocommit": autocommit, "options": "-c role=tally_app", "application_name": "tally"},
    )  # fmt: skip


class Factory(InfrastructureFactory[TrackingRecorder]):
    """Makes the one recorder that Tallystick has.

    Raises: InfrastructureFactoryError when POSTGRES_ENABLE_DB_FUNCTIONS is set: it makes readers skip events.
    """

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        if self.env.get("POSTGRES_ENABLE_DB_FUNCTIONS"):
            raise InfrastructureFactoryError("POSTGRES_ENABLE_DB_FUNCTIONS loses events: unset it")
        size, wait = int(self.env.get("TALLY_POOL_SIZE") or 10), int(self.env.get("TALLY_POOL_WAIT") or WAIT)
        self.pool = open_pool(self.env["TALLY_DSN"], size, wait=wait)

    def application_recorder(self) -> ApplicationRecorder:
        return BucketedRecorder(self.pool)

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        if purpose != "events":
            raise InfrastructureFactoryError("there are no snapshots: streams are short")
        return BucketedRecorder(self.pool)

    def tracking_recorder(self, tracking_recorder_class: Any = None) -> TrackingRecorder:
        raise InfrastructureFactoryError("projections follow the log with projections.follower")

    def process_recorder(self) -> ProcessRecorder:
        raise InfrastructureFactoryError("projections follow the log with projections.follower")

    def close(self) -> None:
        self.pool.close()
        super().close()
