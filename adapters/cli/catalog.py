"""`tally catalog`: what is sold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapters.catalog_file import read_catalog
from adapters.cli.opened import opened
from adapters.cli.printing import console, show, table_of
from adapters.cli.session import CommandId, command_id, session, today
from domain.application import Billing
from domain.application.catalog import PublishVersions, find_package
from domain.catalog_change import PackageChange, compare
from domain.errors import Conflict, NotFound
from domain.identity import Kind
from domain.package_version import PackageVersion
from domain.price import in_words

app = typer.Typer()


@app.command("apply")
def apply(
    file: Annotated[Path, typer.Argument(help="a catalog in YAML or JSON (see docs/catalog.md)")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="publish without asking")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only show the difference")] = False,
    retire: Annotated[bool, typer.Option(help="take packages that the file leaves out off sale")] = False,
    id: CommandId = "",
) -> None:
    """Publishes a catalog file as new package versions, after showing the difference.

    What licenses have already does not change; `tally licenses change` moves one to another version.
    """
    wanted = read_catalog(file)
    with opened() as tally:
        changes = compare(_latest(tally.billing, [version.package for version in wanted]), wanted)
        _show(changes)
        publish = tuple(change.version for change in changes if change.kind in ("new", "changed"))
        gone = tuple(change.package for change in changes if change.kind == "absent" and retire)
        if dry_run or not (publish or gone):
            return
        if not (yes or session.as_json) and not typer.confirm("Publish?"):
            raise Conflict("nothing was published")
        command = PublishVersions(versions=publish, retire=gone, today=today())
        tally.billing.execute(command, command_id=command_id(id))
        if not session.as_json:
            published = [f"published {one.package} v{one.version}" for one in publish]
            console.print(", ".join([*published, *(f"{name} is off sale" for name in gone)]))


@app.command("list")
def list_packages() -> None:
    """Lists the packages with their latest versions."""
    with opened() as tally:
        versions = sorted(_latest(tally.billing, []).values(), key=lambda version: version.package)
    rows = [(v.package, v.version, v.name, v.effective_on, len(v.components), len(v.limits)) for v in versions]
    show(versions, table_of("Packages", ["package", "version", "name", "effective on", "components", "limits"], rows))


@app.command("show")
def show_package(package: str, version: Annotated[int, typer.Option(help="0 is the latest")] = 0) -> None:
    """Shows a version of a package: components, prices, limits, rules."""
    with opened() as tally:
        versions = find_package(tally.billing, package).versions
    found = versions[-1] if not version else next((one for one in versions if one.version == version), None)
    if found is None:
        raise NotFound(f"package {package} has no version {version}")
    rows = [
        (c.id, c.charge, str(c.cadence), c.mode.replace("_", " "), currency, in_words(price))
        for c in found.components
        for currency, price in c.prices.items()
    ]
    columns = ["component", "charge", "every", "billed", "currency", "price"]
    show(found, table_of(f"{found.name} ({package} v{found.version})", columns, rows))


def _latest(billing: Billing, named: list[str]) -> dict[str, PackageVersion]:
    """The latest version of every published package."""
    names = {*billing.names(Kind.PACKAGE), *named}
    known = billing.resolve(Kind.PACKAGE, sorted(names))
    return {name: find_package(billing, name).versions[-1] for name in known}


def _show(changes: list[PackageChange]) -> None:
    rows: list[tuple[str, ...]] = []
    for change in changes:
        version = f"v{change.version.version}"
        rows.append((change.package, change.kind, version, "", ""))
        rows.extend(("", "", field.path, field.before, field.after) for field in change.fields)
    answer = [
        {
            "package": change.package,
            "kind": change.kind,
            "version": change.version.version,
            "fields": [field._asdict() for field in change.fields],
        }
        for change in changes
    ]
    show(answer, table_of("Difference", ["package", "change", "field", "before", "after"], rows))
