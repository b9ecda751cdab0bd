"""From a catalog file to package versions: shape, then sense; every fault of the file is reported at once."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adapters.catalog_file import shape
from adapters.catalog_file.ladder import ladder_of
from adapters.catalog_file.nodes import Branch, Twig, parse
from adapters.catalog_file.sense import senseless
from domain.credit_rule import CreditRule, PayOutWhen
from domain.errors import BadFile, Fault
from domain.grid import Cadence
from domain.ladder import Ladder, faults
from domain.package_version import (
    ChangeRules,
    Component,
    Counted,
    Counting,
    Declared,
    Exclusion,
    Fixed,
    Fold,
    Limit,
    Mode,
    PackageVersion,
    Proration,
    Quantity,
)
from domain.price import Allowance, Block, Flat, Graduated, PerUnit, Price, Stairstep, Tier, Volume

MODES: dict[str, Mode] = {
    "in advance": "in_advance",
    "in arrears": "in_arrears",
    "in arrears greedy": "in_arrears_greedy",
    "as used": "as_used",
}
NAMES = {"once": "one_time", "at renewal": "renewal", "at period end": "period_end", "at term end": "term_end"}
NAMES |= {"next month": "next_month", "when effective": "effective", "when known": "known", "up only": "up_only"}
NAMES |= {"both ways": "reverse_and_rebill"}


def read_catalog(path: Path) -> list[PackageVersion]:
    """The packages of a catalog file, all with version 0: publishing numbers them.

    Raises: BadFile with every fault, its line and field, or why the file cannot be read.
    """
    return catalog_of(_bytes(path), str(path))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadFile.unreadable(str(path), error.strerror) from None


def read_ladder(path: Path) -> Ladder:
    """The ladder of a file with a `dunning` section alone. Raises: as `read_catalog`."""
    name = str(path)
    tree = parse(_bytes(path), name)
    try:
        ladder = ladder_of(shape.LadderFileShape.model_validate(tree).dunning)
    except ValidationError as error:
        raise BadFile(_faults(error, tree, name, shape.LadderFileShape)) from None
    found = [(f"dunning.{where}", what, code) for where, what, code in faults(ladder)]
    if found:
        raise BadFile([Fault(name, line_of(tree, where), where, what, code) for where, what, code in found])
    return ladder


def catalog_of(raw: bytes, name: str) -> list[PackageVersion]:
    """The packages of a catalog file's bytes. Raises: BadFile."""
    tree = parse(raw, name)
    try:
        catalog = shape.CatalogShape.model_validate(tree)
    except ValidationError as error:
        raise BadFile(_faults(error, tree, name)) from None
    wrong: list[Fault] = []
    versions = []
    for reference, package in catalog.packages.items():
        limits = _limits(package, tree, reference, name, wrong)
        version = _version(reference, package, limits)
        versions.append(version)
        for field, message, code in senseless(version):
            where = f"packages.{reference}.{field}"
            wrong.append(Fault(name, line_of(tree, where), where, message, code))
    if wrong:
        raise BadFile(sorted(wrong, key=lambda fault: fault.line))
    return versions


def _faults(
    error: ValidationError, tree: Branch, name: str, root: type[shape.Shape] = shape.CatalogShape
) -> list[Fault]:
    found = {}
    for one in error.errors():
        path = [part for part in one["loc"] if not _noise(part, one["loc"])]
        where = _written(path)
        message, code = _said(one, path, root)
        found[where, message] = Fault(name, line_of(tree, where), where, message, code)
    return sorted(found.values(), key=lambda fault: fault.line)


def _noise(part: Any, loc: Sequence[Any]) -> bool:
    """Parts of pydantic's paths that are not in the file: names of unions and validators."""
    return isinstance(part, str) and (part == "[key]" or "[" in part or part in ("int", "tuple", "constrained-int"))


def _written(path: Sequence[Any]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def _said(one: Any, path: Sequence[Any], root: type[shape.Shape] = shape.CatalogShape) -> tuple[str, str]:
    kind, message = one["type"], str(one["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        known = list(_fields_at(path[:-1], root))
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        hint = f": did you mean {near[0]}?" if near else f": known are {', '.join(known)}" if known else ""
        return f"there is no such field{hint}", "unknown_field"
    if kind == "missing":
        return "is missing", "missing"
    if kind == "string_pattern_mismatch":
        currency = len(path) > 1 and path[-2] == "price"
        wanted = "a currency code such as EUR" if currency else "an id of a-z, 0-9, dot, dash and underscore"
        return f"is not {wanted}", "currency" if currency else "id"
    return message[0].lower() + message[1:], "value" if kind == "value_error" else kind


def _fields_at(path: Sequence[Any], root: type[shape.Shape]) -> Sequence[str]:
    """The fields that a place of the file may have."""
    names = [part for part in path if isinstance(part, str)]
    shapes: dict[str, type[shape.Shape]] = {
        "proration": shape.ProrationShape,
        "changes": shape.ChangesShape,
        "quantity": shape.QuantityShape,
        "exclude": shape.ExcludeShape,
        "fold": shape.FoldShape,
        "dunning": shape.LadderShape,
        "credit": shape.CreditShape,
        "steps": shape.StepShape,
    }
    parents: dict[str, type[shape.Shape]] = {
        "packages": shape.PackageShape,
        "components": shape.ComponentShape,
        "counters": shape.CounterShape,
        "price": shape.PriceShape,
        "limits": shape.LimitShape,
    }
    found = shapes.get(names[-1]) if names else root
    found = found or (parents.get(names[-2]) if len(names) > 1 else None)
    if found is None:
        return []
    return [field.alias or name for name, field in found.model_fields.items()]


def line_of(tree: Branch, path: str) -> int:
    """The line of a path such as `packages.mail.components.base.price.EUR.graduated[1]`, or of the nearest above."""
    at: Any = tree
    line = tree.line
    for part in path.replace("[", ".[").split("."):
        if isinstance(at, Twig) and part.startswith("[") and int(part[1:-1]) < len(at):
            line, at = at.lines[int(part[1:-1])], at[int(part[1:-1])]
        elif isinstance(at, Branch) and part in at:
            line, at = at.lines[part], at[part]
    return line


def _limits(
    package: shape.PackageShape, tree: Branch, reference: str, name: str, wrong: list[Fault]
) -> tuple[Limit, ...]:
    found = []
    for key, written in package.limits.items():
        try:
            found.append(_limit(key, written))
        except ValidationError as error:
            for one in error.errors():
                path = ["packages", reference, "limits", key, *(p for p in one["loc"] if not _noise(p, one["loc"]))]
                where = _written(path)
                message, code = _said(one, path)
                wrong.append(Fault(name, line_of(tree, where), where, message, code))
    return tuple(found)


def _limit(name: str, written: Any) -> Limit:
    """A limit: a bare true/false, unlimited or none, a whole number, or a mapping with its rules."""
    if isinstance(written, str) and written in ("true", "false"):
        return Limit(name=name, kind="flag", value=int(written == "true"), mode="hard")
    if isinstance(written, str):
        written = {"up_to": written}
    found = shape.LimitShape.model_validate(written)
    value = found.level if found.level is not None else found.quantity if found.quantity is not None else found.up_to
    kind = "level" if found.level is not None else "quantity" if found.quantity is not None else "integer"
    assert value is not None
    return Limit(
        name=name,
        kind="soft_hard" if found.hard is not None else kind,  # type: ignore[arg-type]
        value=value,
        hard=found.hard,
        counter=found.counter or "",
        mode=found.mode,
        grace_days=found.grace,
        warn_percent=found.warn_at,
        pooled=found.pooled,
    )


def _credit(found: shape.CreditShape) -> CreditRule:
    when: PayOutWhen = found.pay_out.removeprefix("when ")  # type: ignore[assignment]
    return CreditRule(when, found.after, tuple(found.over.items()))


def _version(reference: str, package: shape.PackageShape, limits: tuple[Limit, ...]) -> PackageVersion:
    return PackageVersion(
        package=reference,
        version=0,
        name=package.name,
        effective_on=package.effective_on,
        components=tuple(_component(name, found) for name, found in package.components.items()),
        limits=limits,
        countings=tuple(_counting(name, found) for name, found in package.counters.items()),
        proration=_proration(package.proration),
        changes=_changes(package.changes),
        term_months=package.term,
        trial_days=package.trial,
        nfr_included=None if package.nfr_included == "all" else package.nfr_included,
        rank=package.rank,
        dunning=ladder_of(package.dunning) if package.dunning else None,
        credit=_credit(package.credit) if package.credit else None,
    )


def _component(name: str, found: shape.ComponentShape) -> Component:
    months, days = found.every
    return Component(
        id=name,
        name=found.name,
        prices={currency: _price(price) for currency, price in found.price.items()},
        charge=NAMES.get(found.charge, found.charge),  # type: ignore[arg-type]
        quantity=_quantity(found.quantity),
        cadence=Cadence(months=months, days=days),
        mode=MODES[found.bill],
        reversible=found.refundable,
    )


def _quantity(found: shape.QuantityShape) -> Quantity:
    if found.counted is not None:
        other = found.or_if_more
        name, per = (other.counted, other.per) if other else ("", 1)
        return Counted(found.counted, found.minimum, name, per, found.by_day)
    return Fixed(found.fixed) if found.fixed is not None else Declared(found.minimum)


def _price(found: shape.PriceShape) -> Price:
    if found.flat is not None:
        return Flat(found.flat)
    if found.per_unit is not None:
        return PerUnit(found.per_unit)
    if found.block is not None:
        return Block(found.block.size, found.block.price, found.block.included)
    if found.allowance is not None:
        return Allowance(found.allowance.included, found.allowance.unit, found.allowance.flat)
    for model, tiers in ((Graduated, found.graduated), (Volume, found.volume), (Stairstep, found.stairstep)):
        if tiers is not None:
            return model(tuple(Tier(tier.up_to, tier.unit, tier.flat) for tier in tiers))
    raise AssertionError("a price has one model")


def _counting(name: str, found: shape.CounterShape) -> Counting:
    return Counting(
        counter=name,
        measure=found.measure,
        window=found.window,
        threshold_days=found.threshold_days,
        snapshot_day=found.snapshot_day,
        direction=found.direction,
        subject=found.subject,
        exclusions=tuple(Exclusion(one.subject, one.reason, one.from_, one.until) for one in found.exclude),
        folds=tuple(Fold(one.alias, one.main, one.from_, one.until) for one in found.fold),
    )


def _changes(found: shape.ChangesShape) -> ChangeRules:
    return ChangeRules(
        upgrade=NAMES.get(found.upgrade, found.upgrade),  # type: ignore[arg-type]
        downgrade=NAMES.get(found.downgrade, found.downgrade),  # type: ignore[arg-type]
        downgrade_within_days=found.downgrade_within,
        notice_days=found.notice,
        notice_from=NAMES.get(found.notice_from, found.notice_from),  # type: ignore[arg-type]
        cancel=NAMES.get(found.cancel, found.cancel),  # type: ignore[arg-type]
        pausing_reasons=found.billing_pauses_for,
    )


def _proration(found: shape.ProrationShape) -> Proration:
    return Proration(
        month_days=0 if found.days == "actual" else 30,
        leading=found.first_period,
        trailing=found.last_period,
        leading_base="aligned" if found.first_period_of == "grid" else "shifted",
        match_on=found.match_on,
        reverse_on=NAMES[found.reverse],  # type: ignore[arg-type]
        usage_correction=NAMES.get(found.usage_corrections, found.usage_corrections),  # type: ignore[arg-type]
        cycle_day_from=found.billing_day_from,
        grid_on_change=found.grid_on_change,
    )
