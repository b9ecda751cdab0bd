"""Reads a bank's file, whatever it is, and takes it only when it adds up."""

from __future__ import annotations

from pathlib import Path

from adapters.bank.camt053 import read_camt053
from adapters.bank.csv_statement import read_csv, read_mapping
from adapters.bank.mt940 import read_mt940
from domain.errors import BadFile, Fault
from domain.statement import Statement, faults

LARGEST = 64 << 20
"""Bytes: a year of a busy account is a tenth of it."""


def read_statements(file: str, mapping: str = "", opening: str = "", closing: str = "") -> list[Statement]:
    """The statements of a file, each checked against its own balances.

    Shapes: the format is seen from the content; a CSV wants its mapping and both balances.
    Raises: BadFile: nothing of the file is taken.
    """
    content = _content(file)
    if mapping:
        statements = read_csv(file, content, read_mapping(mapping), opening, closing)
    elif content.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:1] == b"<":
        statements = read_camt053(file, content)
    elif b":20:" in content[:1000]:
        statements = read_mt940(file, content)
    else:
        raise BadFile([Fault(file, 0, "", "neither camt.053 nor MT940; a CSV wants --mapping", "not_a_statement")])
    found = [fault for statement in statements for fault in faults(file, statement)]
    if not statements:
        found = [Fault(file, 0, "", "there is no statement in it", "not_a_statement")]
    if found:
        raise BadFile(found)
    return statements


def _content(file: str) -> bytes:
    try:
        path = Path(file)
        if path.stat().st_size > LARGEST:
            raise BadFile([Fault(file, 0, "", f"larger than {LARGEST >> 20} MiB", "too_large")])
        return path.read_bytes()
    except OSError as error:
        raise BadFile.unreadable(file, error.strerror) from None
