"""Named examples that tests build on: packages, accounts, licenses, files of counts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from adapters.bootstrap import Tally
from adapters.count_files import read_rows
from domain.application.accounts import OpenAccount
from domain.application.catalog import PublishVersions
from domain.application.licensing import StartLicense
from domain.events.account import Party
from domain.identity import Kind
from domain.package_version import Component, Counted, Counting, Declared, PackageVersion
from domain.price import Flat, Graduated, PerUnit, Tier
from jobs.import_counts import Imported, import_counts

JANUARY = date(2025, 1, 1)
TIERS = Graduated(tiers=(Tier(10, Decimal("1.00")), Tier(None, Decimal("0.50"))))


def component(name: str = "base", price: Any = None, **more: Any) -> Component:
    """A component at 30.00 EUR a month in advance, unless told otherwise."""
    return Component(id=name, name=name.title(), prices={"EUR": price or Flat(Decimal("30.00"))}, **more)


def package(name: str = "filter", *components: Component, **more: Any) -> PackageVersion:
    """A package version from 2019 on."""
    return PackageVersion(
        package=name,
        version=1,
        name=name.title(),
        effective_on=date(2019, 1, 1),
        components=components or (component(),),
        **more,
    )


def counted_package(name: str = "counted", measure: str = "peak", **more: Any) -> PackageVersion:
    """Users counted by readings, graduated, monthly in arrears."""
    users = component("users", TIERS, mode="in_arrears", quantity=Counted("users"))
    return package(name, users, countings=(Counting("users", measure, **more),))  # type: ignore[arg-type]


def declared_package(name: str = "declared", unit: str = "2.00", **more: Any) -> PackageVersion:
    """Seats as sold, per unit, monthly in advance."""
    return package(name, component("seats", PerUnit(Decimal(unit)), quantity=Declared()), **more)


def publish(tally: Tally, *versions: PackageVersion) -> None:
    """Publishes package versions."""
    tally.billing.execute(PublishVersions(versions=versions))


def open_account(tally: Tally, reference: str = "acme", **more: Any) -> None:
    """Opens an account that pays 19 % tax in EUR."""
    words = {"currency": "EUR", "tax_percent": Decimal(19), **more}
    tally.billing.execute(OpenAccount(reference=reference, party=Party(name=reference.title()), **words))


def start(tally: Tally, reference: str, account: str, name: str, on: date = JANUARY, **more: Any) -> None:
    """Starts a license."""
    tally.billing.execute(StartLicense(reference=reference, account=account, package=name, start_on=on, **more))


def write_csv(path: Path, header: str, rows: Iterable[str]) -> str:
    """A CSV file."""
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


READINGS = "license,counter,day,quantity,report_id"
OBSERVATIONS = "license,counter,observed_at,subject,report_id"


def take_in(tally: Tally, path: str) -> Imported:
    """Imports a file of counts."""
    return import_counts(tally.log, lambda names: tally.billing.resolve(Kind.LICENSE, names), path, read_rows(path))


def books(tally: Tally) -> list[tuple[Any, ...]]:
    """Every document, as finance sees it."""
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        return connection.execute(
            "SELECT number, kind, issued_on, through, net, tax, gross, lines FROM document_v1 ORDER BY number"
        ).fetchall()


def cover_again(append: Any, license: UUID, start: date, end: date) -> None:
    """Covers more days of whatever of a license is covered, as a faulty program might."""
    append.query(
        "SELECT cover(ARRAY[bucket], ARRAY[license], ARRAY[component], ARRAY[payer], ARRAY[currency], "
        "ARRAY[occurrence], ARRAY[%s::date], ARRAY[%s::date]) FROM coverage WHERE license = %s",
        [start, end, license],
    )
