"""`tally reconcile`: our books against each provider's, and payouts against the bank."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Annotated

import typer

from adapters.bootstrap.payments import collector_of
from adapters.bootstrap.providers import provider_of
from adapters.cli.amounts import Listing
from adapters.cli.opened import opened
from adapters.cli.printing import named, progress, show, table_of
from adapters.cli.session import OptionalDay
from jobs.reconcile import Difference, Reconciled, reconcile

app = typer.Typer()
DIFFERENCE = Listing(Difference._fields, ["ours", "theirs"])


@app.command("reconcile")
def reconcile_all(
    since: OptionalDay = None,
    provider: Annotated[str, typer.Option(help="only this one: stripe or paypal")] = "",
) -> int:
    """Compares what providers took, gave back and paid out with our receipts and the bank's statements.

    Reads 30 days unless told since when. Exit status 3 when anything differs but payouts that are still on their way.
    """
    until = datetime.now(UTC)
    begin = datetime.combine(since, time(), UTC) if since else until - timedelta(days=30)
    found: dict[str, Reconciled] = {}
    with opened() as tally:
        asked = {provider: provider_of(tally, provider)} if provider else collector_of(tally).providers
        tally.follower().catch_up()
        for name, one in asked.items():
            with progress(f"reading {name}", None) as done:
                found[name] = reconcile(one, tally.pool, begin, until, done)
    _print(found)
    serious = [one for each in found.values() for one in each.differences if one.what != "not at the bank"]
    return 3 if serious else 0


def _print(found: dict[str, Reconciled]) -> None:
    differences = {name: [DIFFERENCE.filled(one) for one in each.differences] for name, each in found.items()}
    answer = {
        name: {
            "payments": each.payments, "payouts": each.payouts, "at_bank": each.at_bank,
            "differences": [named(DIFFERENCE.columns, one) for one in differences[name]],
        }
        for name, each in found.items()
    }  # fmt: skip
    words = [
        f"{name}: {each.payments} payments compared, {each.at_bank} of {each.payouts} payouts at the bank"
        for name, each in found.items()
    ]
    rows = [(name, *DIFFERENCE.cells(one)) for name, each in differences.items() for one in each]
    table = table_of("\n".join(words), ["provider", *DIFFERENCE.shown], rows, right=["ours", "theirs"])
    show(answer, table if rows else "\n".join(words))
