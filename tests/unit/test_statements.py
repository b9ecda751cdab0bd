"""Bank statements: read the same from every format, named the same in every file, refused whole when in doubt."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.bank.read import read_statements
from domain.errors import BadFile
from domain.matching import numbers_in
from domain.money import written
from domain.statement import Statement, Transfer, identities
from tests.statements import MAPPING, NAMESPACE, camt053, csv, mt940

ACCOUNT, DAY = "DE02120300000000202051", date(2025, 2, 3)


def statement(*amounts: int, opening: int = 10000, off_by: int = 0, **more: object) -> Statement:
    transfers = tuple(
        Transfer(DAY, amount, f"INV-{n:06d}", "Jane Doe", "", f"B{n}") for n, amount in enumerate(amounts)
    )
    words = {"number": "41", "currency": "EUR", "transfers": transfers, **more}
    closing = opening + sum(amounts) + off_by
    return Statement(account=ACCOUNT, opening=opening, closing=closing, closed_on=DAY, **words)  # type: ignore[arg-type]


amounts = st.lists(st.integers(-(10**9), 10**9).filter(bool), max_size=8)
texts = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ", min_size=1, max_size=20).map(str.strip).filter(bool)


@given(st.lists(st.tuples(st.integers(-(10**9), 10**9).filter(bool), texts, texts, st.integers(0, 40)), max_size=6))
def test_the_same_movements_are_read_from_every_format(tmp_path_factory, movements):
    found = tuple(Transfer(DAY + timedelta(n), amount, text, name) for amount, text, name, n in movements)
    given_one = Statement(ACCOUNT, "41", "EUR", 500, 500 + sum(one.amount for one in found), DAY, found)
    folder = tmp_path_factory.mktemp("bank")
    (folder / "map.yaml").write_text(MAPPING)
    for name, content in (("a.xml", camt053(given_one)), ("a.sta", mt940(given_one)), ("a.csv", csv(given_one))):
        (folder / name).write_text(content)
    balances = [written(one, "EUR") for one in (given_one.opening, given_one.closing)]
    read = [
        read_statements(str(folder / "a.xml")),
        read_statements(str(folder / "a.sta")),
        read_statements(str(folder / "a.csv"), str(folder / "map.yaml"), *balances),
    ]
    for (one,) in read:
        assert [(t.booked_on, t.amount, t.text, t.name) for t in one.transfers] == [
            (t.booked_on, t.amount, t.text, t.name) for t in found
        ]


@given(amounts)
def test_a_movement_has_one_name_in_every_file_and_equal_movements_have_two(given_amounts):
    whole = statement(*given_amounts, *given_amounts)
    bare = Statement(ACCOUNT, "41", "EUR", 0, 0, DAY, tuple(Transfer(DAY, 100, "rent") for _ in given_amounts))
    half = statement(*given_amounts)
    ((names,), (part,)) = list(identities([whole])), list(identities([half]))
    assert len(set(names)) == len(names)
    assert names[: len(part)] == part
    assert len(set(next(iter(identities([bare]))))) == len(given_amounts)


def test_equal_movements_on_two_pages_are_both_kept():
    equal = (Transfer(DAY, 100, "rent"),)
    pages = [Statement(ACCOUNT, f"41/{n}", "EUR", n * 100, n * 100 + 100, DAY, equal) for n in (1, 2)]
    assert len({name for names in identities(pages) for name in names}) == 2
    overlap = [pages[0], Statement(ACCOUNT, "41", "EUR", 100, 200, DAY, equal)]
    assert len({name for names in identities(overlap) for name in names}) == 1


ENTRY = '<Ntry><Amt Ccy="EUR">'
GOOD_CAMT, GOOD_MT = camt053(statement(2380)), mt940(statement(2380))
BAD = {
    "balances that do not add up": (camt053(statement(2380, off_by=-1)), "does_not_add_up"),
    "the same in MT940": (mt940(statement(2380, off_by=1)), "does_not_add_up"),
    "an external entity": ('<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + GOOD_CAMT[22:], "doctype"),
    "entities that laugh": ('<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>' + GOOD_CAMT[22:], "doctype"),
    "an intraday report": (camt053(statement(2380), namespace=NAMESPACE.replace("053", "052")), "not_a_statement"),
    "a notification": (camt053(statement(2380), namespace=NAMESPACE.replace("053", "054")), "not_a_statement"),
    "no namespace": (camt053(statement(2380), namespace=""), "not_a_statement"),
    "half a file": (GOOD_CAMT[:-30], "not_xml"),
    "another currency than the account's": (GOOD_CAMT.replace(ENTRY, ENTRY.replace("EUR", "USD")), "currency"),
    "a reversal read as money in": (GOOD_MT.replace("C23,80", "RC23,80"), "does_not_add_up"),
    "a negative amount with a side": (GOOD_CAMT.replace(">23.80<", ">-23.80<"), "amount"),
    "an amount with an exponent": (GOOD_CAMT.replace(">23.80<", ">2.38E1x<"), "amount"),
    "an amount that is another with an exponent": (GOOD_CAMT.replace("23.80<", "2.38E1<"), "amount"),
    "an amount with an underscore": (GOOD_CAMT.replace("23.80<", "2_3.80<"), "amount"),
    "more than a database holds": (camt053(statement(2**63)), "range"),
    "a day beyond all days": (GOOD_CAMT.replace("<BookgDt><Dt>2025-02-03", "<BookgDt><Dt>9999-12-31"), "range"),
    "a week for a day": (GOOD_CAMT.replace("<BookgDt><Dt>2025-02-03", "<BookgDt><Dt>2025-W06-1"), "date"),
    "an amount too fine": (GOOD_CAMT.replace(">23.80<", ">23.805<"), "amount"),
    "no closing balance": (GOOD_CAMT.replace("CLBD", "XXXX"), "no_balance"),
    "a day that is not": (GOOD_CAMT.replace("<BookgDt><Dt>2025-02-03", "<BookgDt><Dt>2025-02-30"), "date"),
    "no account": (GOOD_CAMT.replace(ACCOUNT, ""), "no_account"),
    "a movement of nothing": (camt053(statement(0)), "zero_amount"),
    "an amount without a comma": (GOOD_MT.replace("C23,80N", "C2380N"), "movement"),
    "a sign in the amount": (GOOD_MT.replace("C23,80N", "D-23,80N"), "movement"),
    "a balance that is none": (GOOD_MT.replace(":60F:C", ":60F:X"), "balance"),
    "a page that is missing its end": (GOOD_MT.partition(":62F:")[0], "unreadable"),
    "a text with a NUL": (GOOD_MT.replace("Jane", "Ja\0ne"), "character"),
    "a CSV without a mapping": ("Buchung;Betrag\n", "not_a_statement"),
    "nothing": ("", "not_a_statement"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_statement_in_doubt_is_refused_whole_with_its_code(tmp_path, name):
    content, code = BAD[name]
    (tmp_path / "bank.txt").write_text(content)
    with pytest.raises(BadFile) as refused:
        read_statements(str(tmp_path / "bank.txt"))
    assert refused.value.faults[0].code == code
    assert refused.value.faults[0].file.endswith("bank.txt")


BAD_CSV = {
    "no such column": ("Buchung;Zweck;Name\n", "no_column"),
    "a footer with a sum": ("Buchung;Betrag;Zweck;Name\n03.02.2025;23,80;x;y\nSumme;23,80;;\n", "cell"),
    "a row cut short": ("Buchung;Betrag;Zweck;Name\n03.02.2025;23,80\n", "cell"),
    "an amount that is none": ("Buchung;Betrag;Zweck;Name\n03.02.2025;=1+1;x;y\n", "cell"),
    "rows that do not come to the balance": ("Buchung;Betrag;Zweck;Name\n03.02.2025;1.023,80;x;y\n", "does_not_add_up"),
}


@pytest.mark.parametrize("name", BAD_CSV)
def test_a_csv_in_doubt_is_refused_whole_with_its_code(tmp_path, name):
    content, code = BAD_CSV[name]
    (tmp_path / "map.yaml").write_text(MAPPING)
    (tmp_path / "bank.csv").write_text(content)
    with pytest.raises(BadFile) as refused:
        read_statements(str(tmp_path / "bank.csv"), str(tmp_path / "map.yaml"), "0.00", "23.80")
    assert refused.value.faults[0].code == code


BAD_MAPPING = {
    "letters of another encoding": (MAPPING + "# Auszüge\n").encode("latin-1"),
    "letters of two bytes": MAPPING.encode("utf-16"),
    "a thousand brackets": b"[" * 100_000,
    "an encoding that is none of text": (MAPPING + "encoding: idna\n").encode(),
    "an encoding with a NUL": (MAPPING + 'encoding: "a\\0b"\n').encode(),
    "a date with two days": MAPPING.replace("%d.%m.%Y", "%d.%d.%Y").encode(),
}


@pytest.mark.parametrize("name", BAD_MAPPING)
def test_a_mapping_in_doubt_is_refused_with_its_file(tmp_path, name):
    (tmp_path / "map.yaml").write_bytes(BAD_MAPPING[name])
    (tmp_path / "bank.csv").write_text("Buchung;Betrag;Zweck;Name\n03.02.2025;23,80;.é.;y\n")
    with pytest.raises(BadFile) as refused:
        read_statements(str(tmp_path / "bank.csv"), str(tmp_path / "map.yaml"), "0.00", "23.80")
    assert all(fault.file for fault in refused.value.faults)


@given(st.sampled_from([GOOD_CAMT, GOOD_MT]), st.data())
def test_a_damaged_file_is_read_as_it_was_or_refused_and_never_another_sum(tmp_path_factory, content, data):
    raw = bytearray(content.encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("bank") / "bank.txt"
    path.write_bytes(raw)
    try:
        read = read_statements(str(path))
    except BadFile:
        return
    for one in read:
        assert one.opening + sum(transfer.amount for transfer in one.transfers) == one.closing


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("INV-000123", ["INV-000123"]),
        ("inv 123 and INV/0124, thanks", ["INV-000123", "INV-000124"]),
        ("Rechnung INV-O00123", ["INV-000123"]),
        ("INV-0001234567", ["INV-1234567"]),
        ("PREINV-000123 XINV123 INV-12A", []),
        ("INV-000123 INV-000123", ["INV-000123"]),
        ("CN-000001", []),
    ],
)
def test_numbers_are_found_as_people_write_them(text, numbers):
    assert numbers_in(text, ["INV"]) == numbers


def test_a_number_that_may_be_of_two_series_is_read_as_both_and_one_that_is_written_out_as_itself():
    assert numbers_in("INV12", ["INV", "INV1"]) == ["INV-000012", "INV1-000002"], "whose it is, no guess decides"
    assert numbers_in("INV1-000002", ["INV", "INV1"]) == ["INV1-000002"]
    assert numbers_in("INV-2025-000042", ["INV", "INV-2025"]) == ["INV-2025-000042"]
    assert numbers_in("INV-2025", ["INV", "INV-2025"]) == ["INV-002025"]
