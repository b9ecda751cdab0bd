"""A bank's CSV: columns, separators and signs as a mapping says. It bears no balances, so they are told beside it."""

from __future__ import annotations

import csv
import re
from datetime import date, datetime
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from domain.errors import BadFile, Fault, Invalid
from domain.money import minor
from domain.statement import Statement, Transfer


class Columns(BaseModel):
    """Which column holds what; empty where the bank has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    booked_on: str
    amount: str
    text: str = ""
    name: str = ""
    iban: str = ""
    reference: str = ""


class Mapping(BaseModel):
    """How to read a bank's CSV.

    Shapes: `decimal` is the mark before the cents; the other of . and , parts thousands.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    account: str = Field(min_length=1)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    columns: Columns
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf-8-sig"
    decimal: str = Field(default=".", pattern=r"^[.,]$")
    date_format: str = "%Y-%m-%d"


SAID = {
    "missing": "is missing",
    "extra_forbidden": "there is no such field",
    "model_type": "a mapping has account, currency and columns: see docs/bank.md",
}
"""What is wrong, in the words of who wrote the file."""


def read_mapping(file: str) -> Mapping:
    """The mapping of a YAML file. Raises: BadFile."""
    try:
        return Mapping.model_validate(yaml.safe_load(Path(file).read_text("utf-8-sig")))
    except OSError as error:
        raise BadFile.unreadable(file, error.strerror) from None
    except (UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise BadFile.unreadable(file, str(error)) from None
    except ValidationError as error:
        found = [(".".join(map(str, one["loc"])), SAID.get(one["type"], one["msg"])) for one in error.errors()]
        raise BadFile([Fault(file, 0, field, message, "mapping") for field, message in found]) from None


def read_csv(file: str, content: bytes, mapping: Mapping, opening: str, closing: str) -> list[Statement]:
    """The one statement of a file. Raises: BadFile with file, line and field."""
    try:
        text = content.decode(mapping.encoding)
        before, after = minor(opening, mapping.currency), minor(closing, mapping.currency)
    except (ValueError, LookupError, Invalid) as error:
        raise BadFile([Fault(file, 0, "", str(error), "unreadable")]) from None
    reader = csv.DictReader(text.splitlines(), delimiter=mapping.delimiter, strict=True)
    wanted = [name for name in mapping.columns.model_dump().values() if name]
    missing = [name for name in wanted if name not in (reader.fieldnames or ())]
    if missing:
        raise BadFile([Fault(file, 1, name, "there is no such column", "no_column") for name in missing])
    transfers, faults = list[Transfer](), list[Fault]()
    try:
        for row in reader:
            try:
                transfers.append(_transfer(row, mapping, reader.line_num))
            except Invalid as error:
                field, _, message = str(error).partition("|")
                faults.append(Fault(file, reader.line_num, field, message, "cell"))
    except csv.Error as error:
        faults.append(Fault(file, reader.line_num, "", str(error), "not_csv"))
    if faults:
        raise BadFile(faults[:100])
    last = max((one.booked_on for one in transfers), default=date.min)
    number = f"{last}" if transfers else "empty"
    return [Statement(mapping.account, number, mapping.currency, before, after, last, tuple(transfers), line=1)]


def _transfer(row: dict[str, str], mapping: Mapping, line: int) -> Transfer:
    columns = mapping.columns
    if None in row or None in row.values():
        raise Invalid("|the row has more or fewer cells than the header")
    return Transfer(
        booked_on=_day(row[columns.booked_on], mapping, columns.booked_on),
        amount=_amount(row[columns.amount], mapping),
        text=row.get(columns.text, ""), name=row.get(columns.name, ""),
        iban=row.get(columns.iban, "").replace(" ", ""), reference=row.get(columns.reference, ""), line=line,
    )  # fmt: skip


def _day(text: str, mapping: Mapping, column: str) -> date:
    try:
        return datetime.strptime(text.strip(), mapping.date_format).date()  # noqa: DTZ007
    except (ValueError, re.error):
        raise Invalid(f"{column}|{text!r} is not a date as in {mapping.date_format}") from None


def _amount(text: str, mapping: Mapping) -> int:
    thousands = "," if mapping.decimal == "." else "."
    plain = text.strip().replace(thousands, "").replace(mapping.decimal, ".").removeprefix("+")
    try:
        return minor(plain, mapping.currency)
    except Invalid as error:
        raise Invalid(f"{mapping.columns.amount}|{error}") from None
