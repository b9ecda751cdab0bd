"""The one door: a command goes in, events come out, all of them or none.

A command is data with a `handle` that loads aggregates, lets them decide, and returns what is to be saved. It carries
an id: repeating it is a no-op, the same id with another body is refused. A version conflict is tried again from the
start, with fresh aggregates. A command never calls the outside world. Source: ADR-0004, ADR-0008.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

import msgspec
from eventsourcing.application import Application
from eventsourcing.persistence import IntegrityError as RecordedAlready
from eventsourcing.persistence import Mapper, StoredEvent

from domain.aggregate import Aggregate, Recorded, project
from domain.errors import Conflict, DuplicateRequest, NotFound, Refusal, Stale
from domain.events import decode, encode
from domain.identity import ALL_BUCKETS, Kind, bucket_of, digest
from domain.ports import Rows

TRIES = 5
A = TypeVar("A", bound=Aggregate)


class Outcome(NamedTuple):
    """What a command decided: aggregates with new events, rows that must be exact, and what the caller is told.

    Shapes: `rows` are added and `ended` are taken away, both as "table (column, …)" → tuples.
    """

    aggregates: tuple[Aggregate, ...]
    rows: Rows = MappingProxyType({})
    ended: Rows = MappingProxyType({})
    answer: Any = None
    refusal: Refusal | None = None


class Command(Protocol):
    """Data with a decision."""

    def handle(self, billing: Billing) -> Outcome:
        """Loads aggregates, lets them decide, returns what is to be saved. Raises: Refusal."""


class BodyMapper(Mapper[UUID]):
    """Stores event bodies as JSON under their topics, and reads them back typed."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        body = domain_event.body
        return StoredEvent(domain_event.originator_id, domain_event.originator_version, body.stored_as, encode(body))

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        identifier = stored_event.originator_id
        assert isinstance(identifier, UUID)
        return Recorded(identifier, stored_event.originator_version, decode(stored_event.topic, stored_event.state))


class Billing(Application[UUID]):
    """Everything that can be asked to happen."""

    name = "tally"
    snapshot_class = None

    def construct_mapper(self) -> Mapper[UUID]:
        return BodyMapper(self.construct_transcoder())

    def execute(self, command: Command, *, command_id: UUID | None = None, now: datetime | None = None) -> Any:
        """Carries out a command once; its answer, or None when the command id was carried out before.

        Raises: Refusal when a rule says no; DuplicateRequest when the id was used with another body; Stale when others
        kept changing the same things.
        """
        body = digest(type(command).__name__, _said(command)) if command_id else b""
        for _ in range(TRIES):
            outcome = self._decide(command, command_id, body)
            if outcome is None:
                return None
            try:
                exact = {"rows": outcome.rows, "ended": outcome.ended}
                self.save(*outcome.aggregates, command=command_id, body=body, now=now, **exact)
            except RecordedAlready:
                continue
            if outcome.refusal:
                raise outcome.refusal
            return outcome.answer
        raise Stale(f"{type(command).__name__} was overtaken {TRIES} times")

    def _decide(self, command: Command, command_id: UUID | None, body: bytes) -> Outcome | None:
        """What the command decides now, or None when it was carried out already.

        The rule is asked first only because it says in which bucket to look; when it refuses because the command is
        already done, being done wins.
        """
        if command_id is None:
            return command.handle(self)
        try:
            outcome = command.handle(self)
        except Refusal:
            if self._carried_out(range(ALL_BUCKETS), command_id, body):
                return None
            raise
        buckets = {bucket_of(aggregate.id) for aggregate in outcome.aggregates}
        return None if self._carried_out(buckets, command_id, body) else outcome

    def _carried_out(self, buckets: Iterable[int], command_id: UUID, body: bytes) -> bool:
        """Whether it was, and was not refused: what was refused is refused again, however often it is asked."""
        stored = self.recorder.said(list(buckets), command_id)  # type: ignore[attr-defined]
        if stored is None:
            return False
        said, topic, state = stored
        if said != body:
            raise DuplicateRequest(f"command {command_id} was used before with another body")
        if refusal := decode(topic, state).refusal:
            raise Conflict(refusal)
        return True

    def save(self, *objs: Any, **kwargs: Any) -> list[Any]:
        """Stores the pending events of aggregates; the library's own loop checks a runtime protocol for each event,
        which is two thirds of its time."""
        events = [event for aggregate in objs for event in aggregate.collect_events()]
        stored = [self.mapper.to_stored_event(event) for event in events]
        self.recorder.insert_events(stored, **kwargs)
        return []

    def resolve(self, kind: Kind, names: Sequence[str]) -> dict[str, UUID]:
        """The identifiers of things by the references that people use; unknown ones are left out."""
        return self.recorder.resolve(int(kind), names)  # type: ignore[attr-defined,no-any-return]

    def names(self, kind: Kind, after: str = "", limit: int = 10_000) -> list[str]:
        """The references of things of a kind, in order, behind one."""
        return self.recorder.names(int(kind), after, limit)  # type: ignore[attr-defined,no-any-return]

    def references(self, kind: Kind, identifiers: Iterable[UUID]) -> dict[UUID, str]:
        """The references that people use for things of a kind."""
        return self.recorder.references(int(kind), identifiers)  # type: ignore[attr-defined,no-any-return]

    def find(self, kind: type[A], identifier: UUID, what: str) -> A:
        """An aggregate as of now.

        Raises: NotFound when nothing was recorded of it.
        """
        events = self.events.get(identifier)
        found = project(None, events)
        if found is None:
            raise NotFound(f"there is no {what}")
        assert isinstance(found, kind)
        return found

    def find_or_new(self, kind: type[A], identifier: UUID) -> A:
        """An aggregate as of now; a new one when nothing was recorded of it."""
        try:
            return self.find(kind, identifier, "stream")
        except NotFound:
            return kind(identifier)


def _said(command: Command) -> bytes:
    """What the caller said: a repetition is carried out at another moment, which the command may note as UNSAID."""
    unsaid: tuple[str, ...] = getattr(command, "UNSAID", ())
    words = {name: getattr(command, name) for name in getattr(command, "__struct_fields__", ()) if name not in unsaid}
    return msgspec.json.encode(words)
