"""PayPal's own pages in the sandbox, where a customer approves or goes away: buttons, and a plain POST of the same."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from urllib.parse import parse_qsl, urlencode

from adapters.sandbox.desk import Answer, Asked
from adapters.sandbox.paypal_books import Books
from adapters.sandbox.paypal_vault import Tokens
from adapters.sandbox.paypal_words import PAYERS


def page(asked: Asked, books: Books, tokens: Tokens) -> Answer | None:
    """The answer of a page, None for what is none."""
    form = dict(parse_qsl(asked.body.decode(errors="replace")))
    if asked.path == "/checkoutnow":
        return _checkout(asked, form, books)
    if asked.path == "/agreements/approve":
        return _agreement(asked, form, tokens)
    if asked.path == "/myaccount/autopay":
        return _autopay(asked, tokens)
    return None


def _checkout(asked: Asked, form: Mapping[str, str], books: Books) -> Answer:
    number = asked.query.get("token", "")
    held = books.order(number)
    if held is None:
        return Answer(404, _html("This payment is not there any more", ""))
    if asked.method != "POST":
        amount = held["order"]["purchase_units"][0]["amount"]
        return Answer(200, _html(f"Pay {amount['value']} {amount['currency_code']}", _buttons()))
    if (payer := form.get("payer", "")) in PAYERS:
        books.approve(number, payer)
    return _back(held["return_url"], {"token": number, "PayerID": "SANDBOXPAYER1"} if payer else {"token": number})


def _agreement(asked: Asked, form: Mapping[str, str], tokens: Tokens) -> Answer:
    number = asked.query.get("approval_session_id", "")
    held = tokens.set_ups.get(number)
    if held is None:
        return Answer(404, _html("This agreement is not there any more", ""))
    if asked.method != "POST":
        return Answer(200, _html("Agree to be charged from now on", _buttons()))
    if (payer := form.get("payer", "")) in PAYERS:
        tokens.approve(number, payer)
    return _back(held["return_url"], {"approval_token_id": number})


def _autopay(asked: Asked, tokens: Tokens) -> Answer:
    """Where a buyer takes a method back."""
    token = asked.query.get("vault_id", "")
    if asked.method == "POST":
        tokens.revoke(token)
    if token not in tokens.tokens:
        return Answer(200, _html("Nothing is charged by this method any more", ""))
    return Answer(200, _html(f"You are charged by {token}", '<button name="revoke" value="1">Take it back</button>'))


def _back(return_url: str, words: Mapping[str, str]) -> Answer:
    if not return_url:
        return Answer(200, _html("Thank you: you may close this page", ""))
    return Answer(303, "", {"Location": return_url + ("&" if "?" in return_url else "?") + urlencode(words)})


def _buttons() -> str:
    names = "".join(
        f'<p><button name="payer" value="{name}">{name}</button> {escape(payer.about)}</p>'
        for name, payer in PAYERS.items()
    )
    return f'{names}<p><button name="payer" value="">Cancel</button></p>'


def _html(title: str, inner: str) -> str:
    return (
        f"<!doctype html><meta charset=utf-8><title>PayPal sandbox</title><h1>{escape(title)}</h1>"
        f'<form method="post">{inner}</form>'
    )
