"""Who is billed: the tree of accounts, with what finance lists of each.

Who pays, the billing day and the rate of tax change from a day on, which may be long after the change was recorded:
`ON_DAY` tells what holds on a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import ClassVar

from domain.events import account as events
from projections.projection import Cursor, Entry, Projection

OPEN = """
INSERT INTO account_v2 (bucket, account, reference, name, parent, payer, currency, zone, billing_day, tax_percent)
SELECT * FROM unnest(%s::smallint[], %s::uuid[], %s::text[], %s::text[], %s::uuid[], %s::uuid[], %s::text[], %s::text[],
%s::smallint[], %s::numeric[])"""
CHANGE = "INSERT INTO account_change_v1 VALUES (%s, %s, %s, %s, %s, %s)"

_CHANGED = """(SELECT bucket, account, max(value) FILTER (WHERE what = 'payer')::uuid AS payer,
max(value) FILTER (WHERE what = 'billing_day')::smallint AS billing_day,
max(value) FILTER (WHERE what = 'tax_percent')::numeric AS tax_percent
FROM (SELECT DISTINCT ON (bucket, account, what) bucket, account, what, value FROM account_change_v1
    WHERE since <= %(on)s ORDER BY bucket, account, what, since DESC, version DESC) held GROUP BY bucket, account)"""
ON_DAY = f"""(SELECT a.bucket, a.account, a.reference, a.name, a.parent, a.currency, a.zone,
coalesce(c.payer, a.payer, a.account) AS payer, coalesce(c.billing_day, a.billing_day) AS billing_day,
coalesce(c.tax_percent, a.tax_percent) AS tax_percent
FROM account_v2 a LEFT JOIN {_CHANGED} c ON c.bucket = a.bucket AND c.account = a.account)"""
"""Accounts as they are billed on the day `on`; who pays for itself is its own `payer`."""


class Accounts(Projection):
    """One row for each account as it was opened, but for its name, and one for each change from a day on."""

    name = "account_v2"
    tables = ("account_v2", "account_change_v1", "pool_v1")
    topics = frozenset({"account"})
    ddl: ClassVar[tuple[str, ...]] = (
        "DROP TABLE IF EXISTS account_v1",
        """CREATE TABLE IF NOT EXISTS account_v2 (
            bucket smallint NOT NULL, account uuid NOT NULL, reference text NOT NULL, name text NOT NULL, parent uuid,
            payer uuid, currency text NOT NULL, zone text NOT NULL, billing_day smallint NOT NULL,
            tax_percent numeric NOT NULL, PRIMARY KEY (bucket, account))""",
        "CREATE INDEX IF NOT EXISTS account_v2_reference ON account_v2 (reference)",
        """CREATE TABLE IF NOT EXISTS account_change_v1 (
            bucket smallint NOT NULL, account uuid NOT NULL, what text NOT NULL, since date NOT NULL,
            version integer NOT NULL, value text NOT NULL, PRIMARY KEY (bucket, account, what, since, version))""",
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
                cursor.execute(
                    "UPDATE account_v2 SET name = %s WHERE bucket = %s AND account = %s", [event.party.name, *key]
                )
            case events.BillingDayChanged():
                self._change(cursor, entry, "billing_day", event.effective_on, event.billing_day)
            case events.TaxRateChanged():
                self._change(cursor, entry, "tax_percent", event.effective_on, event.tax_percent)
            case events.PayerChanged():
                self._change(cursor, entry, "payer", event.effective_on, event.payer or entry.stream)
            case events.PoolSet(limit=None):
                pool = "DELETE FROM pool_v1 WHERE bucket = %s AND account = %s AND counter = %s"
                cursor.execute(pool, [*key, event.counter])
            case events.PoolSet():
                cursor.execute(
                    "INSERT INTO pool_v1 VALUES (%s, %s, %s, %s) "
                    "ON CONFLICT (bucket, account, counter) DO UPDATE SET value = excluded.value",
                    [*key, event.counter, event.limit],
                )

    def _change(self, cursor: Cursor, entry: Entry, what: str, since: date, value: object) -> None:
        cursor.execute(CHANGE, [entry.bucket, entry.stream, what, since, entry.version, str(value)])


def _row(entry: Entry, event: events.AccountOpened) -> tuple[object, ...]:
    own = (event.reference, event.party.name, event.parent, event.payer, event.currency, event.zone)
    return (entry.bucket, entry.stream, *own, event.billing_day, event.tax_percent)
