"""What is told of every event that is told, from the samples of all events that were ever stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid5

import pytest

import adapters.bootstrap  # noqa: F401 - makes all events known
from domain.announcement import ANNOUNCED, TYPES, announce, body, wanted
from domain.events import Event, decode
from domain.events.account import AccountOpened, Party

SAMPLES = json.loads((Path(__file__).parent / "stored_events.json").read_text())
EVENTS = [decode(one["topic"], json.dumps(one["state"]).encode()) for one in SAMPLES]
TOLD = [event for event in EVENTS if type(event) in ANNOUNCED]
STREAM = uuid5(UUID(int=7), "stream")


class Before:
    """Everything that was ever stored stands before every event, with the ids that it names."""

    def __init__(self, event: Event) -> None:
        self.event = event

    def first(self, stream: UUID, kind: type) -> Event:
        if kind is AccountOpened:
            return AccountOpened(
                reference="acme", party=Party("Acme"), parent=None, payer=None, currency="EUR", billing_day=1,
                zone="UTC", tax_percent=Decimal(0),
            )  # fmt: skip
        return next(event for event in EVENTS if type(event) is kind)

    def earlier(self, kind: type) -> Sequence[Event]:
        if kind is type(self.event):
            return ()
        return [event for event in EVENTS if type(event) is kind]


def test_every_event_that_is_told_has_a_sample_and_every_type_an_event():
    assert {type(event) for event in TOLD} == set(ANNOUNCED)
    assert {kind.rpartition(".")[0] for kind in TYPES} == {
        "invoice", "credit_note", "payment", "refund", "dispute", "dunning", "license"
    }  # fmt: skip


@pytest.mark.parametrize("event", TOLD, ids=lambda event: type(event).__name__)
def test_an_announcement_has_a_known_type_and_is_plain_data(event):
    try:
        made = announce(event, STREAM, Before(event))  # type: ignore[arg-type]
    except StopIteration:
        pytest.fail("the samples name what is not among them")
    if made is None:
        return
    assert made.type in TYPES
    told = json.loads(body(made, "2025-02-01T00:00:00+00:00", 7))
    assert told["type"] == made.type
    assert told["data"]["sequence"] == 7
    assert told["data"]["account"] == "acme"
    assert not any(isinstance(value, float) for value in told["data"].values())


def test_a_pattern_names_types_and_nothing_else():
    assert wanted(["invoice.*"], "invoice.paid")
    assert not wanted(["invoice.*"], "credit_note.issued")
    assert wanted(["license.suspended", "refund.*"], "refund.failed")
    assert not wanted([], "refund.failed")
