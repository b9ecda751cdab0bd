"""One step along the log: what it takes is locked, read once, handed to every projection that wants it, and tracked.

All of it happens in the caller's transaction, so that a step is there wholly or not at all. Source: ADR-0031.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from domain.identity import ALL_BUCKETS
from projections.parking import Shares
from projections.projection import Cursor, Entry, Projection, Shared

TakeIn = Callable[[Cursor, Shares], None]

BATCH = 20_000
"""About as many events are taken in together."""
BUCKETS_AT_ONCE = 256
"""The most that one step takes, so that others find work too."""

CLAIM = """
SELECT c.* FROM unnest(%b::smallint[], %b::bigint[]) AS b(bucket, head), LATERAL claim(b.bucket, b.head, %b) c
LIMIT %b"""
READ = """
SELECT e.* FROM unnest(%b::smallint[], %b::bigint[], %b::bigint[]) AS s(bucket, after, upto),
LATERAL stretch(s.bucket, s.after, s.upto, %b) e"""
TRACK = """
UPDATE tracking t SET position = n.position FROM unnest(%b::text[], %b::smallint[], %b::bigint[])
AS n(projection, bucket, position) WHERE t.bucket = n.bucket AND t.projection = n.projection"""


class Stretch(NamedTuple):
    """What a projection takes in of a bucket: positions after `after`, up to `upto`, which is the same for all."""

    projection: str
    bucket: int
    after: int
    upto: int


def claim(cursor: Cursor, projections: Iterable[str], heads: Mapping[int, int], turn: int) -> list[Stretch]:
    """What nobody else works on, with as much of each bucket as makes about one batch together.

    Shapes: `heads` is how far to go in each bucket; `turn` is the one to begin at: followers that begin at different
    ones get less into each other's way.
    """
    names = list(projections)
    buckets = sorted(heads, key=lambda bucket: (bucket - turn) % ALL_BUCKETS)
    limit = BUCKETS_AT_ONCE * len(names)
    found = cursor.execute(CLAIM, [buckets, [heads[bucket] for bucket in buckets], names, limit]).fetchall()
    lowest: dict[int, int] = {}
    for _, bucket, after in found:
        lowest[bucket] = min(after, lowest.get(bucket, after))
    room = max(BATCH // max(len(lowest), 1), 20)
    uptos = {bucket: min(heads[bucket], after + room) for bucket, after in lowest.items()}
    stretches = [Stretch(name, bucket, after, uptos[bucket]) for name, bucket, after in found]
    return [one for one in stretches if one.after < one.upto]


def whole_log(cursor: Cursor, projection: str) -> Iterator[list[Stretch]]:
    """Everything that there is, a batch at a time; at most one stretch of a bucket is in a batch."""
    batch: list[Stretch] = []
    held = 0
    for bucket, head in cursor.execute("SELECT bucket, position FROM bucket_head WHERE position > 0").fetchall():
        for after in range(0, head, BATCH):
            batch.append(Stretch(projection, bucket, after, min(after + BATCH, head)))
            held += batch[-1].upto - after
            if held >= BATCH:
                yield batch
                batch, held = [], 0
    yield batch


def follow(cursor: Cursor, projections: Mapping[str, Projection], stretches: Sequence[Stretch], take_in: TakeIn) -> int:
    """Takes stretches in and moves the tracking with them; how many events that is.

    Positions have no gaps, so none is skipped.
    """
    if not stretches:
        return 0
    afters: dict[str, dict[int, int]] = defaultdict(dict)
    spans: dict[int, tuple[int, int]] = {}
    for name, bucket, after, upto in stretches:
        afters[name][bucket] = after
        spans[bucket] = min(after, spans.get(bucket, (after, upto))[0]), upto
    takers = [projections[name] for name in afters]
    entries = _read(cursor, spans, takers)
    take_in(cursor, _shares(takers, afters, entries))
    names, buckets, _, uptos = map(list, zip(*stretches, strict=True))
    cursor.execute(TRACK, [names, buckets, uptos])
    return sum(upto - after for after, upto in spans.values())


def _read(cursor: Cursor, spans: Mapping[int, tuple[int, int]], takers: Sequence[Projection]) -> list[Entry]:
    """The events that anybody wants, in order inside each bucket."""
    afters, uptos = map(list, zip(*spans.values(), strict=True))
    wanted = Counter(word for taker in takers for word in taker.topics)
    rows = cursor.execute(READ, [list(spans), afters, uptos, list(wanted)]).fetchall()
    shared = {topic: wanted[topic.partition(".")[0]] > 1 for topic in {row[4] for row in rows}}
    makes = {topic: (Shared if many else Entry)._make for topic, many in shared.items()}
    return [makes[row[4]](row) for row in sorted(rows)]


def _shares(takers: Sequence[Projection], afters: Mapping[str, Mapping[int, int]], entries: Sequence[Entry]) -> Shares:
    """What each wants and has not had; one alone wants all that was read for it."""
    if len(takers) == 1:
        return {takers[0]: entries}
    return {taker: _share(taker, afters[taker.name], entries) for taker in takers}


def _share(taker: Projection, afters: Mapping[int, int], entries: Sequence[Entry]) -> list[Entry]:
    """What one projection wants and has not had."""
    topics = {topic for topic in {entry.topic for entry in entries} if topic.partition(".")[0] in taker.topics}
    wanted = [entry for entry in entries if entry.topic in topics] if topics else []
    return [entry for entry in wanted if afters.get(entry.bucket, entry.position) < entry.position]
