"""Our SQL keeps to what a PostgreSQL distributed by bucket takes; what does not is listed with its reason.

By what was measured on Citus 13.2 and by what its planner refuses (docs/citus.md). Found by words, so it finds much and
proves nothing: a statement that has none of these forms may be refused all the same.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.doctor import SHARDED

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "adapters" / "store" / "schema.sql"
SOURCES = sorted(path for package in ("adapters", "jobs", "projections") for path in (ROOT / package).rglob("*.py"))
SQL = re.compile(r"(SELECT|INSERT|UPDATE|DELETE|WITH|LOCK|CREATE|ALTER|DECLARE)\b")

SEVERAL = r"(?!.*\bbucket = (%|p_bucket)).*"
TABLE = rf"(?:{'|'.join(sorted(SHARDED | {'receivable_v1'}))})\b"
ROWS = rf"(?:{TABLE}|\([^()]*(?:\([^()]*\)[^()]*)*\))"
NEXT = r"(?:\bJOIN\b|\bWHERE\b|\bGROUP BY\b|\bORDER BY\b|$)"
REFUSED = {
    "locks rows of several buckets": (rf"{SEVERAL}\bFOR (NO KEY )?(UPDATE|SHARE)\b", "SELECT 1 FROM outbox FOR UPDATE"),
    "walks over several buckets": (rf"{SEVERAL}\bWITH RECURSIVE\b", "WITH RECURSIVE a AS (SELECT 1 FROM account_v2)"),
    "moves heads in no order": (rf"{SEVERAL}\bUPDATE bucket_head\b", "UPDATE bucket_head SET position = 1"),
    "joins rows of other buckets": (
        rf".*\bJOIN {ROWS}((?!\bbucket\b|{NEXT}).)*{NEXT}"
        rf"|.*\bEXISTS \(SELECT [^()]*\bFROM {TABLE}((?!\bbucket\b)[^()])*\)",
        "SELECT 1 FROM payout_v1 p JOIN receipt_v1 r USING (receipt) WHERE p.bucket = r.bucket",
    ),
    "reads rows LATERAL": (r".*\bLATERAL \(", "SELECT 1 FROM tracking t, LATERAL (SELECT 1 LIMIT 1) e"),
    "locks a table": (r".*\bLOCK TABLE\b", "LOCK TABLE event IN SHARE MODE"),
    "locks by advice": (r".*\bpg_\w*advisory_", "SELECT pg_advisory_lock(1)"),
    "has a trigger": (r".*\bCREATE (OR REPLACE )?TRIGGER\b", "CREATE TRIGGER t BEFORE INSERT ON event"),
    "has a sequence": (r".*\b(SEQUENCE |\w*serial\b|AS IDENTITY|nextval)", "CREATE TABLE t (n bigserial)"),
    "moves a row to another bucket": (
        r".*\bSET ((?!\bWHERE\b|\bFROM\b).)*\bbucket =",
        "UPDATE outbox SET state = '', bucket = 3",
    ),
    "updates by chance or clock": (
        r".*\bUPDATE\b.*\b(clock_timestamp|random|gen_random_uuid)\(",
        "UPDATE bucket_head SET recorded_at = clock_timestamp() WHERE bucket = %s",
    ),
    "upserts the time": (
        r".*\bDO UPDATE\b.*\b(now\(|current_)",
        "INSERT INTO outbox VALUES (1) ON CONFLICT (bucket, message) DO UPDATE SET tried_at = now()",
    ),
}
"""What a statement does, the words it is found by, and one that does it."""

LOCAL_TABLE = "a local table: it stays on the coordinator, where everybody connects"
MATCHED = "bank transfers lie by their own names and not by account: matching them reads all buckets"
ONE_OF_ALL = "takes what is due of all buckets, one row at a time"
KNOWN = {
    ("jobs/observed.py", "reads rows LATERAL"): "parcels of many counters stream; a function would hold them back",
    ("jobs/bill.py", "locks rows of several buckets"): LOCAL_TABLE,
    ("jobs/bill.py", "locks a table"): LOCAL_TABLE,
    ("adapters/schedule.py", "locks by advice"): "schedulers agree on the coordinator who leads",
    ("adapters/store/install.py", "locks by advice"): "installers agree on the coordinator who installs",
    ("jobs/take_in.py", "locks rows of several buckets"): ONE_OF_ALL,
    ("jobs/deliver.py", "locks rows of several buckets"): ONE_OF_ALL,
    ("jobs/retention.py", "locks rows of several buckets"): ONE_OF_ALL,
    ("jobs/dun.py", "joins rows of other buckets"): MATCHED,
    ("jobs/reconcile.py", "joins rows of other buckets"): MATCHED,
    ("jobs/verify.py", "joins rows of other buckets"): MATCHED,
    ("adapters/cli/credit.py", "joins rows of other buckets"): MATCHED,
    ("adapters/cli/billing.py", "walks over several buckets"): "the accounts that are named may lie in several",
    ("jobs/trials.py", "joins rows of other buckets"): "a reference lies by itself and not by what it names",
}


def texts(node: ast.AST) -> Iterator[str]:
    """The strings below a node; what is put into one later is a {}."""
    if isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from texts(child)


def statements() -> Iterator[tuple[str, str]]:
    """The SQL of every file, each statement in one line."""
    schema = re.sub(r"--.*", "", SCHEMA.read_text()).split(";")
    sources = [(SCHEMA, schema), *((path, texts(ast.parse(path.read_text()))) for path in SOURCES)]
    for path, found in sources:
        for text in (" ".join(text.split()) for text in found):
            if path is SCHEMA or SQL.match(text):
                yield str(path.relative_to(ROOT)), text


def refused(statement: str) -> set[str]:
    return {what for what, (words, _) in REFUSED.items() if re.match(words, statement)}


def test_no_statement_has_a_form_that_is_refused_where_buckets_are_distributed_but_those_that_are_known():
    found = {(file, what): text for file, text in statements() for what in refused(text)}
    assert {place: text for place, text in found.items() if place not in KNOWN} == {}
    assert KNOWN.keys() - found.keys() == set(), "these are not needed any more"


@pytest.mark.parametrize(("what", "statement"), [(what, one) for what, (_, one) in REFUSED.items()], ids=REFUSED)
def test_each_form_is_found(what, statement):
    assert refused(statement) == {what}
