"""What each account's licenses come to on the day of a run, and what may be issued. A fault stays with its account."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

import msgspec

from domain.billing import Found, found
from domain.charge import Missing
from domain.errors import TallyError
from domain.period import day
from domain.terms import Packages
from jobs.basis import Snapshot

LINES_SANE = 20000


class Run(NamedTuple):
    """A billing run: everything due through a date, on documents dated `issued_on`; `accounts` None means all."""

    run: str
    through: date
    issued_on: date
    accounts: frozenset[UUID] | None = None


class Rated(msgspec.Struct, frozen=True):
    """One account with what its licenses come to, or why they could not be rated."""

    account: UUID
    found: Sequence[Found]
    failed: str = ""

    @property
    def missing(self) -> list[Missing]:
        return [lack for one in self.found for lack in one.missing]


def rate(snapshot: Snapshot, run: Run, packages: Packages) -> Iterator[Rated]:
    """What every account's licenses come to on the run's date; a fault stays with its account."""
    for account, standings in snapshot.standings.items():
        if run.accounts is not None and account not in run.accounts:
            continue
        try:
            results = [found(standing, run.through, packages) for standing in standings]
            lines = max([len(one.difference.lines) for one in results], default=0)
            sane = "" if lines <= LINES_SANE else f"a license came to {lines} lines: over the bound of {LINES_SANE}"
            yield Rated(account, results, sane)
        except TallyError as error:
            yield Rated(account, [], str(error))
        except Exception as error:
            yield Rated(account, [], f"{type(error).__name__}: {error}")


def billable(rated: Iterable[Rated]) -> list[Found]:
    """What may be issued: nothing of an account that failed."""
    return [one for account in rated if not account.failed for one in account.found]


def why_parked(lack: Missing) -> str:
    """Which days of which component wait for whose reading."""
    where = f"{lack.stream.component}: no reading of {lack.counter}"
    return f"{where} from {day(lack.start)} to {day(lack.end - 1)}"
