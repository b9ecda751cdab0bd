"""Where every chase stands: one row for each invoice that was ever overdue, waited for, or written off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from domain.events import Event
from domain.events import dunning as events
from domain.ladder import EFFECTS
from projections.projection import Cursor, Entry, Projection

START = """INSERT INTO dunning_v1 (bucket, invoice, is_started, licenses, next_on) VALUES (%s, %s, true, %s, %s)
ON CONFLICT (bucket, invoice) DO UPDATE SET is_started = true, ended = '', stage = '', effect = 'none',
licenses = excluded.licenses, reached_on = NULL, next_on = excluded.next_on, retry_after = NULL"""
REACH = """UPDATE dunning_v1 SET stage = %s, reached_on = %s, next_on = %s, retry_after = coalesce(%s, retry_after),
effect = CASE WHEN array_position(%s, effect) < array_position(%s, %s) THEN %s ELSE effect END
WHERE bucket = %s AND invoice = %s"""
PAUSE = """INSERT INTO dunning_v1 (bucket, invoice, pauses, waited, restores)
VALUES (%s, %s, jsonb_build_object(%s::text, %s::date), ARRAY[%s], %s)
ON CONFLICT (bucket, invoice) DO UPDATE SET pauses = dunning_v1.pauses || excluded.pauses,
waited = dunning_v1.waited || excluded.waited, restores = dunning_v1.restores OR excluded.restores"""
RESUME = """UPDATE dunning_v1 SET pauses = pauses - %s::text, next_on = coalesce(%s, next_on),
restores = restores AND %s <> 'by_hand' WHERE bucket = %s AND invoice = %s"""
END = """INSERT INTO dunning_v1 (bucket, invoice, ended) VALUES (%s, %s, %s) ON CONFLICT (bucket, invoice) DO UPDATE
SET ended = excluded.ended, restores = false, pauses = '{}', waited = '{}', next_on = NULL, retry_after = NULL"""


class Dunning(Projection):
    """The chase of each invoice.

    Shapes: `state` waiting | chasing | paused | written_off | ended; `pauses` by key, each with the day it lasts until
    or null; `waited` the keys that were waited for; `retry_after` the attempts made before the last charge that the
    ladder asked for; `effect` the harshest reached, which `licenses` feel unless a pause `restores` them; `ended` why.
    """

    name = "dunning_v1"
    tables = ("dunning_v1",)
    topics = frozenset({"dunning"})
    ddl: ClassVar[tuple[str, ...]] = (
        """CREATE TABLE IF NOT EXISTS dunning_v1 (
            bucket smallint NOT NULL, invoice uuid NOT NULL, is_started boolean NOT NULL DEFAULT false,
            licenses uuid[] NOT NULL DEFAULT '{}', restores boolean NOT NULL DEFAULT false,
            stage text NOT NULL DEFAULT '', effect text NOT NULL DEFAULT 'none', reached_on date, next_on date,
            pauses jsonb NOT NULL DEFAULT '{}', waited text[] NOT NULL DEFAULT '{}', retry_after integer,
            ended text NOT NULL DEFAULT '', state text NOT NULL GENERATED ALWAYS AS (CASE
                WHEN ended = 'written_off' THEN ended WHEN ended <> '' THEN 'ended' WHEN NOT is_started THEN 'waiting'
                WHEN pauses <> '{}'::jsonb THEN 'paused' ELSE 'chasing' END) STORED,
            PRIMARY KEY (bucket, invoice))""",
    )

    def apply(self, cursor: Cursor, entries: Sequence[Entry]) -> None:
        for entry in entries:
            _apply(cursor, entry.bucket, entry.event)


def _apply(cursor: Cursor, bucket: int, event: Event) -> None:
    match event:
        case events.DunningStarted():
            cursor.execute(START, [bucket, event.invoice, list(event.licenses), event.next_on])
        case events.StageReached():
            harsher = [list(EFFECTS), list(EFFECTS), event.effect, event.effect]
            step = [event.stage, event.on, event.next_on, event.attempts if event.retry else None]
            cursor.execute(REACH, [*step, *harsher, bucket, event.invoice])
        case events.DunningPaused():
            key, until = event.key, event.until
            cursor.execute(PAUSE, [bucket, event.invoice, key, until, key, event.restores])
        case events.DunningResumed():
            cursor.execute(RESUME, [event.key, event.next_on, event.why, bucket, event.invoice])
        case events.DunningEnded():
            cursor.execute(END, [bucket, event.invoice, event.why])
