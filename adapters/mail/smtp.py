"""Sends mails by SMTP, as the standard library speaks it: STARTTLS or TLS, and a password only behind either.

A server that loses the line after it took a mail makes us send it again; its Message-ID is the same, so that mail
programs can tell. Bounces are not read: they come to the sender's mailbox. Source: ADR-0027.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from urllib.parse import unquote, urlsplit

import msgspec

from adapters.mail.render import CONTROL, Rendered, render
from domain.errors import Invalid, NotFound
from jobs.deliver import Message, Verdict
from jobs.letters import Letter, Letters

SECONDS = 10
ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}")
LOOPBACK = "127.0.0.1"


class Server(msgspec.Struct, frozen=True):
    """A mail server. Shapes: without `tls` it has to turn to TLS by STARTTLS; on loopback only if it offers that."""

    host: str
    port: int
    user: str
    password: str
    tls: bool


def server(url: str) -> Server:
    """The server of smtp://USER:PASSWORD@HOST:587 or smtps://…:465. Raises: Invalid."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise Invalid("TALLY_SMTP_URL is smtp://USER:PASSWORD@HOST:587 or smtps://USER:PASSWORD@HOST:465")
    tls = parts.scheme == "smtps"
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Server(parts.hostname, port or (465 if tls else 587), user, password, tls)


def unreachable(letter: Letter) -> str:
    """Why nobody is written to, or nothing."""
    return "" if ADDRESS.fullmatch(letter.address) else "the account has no usable mail address"


@dataclass(frozen=True)
class Mails:
    """Writes mails about announcements. Raises: Invalid, when made, for a sender that is no address."""

    letters: Letters
    server: Server
    sender: str
    trust: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    def __post_init__(self) -> None:
        if not ADDRESS.fullmatch(parseaddr(self.sender)[1]):
            raise Invalid(f"TALLY_MAIL_FROM is like 'Billing <billing@acme.example>', not {self.sender!r}")

    def carry(self, message: Message, now: datetime) -> Verdict:
        """Writes and sends; an address that the server refuses for good is not tried again."""
        told = msgspec.json.decode(message.body)
        letter = self.letters.write(message.type, told["data"])
        if letter is None:
            return Verdict("skipped", "there is nothing to say any more")
        if nobody := unreachable(letter):
            return Verdict("skipped", nobody)
        try:
            words = render(letter, parseaddr(self.sender)[0])
        except NotFound as error:
            return Verdict("refused", str(error))
        return self.send(self.written(message.id, now, letter.name, letter.address, words))

    def probe(self, message: str, now: datetime, to: str) -> Verdict:
        """Sends a mail of one sentence. Raises: Invalid for an address that cannot be one."""
        if not ADDRESS.fullmatch(to):
            raise Invalid(f"{to!r} is not a mail address")
        words = "This mail shows that Tallystick can send mails."
        return self.send(self.written(message, now, "", to, Rendered("en", "Test", words, f"<p>{words}</p>")))

    def written(self, message: str, now: datetime, name: str, address: str, words: Rendered) -> EmailMessage:
        """The mail as it goes out, with a Message-ID that only depends on the message."""
        sender_name, sender = parseaddr(self.sender)
        mail = EmailMessage()
        mail["From"] = Address(sender_name, addr_spec=sender)
        mail["To"] = Address(CONTROL.sub(" ", name), addr_spec=address)
        mail["Subject"] = words.subject
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = f"<{message}@{sender.partition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(words.text, cte="quoted-printable")
        mail.add_alternative(words.html, subtype="html", cte="quoted-printable")
        mail["Content-Language"] = words.language
        return mail

    def send(self, mail: EmailMessage) -> Verdict:
        """Hands a mail to the server."""
        try:
            with self._line() as line:
                line.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()))[0]
            return Verdict("refused" if code >= 500 else "failed", str(code))
        except smtplib.SMTPDataError as error:
            return Verdict("refused" if error.smtp_code >= 500 else "failed", str(error.smtp_code))
        except smtplib.SMTPResponseException as error:
            return Verdict("failed", str(error.smtp_code))
        except (smtplib.SMTPException, OSError) as error:
            return Verdict("failed", "the mail server cannot be reached or cut the line: " + type(error).__name__)
        return Verdict("sent", "250")

    def _line(self) -> Line:
        host, port = self.server.host, self.server.port
        line = (
            TLSLine(host, port, timeout=SECONDS, context=self.trust)
            if self.server.tls
            else Line(host, port, timeout=SECONDS)
        )
        try:
            self._secure(line)
        except BaseException:
            line.close()
            raise
        return line

    def _secure(self, line: Line) -> None:
        """Turns the line to TLS, unless it is, or the server is on this machine and does not offer it; and logs in."""
        line.ehlo()
        if not self.server.tls and (self.server.host != LOOPBACK or line.has_extn("starttls")):
            line.starttls(context=self.trust)
        if self.server.user:
            line.login(self.server.user, self.server.password)


class Line(smtplib.SMTP):
    """A line that is left quietly: what was taken is taken, whatever the server says to our farewell."""

    def __exit__(self, *error: object) -> None:
        with suppress(smtplib.SMTPException, OSError):
            self.quit()
        self.close()


class TLSLine(Line, smtplib.SMTP_SSL):
    """The same, in TLS from its first byte."""
