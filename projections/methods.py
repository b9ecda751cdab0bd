"""By what accounts may be charged: a row for each method that is good, so that a provider's word finds its account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from domain.events import account as events
from projections.projection import Cursor, Entry, Projection

ADD = """INSERT INTO method_v1 VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (bucket, account, token)
DO UPDATE SET provider = excluded.provider, customer = excluded.customer, label = excluded.label"""
REMOVE = "DELETE FROM method_v1 WHERE bucket = %s AND account = %s AND token = %s"


class Methods(Projection):
    """Tokens of providers only; card numbers never come here."""

    name = "method_v1"
    tables = ("method_v1",)
    topics = frozenset({"account"})
    ddl: ClassVar[tuple[str, ...]] = (
        """CREATE TABLE IF NOT EXISTS method_v1 (
            bucket smallint NOT NULL, account uuid NOT NULL, provider text NOT NULL, customer text NOT NULL,
            token text NOT NULL, label text NOT NULL, PRIMARY KEY (bucket, account, token))""",
        "CREATE INDEX IF NOT EXISTS method_v1_token ON method_v1 (provider, token)",
    )

    def apply(self, cursor: Cursor, entries: Sequence[Entry]) -> None:
        for entry in entries:
            match entry.event:
                case events.PaymentMethodAdded() as added:
                    row = [entry.bucket, entry.stream, added.provider, added.customer, added.token, added.label]
                    cursor.execute(ADD, row)
                case events.PaymentMethodRemoved() as removed:
                    cursor.execute(REMOVE, [entry.bucket, entry.stream, removed.token])
