"""Who is billed: the tree of accounts, with what finance lists of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from domain.events import account as events
from projections.projection import Cursor, Entry, Projection

OPEN = """
INSERT INTO account_v1 (bucket, account, reference, name, parent, payer, currency, zone, billing_day, tax_percent)
SELECT * FROM unnest(%s::smallint[], %s::uuid[], %s::text[], %s::text[], %s::uuid[], %s::uuid[], %s::text[], %s::text[],
%s::smallint[], %s::numeric[])"""


class Accounts(Projection):
    """One row for each account."""

    name = "account_v1"
    tables = ("account_v1", "pool_v1")
    topics = frozenset({"account"})
    ddl: ClassVar[tuple[str, ...]] = (
        """CREATE TABLE IF NOT EXISTS account_v1 (
            bucket smallint NOT NULL, account uuid NOT NULL, reference text NOT NULL, name text NOT NULL, parent uuid,
            payer uuid, currency text NOT NULL, zone text NOT NULL, billing_day smallint NOT NULL,
            tax_percent numeric NOT NULL, PRIMARY KEY (bucket, account))""",
        "CREATE INDEX IF NOT EXISTS account_v1_reference ON account_v1 (reference)",
        """CREATE TABLE IF NOT EXISTS pool_v1 (
            bucket smallint NOT NULL, account uuid NOT NULL, counter text NOT NULL, value bigint NOT NULL,
            PRIMARY KEY (bucket, account, counter))""",
    )

    def apply(self, cursor: Cursor, entries: Sequence[Entry]) -> None:
        """Accounts are opened all at once, before anything else that is told of them."""
        rows = [_row(entry, entry.event) for entry in entries if isinstance(entry.event, events.AccountOpened)]
        if rows:
            cursor.execute(OPEN, [list(column) for column in zip(*rows, strict=True)])
        for entry in entries:
            self._apply(cursor, entry)

    def _apply(self, cursor: Cursor, entry: Entry) -> None:
        event, key = entry.event, [entry.bucket, entry.stream]
        match event:
            case events.PartyChanged():
                _set(cursor, "name", event.party.name, key)
            case events.BillingDayChanged():
                _set(cursor, "billing_day", event.billing_day, key)
            case events.TaxRateChanged():
                _set(cursor, "tax_percent", event.tax_percent, key)
            case events.PayerChanged():
                _set(cursor, "payer", event.payer, key)
            case events.PoolSet(limit=None):
                pool = "DELETE FROM pool_v1 WHERE bucket = %s AND account = %s AND counter = %s"
                cursor.execute(pool, [*key, event.counter])
            case events.PoolSet():
                cursor.execute(
                    "INSERT INTO pool_v1 VALUES (%s, %s, %s, %s) "
                    "ON CONFLICT (bucket, account, counter) DO UPDATE SET value = excluded.value",
                    [*key, event.counter, event.limit],
                )


def _row(entry: Entry, event: events.AccountOpened) -> tuple[object, ...]:
    own = (event.reference, event.party.name, event.parent, event.payer, event.currency, event.zone)
    return (entry.bucket, entry.stream, *own, event.billing_day, event.tax_percent)


def _set(cursor: Cursor, column: str, value: object, key: Sequence[object]) -> None:
    cursor.execute(f"UPDATE account_v1 SET {column} = %s WHERE bucket = %s AND account = %s".encode(), [value, *key])
