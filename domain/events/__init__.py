"""The stored schema: every event is pure data with an explicit topic and version, reviewed like a migration.

A body holds no identifier of its own stream and no timestamp: `recorded at` is a column of the log, `effective on`
a field. A change of shape makes a new VERSION and an upcaster, and upcasters are kept forever. Source: ADR-0003.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar, TypeVar, dataclass_transform

import msgspec

from domain.errors import IntegrityError

S = TypeVar("S")

_ENCODER = msgspec.json.Encoder()
_STORED: dict[str, tuple[type[Event], int]] = {}
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {}


@dataclass_transform(frozen_default=True, kw_only_default=True)
class EventMeta(msgspec.StructMeta):
    """Lets type checkers know that every event is a frozen, keyword-only dataclass."""


class Event(msgspec.Struct, frozen=True, kw_only=True, metaclass=EventMeta):
    """A fact that was recorded.

    Shapes: stored under TOPIC, from version 2 on with the version behind it ("invoice.issued.2"); older versions pass
    through static methods `upcast_v1_v2(state: dict) -> dict` of the class.
    """

    TOPIC: ClassVar[str]
    VERSION: ClassVar[int] = 1
    stored_as: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.stored_as = stored_name(cls.TOPIC, cls.VERSION)
        for version in range(1, cls.VERSION + 1):
            _STORED[stored_name(cls.TOPIC, version)] = (cls, version)

    @property
    def refusal(self) -> str:
        """Why the command that recorded it was refused; "" for one that was carried out."""
        return ""


def stored_name(topic: str, version: int) -> str:
    """The name that a version of an event is stored under."""
    return topic if version == 1 else f"{topic}.{version}"


def topics(event_class: type[Event]) -> tuple[str, ...]:
    """Every name that an event was ever stored under."""
    return tuple(stored_name(event_class.TOPIC, version) for version in range(1, event_class.VERSION + 1))


def known_events() -> dict[str, type[Event]]:
    """All events by the name they are stored under today."""
    return {name: cls for name, (cls, version) in _STORED.items() if version == cls.VERSION}


def encode(event: Event) -> bytes:
    """The body as it is stored: JSON."""
    return _ENCODER.encode(event)


def decode(topic: str, state: bytes) -> Event:
    """The event of a stored body, brought to today's version.

    Raises: IntegrityError for a topic or version that this program does not know; reading must stop, never skip.
    """
    decoder = _DECODERS.get(topic)
    if decoder is not None:
        return decoder.decode(state)  # type: ignore[no-any-return]
    cls, version = _known(topic)
    if version == cls.VERSION:
        _DECODERS[topic] = msgspec.json.Decoder(cls)
        return decode(topic, state)
    return msgspec.convert(_today(cls, version, state), cls)


def looker(topic: str, kind: type[S]) -> Callable[[bytes], S]:
    """Reads some fields of the stored events of a topic into a struct of them: what it does not name costs nothing.

    Raises: IntegrityError as `decode` does.
    """
    cls, version = _known(topic)
    read: Callable[[bytes], S] = _partial(kind).decode  # type: ignore[arg-type]
    return read if version == cls.VERSION else lambda state: read(_ENCODER.encode(_today(cls, version, state)))


@lru_cache
def _partial(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _known(topic: str) -> tuple[type[Event], int]:
    try:
        return _STORED[topic]
    except KeyError:
        raise IntegrityError(f"the log holds {topic!r}, which this program does not know: upgrade it") from None


def _today(cls: type[Event], version: int, state: bytes) -> Any:
    """A body brought to today's version, not yet typed."""
    body = msgspec.json.decode(state)
    for older in range(version, cls.VERSION):
        upcast: Callable[[Any], Any] = getattr(cls, f"upcast_v{older}_v{older + 1}")
        body = upcast(body)
    return body
