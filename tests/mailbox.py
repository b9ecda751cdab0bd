"""A real SMTP server on loopback: it keeps what it takes, and can be told to refuse, to stall, or to hang up."""

from __future__ import annotations

from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session


class AnyPort(Controller):
    """A controller that can be given port 0."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class Mailbox:
    """Shapes: `answer` gives the reply to a mail's data ("" hangs up after it was taken), `to` that to a recipient."""

    def __init__(self, answer: Callable[[int], str] = lambda number: "250 OK", to: str = "250 OK", **more: Any) -> None:
        self.answer, self.to = answer, to
        self.mails: list[EmailMessage] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.controller = AnyPort(self, hostname="127.0.0.1", port=0, authenticator=self._login, **more)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.to.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.to

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append(cast("EmailMessage", message_from_bytes(envelope.content, policy=policy.default)))
        reply = self.answer(len(self.mails))
        if not reply:
            assert server.transport is not None
            server.transport.abort()
        return reply or "250 OK"

    def _login(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.controller.port}"

    def __enter__(self) -> Mailbox:
        self.controller.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.controller.stop()
