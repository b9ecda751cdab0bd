"""The words of the pages: the same ones in every language, every one of them shown, and none of another language."""

from __future__ import annotations

import html
import re
import string
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from adapters.language import FALLBACK, LANGUAGES, day, days, number, percent
from adapters.web.words import FOLDER, WORDS, wanted_of
from domain.application.accounts import ChangeAccount, OpenAccount
from domain.application.payments import BookReceipt, RecordOutcome, collection, issued
from domain.application.returns import GiveBack
from domain.events.account import Party
from domain.payment import Reply
from tests.builders import declared_package, publish, start
from tests.telling_provider import NOW, Telling
from tests.web.test_pages import FEBRUARY, LINKS, app_at, asked, page, pay


def blanks(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_every_language_has_the_same_words_with_the_same_blanks_and_says_none_of_them_in_english():
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(LANGUAGES)
    english = WORDS["en"].sentences
    for language in LANGUAGES:
        sentences = WORDS[language].sentences
        assert sentences.keys() == english.keys(), language
        for name, sentence in sentences.items():
            assert sentence.strip(), name
            assert blanks(sentence) == blanks(english[name]), (language, name)
        assert language == "en" or not set(sentences.values()) & set(english.values())


@pytest.mark.parametrize(("accepted", "language"), [
    ("", "en"), ("de", "de"), ("de-AT,de;q=0.9,en;q=0.8", "de"), ("en-GB,en;q=0.9,de;q=0.8", "en"),
    ("fr-FR, fr;q=0.9, de;q=0.4, en;q=0.3", "de"), ("fr,nl;q=0.5", "en"), ("DE", "de"), ("en;q=0.1, de ; q=0.2", "de"),
    ("de;q=0", "en"), ("de;q=0.000,fr", "en"), ("*", "en"), ("de;q=nan, en;q=x", "en"), ("de;q=9", "en"),
    ("deutsch", "en"), ("../../de", "en"), (",,;q=1,", "en"), ("de" * 4000, "en"), ("de,en", "de"), ("en,de", "en"),
])  # fmt: skip
def test_a_browser_is_answered_in_the_language_of_ours_that_it_wants_most(accepted, language):
    assert wanted_of(accepted) == language


def test_days_numbers_and_rates_are_written_as_the_language_does():
    march, leap = FEBRUARY + timedelta(days=31), FEBRUARY.replace(year=2024)
    assert [day(FEBRUARY, one) for one in LANGUAGES] == ["1. Februar 2025", "February 1, 2025"]
    assert [days(FEBRUARY, FEBRUARY + timedelta(days=1), one) for one in LANGUAGES] == ["1. Feb. 2025", "Feb 1, 2025"]
    assert [days(FEBRUARY, FEBRUARY, one) for one in LANGUAGES] == ["1. Feb. 2025", "Feb 1, 2025"]
    assert days(FEBRUARY, march, "de") == "1. Feb.\u2009–\u20093. März 2025"
    assert days(leap, FEBRUARY, "en") == "Feb 1, 2024\u2009–\u2009Jan 31, 2025"
    assert [number(Decimal("1234.56789"), one) for one in LANGUAGES] == ["1.234,56789", "1,234.56789"]
    assert [percent(Decimal("19.00"), one) for one in LANGUAGES] == ["19\xa0%", "19%"]
    assert [percent(Decimal("7.755"), one) for one in LANGUAGES] == ["7,755\xa0%", "7.755%"]


def an_account(tally: Tally, name: str, language: str, package: str = "declared") -> None:
    party = Party(name=f"{name.title()} GmbH", language=language)
    remittance = ("IBAN DE02 1203 0000 0000 2020 51",)
    tally.billing.execute(OpenAccount(name, party, "EUR", tax_percent=Decimal(19), remittance=remittance))
    start(tally, f"{name}-1", name, package, FEBRUARY, quantities={"seats": 1000})


def the_invoices(tally: Tally) -> list[UUID]:
    run_billing(tally, FEBRUARY, FEBRUARY)
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        found = connection.execute("SELECT invoice FROM receivable_v1 ORDER BY number").fetchall()
    return [invoice for (invoice,) in found]


def given_back(tally: Tally, invoice: UUID) -> Iterator[None]:
    found = issued(tally.billing, invoice)
    money = (found.account, "EUR", "bank:1")
    tally.billing.execute(BookReceipt(*money, "bank", found.gross, FEBRUARY, invoices=(invoice,)))
    yield
    tally.billing.execute(GiveBack(*money, "rt_1", "refund", found.gross, FEBRUARY))
    yield


def walked(tally: Tally, provider: Telling, monkeypatch: pytest.MonkeyPatch, language: str) -> Iterator[str]:
    """All that a customer can be shown: every state of an invoice, what buttons come to, and every fault."""
    publish(tally, declared_package(), declared_package("free", "0.00"))
    an_account(tally, "acme", language)
    an_account(tally, "gratis", language, "free")
    invoice, *others = the_invoices(tally)
    app = app_at(tally, provider)
    yield page(app, invoice)
    yield page(app_at(tally, provider, NOW + timedelta(days=15)), invoice)
    yield from (page(app, other) for other in others)
    for code in ("card_declined", "expired", "not_approved"):
        assert pay(app, invoice, "stripe").status == 303
        yield page(app, invoice)
        live = collection(tally.billing, invoice).live
        assert live is not None
        ended = Reply("cancelled", object=live.object, code=code)
        tally.billing.execute(RecordOutcome(invoice, live.opened.attempt, ended, FEBRUARY))
        yield page(app, invoice)
    with monkeypatch.context() as patch:
        patch.setattr("tests.telling_provider.PAGE", "javascript:alert(1)//")
        yield pay(app, invoice, "stripe").body.decode()
    provider.fault = lambda: "after"
    yield pay(app, invoice, "paypal").body.decode()
    yield page(app, invoice)
    provider.fault = lambda: ""
    live = collection(tally.billing, invoice).live
    assert live is not None
    tally.billing.execute(RecordOutcome(invoice, live.opened.attempt, Reply("pending"), FEBRUARY))
    yield page(app, invoice)
    tally.billing.execute(RecordOutcome(invoice, live.opened.attempt, Reply("cancelled", live.object), FEBRUARY))
    yield from (page(app, invoice) for _ in given_back(tally, invoice))
    yield asked(app, "/pay/nobody", language=language).body.decode()
    monkeypatch.setattr("adapters.web.pages.standing", lambda *_: 1 / 0)
    yield page(app, invoice, language)


def texts(shown: str) -> list[str]:
    """What stands on a page, piece by piece, in the order of the page."""
    pieces = (html.unescape(piece).strip() for piece in re.findall(r">([^<>]+)<", shown))
    return [part for piece in pieces if piece for part in piece.split(" · ")]


def as_shown(sentence: str) -> re.Pattern[str]:
    """A sentence of a file of words, whatever its blanks are filled in with."""
    parts = (re.escape(text) + (".+" if name else "") for text, name, _, _ in string.Formatter().parse(sentence))
    return re.compile("".join(parts))


DATA = re.compile(
    r"INV-\d+|(Acme|Gratis) GmbH|IBAN .*|Seats|(acme|gratis)-1|€?[\d.,]+(\xa0€)?"
    r"|15?\. Februar 2025|February 15?, 2025|1\.–28\. Feb\. 2025|Feb 1\u2009–\u200928, 2025"
)
"""What stands in the books, in the examples of this test."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_show_all_words_of_the_party_s_language_and_none_of_another_or_of_no_file(tally, monkeypatch, language):
    shown = list(walked(tally, Telling(), monkeypatch, language))
    assert all(f'<html lang="{language}">' in one for one in shown)
    pieces = {piece for one in shown for piece in texts(one)}
    own = {name: as_shown(sentence) for name, sentence in WORDS[language].sentences.items()}
    for name, sentence in own.items():
        meets = sentence.search if name.startswith("by_") else sentence.fullmatch
        assert any(map(meets, pieces)), f"nobody is ever shown {name}"
    for other in set(LANGUAGES) - {language}:
        for name, sentence in WORDS[other].sentences.items():
            whole = re.compile(rf"(?<!\w){as_shown(sentence).pattern}(?!\w)")
            assert not list(filter(whole.search, pieces)), (other, name)
    assert [one for one in pieces if not any(known.fullmatch(one) for known in (DATA, *own.values()))] == []


def test_the_party_s_language_goes_before_the_browser_s_and_the_browser_s_before_english(tally):
    publish(tally, declared_package())
    an_account(tally, "acme", "de")
    (invoice,) = the_invoices(tally)
    app = app_at(tally, Telling())

    def language(of_party: str, of_browser: str) -> str:
        party = Party(name="Acme GmbH", language=of_party)
        tally.billing.execute(ChangeAccount("acme", FEBRUARY, party=party))
        return page(app, invoice, of_browser).partition('lang="')[2][:2]

    assert language("de", "en") == "de"
    assert language("en", "de") == "en"
    assert language("", "de-AT,de;q=0.8,en;q=0.5") == "de"
    assert language("fr", "de") == "de"
    assert language("", "fr") == language("", "") == FALLBACK


def test_amounts_days_rates_and_quantities_stand_on_the_page_as_german_writes_them(tally):
    publish(tally, declared_package())
    an_account(tally, "acme", "de")
    (invoice,) = the_invoices(tally)
    found = page(app_at(tally, Telling()), invoice)
    for words in (
        "<title>Rechnung INV-000001</title>", "2.380,00\xa0€", "15. Februar 2025", "Steuer 19\xa0%",
        "Jetzt mit Karte bezahlen", "acme-1 · 1.–28. Feb. 2025 · Menge 1.000",
    ):  # fmt: skip
        assert words in found, words
    assert LINKS.token(invoice) in found
