"""Events outlive their shape: older versions are brought to today's, unknown ones stop the reader."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from domain.errors import IntegrityError
from domain.events import Event, decode, encode, looker, stored_name, topics
from domain.identity import Kind, account_bucket, bucket_of, kind_of, make_id, series_bucket


class Renamed(Event):
    """An event in its third shape."""

    TOPIC = "test.renamed"
    VERSION = 3
    name: str
    amount: int

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> dict[str, Any]:
        return {"title": state["t"], "amount": state["a"]}

    @staticmethod
    def upcast_v2_v3(state: dict[str, Any]) -> dict[str, Any]:
        return {"name": state["title"], "amount": state["amount"]}


class Named(msgspec.Struct, frozen=True):
    """Some of it."""

    name: str


@pytest.mark.parametrize(
    ("topic", "state"),
    [
        ("test.renamed", b'{"t": "x", "a": 5}'),
        ("test.renamed.2", b'{"title": "x", "amount": 5}'),
        ("test.renamed.3", b'{"name": "x", "amount": 5}'),
    ],
)
def test_every_older_version_loads_as_todays_also_in_part(topic, state):
    assert decode(topic, state) == Renamed(name="x", amount=5)
    assert looker(topic, Named)(state) == Named("x")


def test_an_event_is_stored_under_its_present_version_and_comes_back_equal():
    event = Renamed(name="x", amount=5)
    assert event.stored_as == "test.renamed.3"
    assert topics(Renamed) == ("test.renamed", "test.renamed.2", "test.renamed.3")
    assert decode(event.stored_as, encode(event)) == event


@pytest.mark.parametrize("topic", [stored_name("test.renamed", 4), "test.unheard_of"])
def test_a_version_or_topic_of_a_later_program_stops_the_reader(topic):
    with pytest.raises(IntegrityError, match="upgrade"):
        decode(topic, b"{}")
    with pytest.raises(IntegrityError, match="upgrade"):
        looker(topic, Named)


def test_an_identifier_carries_its_bucket_and_kind_and_is_the_same_for_the_same_names():
    for bucket in (0, 0x2A7, 1039):
        identifier = make_id(Kind.LICENSE, bucket, None, "acme", 1)
        assert (bucket_of(identifier), kind_of(identifier), identifier.version) == (bucket, Kind.LICENSE, 8)
        assert identifier == make_id(Kind.LICENSE, bucket, None, "acme", 1)
    assert make_id(Kind.LICENSE, 1, None, "ab", "c") != make_id(Kind.LICENSE, 1, None, "a", "bc")


def test_buckets_of_trees_and_series_never_change():
    assert (account_bucket("northwind"), series_bucket("INV"), series_bucket("CN")) == (886, 1035, 1026)
