"""CSV taken apart into columns: cut at commas and line ends while there is nothing else to it, then by the rules."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, islice

from adapters.count_cells import BATCH, MAX_FIELD, CellReader, Columns
from domain.errors import BadFile, Fault

LINE_END = re.compile("\r\n|\r|\n")
HIDDEN = bytes(set(range(256)) - set(b',"\r\n'))
"""What is deleted to see how a text is built."""
USUAL = bytes(set(range(33, 127)) - set(b',"'))
"""What a cell may hold anywhere; what else it may hold, it may not hold everywhere."""
FIELD = csv.field_size_limit()


def csv_columns(cells: CellReader, blocks: Iterable[str]) -> Iterator[Columns]:
    """The header's columns, then batches of those behind it; rows of another width are faults.

    Shapes: blocks of whole lines. Raises: BadFile when it is not CSV.
    """
    texts = iter(blocks)
    text = next(texts)
    header, end, text = text.partition("\n")
    if not end or not header or '"' in header or "\r" in header:
        yield from _records(cells, chain((header + end + text,), texts), 1, 0)
        return
    names = header.split(",")
    yield Columns([1], [[name] for name in names])
    line = 2
    for block in filter(None, chain((text,), texts)):
        usual = _is_plain(block, len(names), USUAL, MAX_FIELD)
        if not usual and not _is_plain(block, len(names), HIDDEN, FIELD):
            yield from _records(cells, chain((block,), texts), line, len(names))
            return
        parts = block.removesuffix("\n").replace("\n", ",").split(",")
        rows = range(line, line + len(parts) // len(names))
        yield Columns(rows, [parts[n :: len(names)] for n in range(len(names))], usual and all(parts))
        line = rows.stop


def _is_plain(text: str, width: int, characters: bytes, longest: int) -> bool:
    """Whether lines hold so many fields each, unquoted, of such characters, and none is longer than that."""
    built = text.encode().translate(None, characters)
    row = b"," * (width - 1) + b"\n"
    if built.removesuffix(b"\n") + b"\n" != row * (len(built) // width + (not text.endswith("\n"))):
        return False
    half = longest // 2
    windows = (text[at : at + half] for at in range(0, len(text) - half, half))
    return all("," in window or "\n" in window for window in windows)


def _records(cells: CellReader, texts: Iterable[str], line: int, width: int) -> Iterator[Columns]:
    """What the rules of CSV make of texts; the first record says how wide the others are, if nothing has."""
    reader = csv.reader(chain.from_iterable(io.StringIO(text, newline="") for text in texts), strict=True)
    before = line - 1
    records, broken = [[""]], None
    while records and not broken:
        records = []
        try:
            records.extend(islice(reader, BATCH))
        except csv.Error as error:
            broken = f"not CSV: {error}"
        lines = _lines(records, line, before + reader.line_num)
        line = lines.pop()
        kept = [(number, record) for number, record in zip(lines, records, strict=True) if record]
        if kept and not width:
            (number, header), *kept = kept
            width = len(header)
            yield Columns([number], [[name] for name in header])
        if kept:
            yield _of_width(cells, kept, width)
    if broken:
        raise BadFile([Fault(cells.path, line, "", broken, "syntax")])


def _lines(records: Sequence[Sequence[str]], begin: int, end: int) -> list[int]:
    """The line that each record begins on, and the one behind the last."""
    if end - begin + 1 == len(records):
        return list(range(begin, end + 2))
    inside = (sum(len(LINE_END.findall(field)) for field in record) for record in records)
    return list(accumulate((1 + ends for ends in inside), initial=begin))


def _of_width(cells: CellReader, records: Sequence[tuple[int, Sequence[str]]], width: int) -> Columns:
    """The records that have a field for every column; the others are faults."""
    for line, record in records:
        if len(record) != width:
            cells.fault(line, "", f"has {len(record)} fields, the header has {width}", "width")
    fine = [(line, record) for line, record in records if len(record) == width]
    return Columns([line for line, _ in fine], list(zip(*(record for _, record in fine), strict=True)))
