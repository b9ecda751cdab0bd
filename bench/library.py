"""The same business as a user of the eventsourcing library would write it from its documentation: the floor."""

from __future__ import annotations

from decimal import Decimal
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from psycopg.conninfo import conninfo_to_dict


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
