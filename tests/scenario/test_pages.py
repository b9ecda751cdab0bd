"""A list read page by page is the whole list: nothing is left out between pages, and nothing is told twice."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest

from adapters.embedded import Embedded
from tests.scenario.test_bad_words import CATALOG

ATTEMPT = """INSERT INTO attempt_v1 SELECT bucket, gen_random_uuid(), invoice, number, account, 'stripe', gross,
currency, now(), '', 'declined', '', '', '' FROM receivable_v1, generate_series(1, 3)"""
HOLD = (
    "INSERT INTO hold_v1 SELECT bucket, invoice, 'hold ' || n, '2025-01-01' FROM receivable_v1, generate_series(1, 3) n"
)
TRANSFER = """INSERT INTO bank_transfer SELECT 0, chr(97 + (n * 7) % 20), 'DE1', date '2025-01-01' + n, 100, 'EUR',
'', '', '', false, 'suspense', '' FROM generate_series(0, 19) n"""


@pytest.fixture
def business(typed, home, tmp_path):
    """Two invoices with three attempts and three holds of each, twenty transfers, and six licenses of two accounts."""
    path = tmp_path / "catalog.yaml"
    path.write_text(CATALOG)
    typed("catalog", "apply", str(path), "--yes")
    for name in ("one", "two"):
        typed("accounts", "open", name, "--name", name)
        for number in range(3):
            words = ["--account", name, "--package", "seats", "--on", "2025-01-01"]
            typed("licenses", "start", f"{number}-{name}-{uuid4()}", *words)
    typed("bill", "--through", "2025-01-01", "--issued-on", "2025-01-01")
    typed("payments", "open")
    with psycopg.connect(Embedded(home).start()) as connection:
        for statement in (ATTEMPT, HOLD, TRANSFER):
            connection.execute(statement.encode())
    return typed


LISTS = {
    "payments attempts": ("number", 6),
    "payments holds": ("number", 6),
    "bank unmatched": ("transfer", 20),
    "licenses list --account two": ("license", 3),
    "invoices list": ("number", 2),
    "payments open": ("number", 2),
    "accounts list": ("reference", 2),
}


def test_every_row_is_on_one_page(business):
    for words, (key, count) in LISTS.items():
        whole = business(*words.split())[1]
        assert len(whole) == count, words
        for limit in ("1", "4"):
            read, after = [], ""
            while page := business(*words.split(), "--limit", limit, "--after", after)[1]:
                read, after = [*read, *page], page[-1][key]
                assert read == whole[: len(read)], (words, limit, after)
            assert read == whole, (words, limit)
