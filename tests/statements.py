"""Writes statements as banks do, so that tests can read them: camt.053, MT940 and CSV of the same movements."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from domain.money import written
from domain.statement import Statement, Transfer

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"


def camt053(*statements: Statement, namespace: str = NAMESPACE) -> str:
    """A camt.053 file."""
    body = "".join(map(_camt_statement, statements))
    return f'<?xml version="1.0"?>\n<Document xmlns="{namespace}"><BkToCstmrStmt>{body}</BkToCstmrStmt></Document>\n'


def _camt_statement(statement: Statement) -> str:
    balances = [("OPBD", statement.opening), ("CLBD", statement.closing)]
    return (
        f"<Stmt><Id>{statement.number}</Id><Acct><Id><IBAN>{statement.account}</IBAN></Id></Acct>"
        + "".join(
            f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>{_camt_amount(amount, statement.currency)}"
            f"<Dt><Dt>{statement.closed_on}</Dt></Dt></Bal>"
            for code, amount in balances
        )
        + "".join("\n" + _camt_entry(one, statement.currency) for one in statement.transfers)
        + "</Stmt>"
    )


def _camt_amount(amount: int, currency: str) -> str:
    side = "DBIT" if amount < 0 else "CRDT"
    return f'<Amt Ccy="{currency}">{written(abs(amount), currency)}</Amt><CdtDbtInd>{side}</CdtDbtInd>'


def _camt_entry(one: Transfer, currency: str) -> str:
    party = "Cdtr" if one.amount < 0 else "Dbtr"
    return (
        f"<Ntry>{_camt_amount(one.amount, currency)}<Sts><Cd>BOOK</Cd></Sts>"
        f"<BookgDt><Dt>{one.booked_on}</Dt></BookgDt>"
        + (f"<AcctSvcrRef>{one.reference}</AcctSvcrRef>" if one.reference else "")
        + f"<NtryDtls><TxDtls><RltdPties><{party}><Nm>{escape(one.name)}</Nm></{party}>"
        + (f"<{party}Acct><Id><IBAN>{one.iban}</IBAN></Id></{party}Acct>" if one.iban else "")
        + f"</RltdPties><RmtInf><Ustrd>{escape(one.text)}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
    )


def mt940(*statements: Statement) -> str:
    """An MT940 file."""
    return "".join(line for one in statements for line in _mt940_lines(one))


def _mt940_lines(statement: Statement) -> Sequence[str]:
    day, currency = f"{statement.closed_on:%y%m%d}", statement.currency
    opening, closing = (_mark(amount, currency) for amount in (statement.opening, statement.closing))
    lines = [":20:START", f":25:{statement.account}", f":28C:{statement.number}"]
    lines.append(f":60F:{opening[0]}{day}{currency}{opening[1]}")
    for one in statement.transfers:
        mark, amount = _mark(one.amount, currency)
        lines.append(f":61:{one.booked_on:%y%m%d}{one.booked_on:%m%d}{mark}{amount}NTRFNONREF//{one.reference}")
        lines.append(f":86:166?00Transfer?20{one.text}?32{one.name}")
    return [f"{line}\n" for line in [*lines, f":62F:{closing[0]}{day}{currency}{closing[1]}", "-"]]


def _mark(amount: int, currency: str) -> tuple[str, str]:
    text = written(abs(amount), currency).replace(".", ",")
    return ("D" if amount < 0 else "C"), text if "," in text else f"{text},"


MAPPING = "account: DE02120300000000202051\ncurrency: EUR\ndelimiter: ';'\ndecimal: ','\ndate_format: '%d.%m.%Y'\n" \
    "columns: {booked_on: Buchung, amount: Betrag, text: Zweck, name: Name}\n"  # fmt: skip


def csv(statement: Statement) -> str:
    """A CSV as MAPPING reads it."""
    rows = [
        f"{one.booked_on:%d.%m.%Y};{written(one.amount, statement.currency).replace('.', ',')};{one.text};{one.name}"
        for one in statement.transfers
    ]
    return "\n".join(["Buchung;Betrag;Zweck;Name", *rows]) + "\n"
