"""What is read of every line is what stands on it, and the whole line is there when it is taken back."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec

from domain.coverage import Coverage, Gist, gist
from domain.difference import difference
from domain.document import Bill, draft
from domain.events.documents import Line
from domain.history import LICENSE, OWNER, History
from domain.standing import Standing
from domain.terms import Stream, billed_to

ISSUED = Line(
    number=3, kind="charge", license=UUID(int=5), component="p/seats", text="Seats", start=date(2025, 1, 1),
    end=date(2025, 2, 1), amount=3100, tax=589, tax_percent=Decimal("19.0"), price="6200/2",
    base_start=date(2025, 1, 1), base_end=date(2025, 2, 1), quantity="31", month_days=30, package="p", version=2,
    rule="PerUnit per 1m, in_advance", reasons=((UUID(int=5), 1),),
)  # fmt: skip
DOCUMENT = UUID(int=9)


def test_the_gist_of_a_line_has_the_fields_of_the_line_as_they_are():
    line = {field.name: (field.type, field.default) for field in msgspec.structs.fields(Line)}
    of = {field.name: (field.type, field.default) for field in msgspec.structs.fields(Gist) if field.name != "body"}
    assert of == {name: line[name] for name in of}
    for stored in (ISSUED, msgspec.structs.replace(ISSUED, occurrence="once", reversible=False, link=(DOCUMENT, 1))):
        found = gist(msgspec.json.encode(stored))
        assert [getattr(found, name) for name in of] == [getattr(stored, name) for name in of]


def test_what_is_taken_back_is_printed_as_it_was_issued_though_only_its_gist_was_read():
    billed = Coverage([((DOCUMENT, 3), Stream(LICENSE, "p/seats", OWNER, "EUR"), gist(msgspec.json.encode(ISSUED)))])
    lines = difference([], billed, date(2025, 1, 1).toordinal()).lines
    standing = Standing(History(ISSUED.license, UUID(int=6), b""), billed_to((), UUID(int=6)), {}, ())
    (reversal,) = draft([Bill(standing, lines)], Decimal(7)).lines
    assert reversal == msgspec.structs.replace(
        ISSUED, number=1, kind="reversal", amount=-3100, tax=-589, link=(DOCUMENT, 3)
    )
