"""One chunk of a run: read in one snapshot, rated, issued and marked done in one transaction.

What the database refuses of one account is recorded and never stops the others. Source: ADR-0012.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from msgspec.structs import replace
from psycopg_pool import ConnectionPool

from domain.billing import documents
from domain.errors import TallyError
from domain.identity import bucket_of
from domain.ports import Append
from domain.terms import Packages
from jobs import basis
from jobs.issue import Context, Overtaken, issue
from jobs.rate import Rated, Run, billable, rate, why_parked


def bill_chunk(
    append: Append,
    pool: ConnectionPool[psycopg.Connection],
    packages: Packages,
    run: Run,
    chunk: int,
    buckets: Sequence[int],
) -> None:
    """Bills some buckets in an appending transaction, and marks their chunk done.

    Raises: Overtaken when somebody billed them since they were read.
    """
    snapshot = basis.read(pool, buckets)
    rated = list(rate(snapshot, run, packages))
    context = Context(run.run, run.through, run.issued_on, snapshot.cut, snapshot.generation)
    rated, issued = _issue_all(append, rated, snapshot, context)
    _report(append, run, chunk, rated, issued, [snapshot.cut.get(bucket, 0) for bucket in buckets])


def _issue_all(
    append: Append, rated: Sequence[Rated], snapshot: basis.Snapshot, context: Context
) -> tuple[list[Rated], int]:
    """Issues for all accounts at once; when the database refuses, for each payer alone, so that one fault stays one."""
    try:
        with append.nested() as part:
            return list(rated), _issue(part, rated, snapshot, context)
    except (psycopg.IntegrityError, TallyError) as error:
        if isinstance(error, Overtaken):
            raise
    healthy = _without_faults(append, rated, snapshot, context)
    with append.nested() as part:
        return healthy, _issue(part, healthy, snapshot, context)


def _without_faults(append: Append, rated: Sequence[Rated], snapshot: basis.Snapshot, context: Context) -> list[Rated]:
    """Tries every account alone, undoing each try, and marks those that the database refuses."""
    return [one if one.failed else replace(one, failed=_refusal(append, one, snapshot, context)) for one in rated]


def _refusal(append: Append, rated: Rated, snapshot: basis.Snapshot, context: Context) -> str:
    try:
        with append.nested() as part:
            _issue(part, [rated], snapshot, context)
            raise _Undone
    except _Undone:
        return ""
    except Overtaken:
        raise
    except (psycopg.IntegrityError, TallyError) as error:
        return str(error).splitlines()[0]


class _Undone(Exception):
    """Ends a try that went well."""


def _issue(append: Append, rated: Sequence[Rated], snapshot: basis.Snapshot, context: Context) -> int:
    return issue(append, documents(billable(rated), snapshot.accounts, context.issued_on), context)


def _report(append: Append, run: Run, chunk: int, rated: Sequence[Rated], issued: int, cuts: list[int]) -> None:
    failed, parked = [one for one in rated if one.failed], [one for one in rated if one.missing]
    exceptions = {(one.account, "failed", one.failed[:500]) for one in failed}
    exceptions |= {(one.account, "parked", why_parked(lack)) for one in parked for lack in one.missing}
    rows = sorted([(bucket_of(account), run.run, account, *why) for account, *why in exceptions])
    append.rows("billing_exception (bucket, run, account, outcome, reason)", rows)
    billed = sum([any([f.difference.lines for f in one.found]) for one in rated if not one.failed])
    append.query(
        "UPDATE billing_chunk SET done = true, licenses = %s, billed = %s, nothing = %s, parked = %s, failed = %s, "
        "documents = %s, cuts = %s WHERE run = %s AND chunk = %s",
        [
            sum([len(one.found) for one in rated]),
            billed,
            len(rated) - billed - len(failed),
            len(parked),
            len(failed),
            issued,
            cuts,
            run.run,
            chunk,
        ],
    )
