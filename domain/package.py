"""Package: what is sold, in immutable versions that take effect one after another."""

from __future__ import annotations

from datetime import date

import msgspec

from domain.aggregate import Aggregate
from domain.errors import Conflict
from domain.events import Event
from domain.events import package as events
from domain.package_version import PackageVersion


class Package(Aggregate):
    """One package and its versions, the oldest first."""

    NAME = "package"

    def blank(self) -> None:
        self.versions: list[PackageVersion] = []
        self.retired_on: date | None = None

    def publish(self, version: PackageVersion) -> None:
        """Publishes the next version.

        Raises: Conflict when its number or its date does not follow on the last, or nothing changed.
        """
        last = self.versions[-1] if self.versions else None
        if version.version != (last.version if last else 0) + 1:
            raise Conflict(f"version {version.version} of {version.package} does not follow the last")
        if last and version.effective_on <= last.effective_on:
            raise Conflict(
                f"{version.package}: a version effective on {version.effective_on} does not come after the last one "
                f"({last.effective_on})"
            )
        if last and same_content(version, last):
            raise Conflict(f"{version.package} would not change")
        self.trigger(events.PackageVersionPublished(version=version))

    def retire(self, on: date) -> None:
        """Takes the package off sale.

        Raises: Conflict when it is off sale already.
        """
        if self.retired_on:
            raise Conflict("the package is retired already")
        self.trigger(events.PackageRetired(on=on))

    def effective(self, on: date) -> PackageVersion | None:
        """The version that is sold on a day."""
        return next((version for version in reversed(self.versions) if version.effective_on <= on), None)

    def when(self, event: Event) -> None:
        match event:
            case events.PackageVersionPublished():
                self.versions.append(event.version)
                self.retired_on = None
            case events.PackageRetired():
                self.retired_on = event.on


def same_content(one: PackageVersion, other: PackageVersion) -> bool:
    """Whether two versions say the same, whatever their number and date."""
    return msgspec.structs.replace(one, version=0, effective_on=date.min) == msgspec.structs.replace(
        other, version=0, effective_on=date.min
    )
