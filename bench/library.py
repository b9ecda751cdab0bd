"""The same business as a user of the eventsourcing library would write it from its documentation: the floor."""

from __future__ import annotations

import time
from collections.abc import Iterable
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

Row = tuple[object, ...]

TABLES = (
    "CREATE TABLE IF NOT EXISTS register (invoice uuid PRIMARY KEY, number text NOT NULL, series text NOT NULL, "
    "account uuid NOT NULL, party text NOT NULL, currency text NOT NULL, issued_on date NOT NULL, "
    "due_on date NOT NULL, through date NOT NULL, net bigint NOT NULL, tax bigint NOT NULL, gross bigint NOT NULL, "
    "lines integer NOT NULL, run text NOT NULL)",
    "CREATE INDEX IF NOT EXISTS register_number ON register (number)",
    "CREATE INDEX IF NOT EXISTS register_account ON register (account)",
    "CREATE TABLE IF NOT EXISTS register_line (invoice uuid, number integer, license uuid NOT NULL, "
    "component text NOT NULL, start date NOT NULL, until date NOT NULL, amount bigint NOT NULL, tax bigint NOT NULL, "
    "PRIMARY KEY (invoice, number))",
)
COLUMNS = ("number", "series", "account", "party", "currency", "issued_on", "due_on", "through", "net", "tax", "gross")
LINE_COLUMNS = ("number", "license", "component", "start", "until", "amount", "tax")
INVOICE = f"INSERT INTO register VALUES ({', '.join(['%s'] * (len(COLUMNS) + 3))}) ON CONFLICT DO NOTHING"
LINE = f"INSERT INTO register_line VALUES ({', '.join(['%s'] * (len(LINE_COLUMNS) + 1))}) ON CONFLICT DO NOTHING"


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


class Account(Aggregate):
    """Who is billed, with what has to be printed of it."""

    @event("Opened")
    def __init__(self, reference: str, party: str, currency: str, tax_percent: Decimal, terms_days: int) -> None:
        self.reference, self.party, self.currency = reference, party, currency
        self.tax_percent, self.terms_days = tax_percent, terms_days

    @staticmethod
    def create_id(reference: str) -> UUID:
        """The same account for the same reference."""
        return uuid5(NAMESPACE_URL, f"/accounts/{reference}")


class License(Aggregate):
    """A license that was sold, with the stretches that it has had a package for: (package, first day), in order."""

    @event("Started")
    def __init__(self, reference: str, account: UUID, package: str, start_on: str, currency: str) -> None:
        self.reference, self.account, self.currency = reference, account, currency
        self.stretches = [(package, start_on)]

    @event("Upgraded")
    def upgrade(self, package: str, on: str) -> None:
        """From a day on it has another package."""
        self.stretches.append((package, on))

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
    """An invoice as it is printed, in minor units."""

    class Issued(Aggregate.Created):
        """What is printed on it, and what the next bill needs to know of it."""

        number: str
        series: str
        account: UUID
        party: str
        currency: str
        issued_on: str
        due_on: str
        through: str
        lines: list[dict[str, Any]]
        taxes: list[dict[str, Any]]
        net: int
        tax: int
        gross: int
        run: str

    @event(Issued)
    def __init__(
        self, number: str, series: str, account: UUID, party: str, currency: str, issued_on: str, due_on: str,
        through: str, lines: list[dict[str, Any]], taxes: list[dict[str, Any]], net: int, tax: int, gross: int,
        run: str,
    ) -> None:  # fmt: skip
        self.number, self.series, self.account, self.party, self.currency = number, series, account, party, currency
        self.issued_on, self.due_on, self.through, self.lines, self.taxes = issued_on, due_on, through, lines, taxes
        self.net, self.tax, self.gross, self.run = net, tax, gross, run


class Shop(Application[UUID]):
    """The library's application, as it comes."""


class Register(PostgresTrackingRecorder):
    """The library's kind of view: a row for each invoice and each line, in one transaction with how far it has come."""

    def __init__(self, datastore: PostgresDatastore, **options: Any) -> None:
        super().__init__(datastore, **options)
        self.last = 0.0
        self.sql_create_statements += [SQL(table).format() for table in TABLES]

    def issue(self, invoice: UUID, row: Row, lines: Iterable[Row], tracking: Tracking) -> None:
        """Takes one invoice in."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(INVOICE, (invoice, *row), prepare=True)
            for line in lines:
                cursor.execute(LINE, (invoice, *line), prepare=True)
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
        row = (*(getattr(said, column) for column in COLUMNS), len(said.lines), said.run)
        lines = [tuple(line[column] for column in LINE_COLUMNS) for line in said.lines]
        self.view.issue(said.originator_id, row, lines, tracking)
