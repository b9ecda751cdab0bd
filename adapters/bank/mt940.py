"""MT940: SWIFT's statement, read by the mt-940 library; what it would let pass is checked on the raw lines before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import mt940
from mt940.models import Options  # type: ignore[attr-defined]

from domain.errors import BadFile, Fault, Invalid
from domain.money import minor
from domain.statement import Statement, Transfer

MOVEMENT = re.compile(r":61:\d{6}(\d{4})?R?[CD][A-Z]?\d{1,12},\d{0,3}[NFS][A-Z0-9]{3}.*")
BALANCE = re.compile(r":6[02][FM]:[CD]\d{6}[A-Z]{3}\d{1,12},\d{0,3}")
READING = Options(reversal_sign=True)
"""Without it the library books the reversal of a credit as money that came in."""


def read_mt940(file: str, content: bytes) -> list[Statement]:
    """The statements of a file, one for each :20: in it. Raises: BadFile with file, line and field."""
    text = content.decode("utf-8-sig") if _is_utf8(content) else content.decode("cp1252", "replace")
    lines = text.splitlines()
    faults = list(_line_faults(file, lines))
    if faults:
        raise BadFile(faults)
    starts = [number for number, line in enumerate(lines) if line.startswith(":20:")]
    if not starts:
        raise BadFile([Fault(file, 1, ":20:", "no statement begins here", "not_a_statement")])
    ends = [*starts[1:], len(lines)]
    return [_statement(file, lines[start:end], start + 1) for start, end in zip(starts, ends, strict=True)]


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _line_faults(file: str, lines: list[str]) -> Iterator[Fault]:
    for number, line in enumerate(lines, start=1):
        if line.startswith(":61:") and not MOVEMENT.fullmatch(line):
            yield Fault(file, number, ":61:", "not a movement with date, mark and amount such as C23,80", "movement")
        if re.match(":6[02][FM]:", line) and not BALANCE.fullmatch(line.strip()):
            yield Fault(file, number, line[:5], "not a balance such as C250131EUR100,00", "balance")
        if "\0" in line:
            yield Fault(file, number, "", "a character that no text has", "character")


def _statement(file: str, lines: list[str], first: int) -> Statement:
    at = [first + number for number, line in enumerate(lines) if line.startswith(":61:")]
    try:
        found = mt940.parse("\n".join(lines) + "\n", options=READING)
        opening, closing = (_balance(found.data, side) for side in ("opening", "closing"))
        currency = opening.amount.currency
        if len(found) != len(at) or closing.amount.currency != currency:
            raise Invalid("movements or currencies are not those of the balances")
        transfers = tuple(_transfer(one.data, currency, line) for one, line in zip(found, at, strict=True))
        number = "/".join(filter(None, (found.data.get("statement_number"), found.data.get("sequence_number"))))
        account = str(found.data.get("account_identification", "")).replace(" ", "")
        before, after = (minor(one.amount.amount, currency) for one in (opening, closing))
        return Statement(account, number, currency, before, after, _day(closing.date), transfers, line=first)
    except (Invalid, ValueError, KeyError, RuntimeError, ArithmeticError) as error:
        raise BadFile([Fault(file, first, ":20:", f"the statement cannot be read: {error}", "unreadable")]) from None


def _balance(data: dict[str, Any], side: str) -> Any:
    for kind in ("final", "intermediate"):
        if f"{kind}_{side}_balance" in data:
            return data[f"{kind}_{side}_balance"]
    raise Invalid(f"there is no {side} balance")


def _transfer(data: dict[str, Any], currency: str, line: int) -> Transfer:
    names = ("purpose", "additional_purpose", "transaction_details", "extra_details", "customer_reference")
    texts = [str(data.get(name) or "") for name in names]
    return Transfer(
        booked_on=_day(data.get("entry_date") or data["date"]),
        amount=minor(data["amount"].amount, currency),
        text="\n".join(text for text in texts if text and text != "NONREF"),
        name=str(data.get("applicant_name") or ""),
        reference=str(data.get("bank_reference") or ""),
        is_return=str(data["status"]).startswith("R"),
        line=line,
    )


def _day(found: Any) -> date:
    return date(found.year, found.month, found.day)
