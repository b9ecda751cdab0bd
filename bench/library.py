"""The same business as a user of the eventsourcing library would write it from its documentation: the floor."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL


def environment(dsn: str) -> dict[str, str]:
    """The library's settings for PostgreSQL, everything else at its default."""
    place = conninfo_to_dict(dsn)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(place["dbname"]),
        "POSTGRES_HOST": str(place["host"]),
        "POSTGRES_PORT": str(place.get("port", 5432)),
        "POSTGRES_USER": str(place["user"]),
        "POSTGRES_PASSWORD": str(place.get("password", "")),
    }


class License(Aggregate):
    """A license that was sold."""

    @event("Started")
    def __init__(self, reference: str, account: UUID, package: str, start_on: str, currency: str) -> None:
        self.reference, self.account, self.package = reference, account, package
        self.start_on, self.currency = start_on, currency

    @staticmethod
    def create_id(reference: str) -> UUID:
        """The same license for the same reference."""
        return uuid5(NAMESPACE_URL, f"/licenses/{reference}")


class Counts(Aggregate):
    """The users of a license in a month, a quantity for each day."""

    @event("Recorded")
    def __init__(self, license: UUID, month: str, quantities: list[int]) -> None:
        self.license, self.month, self.quantities = license, month, quantities

    @staticmethod
    def create_id(license: UUID, month: str) -> UUID:
        """The same counts for the same license and month."""
        return uuid5(NAMESPACE_URL, f"/licenses/{license}/counts/{month}")


class Invoice(Aggregate):
    """An invoice of one line, in minor units."""

    class Issued(Aggregate.Created):
        """What is printed on it."""

        number: str
        license: UUID
        account: UUID
        currency: str
        quantity: int
        tax_percent: Decimal
        net: int
        tax: int

    @event(Issued)
    def __init__(
        self, number: str, license: UUID, account: UUID, currency: str, quantity: int, tax_percent: Decimal, net: int,
        tax: int,
    ) -> None:  # fmt: skip
        self.number, self.license, self.account, self.currency = number, license, account, currency
        self.quantity, self.tax_percent, self.net, self.tax = quantity, tax_percent, net, tax


class Shop(Application[UUID]):
    """The library's application, as it comes."""


class Register(PostgresTrackingRecorder):
    """The library's kind of view: a row for each invoice, in one transaction with how far it has come."""

    def __init__(self, datastore: PostgresDatastore, **options: Any) -> None:
        super().__init__(datastore, **options)
        self.last = 0.0
        self.sql_create_statements.append(
            SQL(
                "CREATE TABLE IF NOT EXISTS register (invoice uuid PRIMARY KEY, number text NOT NULL, account uuid "
                "NOT NULL, currency text NOT NULL, net bigint NOT NULL, tax bigint NOT NULL)"
            ).format()
        )

    def issue(self, invoice: UUID, row: tuple[object, ...], tracking: Tracking) -> None:
        """Takes one invoice in."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "INSERT INTO register VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (invoice) DO UPDATE SET "
                "number = excluded.number, net = excluded.net, tax = excluded.tax",
                (invoice, *row),
                prepare=True,
            )
        self.last = time.perf_counter()


class Registering(Projection[Register]):
    """Brings invoices of the library's application into the register."""

    @singledispatchmethod
    def process_event(self, domain_event: object, tracking: Tracking) -> None:
        """Events of other kinds do not matter here."""

    @process_event.register
    def issued(self, domain_event: Invoice.Issued, tracking: Tracking) -> None:
        """An invoice was issued."""
        said = domain_event
        row = (said.number, said.account, said.currency, said.net, said.tax)
        self.view.issue(said.originator_id, row, tracking)
