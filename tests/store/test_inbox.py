"""The inbox on a real database: kept once, taken in once, parked where it cannot be matched yet, never lost."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from adapters.bootstrap import Tally
from adapters.doctor import inspect
from domain.application.payments import BindObject, OpenAttempt, collection
from domain.collection import Attempt
from domain.errors import NotFound, Unavailable
from domain.news import Hint, News, PaymentNews
from domain.payment import Reply
from jobs import inbox
from jobs.collect import Collector
from jobs.inbox import Entry, keep
from jobs.take_in import LISTED_FOR, PARKED_FOR, Processor, catch_up
from jobs.verify import verify
from tests.store.test_collect import invoices
from tests.store.test_payments import owed
from tests.telling_provider import NOW, Telling

FROM_A_WEBHOOK = [(b"content-type", b"application/json"), (b"authorization", b"Bearer secret")]


def processor(tally: Tally, provider: Telling, at: datetime = NOW) -> Processor:
    collector = Collector(tally.billing, {"stripe": provider}, lambda: at)
    return Processor(collector, tally.pool, tally.follower().catch_up)


def told(tally: Tally, hint: Hint, at: datetime = NOW) -> str:
    return keep(tally.pool, hint, FROM_A_WEBHOOK, at)


def waiting(tally: Tally, provider: Telling, invoice: UUID) -> Attempt:
    """A payment that was made at the provider, and not yet heard of."""
    attempt = tally.billing.execute(OpenAttempt(invoice, "stripe", NOW, customer="cus_1", method="visa"))
    made = provider.create(attempt.order())
    tally.billing.execute(BindObject(invoice, attempt.opened.attempt, made.object))
    provider.confirm(attempt.order(), made.object)
    return collection(tally.billing, invoice).attempt(attempt.opened.attempt)


def only(tally: Tally) -> Entry:
    (entry,) = inbox.listed(tally.pool)
    return entry


def alarms(tally: Tally) -> list[str]:
    return [found for check in verify(tally.pool) if check.name == "inbox" for found in check.found]


def test_what_a_provider_told_is_kept_once_and_taken_in_once_however_often_it_comes(tally):
    provider = Telling()
    attempt = waiting(tally, provider, *invoices(tally, 1))
    hint = provider.hint(attempt.object)
    with ThreadPoolExecutor(8) as workers:
        kept = list(workers.map(lambda _: told(tally, hint), range(25)))
    assert (kept.count("new"), kept.count("known")) == (1, 24)
    assert processor(tally, provider).process() == {"done": 1}
    assert processor(tally, provider).process() == {}
    inbox.replay(tally.pool, hint.event, NOW)
    assert processor(tally, provider).process() == {"done": 1}
    assert [left for _, _, left in owed(tally)] == [0]
    assert only(tally).state == "done"
    assert "secret" not in inbox.content(tally.pool, only(tally))[0]
    assert inspect(tally.pool.getconn()) == []


def test_two_processors_never_work_on_one_event_at_once(tally):
    class Counting(Telling):
        """Sees how many ask about an event at once."""

        at_work: Sequence[str] = ()
        lock = threading.Lock()
        met = False

        def news(self, hint: Hint) -> Sequence[News]:
            with self.lock:
                self.met |= hint.event in self.at_work
                self.at_work = [*self.at_work, hint.event]
            return super().news(hint)

    provider = Counting()
    for number in range(30):
        told(tally, provider.hint("nothing", f"evt_{number}"))
    with ThreadPoolExecutor(4) as workers:
        done = [one.result() for one in [workers.submit(processor(tally, provider).process) for _ in range(4)]]
    assert sum(one["foreign"] for one in done) == 30
    assert sorted(provider.asked) == sorted(f"evt_{number}" for number in range(30))
    assert not provider.met


def test_a_processor_that_is_killed_loses_nothing(tally):
    class Killed(BaseException):
        """The worker is gone."""

    class Deadly(Telling):
        """Kills whoever asks."""

        def news(self, hint: Hint) -> Sequence[News]:
            super().news(hint)
            raise Killed

    provider = Deadly()
    attempt = waiting(tally, provider, *invoices(tally, 1))
    told(tally, provider.hint(attempt.object))
    with pytest.raises(Killed):
        processor(tally, provider).process()
    assert (only(tally).state, only(tally).tries) == ("new", 0)
    provider.__class__ = Telling
    assert processor(tally, provider).process() == {"done": 1}
    assert [left for _, _, left in owed(tally)] == [0]


def test_news_of_a_payment_that_is_not_known_yet_is_parked_and_matched_later(tally):
    provider, (invoice,) = Telling(), invoices(tally, 1)
    attempt = Collector(tally.billing, {"stripe": provider}, lambda: NOW).offer(invoice, "stripe", "https://x.example")
    order = attempt.order()
    early = msgspec.structs.replace(order, attempt=UUID(int=order.attempt.int + 1))
    provider.create(early)
    told(tally, provider.hint(early.attempt.hex))
    assert processor(tally, provider).process() == {"later": 1}
    parked = only(tally)
    assert (parked.state, parked.tries, parked.next_at) == ("parked", 1, NOW + timedelta(seconds=2))
    provider.orders[early.attempt.hex] = msgspec.structs.replace(early, attempt=order.attempt)
    assert processor(tally, provider).process() == {}, "it is not due yet"
    provider.approve(attempt.object)
    told(tally, provider.hint(attempt.object))
    assert processor(tally, provider).process() == {"done": 1}
    assert alarms(tally) == []


def test_what_is_never_matched_stays_parked_with_an_alarm_and_is_not_dropped(tally):
    provider, (invoice,) = Telling(), invoices(tally, 1)
    order = waiting(tally, provider, invoice).order()
    provider.orders["lost"] = msgspec.structs.replace(order, attempt=UUID(int=order.attempt.int + 1))
    told(tally, provider.hint("lost"))
    now, tries = NOW, 0
    while (entry := only(tally)).next_at is not None:
        now, tries = entry.next_at, tries + 1
        assert processor(tally, provider, now).process() == {"later" if now - NOW <= PARKED_FOR else "parked": 1}
    assert now - NOW > PARKED_FOR
    assert 70 < tries < 100
    assert entry.state == "parked"
    assert [one.split(":")[0] for one in alarms(tally)] == ["stripe evt_lost is parked"]
    inbox.mark_seen(tally.pool, "evt_lost", now)
    assert alarms(tally) == []
    inbox.replay(tally.pool, "evt_lost", now)
    assert processor(tally, provider, now).process() == {"parked": 1}


def test_while_a_provider_is_silent_its_events_wait_and_are_never_given_up(tally):
    provider = Telling(is_silent=True)
    attempt = waiting(tally, provider, *invoices(tally, 1))
    told(tally, provider.hint(attempt.object))
    for days in range(10):
        assert processor(tally, provider, NOW + timedelta(days=days)).process() == {"later": 1}
    assert only(tally).state == "new"
    provider.is_silent = False
    assert processor(tally, provider, NOW + timedelta(days=11)).process() == {"done": 1}


def test_a_fault_of_this_program_parks_one_event_and_the_others_go_on(tally):
    provider = Telling()
    attempt = waiting(tally, provider, *invoices(tally, 1))
    told(tally, Hint("stripe", "evt_0", "a.kind", NOW, b'{"no": "object"}'))
    told(tally, provider.hint(attempt.object))
    assert processor(tally, provider).process() == {"later": 1, "done": 1}
    assert inbox.named(tally.pool, "evt_0")[0].why == "KeyError: 'about'"


def test_news_that_does_not_fit_is_set_aside_and_settles_nothing(tally):
    provider = Telling()
    first, second = invoices(tally, 2)
    attempt, other = waiting(tally, provider, first), waiting(tally, provider, second)
    # An object that names another payment's attempt, and one that took another amount than was asked for.
    provider.news = lambda hint: [PaymentNews(other.object, attempt.opened.attempt, first)]  # type: ignore[method-assign]
    told(tally, provider.hint(other.object, "evt_1"))
    assert processor(tally, provider).process() == {"quarantined": 1}
    del provider.news
    provider._answer = lambda name: Reply("succeeded", name, "ch_1", 2381, "EUR")  # type: ignore[method-assign]
    told(tally, provider.hint(attempt.object, "evt_2"))
    assert processor(tally, provider).process() == {"quarantined": 1}
    assert [left for _, _, left in owed(tally)] == [2380, 2380]
    assert len(alarms(tally)) == 2


def test_another_body_under_a_known_name_is_an_alarm_and_overwrites_nothing(tally):
    provider = Telling()
    first = provider.hint("a", "evt_1", pending_webhooks=2)
    assert told(tally, first) == "new"
    assert told(tally, provider.hint("a", "evt_1", pending_webhooks=1)) == "known"
    for _ in "12":
        assert told(tally, provider.hint("b", "evt_1")) == "other"
    assert keep(tally.pool, provider.hint("c", "evt_1"), (), NOW) == "known", "a list words events in its own way"
    assert [(one.event[:6], one.state) for one in inbox.listed(tally.pool)] == [
        ("evt_1~", "quarantined"),
        ("evt_1", "new"),
    ]
    assert inbox.content(tally.pool, inbox.listed(tally.pool)[1])[1] == first.body
    assert len(alarms(tally)) == 1


def test_the_poller_keeps_what_webhooks_missed_and_goes_on_from_where_it_was(tally):
    provider = Telling()
    attempt = waiting(tally, provider, *invoices(tally, 1))
    provider.events = [
        provider.hint("old", "evt_1", NOW - LISTED_FOR - timedelta(hours=1)),
        provider.hint(attempt.object, "evt_2", NOW - timedelta(days=29)),
        provider.hint("came by webhook", "evt_3", NOW - timedelta(minutes=30)),
    ]
    told(tally, provider.hint("came by webhook", "evt_3"))
    provider.is_silent = True
    with pytest.raises(Unavailable):
        catch_up(provider, tally.pool, NOW)
    assert [one.event for one in inbox.listed(tally.pool)] == ["evt_3", "evt_2"], "what came is kept"
    provider.is_silent = False
    assert catch_up(provider, tally.pool, NOW) == {"known": 2}, "from the beginning again: the last one broke off"
    later = NOW + timedelta(hours=3)
    provider.events.append(provider.hint("new", "evt_4", later))
    assert catch_up(provider, tally.pool, later) == {"known": 1, "new": 1}, "an hour of overlap"
    assert processor(tally, provider, later).process() == {"done": 1, "foreign": 2}
    assert [left for _, _, left in owed(tally)] == [0]


def test_events_are_listed_in_pages_the_newest_first_and_unknown_names_are_said_to_be_unknown(tally):
    provider = Telling()
    for number, minute in enumerate((2, 0, 1, 0, 3)):
        told(tally, provider.hint("x", f"evt_{number}"), NOW + timedelta(minutes=minute))
    page = inbox.listed(tally.pool, limit=2)
    assert [one.event for one in page] == ["evt_4", "evt_0"]
    behind = inbox.listed(tally.pool, "new", "stripe", page[-1].event)
    assert [one.event for one in behind] == ["evt_2", "evt_3", "evt_1"], "those of one instant by name"
    assert inbox.listed(tally.pool, after="evt_3", limit=1) == behind[-1:]
    for asks in (
        inbox.named,
        lambda pool, event: inbox.replay(pool, event, NOW),
        lambda p, e: inbox.listed(p, after=e),
    ):
        with pytest.raises(NotFound, match="evt_9"):
            asks(tally.pool, "evt_9")
