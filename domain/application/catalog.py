"""Commands on the catalog."""

from __future__ import annotations

from datetime import date

import msgspec

from domain.application import Billing, Outcome
from domain.errors import Conflict, NotFound
from domain.identity import CATALOG_BUCKET, Kind, make_id, name_bucket
from domain.package import Package
from domain.package_version import PackageVersion
from domain.terms import Packages


def find_package(billing: Billing, reference: str) -> Package:
    """A package as of now. Raises: NotFound."""
    return billing.find(Package, make_id(Kind.PACKAGE, CATALOG_BUCKET, None, reference), f"package {reference}")


def sold_on(billing: Billing, reference: str, on: date) -> PackageVersion:
    """The version of a package that is sold on a day.

    Raises: NotFound when none is effective; Conflict when it is off sale.
    """
    package = find_package(billing, reference)
    if package.retired_on and package.retired_on <= on:
        raise Conflict(f"package {reference} is off sale since {package.retired_on}")
    version = package.effective(on)
    if version is None:
        raise NotFound(f"package {reference} has no version effective on {on}")
    return version


def version_of(billing: Billing, reference: str, number: int) -> PackageVersion:
    """A published version of a package. Raises: NotFound."""
    found = next((v for v in find_package(billing, reference).versions if v.version == number), None)
    if found is None:
        raise NotFound(f"package {reference} has no version {number}")
    return found


def published(billing: Billing) -> Packages:
    """A finder of published versions that remembers them: they never change."""
    known: dict[tuple[str, int], PackageVersion] = {}

    def find(reference: str, number: int) -> PackageVersion:
        if (reference, number) not in known:
            known.update({(v.package, v.version): v for v in find_package(billing, reference).versions})
        if (reference, number) not in known:
            raise NotFound(f"package {reference} has no version {number}")
        return known[reference, number]

    return find


class PublishVersions(msgspec.Struct, frozen=True):
    """Publishes new versions of packages, all or none."""

    versions: tuple[PackageVersion, ...]
    retire: tuple[str, ...] = ()
    today: date = date.min

    def handle(self, billing: Billing) -> Outcome:
        packages, names = [], []
        for version in self.versions:
            identifier = make_id(Kind.PACKAGE, CATALOG_BUCKET, None, version.package)
            try:
                package = find_package(billing, version.package)
            except NotFound:
                package = Package(identifier)
                names.append((name_bucket(version.package), int(Kind.PACKAGE), version.package, identifier))
            package.publish(version)
            packages.append(package)
        for reference in self.retire:
            package = find_package(billing, reference)
            package.retire(self.today)
            packages.append(package)
        rows = {"directory (bucket, kind, name, id)": sorted(names)} if names else {}
        return Outcome(tuple(packages), rows)
