"""Letters in words: every one in every language, amounts as ISO says, and data that stays data."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest

from adapters.language import LANGUAGES, money
from adapters.mail.render import FOLDER, letters, render
from domain.errors import NotFound
from domain.ladder import DEFAULT
from jobs.letters import WRITTEN, Letter

FIELDS: dict[str, Any] = {
    "name": "Acme Ltd", "link": "https://pay.example/i/1?a=1&b=2", "code": "expired_card", "number": "INV-000001",
    "currency": "EUR", "net": 200000, "tax": 38000, "gross": 238000, "issued_on": date(2025, 2, 1),
    "due_on": "2025-02-15", "open": 238000, "remittance": ["Bank of Examples", "IBAN DE00 0000"], "method": "",
    "amount": 238000, "paid_on": "2025-02-03", "from_on": "2025-03-01", "on": "2025-03-08", "reason": "trial_ended",
    "licenses": ["acme-guard", "acme-mail"], "wants_method": True,
}  # fmt: skip


def letter(template: str, language: str = "en", **more: Any) -> Letter:
    return Letter(template, language, "Acme Ltd", "a@acme.example", {**FIELDS, **more})


def test_every_language_has_every_letter_that_may_be_asked_for():
    wanted = {*WRITTEN.values(), *(step.remind for step in DEFAULT.steps if step.remind)}
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == set(LANGUAGES)
    for language in LANGUAGES:
        assert wanted <= set(letters(language)), language
        assert letters(language) == letters("en")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", letters("en"))
def test_a_letter_says_the_same_in_text_and_html_and_loads_nothing(template, language):
    words = render(letter(template, language), "Example Corp")
    assert words.subject
    assert "\n" not in words.subject
    plain = re.sub(r"[ \n]+", " ", words.text)
    shown = " ".join(re.sub(r"<[^>]+>", " ", words.html.partition("<h1")[2].partition(">")[2]).split())
    for paragraph in re.findall(r"<p [^>]*>([^<]+)</p>", words.html)[:-1]:
        assert paragraph.replace("&amp;", "&") in plain, paragraph
    assert "Acme Ltd" in plain
    assert "Acme Ltd" in shown
    assert not re.search(r"<(img|script|link|iframe|style)|url\(|src=", words.html)
    assert set(re.findall(r'href="([^"]+)"', words.html)) <= {"https://pay.example/i/1?a=1&amp;b=2"}
    assert "{{" not in words.text + words.html
    assert "None" not in words.text


@pytest.mark.parametrize("template", letters("en"))
def test_what_stands_in_data_can_neither_break_a_header_nor_bring_markup(template):
    evil = "x\r\nBcc: victim@example.com\n\n<img src=x onerror=alert(1)><script>{{7*7}}</script>\u202egnp"
    texts = {name: evil for name, value in FIELDS.items() if isinstance(value, str) and name not in DAYS}
    words = render(letter(template, **{**texts, "currency": "EUR", "licenses": [evil], "remittance": [evil]}))
    assert not re.search(r"[\r\n\u202e]", words.subject)
    assert "<img" not in words.html
    assert "<script" not in words.html
    assert "\u202e" not in words.text + words.html
    assert "49" not in words.html.replace("490", "")
    assert "href" not in words.html, "a link is of the web or is not there"


DAYS = {"due_on", "paid_on", "from_on", "on"}


@pytest.mark.parametrize(("amount", "currency", "language", "shown"), [
    (123456, "EUR", "en", "€1,234.56"), (123456, "EUR", "de", "1.234,56\xa0€"), (-5, "USD", "en", "-$0.05"),
    (123456, "JPY", "en", "¥123,456"), (123456, "KWD", "en", "KWD\xa0123.456"), (123456, "IQD", "en", "IQD\xa0123.456"),
    (123456, "LBP", "de", "1.234,56\xa0LBP"), (5, "ISK", "de", "5\xa0ISK"),
    (10**15, "HUF", "en", "HUF\xa010,000,000,000,000.00"),
])  # fmt: skip
def test_an_amount_has_the_decimals_that_its_currency_has_by_iso_4217(amount, currency, language, shown):
    assert money(amount, currency, language) == shown


def test_an_unknown_language_falls_back_to_english_and_an_unknown_letter_is_refused():
    assert render(letter("receipt", "xx")).language == "en"
    assert render(letter("receipt", "../../etc")).language == "en"
    for template in ("no_such", "../words", "words", "parts/open"):
        with pytest.raises(NotFound):
            render(letter(template))


def test_a_letter_says_what_to_do_by_how_the_account_pays():
    assert "charged to visa 4242" in render(letter("invoice_issued", method="visa 4242")).text
    assert "IBAN" not in render(letter("invoice_issued", method="visa 4242")).text
    assert "IBAN" in render(letter("invoice_issued")).text
    assert "nothing to do" in render(letter("invoice_issued", open=0)).text
    assert "https://" not in render(letter("invoice_issued", link="")).text
