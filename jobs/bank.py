"""Bank transfers: what statements tell of is kept once, pays the invoices that it names, or waits for a person.

A movement is stored in the import's one transaction, and settled afterwards under its own name: a crash between the
two is made good by the next import or `settle_transfers`, and nothing is booked twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

import psycopg
from psycopg_pool import ConnectionPool

from domain.application import Billing
from domain.application.payments import BookReceipt
from domain.application.returns import GiveBack
from domain.errors import Conflict, Invalid, NotFound
from domain.identity import name_bucket
from domain.matching import Match, Owed, match, numbers_in, payouts_in
from domain.statement import Statement, Transfer, identities
from jobs.payout import moved, payout_named

Pool = ConnectionPool[psycopg.Connection]
KNOWN_ACCOUNT = "SELECT currency, closing, closed_on FROM bank_statement WHERE bucket = %s AND account = %s"
ADD_STATEMENT = "INSERT INTO bank_statement VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
ADD_TRANSFER = """INSERT INTO bank_transfer (bucket, transfer, account, booked_on, amount, currency, text, name, iban,
is_return) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
COLUMNS = "transfer, booked_on, amount, currency, text, name, iban, is_return, state, why"
LISTED = f"""SELECT {COLUMNS} FROM bank_transfer WHERE state = %s AND (booked_on, transfer) > (%s, %s)
ORDER BY booked_on, transfer LIMIT %s"""
OVER = frozenset({"settled", "payout"})
"""States of a movement whose money is accounted for; a payout is money that a provider had taken for us before."""
MARK = """UPDATE bank_transfer SET state = %s, why = %s, payer = %s WHERE bucket = %s AND transfer = %s
AND state = ANY(%s)"""
BEFORE: dict[str, list[str]] = {"suspense": ["new"], "settled": ["new", "suspense", "payout"]}
"""What a movement may have been before: who booked it had the last word, and one that was booked is never put back."""
OWED = """SELECT invoice, account, number, currency, left_open FROM receivable_v1 WHERE number = ANY(%s)
ORDER BY array_position(%s, number)"""
SUGGESTED = """SELECT number FROM receivable_v1 WHERE left_open = %s AND currency = %s AND left_open > 0
ORDER BY due_on LIMIT 5"""


class Imported(NamedTuple):
    """What an import found: movements that are new, movements known before, and what a person should look at."""

    new: int
    known: int
    alarms: list[str]


class Waiting(NamedTuple):
    """A movement as it is kept. Units: minor units."""

    transfer: str
    booked_on: date
    amount: int
    currency: str
    text: str
    name: str
    iban: str
    is_return: bool
    state: str
    why: str


def import_statements(pool: Pool, statements: Sequence[Statement], new_account: bool = False) -> Imported:
    """Keeps what statements tell of, all of it or nothing; what is kept already is left as it is.

    Raises: Conflict for an account that was never seen, unless it is said to be new, or in another currency.
    """
    added, alarms = 0, list[str]()
    with pool.connection() as connection, connection.transaction():
        for statement, names in zip(statements, identities(statements), strict=True):
            alarms += _check(connection, statement, new_account)
            is_new = _add_statement(connection, statement)
            for transfer, name in zip(statement.transfers, names, strict=True):
                kept = _keep(connection, statement, transfer, name)
                added += kept
                if is_new and not kept and not transfer.is_named:
                    # Another file told of it, or it is another one that looks the same: only a person can say.
                    alarms.append(f"{name} of {transfer.booked_on} was known: the bank gives it no reference")
    return Imported(added, sum(len(one.transfers) for one in statements) - added, alarms)


def _add_statement(connection: psycopg.Connection, statement: Statement) -> bool:
    balances = [statement.currency, statement.opening, statement.closing]
    row = [name_bucket(statement.account), statement.account, statement.number, statement.closed_on, *balances]
    return connection.execute(ADD_STATEMENT, row).rowcount > 0


def _check(connection: psycopg.Connection, statement: Statement, new_account: bool) -> Iterator[str]:
    known = connection.execute(KNOWN_ACCOUNT, [name_bucket(statement.account), statement.account]).fetchall()
    if not known and not new_account:
        raise Conflict(f"{statement.account} was never imported before: if it is ours, say --new-account")
    if any(currency != statement.currency for currency, *_ in known):
        raise Conflict(f"{statement.account} is not an account in {statement.currency}")
    if known and statement.opening not in {closing for _, closing, _ in known} and _is_next(known, statement):
        yield f"statement {statement.number} of {statement.account} does not open where one before it closed"


def _is_next(known: Sequence[tuple[Any, ...]], statement: Statement) -> bool:
    return bool(statement.closed_on > max(closed_on for *_, closed_on in known))


def _keep(connection: psycopg.Connection, statement: Statement, transfer: Transfer, name: str) -> int:
    said = [transfer.text[:4000], transfer.name[:400], transfer.iban, transfer.is_return]
    row = [name_bucket(name), name, statement.account, transfer.booked_on, transfer.amount, statement.currency]
    return connection.execute(ADD_TRANSFER, [*row, *said]).rowcount


def settle_transfers(billing: Billing, pool: Pool, progress: Callable[[int], None] = lambda done: None) -> Counter[str]:
    """Settles what was kept and not looked at yet; how many went where. The projections have caught up before."""
    counts: Counter[str] = Counter()
    series = _series(pool)
    for waiting in listed(pool, "new"):
        counts[_settle(billing, pool, waiting, series)] += 1
        progress(1)
    return counts


def _settle(billing: Billing, pool: Pool, waiting: Waiting, series: Sequence[str]) -> str:
    if waiting.amount < 0 or waiting.is_return:
        return _settle_payout(billing, pool, waiting)
    said = Transfer(waiting.booked_on, waiting.amount, waiting.text, waiting.name, is_return=waiting.is_return)
    found = match(said, waiting.currency, owed(pool, numbers_in(waiting.text, series)))
    if found.account is None:
        return _mark(pool, waiting.transfer, "suspense", found)
    _book(billing, waiting, found)
    return _mark(pool, waiting.transfer, "settled", found)


def _settle_payout(billing: Billing, pool: Pool, waiting: Waiting) -> str:
    """Money that went out, or came back, is a payout of ours when it bears the reference of one that it fits."""
    names = payouts_in(waiting.text)
    why = "money that went out or came back" if len(names) != 1 else ""
    if not why:
        try:
            return _book_payout(billing, pool, waiting, names[0])
        except (Conflict, NotFound) as error:
            why = str(error)
    return _mark(pool, waiting.transfer, "suspense", Match(None, why=why))


def _book_payout(billing: Billing, pool: Pool, waiting: Waiting, reference: str) -> str:
    found = payout_named(pool, reference)
    moved(billing, found, waiting.transfer, waiting.amount, waiting.currency, waiting.booked_on)
    what = "made" if waiting.amount < 0 else "came back"
    return _mark(pool, waiting.transfer, "settled", Match(found.account, why=f"{reference} {what}"))


def _book(billing: Billing, waiting: Waiting, found: Match) -> bool:
    """Books a movement; False when it was booked before."""
    assert found.account is not None
    booked: bool = billing.execute(
        BookReceipt(
            account=found.account, currency=waiting.currency, receipt=f"bank:{waiting.transfer}", source="bank",
            amount=waiting.amount, on=waiting.booked_on, text=waiting.text[:200], invoices=found.invoices,
        )
    )  # fmt: skip
    return booked


def _mark(pool: Pool, transfer: str, state: str, found: Match) -> str:
    """Says what became of a movement, unless others decided meanwhile; where it is now."""
    with pool.connection() as connection:
        row = [state, found.why, found.account, name_bucket(transfer), transfer, BEFORE[state]]
        if connection.execute(MARK, row).rowcount:
            return state
    return _one(pool, transfer).state


def allocate_transfer(billing: Billing, pool: Pool, transfer: str, numbers: Sequence[str]) -> None:
    """A person says which invoices a movement in suspense pays; the first decides whose money it is.

    Raises: NotFound; Conflict when it is settled, or the invoices are of several accounts; Invalid for money that left.
    """
    waiting, named = _one(pool, transfer), owed(pool, numbers)
    missing = set(numbers) - {one.number for one in named}
    if missing:
        raise NotFound(f"there is no invoice {', '.join(sorted(missing))}")
    if waiting.state in OVER:
        raise Conflict(f"{transfer} is {waiting.state}: {waiting.why}")
    if waiting.amount < 0:
        raise Invalid(f"{transfer} went out: it can only be a return of a receipt")
    if len({(one.account, one.currency) for one in named}) != 1 or named[0].currency != waiting.currency:
        raise Conflict("the invoices are of several accounts, or in another currency")
    found = Match(named[0].account, tuple(one.invoice for one in named), "by hand")
    booked = _book(billing, waiting, found)
    _mark(pool, transfer, "settled", found)
    if not booked:
        raise Conflict(f"{transfer} was booked already: see what bank:{transfer} paid")


def return_transfer(billing: Billing, pool: Pool, transfer: str, receipt: str) -> None:
    """A person says that a movement out gave the money of a receipt back; what it paid is open again.

    With the reference of a payout instead of a receipt the movement made it, or, when it came in, brought it back.
    Raises: NotFound; Conflict when it is settled or does not fit what is there; Invalid for money that came in.
    """
    waiting = _one(pool, transfer)
    if waiting.state in OVER:
        raise Conflict(f"{transfer} is {waiting.state}: {waiting.why}")
    if payouts_in(receipt) == [receipt]:
        _book_payout(billing, pool, waiting, receipt)
        return
    if waiting.amount >= 0:
        raise Invalid(f"{transfer} came in: it cannot be a return")
    with pool.connection() as connection:
        row = connection.execute("SELECT account, currency FROM receipt_v1 WHERE receipt = %s", [receipt]).fetchone()
    if row is None:
        raise NotFound(f"there is no receipt {receipt}")
    back = GiveBack(
        account=row[0], currency=row[1], receipt=receipt, return_id=f"bank:{transfer}", kind="reversal",
        amount=-waiting.amount, on=waiting.booked_on, text=waiting.text[:200],
    )  # fmt: skip
    if row[1] != waiting.currency:
        raise Conflict(f"{receipt} is in {row[1]}, not {waiting.currency}")
    billing.execute(back)
    _mark(pool, transfer, "settled", Match(row[0], why=f"return of {receipt}"))


def listed(pool: Pool, state: str, after: str = "", limit: int = 1_000_000) -> list[Waiting]:
    """Movements in a state (new, suspense, settled), the oldest first; `after` is the last one of the page before.

    One that is `after` may have been booked meanwhile: it is looked for in every state.
    """
    with pool.connection() as connection:
        last = connection.execute("SELECT booked_on FROM bank_transfer WHERE transfer = %s", [after]).fetchone()
        since = last[0] if last else date.min
        rows = connection.execute(LISTED.encode(), [state, since, after if last else "", limit]).fetchall()
    return list(map(Waiting._make, rows))


def suggestions(pool: Pool, waiting: Waiting) -> list[str]:
    """The open invoices of just this amount."""
    with pool.connection() as connection:
        return [number for (number,) in connection.execute(SUGGESTED, [waiting.amount, waiting.currency]).fetchall()]


def owed(pool: Pool, numbers: Sequence[str]) -> list[Owed]:
    """Invoices by their numbers, in that order; those that are not there are left out."""
    with pool.connection() as connection:
        return [Owed(*row) for row in connection.execute(OWED, [list(numbers), list(numbers)]).fetchall()]


def owed_on(pool: Pool, number: str) -> Owed:
    """One invoice by its number. Raises: NotFound."""
    for found in owed(pool, [number]):
        return found
    raise NotFound(f"there is no invoice {number}")


def _one(pool: Pool, transfer: str) -> Waiting:
    statement = f"SELECT {COLUMNS} FROM bank_transfer WHERE bucket = %s AND transfer = %s"
    with pool.connection() as connection:
        row = connection.execute(statement.encode(), [name_bucket(transfer), transfer]).fetchone()
    if row is None:
        raise NotFound(f"there is no bank transfer {transfer}")
    return Waiting(*row)


def _series(pool: Pool) -> list[str]:
    with pool.connection() as connection:
        return [name for (name,) in connection.execute("SELECT DISTINCT series FROM document_v1").fetchall()]
