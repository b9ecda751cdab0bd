"""`tally mail`: letters to accounts, on and off, shown before they are sent."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast
from uuid import UUID, uuid4

import typer

from adapters.bootstrap import Tally
from adapters.bootstrap.outgoing import letters_of
from adapters.cli.contact import check_contact
from adapters.cli.opened import opened
from adapters.cli.printing import show
from domain.errors import Invalid, NotFound, Unavailable
from jobs.bank import owed
from jobs.letters import WRITTEN

if TYPE_CHECKING:
    from adapters.mail.smtp import Mails

app = typer.Typer()
MAIL = "mail"


@app.command("enable")
def enable() -> None:
    """Writes to accounts of everything from now on; what happened before is never written about.

    TALLY_SMTP_URL is smtp://USER:PASSWORD@HOST:587 or smtps://…:465, TALLY_MAIL_FROM the sender.
    """
    with opened() as tally:
        _mails(tally)
        if any(one.id == MAIL for one in tally.destinations.all()):
            tally.destinations.listen(MAIL, list(WRITTEN))
            tally.destinations.enable(MAIL)
        else:
            tally.deliverer  # noqa: B018 - its follower is there before the first destination is
            tally.destinations.add(MAIL, "mail", tally.outgoing.sender, list(WRITTEN), None, datetime.now(UTC))
    show({"mail": "enabled"}, "mails are written from now on; `tally deliver` or `tally scheduler` sends them")


@app.command("disable")
def disable() -> None:
    """Sends no mails until it is enabled again; what is to be written waits."""
    with opened() as tally:
        tally.destinations.disable(MAIL, "by hand")
    show({"mail": "disabled"}, "no mails are sent; what is to be written waits")


@app.command("preview")
def preview(
    number: Annotated[str, typer.Argument(help="the number of an invoice")],
    template: Annotated[str, typer.Option(help="receipt, payment_failed, reminder, …")] = "invoice_issued",
    language: Annotated[str, typer.Option(help="en, de; else the account's")] = "",
    html: Annotated[Path | None, typer.Option(help="write the HTML to this file too")] = None,
) -> None:
    """Shows the letter that an account would get about an invoice, without sending it; says so if nobody would."""
    from adapters.mail.render import render
    from adapters.mail.smtp import unreachable

    check_contact(None, language)
    with opened() as tally:
        letter = letters_of(tally).sample(template, _invoice(tally, number), datetime.now(UTC).date())
        words = render(letter._replace(language=language or letter.language), "")
    if html:
        _write(html, words.html)
    nobody = unreachable(letter)
    to = f"nobody: {nobody} (`tally accounts change` takes --email)" if nobody else f"{letter.name} <{letter.address}>"
    answer = {**words._asdict(), "to": letter.address, "nobody": nobody}
    show(answer, f"To: {to}\nSubject: {words.subject}\n\n{words.text}")


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, "utf-8")
    except OSError as error:
        raise Invalid(f"--html {path} cannot be written: {error.strerror}") from None


@app.command("test")
def test(to: Annotated[str, typer.Argument(help="who gets it")]) -> None:
    """Sends a mail now, to see whether the server takes it."""
    with opened() as tally:
        verdict = _mails(tally).probe(f"msg_{uuid4().hex}", datetime.now(UTC), to)
    if verdict.what != "sent":
        raise Unavailable(f"the mail server did not take it: {verdict.status}")
    show({"to": to, "status": verdict.status}, f"the mail server took it for {to}")


def _invoice(tally: Tally, number: str) -> UUID:
    tally.follower().catch_up()
    found = next(iter(owed(tally.pool, [number])), None)
    if found is None:
        raise NotFound(f"there is no invoice {number}")
    return found.invoice


def _mails(tally: Tally) -> Mails:
    carrier = tally.deliverer.carriers.get(MAIL)
    if carrier is None:
        raise Invalid("no mail server is set up: set TALLY_SMTP_URL and TALLY_MAIL_FROM")
    return cast("Mails", carrier)
