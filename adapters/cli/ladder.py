"""`tally accounts dunning`: by which ladder an account is chased, and a ladder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from adapters.bootstrap import Tally
from adapters.catalog_file.read import read_ladder
from adapters.cli.accounts import Reference
from adapters.cli.opened import opened
from adapters.cli.printing import show, table_of
from adapters.cli.session import today
from domain.account import Account
from domain.application.accounts import SetLadder, account_named
from domain.application.dunning import ladder_for
from domain.errors import Invalid
from domain.ladder import DEFAULT, Ladder, Step
from domain.license import License
from jobs.credit import paid_for

app = typer.Typer()
STEPS = ["step", "after", "retry", "remind", "effect", "restores", "ends", "billing"]


@app.command("dunning")
def chased_by(
    reference: Reference,
    ladder: Annotated[str, typer.Option(help="a file with a `dunning` section; see docs/dunning.md")] = "",
    packages: Annotated[bool, typer.Option("--packages", help="the ladder of its packages again")] = False,
) -> None:
    """Shows by which ladder overdue invoices of an account are chased, or gives it a ladder of its own.

    Without one it is the mildest of the packages on an invoice. A chase that runs keeps the one it began with.
    """
    if ladder and packages:
        raise Invalid("say --ladder FILE or --packages")
    own = read_ladder(Path(ladder)) if ladder else None
    with opened() as tally:
        if own or packages:
            tally.billing.execute(SetLadder(reference, own))
        account = account_named(tally.billing, reference)
        found = ladder_for(tally.billing, account, _sold(tally, account))
    whose = "its own" if account.ladder else "of its packages" if found != DEFAULT else "nobody said otherwise"
    _show(reference, whose, found)


def _sold(tally: Tally, account: Account) -> Iterator[tuple[str, int]]:
    """What the account is billed for: the package versions of licenses that have not ended."""
    tally.follower().catch_up()
    on = today()
    for one in paid_for(tally.pool, account.id, on):
        license = tally.billing.find(License, one, "license")
        if license.end_on is None or on < license.end_on:
            held = license.current(on)
            yield held.package, held.version


TITLES = {
    "its own": "a ladder of its own",
    "of its packages": "the mildest ladder of its packages",
    "nobody said otherwise": "the default ladder",
}


def _show(reference: str, whose: str, ladder: Ladder) -> None:
    days = "calendar days" if ladder.days == "calendar" else f"business days ({ladder.calendar})"
    title = f"{reference} is chased by {TITLES[whose]}, in {days} since an invoice is due"
    answer = {"account": reference, "whose": whose, "ladder": ladder}
    show(answer, table_of(title, STEPS, map(_row, ladder.steps), right=["after"]))


def _row(step: Step) -> tuple[str, ...]:
    after = f"{step.after} day" if step.after == 1 else f"{step.after} days"
    ends = {"step": "at once", "period": "with the period"}[step.ends_on] if step.ends else ""
    effect = step.effect.replace("_", " ")
    retry, billing = "yes" if step.retry else "", "pauses" if step.pauses_billing else ""
    return step.name, after, retry, step.remind, effect, step.restores, ends, billing
