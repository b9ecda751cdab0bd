"""CSV cut at commas says the same as CSV by its rules."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from adapters.count_cells import CellReader, wrong_with
from adapters.count_csv import csv_columns
from domain.errors import BadFile

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIELDS = st.text("ab", min_size=1, max_size=3) | st.text("ab é\x00\x0b\u2028", max_size=3) | st.just("a" * 1001)
LINES = st.lists(FIELDS, min_size=3, max_size=3).map(",".join)
QUOTED = ('"a,b",c,d', '"a\nb",c,d', '"a""b",c,d', 'a"b,c,d', '"', '"a"b,c,d')
ODD = st.sampled_from(["", "a,b", "a,b,c,d", "a,b,c\r", *QUOTED])
BLOCKS = st.lists(st.lists(LINES | ODD, min_size=1, max_size=4).map("\n".join), min_size=1, max_size=4)
"""Most blocks are plain, so that what is odd comes first, in the middle and last."""


def by_the_rules(text):
    """Every record of three fields with the line it begins on, the lines of the others, and whether it ends as CSV."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    fine, wrong, begin = [], [], 1
    try:
        for record in reader:
            if len(record) == 3:
                fine.append((begin, *record))
            elif record:
                wrong.append(begin)
            begin = reader.line_num + 1
    except csv.Error:
        return fine, wrong, False
    return fine, wrong, True


@given(BLOCKS, st.booleans())
def test_csv_cut_at_commas_is_csv_by_the_rules(blocks, ended):
    texts = [block + "\n" for block in ["x,y,z", *blocks]]
    if not ended:
        texts[-1] = texts[-1].removesuffix("\n")
    cells, found = CellReader("counts.csv", NOW), []
    try:
        for table in csv_columns(cells, iter(texts)):
            found += zip(table.lines, *table.cells, strict=True)
            assert not table.usual or not any(" " in cell or wrong_with(cell) for cell in chain(*table.cells))
        whole = True
    except BadFile:
        whole = False
    assert (found, [fault.line for fault in cells.faults], whole) == by_the_rules("".join(texts))
