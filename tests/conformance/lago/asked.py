"""What a Lago scenario asks for: a path over customers, subscriptions, invoices and fees, followed over our documents.

An invoice is what a document charges, its credit notes are what it gives back; a fee is what the lines of one
component on it come to.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Callable
from typing import Any

from tests.conformance.lago.invoices import Fee, Invoice, invoices_of
from tests.conformance.lago.shown import Customer, FixedCharge, Ordered, Subscription, observed
from tests.conformance.lago.world import World
from tests.conformance.verdict import Differs, NotExpressible

PART = re.compile(r"^([\w:#]*[?!]?)(?:\((.*)\))?((?:\[.*\])*)$", re.DOTALL)
FEE_KINDS = ("subscription", "charge", "fixed_charge", "commitment")


def split(text: str, at: str) -> list[str]:
    """Cuts a text where a sign stands outside of all brackets and quotes."""
    parts, depth, quoted, last = [""], 0, False, ""
    for sign in text:
        quoted ^= sign == "'"
        depth += (sign in "([{") - (sign in ")]}")
        if sign == at and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += sign
        last = sign
    return parts if last or text else []


def follow(world: World, path: str) -> Any:
    """What a path leads to.

    Raises: NotExpressible for a word that we do not have; Differs where it leads to nothing.
    """
    first, *rest = split(path, ".")
    found, so_far = _root(world, first), first
    for part in rest:
        found, so_far = _part(world, found, part), f"{so_far}.{part}"
        if isinstance(found, Subscription) and world.meant.setdefault(so_far, found.ref) != found.ref:
            raise NotExpressible("one of several subscriptions, and not said which")
    return found


def _root(world: World, part: str) -> Any:
    name, _, keys = _read(part)
    if name == "json":
        return _keyed(world.usage, keys)
    if name.startswith("customer#"):
        return Customer(world, world.account(name))
    if name.startswith("organization#"):
        return {"events": observed(world)}
    if name.startswith("plan#"):
        return {"fixed_charges": [FixedCharge(row) for row in world.records.of(world.records[name], "fixed_charge")]}
    if name == "FixedChargeEvent":
        return [Ordered(sub, order, n) for sub in world.subs() for n, order in enumerate(sub.ordered)]
    if name == "Invoice":
        return [one for account in world.accounts.values() for one in invoices_of(world, account)]
    if name == "Fee":
        return [fee for account in world.accounts.values() for one in invoices_of(world, account) for fee in one.fees]
    raise NotExpressible(f"no word for {name}")


def _read(part: str) -> tuple[str, str | None, list[str]]:
    found = PART.match(part)
    if found is None:
        raise NotExpressible(f"no way to read {part}")
    name, args, keys = found.groups()
    return name, args, re.findall(r"\[([^\]]*)\]", keys or "")


def _part(world: World, on: Any, part: str) -> Any:
    name, args, keys = _read(part)
    if args == "by-block" or (name in ("map", "flat_map", "max_by", "reject") and args is None):
        raise NotExpressible("a selector that the case could not write down")
    word = name.rstrip("?!")
    if on is None:
        raise Differs(f"{word} of nothing")
    return _keyed(_listed(world, on, word, args) if isinstance(on, list) else _held(on, word), keys)


def _keyed(on: Any, keys: list[str]) -> Any:
    for key in keys:
        try:
            on = on[key.strip("'")] if key.startswith("'") else on[int(key)]
        except KeyError:
            raise NotExpressible(f"no word for {key}") from None
        except (IndexError, TypeError):
            raise Differs(f"{key} of nothing") from None
    return on


def _held(on: Any, name: str) -> Any:
    if name == "round":
        return on
    if name in ("iso8601", "to_i"):
        return on
    try:
        return on[name] if isinstance(on, dict) else getattr(on, name)
    except (KeyError, AttributeError):
        raise NotExpressible(f"no word for {name}") from None


def _listed(world: World, on: list[Any], name: str, args: str | None) -> Any:
    if name in PLACES:
        if args:
            raise NotExpressible("several at once")
        return PLACES[name](on)
    if name == "order":
        return sorted(on, key=lambda one: one.number, reverse=bool(args and args.endswith("=desc")))
    if name in ("where", "find_by", "find", "reject"):
        if args is None:
            raise NotExpressible("all that is not")
        kept = [one for one in on if _matches(world, one, args) != (name == "reject")]
        return next(iter(kept), None) if name.startswith("find") else kept
    if name in ("sum", "pluck"):
        values = [_held(one, args or "") for one in on]
        return sum(values) if name == "sum" else values
    return _narrowed(on, name)


def _narrowed(on: list[Any], name: str) -> list[Any]:
    """The fees of a kind, the invoices or subscriptions in a state."""
    if name in FEE_KINDS and all(isinstance(one, Fee) for one in on):
        return [one for one in on if one.kind == name]
    if name == "subscription" and all(isinstance(one, Invoice) for one in on):
        return on
    if name in ("active", "terminated", "pending", "finalized"):
        return [one for one in on if _held(one, name)]
    raise NotExpressible(f"no word for {name}")


def _matches(world: World, one: Any, args: str) -> bool:
    for condition in split(args, ","):
        name, _, wanted = condition.strip().partition("=")
        ours, theirs = _name(_held(one, name)), _value(world, wanted)
        if ours not in theirs if wanted.startswith("[") else ours != _name(theirs):
            return False
    return True


def _value(world: World, written: str) -> Any:
    if written == "None":
        return None
    if written.startswith("{"):
        return literal_eval(written)
    if written.startswith("["):
        return [_value(world, one.strip()) for one in split(written[1:-1], ",")]
    if "." in written and "#" in written and not written.endswith(".external_id"):
        return follow(world, written)
    return written.strip("'")


def _name(value: Any) -> Any:
    return getattr(value, "ref", value)


def _sole(on: list[Any]) -> Any:
    if len(on) > 1 and all(isinstance(one, Subscription) for one in on):
        raise NotExpressible("one of several subscriptions, and not said which")
    if len(on) != 1:
        raise Differs(f"{len(on)} where there is to be one")
    return on[0]


def _at(place: int) -> Callable[[list[Any]], Any]:
    def found(on: list[Any]) -> Any:
        return on[place] if -len(on) <= place < len(on) else None

    return found


PLACES: dict[str, Callable[[list[Any]], Any]] = {
    "first": _at(0), "second": _at(1), "third": _at(2), "fourth": _at(3), "last": _at(-1),
    "sole": _sole, "sample": _at(0), "count": len, "size": len, "sort": sorted,
}  # fmt: skip
