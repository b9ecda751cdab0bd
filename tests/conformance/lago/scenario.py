"""Lago's scenarios: what exists, what happens, and what is asked for in between."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Any

from tests.conformance.lago.actions import act, known, pass_time, tick
from tests.conformance.lago.asked import follow, split
from tests.conformance.lago.invoices import Local, Partial, ZeroRow
from tests.conformance.lago.licenses import instant
from tests.conformance.lago.plans import has_price
from tests.conformance.lago.records import Records, in_advance, kind_of
from tests.conformance.lago.subscriptions import found_there
from tests.conformance.lago.world import World
from tests.conformance.verdict import Case, Differs, Forgiven, NotExpressible
from tests.conformance.words import number

TOTALS = ("total_amount_cents", "taxes_amount_cents", "coupons_amount_cents", "credit_notes_amount_cents")
STATES = ("active?", "terminated?", "pending?", "finalized?", "status")


def play(case: Case, forgiven: Forgiven) -> None:
    """One case: its steps in order, and what is asked after each."""
    known(case["steps"])
    world, asked, last = World(Records(case["records"], case["steps"])), Asked(forgiven), ""
    found_there(world)
    for step in case["steps"]:
        pass_time(world, instant(step["at"]))
        if "do" in step:
            act(world, step)
            asked.before.clear()
        else:
            if step["at"] > last:
                tick(world)
            for path, theirs in step["expect"].items():
                asked.compare(world, path, theirs)
        last = step["at"]
    asked.enough()


class Asked:
    """What a case asks for, and how much of it could be compared."""

    def __init__(self, forgiven: Forgiven) -> None:
        self.forgiven, self.compared, self.left = forgiven, 0, list[str]()
        self.before: dict[str, Any] = {}

    def compare(self, world: World, path: str, theirs: Any) -> None:
        """Raises: Differs when our answer is another one; NotExpressible when nothing told makes theirs another one."""
        if self.before.setdefault(path, theirs) != theirs:
            raise NotExpressible("something happens that the case does not tell")
        try:
            why = _beyond(world, path)
            if why:
                raise NotExpressible(why)
            self._same(world, path, follow(world, path), theirs)
        except ZeroRow:
            self.forgiven["zero row"] += 1
            return
        except NotExpressible as error:
            self.left.append(str(error))
            return
        self.compared += split(path, ".")[-1] not in STATES

    def enough(self) -> None:
        """Raises: NotExpressible when less of the case was compared than was left out."""
        if not self.compared or len(self.left) > self.compared:
            raise NotExpressible(self.left[0] if self.left else "nothing to compare")
        self.forgiven["not compared"] += len(self.left)

    def _same(self, world: World, path: str, ours: Any, theirs: Any) -> None:
        if theirs == "matcher":
            raise NotExpressible("a value that the case could not write down")
        if isinstance(theirs, list) and theirs and all(isinstance(one, dict) for one in theirs):
            raise NotExpressible("rows of which the case does not say the order")
        if isinstance(theirs, dict) and theirs:
            for name, value in theirs.items():
                self.compare(world, f"{path}.{name}", value)
        elif isinstance(ours, Local):
            _same_day(path, ours, theirs)
        elif isinstance(ours, Partial) and abs(ours - theirs) == 1:
            self.forgiven["tie"] += 1
        elif not _equal(ours, theirs):
            raise Differs(f"{path}: ours {ours}, theirs {theirs}")


def _equal(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, Fraction) or (isinstance(ours, str) and isinstance(theirs, int | float)):
        return number(ours) == number(theirs)
    return bool(ours == theirs)


def _same_day(path: str, ours: Local, theirs: str | None) -> None:
    """The same day where the customer is; what is not billed is left out or written as the moment of the start."""
    day = None
    if theirs:
        day = date.fromisoformat(theirs) if len(theirs) == 10 else ours.account.day(instant(theirs))
    if ours.day is None and day in (None, ours.start):
        return
    if ours.day != day:
        raise Differs(f"{path}: ours {ours.day}, theirs {day}")


def _beyond(world: World, path: str) -> str | None:
    """Why an expectation is not ours to answer, if so."""
    leaf = split(path, ".")[-1]
    if leaf in STATES or "invoice_subscriptions" in path or "commitment" in path:
        return None
    if world.coupons and leaf in TOTALS:
        return "a coupon over all lines of a document"
    sold = [row for sub in world.subs() for stage in sub.stages for row in stage.sold.charges()]
    usage = [row for row in sold if kind_of(row["ref"]) != "fixed_charge"]
    if any(in_advance(row) and row.get("regroup_paid_fees") for row in usage):
        return "usage that is on an invoice only once it is paid"
    if leaf.endswith("amount_cents") and ".fees.subscription." not in path and any(not has_price(row) for row in sold):
        return "a price that the case does not tell"
    return None
