"""The composition root: the only package that names concrete adapters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self

import psycopg
from eventsourcing.utils import get_topic
from psycopg_pool import ConnectionPool

from adapters.bootstrap.links import links_of
from adapters.bootstrap.providers import providers_of
from adapters.embedded import Embedded
from adapters.settings import Outgoing, Settings
from adapters.store import factory
from adapters.store.install import install
from adapters.store.recorder import BucketedRecorder
from adapters.web.links import Links
from domain.application import Billing
from domain.application.catalog import published
from domain.provider import Provider
from domain.terms import Packages
from jobs import tables
from jobs.destinations import Destinations
from projections import ALL
from projections.follower import Follower

if TYPE_CHECKING:
    from jobs.deliver import Deliverer

MODULE = get_topic(factory.Factory).partition(":")[0]


class Tally:
    """A running Tallystick: the door for commands, the log, and connections for reading.

    Shapes: `dsn` is the owner's; everything but installing works as the role that may only add to the log.
    """

    def __init__(
        self,
        dsn: str,
        providers: Mapping[str, Provider] = MappingProxyType({}),
        outgoing: Outgoing = Outgoing(),
        links: Links | None = None,
    ) -> None:
        self.dsn, self.providers = dsn, providers
        self.outgoing, self.links = outgoing, links
        install(dsn, all_ddl())
        self.billing = _door(dsn)
        assert isinstance(self.billing.recorder, BucketedRecorder)
        self.log = self.billing.recorder

    @property
    def pool(self) -> ConnectionPool[psycopg.Connection]:
        """Connections for reading and for projections."""
        return self.log.pool

    def impatient(self, seconds: int) -> Billing:
        """The same door with connections of its own, and less time to get one: for people who wait for an answer."""
        return _door(self.dsn, TALLY_POOL_WAIT=str(seconds))

    @cached_property
    def packages(self) -> Packages:
        """Finds published package versions, and remembers them."""
        return published(self.billing)

    def follower(self) -> Follower:
        """Brings all projections up to the log."""
        return self._follower

    @cached_property
    def _follower(self) -> Follower:
        return Follower(self.pool, ALL)

    @property
    def destinations(self) -> Destinations:
        """Endpoints and mail."""
        return Destinations(self.pool)

    @cached_property
    def deliverer(self) -> Deliverer:
        """Tells endpoints and mailboxes what happened, as far as it is set up."""
        # All of HTTP is loaded for it, and most commands and the workers of a run tell nobody.
        from adapters.bootstrap.outgoing import deliverer_of

        return deliverer_of(self)

    def close(self) -> None:
        """Gives everything back; the embedded server goes on."""
        self.billing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _door(dsn: str, **more: str) -> Billing:
    return Billing(env={"PERSISTENCE_MODULE": MODULE, "TALLY_DSN": dsn, **more})


def all_ddl() -> list[str]:
    """The tables of everything that follows the log or stands beside it."""
    return [*tables.DDL, *(statement for projection in ALL for statement in projection.ddl)]


def open_tally(chosen: Settings) -> Tally:
    """Connects to the configured database, starting and installing what is needed."""
    dsn = chosen.database_url or Embedded(chosen.home).start()
    links = links_of(chosen) if chosen.public_url else None
    return Tally(dsn, providers_of(chosen), chosen.outgoing, links)
