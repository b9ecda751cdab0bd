"""The difference between a catalog as published and a catalog file: what applying it would publish, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from domain.package import same_content
from domain.package_version import PackageVersion


class FieldChange(NamedTuple):
    """One field that differs: where, what it was, what it becomes ('' for nothing)."""

    path: str
    before: str
    after: str


class PackageChange(NamedTuple):
    """What a file means for one package: a new one, a new version, nothing, or that the file leaves it out."""

    package: str
    kind: Literal["new", "changed", "unchanged", "absent"]
    version: PackageVersion
    fields: tuple[FieldChange, ...] = ()


def compare(published: Mapping[str, PackageVersion], wanted: Sequence[PackageVersion]) -> list[PackageChange]:
    """What every package of the file, and every published one that it leaves out, would become.

    Shapes: `published` the latest version by package; versions are numbered on from there.
    """
    changes = []
    for version in wanted:
        last = published.get(version.package)
        if last is None:
            changes.append(PackageChange(version.package, "new", msgspec.structs.replace(version, version=1)))
        elif same_content(version, last):
            changes.append(PackageChange(version.package, "unchanged", last))
        else:
            numbered = msgspec.structs.replace(version, version=last.version + 1)
            changes.append(PackageChange(version.package, "changed", numbered, tuple(_fields(last, numbered))))
    named = {version.package for version in wanted}
    absent = (version for reference, version in sorted(published.items()) if reference not in named)
    return [*changes, *(PackageChange(version.package, "absent", version) for version in absent)]


def _fields(before: PackageVersion, after: PackageVersion) -> Iterator[FieldChange]:
    old, new = (dict(_flat("", msgspec.to_builtins(version))) for version in (before, after))
    for path in sorted({*old, *new} - {"version"}):
        if old.get(path) != new.get(path):
            yield FieldChange(path, old.get(path, ""), new.get(path, ""))


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """The leaves of a value by path; items of lists are named by their id where they have one."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(f"{path}.{name}" if path else name, inner)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            named = inner.get("id") or inner.get("name") or inner.get("counter") if isinstance(inner, dict) else None
            yield from _flat(f"{path}[{named or number}]", inner)
    else:
        yield path, "" if value is None else str(value)
