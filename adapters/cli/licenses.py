"""`tally licenses`: what was sold, and every change of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import islice
from typing import Annotated, Any
from uuid import UUID

import typer

from adapters.bootstrap import Tally
from adapters.cli.accounts import number
from adapters.cli.amounts import Money
from adapters.cli.invoices import shown_line
from adapters.cli.opened import opened
from adapters.cli.printing import show, table_of
from adapters.cli.session import (
    After,
    CommandId,
    Day,
    Limit,
    OptionalDay,
    a_day,
    command_id,
    on_day,
    quantities_of,
    today,
)
from domain.application import Command
from domain.application.accounts import account_named
from domain.application.licensing import (
    CancelLicense,
    ChangeLicense,
    CommitLicense,
    GrantDiscount,
    ReactivateLicense,
    ResumeLicense,
    StartLicense,
    SuspendLicense,
    When,
    WithdrawCancellation,
    WithdrawChange,
    WithdrawDiscount,
    license_named,
)
from domain.errors import Invalid
from domain.history import Located
from domain.identity import Kind, bucket_of
from domain.license import License
from jobs.preview import effect

app = typer.Typer()

Reference = Annotated[str, typer.Argument(help="your own reference of the license")]
Quantity = Annotated[list[str] | None, typer.Option("--quantity", "-q", help="component=quantity; repeat it")]


def _done(command: Command, id: str, answer: dict[str, Any], sentence: str) -> Any:
    with opened() as tally:
        result = tally.billing.execute(command, command_id=command_id(id))
    show(answer, sentence)
    return result


@app.command("start")
def start(
    reference: Reference,
    account: Annotated[str, typer.Option(help="who has it")],
    package: Annotated[str, typer.Option(help="what is sold")],
    on: Annotated[date, on_day("first day of service")],
    quantity: Quantity = None,
    version: Annotated[int, typer.Option(help="0: the one sold on that day")] = 0,
    type: Annotated[str, typer.Option(help="production, trial or nfr")] = "production",
    term_months: Annotated[int | None, typer.Option(min=0, max=1200, help="another term than the package's")] = None,
    id: CommandId = "",
) -> None:
    """Sells a package to an account."""
    if type not in ("production", "trial", "nfr"):
        raise Invalid(f"{type!r} is not production, trial or nfr")
    command = StartLicense(
        reference=reference, account=account, package=package, start_on=on, version=version,
        quantities=quantities_of(quantity or ()), type=type, term_months=term_months,  # type: ignore[arg-type]
    )  # fmt: skip
    _done(command, id, {"license": reference}, f"license {reference} starts on {on}")


@app.command("change")
def change(
    reference: Reference,
    package: Annotated[str, typer.Option(help="another package (default: the same)")] = "",
    version: Annotated[int, typer.Option(help="another version of it")] = 0,
    quantity: Quantity = None,
    type: Annotated[str, typer.Option(help="production, trial or nfr")] = "",
    when: Annotated[str, typer.Option(help="policy, now, renewal, or a day")] = "policy",
    on: OptionalDay = None,
    preview: Annotated[bool, typer.Option(help="only show what it would cost or give back")] = False,
    id: CommandId = "",
) -> None:
    """Upgrades or downgrades a license, when its package allows it; --preview shows the money first."""
    at = on or today()
    command = ChangeLicense(
        license=reference, today=at, package=package, version=version, quantities=quantities_of(quantity or ()),
        type=type or None, when=_when(when),  # type: ignore[arg-type]
    )  # fmt: skip
    with opened() as tally:
        if preview:
            _preview(tally, command, reference, at)
            return
        result = tally.billing.execute(command, command_id=command_id(id))
    if result is None:
        show({"license": reference, "repeated": True}, "that was done already")
        return
    show({"license": reference, "change": result[0], "effective_on": result[1]}, f"{result[0]} from {result[1]}")


def _when(text: str) -> When:
    if text in ("policy", "now", "renewal"):
        return text  # type: ignore[return-value]
    try:
        return a_day(text)
    except typer.BadParameter as error:
        raise Invalid(f"--when: {error.message}, nor policy, now or renewal") from None


def _preview(tally: Tally, command: ChangeLicense, reference: str, at: date) -> None:
    """The money effect of a change: what the next run through its day would issue with it, less without it."""
    outcome = command.handle(tally.billing)
    if outcome.refusal:
        raise outcome.refusal
    license = license_named(tally.billing, reference)
    facts = [
        Located((one.originator_id, one.originator_version), one.body) for one in outcome.aggregates[0].pending_events
    ]
    effective_on = outcome.answer[1]
    tally.follower().catch_up()
    found = effect(tally.pool, tally.packages, license.id, facts, max(at, effective_on))
    currency, net = found.currency, Money(found.net, found.currency)
    told = [(line, line.kind, line.amount) for line in found.lines]
    gone = [(line, "instead of", -line.amount) for line in found.instead_of]
    rows = [(line.text, kind, line.start, line.end, Money(amount, currency)) for line, kind, amount in [*told, *gone]]
    answer = {
        "license": reference,
        "effective_on": effective_on,
        "currency": currency,
        "net": net,
        "lines": [shown_line(line, currency) for line in found.lines],
        "instead_of": [shown_line(line, currency) for line in found.instead_of],
    }
    title = f"From {effective_on}: {net} net"
    show(answer, table_of(title, ["line", "kind", "from", "until", "net"], rows, right=["net"]))


@app.command("withdraw-change")
def withdraw_change(reference: Reference, change: str, on: OptionalDay = None, id: CommandId = "") -> None:
    """Takes back a scheduled change."""
    command = WithdrawChange(license=reference, change=change, today=on or today())
    _done(command, id, {"license": reference, "withdrawn": change}, f"{change} withdrawn")


@app.command("suspend")
def suspend(
    reference: Reference,
    reason: Annotated[str, typer.Option(help="unpaid, fair_use, trial_ended, manual …")],
    on: OptionalDay = None,
    id: CommandId = "",
) -> None:
    """Stops service for one reason; reasons are kept apart."""
    command = SuspendLicense(license=reference, reason=reason, from_on=on or today())
    _done(command, id, {"license": reference, "suspended": reason}, f"{reference} suspended: {reason}")


@app.command("resume")
def resume(
    reference: Reference, reason: Annotated[str, typer.Option()], on: OptionalDay = None, id: CommandId = ""
) -> None:
    """Clears one reason of a suspension."""
    command = ResumeLicense(license=reference, reason=reason, on=on or today())
    _done(command, id, {"license": reference, "cleared": reason}, f"{reference}: {reason} cleared")


@app.command("cancel")
def cancel(
    reference: Reference,
    on: Annotated[date | None, on_day("the day of the notice (default: today)")] = None,
    end_on: Annotated[date | None, on_day("first day without service (default: by the rules)")] = None,
    why: str = "",
    id: CommandId = "",
) -> None:
    """Ends a license, by its package's notice and end rules or on a day: on its first, as if it had never started."""
    command = CancelLicense(license=reference, notice_on=on or today(), end_on=end_on, why=why)
    with opened() as tally:
        _check_notice(license_named(tally.billing, reference), command)
        ends = tally.billing.execute(command, command_id=command_id(id))
    show({"license": reference, "end_on": ends}, f"{reference} ends on {ends}")


def _check_notice(license: License, command: CancelLicense) -> None:
    """A notice before the start of what has begun is mistyped: by the rules all of it would be given back.

    Raises: Invalid, unless it says when the license ends.
    """
    begin = license.start_on
    if command.end_on is None and license.end_on is None and command.notice_on < begin <= today():
        raise Invalid(
            f"{license.reference} started on {begin}, after the notice of {command.notice_on}; to end it as if it had "
            f"never started say --end-on {begin}"
        )


@app.command("uncancel")
def uncancel(reference: Reference, on: OptionalDay = None, id: CommandId = "") -> None:
    """Takes a cancellation back before the end."""
    command = WithdrawCancellation(license=reference, on=on or today())
    _done(command, id, {"license": reference}, f"{reference} goes on")


@app.command("reactivate")
def reactivate(reference: Reference, on: OptionalDay = None, id: CommandId = "") -> None:
    """Lets an ended license serve again."""
    command = ReactivateLicense(license=reference, from_on=on or today())
    _done(command, id, {"license": reference}, f"{reference} serves again")


@app.command("commit")
def commit(
    reference: Reference,
    component: Annotated[str, typer.Option()],
    quantity: Annotated[int, typer.Option(min=0)],
    on: Day,
    until: OptionalDay = None,
    id: CommandId = "",
) -> None:
    """Promises to pay for at least a quantity of a component."""
    command = CommitLicense(license=reference, component=component, quantity=quantity, from_on=on, until=until)
    _done(command, id, {"license": reference}, f"{reference} is committed to {quantity} {component}")


@app.command("discount")
def discount(
    reference: Reference,
    name: Annotated[str, typer.Option(help="the discount's own id")],
    on: Day,
    percent_off: Annotated[str, typer.Option("--percent", help="percent off")] = "",
    amount_off: Annotated[str, typer.Option("--amount", help="amount off each period")] = "",
    component: Annotated[str, typer.Option(help="of one component (default: of all)")] = "",
    periods: Annotated[int, typer.Option(min=0, help="for so many periods; 0: for good")] = 0,
    id: CommandId = "",
) -> None:
    """Grants a percentage or an amount off."""
    command = GrantDiscount(
        license=reference, discount=name, from_on=on, component=component, periods=periods,
        percent=number(percent_off, "--percent") if percent_off else None,
        amount=number(amount_off, "--amount") if amount_off else None,
    )  # fmt: skip
    _done(command, id, {"license": reference, "discount": name}, f"discount {name} granted")


@app.command("end-discount")
def end_discount(reference: Reference, name: str, on: Day, id: CommandId = "") -> None:
    """Ends a discount: periods that begin on or after the day are without it."""
    command = WithdrawDiscount(license=reference, discount=name, on=on)
    _done(command, id, {"license": reference, "discount": name}, f"discount {name} ends on {on}")


@app.command("list")
def list_licenses(
    account: Annotated[str, typer.Option(help="of one account")] = "", limit: Limit = 50, after: After = ""
) -> None:
    """Lists licenses by reference, as they stand today."""
    with opened() as tally:
        wanted = account_named(tally.billing, account).id if account else None
        rows = list(islice(_listed(tally, wanted, after), limit))
    columns = [name.replace("_", " ") for name in rows[0]] if rows else ["license"]
    show(rows, table_of("Licenses", columns, [list(row.values()) for row in rows]))


def _listed(tally: Tally, account: UUID | None, after: str) -> Iterator[dict[str, Any]]:
    """The licenses behind a reference, of one account or of all, however many others stand between them."""
    while names := tally.billing.names(Kind.LICENSE, after, 1000):
        for name in names:
            license = license_named(tally.billing, name)
            if account in (None, license.account):
                yield _row(license, tally.log.reference_of(Kind.ACCOUNT, license.account) if license.account else "")
        after = names[-1]


def _row(license: Any, owner: str) -> dict[str, Any]:
    on = today()
    held = license.current(on)
    scheduled = license.scheduled_after(on)
    return {
        "license": license.reference,
        "account": owner,
        "package": f"{held.package} v{held.version}",
        "type": held.type,
        "start_on": license.start_on,
        "end_on": license.end_on,
        "suspended": ", ".join(license.suspensions()),
        "scheduled": ", ".join(f"{c.change}: {c.package} on {c.effective_on}" for c in scheduled),
    }


@app.command("show")
def show_license(reference: Reference, on: OptionalDay = None) -> None:
    """Shows a license with all its changes: current, scheduled, withdrawn, refused and why."""
    at = on or today()
    with opened() as tally:
        license = license_named(tally.billing, reference)
        tally.follower().catch_up()
        with tally.pool.connection() as connection:
            found = connection.execute(
                "SELECT change, effective_on, package, version, type, quantities, direction, state, reason "
                "FROM change_v1 WHERE bucket = %s AND license = %s ORDER BY effective_on, change",
                [bucket_of(license.id), license.id],
            ).fetchall()
        owner = tally.log.reference_of(Kind.ACCOUNT, license.account) if license.account else ""
    changes = [_told(row, license.current(at), at) for row in found]
    title = f"{reference} of {owner}, from {license.start_on}{f' until {license.end_on}' if license.end_on else ''}"
    columns = ["change", "from", "package", "type", "quantities", "direction", "state", "reason"]
    rows = [list({**one, "quantities": _pairs(one["quantities"])}.values()) for one in changes]
    show({**_row(license, owner), "changes": changes}, table_of(title, columns, rows))


def _pairs(quantities: dict[str, int]) -> str:
    """As they are given on the command line."""
    return " ".join(f"{component}={number}" for component, number in quantities.items())


def _told(row: Sequence[Any], current: Any, on: date) -> dict[str, Any]:
    change, effective_on, package, version, kind, quantities, direction, state, reason = row
    if state == "agreed":
        held = change == getattr(current, "change", "start")
        state = "current" if held else "scheduled" if effective_on > on else "past"
    return {
        "change": change,
        "effective_on": effective_on,
        "package": f"{package} v{version}" if version else package,
        "type": kind,
        "quantities": quantities,
        "direction": direction,
        "state": state,
        "reason": reason,
    }
