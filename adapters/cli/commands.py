"""All commands by name, with the line that `tally --help` has of each: the code of one is loaded when it is asked for.

Most of what a command costs is loading, and no command needs what the others do. So the help of the root and the
completion of a shell come from these tables, and a command or group from its modules. Source: ADR-0043.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS = {
    "bill": ("billing", "Issues everything that is owed through a date and not yet billed."),
    "preview": ("billing", "Shows what `bill` would issue: the same function without the append."),
    "explain": ("billing", "Tells where a number came from: rule, price version, events and counted names."),
    "limits": (
        "billing",
        "Shows limits against use: within, warn, grace, over or blocked, since when, pooled where so.",
    ),
    "verify": (
        "billing",
        "Checks the books: numbers without gaps, days billed once, sums, the log against the register.",
    ),
    "deliver": (
        "outgoing",
        "Sends what is due to endpoints and mailboxes, now; `tally scheduler` does it by itself. Any number may run.",
    ),
    "scheduler": (
        "operate",
        "Wakes billing by itself: every account on its billing day, in its zone. Several may run; one leads.",
    ),
    "worker": ("operate", "Carries out what the scheduler queued; start as many as you like, on as many machines."),
    "doctor": (
        "database",
        "Looks at the live schema and the log: portability rules, heads, clock, the role that may only add.",
    ),
    "retention": (
        "database",
        "Counts messages that were delivered and webhooks that were dealt with, older than TALLY_KEEP_DAYS (90).",
    ),
    "reconcile": (
        "reconcile",
        "Compares what providers took, gave back and paid out with our receipts and the bank's statements.",
    ),
    "serve": ("serve", "Takes webhooks in and shows customers their invoices, until Ctrl-C."),
    "sandbox": (
        "sandbox",
        "Speaks Stripe's and PayPal's protocols on loopback, with pages for customers; at the end it says what it"
        " took.",
    ),
    "demo": ("demo", "Shows the whole: counted, limited and billed for three months, on a database of its own."),
}
"""A command's module, and the first paragraph of its help."""

GROUPS = {
    "catalog": ("catalog", "Packages and prices: apply a catalog file, look at what is published."),
    "accounts": (
        "accounts credit:of_accounts ladder",
        "Customers and resellers: a tree of accounts, and who pays for whom.",
    ),
    "licenses": ("licenses", "Licenses: start, upgrade, downgrade, suspend, cancel, discount."),
    "counts": ("counts", "Counted users: import, close, measure under any definition, name them."),
    "invoices": ("invoices", "Issued invoices and credit notes."),
    "payments": ("payments returns credit:of_payments", "Money: open invoices, receipts, and the credit of accounts."),
    "bank": ("bank", "Bank transfers: import statements, settle invoices, clear suspense."),
    "providers": ("providers", "Providers of payments: whether they behave as we assume."),
    "webhooks": ("webhooks", "Webhooks: what providers told, what became of it, and what was missed."),
    "dunning": ("dunning", "Overdue invoices: reminders, retries, what stops, what brings it back."),
    "mail": ("mail", "Mails to accounts by SMTP: invoices, receipts, reminders."),
    "db": ("database:server", "The embedded database: start, stop, status."),
    "endpoints": ("outgoing:endpoints", "Webhooks that are sent when something happens: who is told what."),
    "deliveries": ("outgoing:deliveries", "Messages to endpoints and mailboxes: sent, waiting, dead."),
    "projections": ("database:projections", "Rows that follow the log: lag, rebuild, parked events."),
}
"""A group's parts, each MODULE or MODULE:NAME where the module has more than `app`; and its help."""


class Later(TyperCommand):
    """What is known of a command before it is loaded: its name and its line."""

    def loaded(self) -> Any:
        """The command or group itself."""
        if self.name in COMMANDS:
            return _merged(COMMANDS[self.name][0]).commands[self.name]
        return _merged(*GROUPS[str(self.name)])

    def make_context(self, *words: Any, **more: Any) -> Any:
        """The words of a command are for the command itself; who completes or runs it goes on with that."""
        return self.loaded().make_context(*words, **more)


class Root(TyperGroup):
    """The root of the command line, which loads what it is asked for."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, line) in (COMMANDS | GROUPS).items():
            self.add_command(Later(name=name, help=line))


def _merged(parts: str, line: str | None = None) -> TyperGroup:
    whole = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help=line, add_completion=False)
    for part in parts.split():
        module, _, name = part.partition(":")
        whole.add_typer(getattr(import_module(f"adapters.cli.{module}"), name or "app"))
    return typer.main.get_group(whole)
