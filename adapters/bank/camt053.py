"""camt.053: the end-of-day statement of ISO 20022, in any of its versions. Nothing of the file is trusted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from domain.errors import BadFile, Fault, Invalid
from domain.money import minor
from domain.statement import Statement, Transfer

Element = Any
NAMESPACE = re.compile(r"\{urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.\d\d\}Document")
ENTRY = re.compile(rb"<(?:\w+:)?Ntry[\s>]")


class _Bad(Exception):
    """One fault, on its way to where the file's name is known."""

    def __init__(self, field: str, message: str, code: str = "invalid") -> None:
        super().__init__(message)
        self.field, self.message, self.code = field, message, code


def read_camt053(file: str, content: bytes) -> list[Statement]:
    """The statements of a file. Raises: BadFile with file, line and field."""
    try:
        root = fromstring(content, forbid_dtd=True)
    except DefusedXmlException:
        raise BadFile([Fault(file, 0, "", "it declares entities or a document type", "doctype")]) from None
    except (ParseError, ValueError, LookupError) as error:
        raise BadFile([Fault(file, 0, "", f"it is not XML: {error}", "not_xml")]) from None
    if not NAMESPACE.fullmatch(root.tag):
        kind = root.tag.partition("}")[0].rpartition(":")[2] or root.tag
        raise BadFile([Fault(file, 0, "Document", f"{kind!r} is not a camt.053 statement", "not_a_statement")])
    lines = iter([content.count(b"\n", 0, found.start()) + 1 for found in ENTRY.finditer(content)])
    return [_statement(file, one, lines) for one in _all(root, "BkToCstmrStmt", "Stmt")]


def _statement(file: str, element: Element, lines: Iterator[int]) -> Statement:
    line = 0
    try:
        opening, closing = _balance(element, ("OPBD", "PRCD")), _balance(element, ("CLBD",))
        currency = opening[1]
        transfers = list[Transfer]()
        for entry in _all(element, "Ntry"):
            line = next(lines, 0)
            transfers += _transfers(entry, currency, line)
        line = 0
        number = _text(element, "ElctrncSeqNb") or _text(element, "LglSeqNb") or _text(element, "Id")
        account = _text(element, "Acct", "Id", "IBAN") or _text(element, "Acct", "Id", "Othr", "Id")
        return Statement(account, number, currency, opening[0], closing[0], closing[2], tuple(transfers))
    except _Bad as bad:
        raise BadFile([Fault(file, line, bad.field, bad.message, bad.code)]) from None


def _balance(element: Element, codes: tuple[str, ...]) -> tuple[int, str, date]:
    for balance in _all(element, "Bal"):
        if _text(balance, "Tp", "CdOrPrtry", "Cd") in codes:
            return *_signed(balance, "Bal"), _day(balance, "Dt", "Bal/Dt")
    raise _Bad("Bal", f"there is no balance {codes[0]}", "no_balance")


def _transfers(entry: Element, currency: str, line: int) -> Iterator[Transfer]:
    """The movements of an entry: its details where it books several at once, else itself; only what is booked."""
    if (_text(entry, "Sts", "Cd") or _text(entry, "Sts")) != "BOOK":
        return
    total, found = _signed(entry, "Ntry/Amt")
    if found != currency:
        raise _Bad("Ntry/Amt", f"{found} on an account in {currency}", "currency")
    booked_on = _day(entry, "BookgDt", "Ntry/BookgDt")
    details = _all(entry, "NtryDtls", "TxDtls")
    amounts = [total] if len(details) < 2 else [_part(detail, total, currency) for detail in details]
    if sum(amounts) != total:
        raise _Bad("Ntry/NtryDtls", "the details do not add up to the entry", "does_not_add_up")
    is_return = _text(entry, "RvslInd") in ("true", "1")
    for amount, detail in zip(amounts, details or [entry], strict=True):
        yield _transfer(detail, booked_on, amount, _text(entry, "AcctSvcrRef"), is_return, line)


def _transfer(detail: Element, booked_on: date, amount: int, reference: str, is_return: bool, line: int) -> Transfer:
    texts = [*_texts(detail, "RmtInf", "Ustrd"), *_texts(detail, "RmtInf", "Strd", "CdtrRefInf", "Ref")]
    end_to_end = _text(detail, "Refs", "EndToEndId")
    party = "Dbtr" if amount > 0 else "Cdtr"
    return Transfer(
        booked_on=booked_on,
        amount=amount,
        text="\n".join([*texts, *([end_to_end] if end_to_end not in ("", "NOTPROVIDED") else [])]),
        name=_text(detail, "RltdPties", party, "Nm") or _text(detail, "RltdPties", party, "Pty", "Nm"),
        iban=_text(detail, "RltdPties", f"{party}Acct", "Id", "IBAN"),
        reference=_text(detail, "Refs", "AcctSvcrRef") or _text(detail, "Refs", "TxId") or reference,
        is_return=is_return or bool(_all(detail, "RtrInf")),
        line=line,
    )


def _part(detail: Element, total: int, currency: str) -> int:
    for path in (("Amt",), ("AmtDtls", "TxAmt", "Amt")):
        for element in _all(detail, *path):
            return _amount(element, "TxDtls/Amt")[0] * (-1 if total < 0 else 1)
    raise _Bad("TxDtls/Amt", "a part of the entry has no amount", "no_amount")


def _signed(element: Element, field: str) -> tuple[int, str]:
    found, side = _all(element, "Amt"), _text(element, "CdtDbtInd")
    if not found or side not in ("CRDT", "DBIT"):
        raise _Bad(field, "an amount with CRDT or DBIT is missing", "no_amount")
    amount, currency = _amount(found[0], field)
    return (amount if side == "CRDT" else -amount), currency


def _amount(element: Element, field: str) -> tuple[int, str]:
    currency, text = element.get("Ccy", ""), (element.text or "").strip()
    try:
        return minor(abs_text(text), currency), currency
    except Invalid as error:
        raise _Bad(field, str(error), "amount") from None


def abs_text(text: str) -> str:
    """An amount that bears no sign; trailing zeros behind the currency's decimals are the bank's habit, not money."""
    digits = text.removeprefix("+").replace(".", "", 1)
    if len(text) > 20 or not text.isascii() or not digits.isdigit():
        raise Invalid(f"{text[:24]!r} is not an amount")
    return format(Decimal(text).normalize(), "f")


def _day(element: Element, child: str, field: str) -> date:
    text = _text(element, child, "Dt") or _text(element, child, "DtTm")[:10]
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007
    except ValueError:
        raise _Bad(field, f"{text!r} is not a date", "date") from None


def _all(element: Element, *path: str) -> list[Element]:
    found = [element]
    for name in path:
        found = [child for one in found for child in one if child.tag.rpartition("}")[2] == name]
    return found


def _texts(element: Element, *path: str) -> list[str]:
    return [(found.text or "").strip() for found in _all(element, *path)]


def _text(element: Element, *path: str) -> str:
    return next(iter(_texts(element, *path)), "")
