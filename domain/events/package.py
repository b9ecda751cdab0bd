"""What happens to a package in the catalog."""

from __future__ import annotations

from datetime import date

from domain.events import Event
from domain.package_version import PackageVersion


class PackageVersionPublished(Event):
    """A version of a package was published; it never changes."""

    TOPIC = "package.version_published"
    version: PackageVersion


class PackageRetired(Event):
    """The package is not sold any more from a day on; licenses that have it keep it."""

    TOPIC = "package.retired"
    on: date
