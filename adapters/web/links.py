"""Links to an invoice's page: whoever has one may see and pay that invoice, and nobody can make one up."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from urllib.parse import urlsplit
from uuid import UUID

from domain.errors import Invalid, NotFound

PURPOSE = b"tallystick pay link 1\0"
SEAL = 17
SHORTEST_SECRET = 32


class Links:
    """Makes and reads links. Shapes: the first of `secrets` seals, all of them open, so that they can be rotated."""

    def __init__(self, secrets: Sequence[str], public_url: str) -> None:
        if not secrets or any(len(secret) < SHORTEST_SECRET for secret in secrets):
            raise Invalid(f"TALLY_LINK_SECRET has to have {SHORTEST_SECRET} characters at least")
        self._secrets = [secret.encode() for secret in secrets]
        self._public_url = public_url.rstrip("/")

    @property
    def path(self) -> str:
        """What stands before every address on our pages, where a proxy puts them under a path of its own."""
        return urlsplit(self._public_url).path

    def link_of(self, invoice: UUID) -> str:
        """Where a customer sees and pays an invoice."""
        return f"{self._public_url}/pay/{self.token(invoice)}"

    def return_of(self, invoice: UUID) -> str:
        """Where a provider sends the customer back to."""
        return f"{self._public_url}/return/{self.token(invoice)}"

    def token(self, invoice: UUID) -> str:
        """The invoice's id under seal."""
        return urlsafe_b64encode(invoice.bytes + _seal(self._secrets[0], invoice)).decode()

    def read(self, token: str) -> UUID:
        """The invoice of a link. Raises: NotFound for anything that was not sealed here."""
        try:
            raw = urlsafe_b64decode(token.encode("ascii"))
        except (NotBase64, ValueError):
            raise NotFound("there is no such page") from None
        # Another way to write the same bytes is another link, and not one of ours.
        if len(raw) != 16 + SEAL or urlsafe_b64encode(raw).decode() != token:
            raise NotFound("there is no such page")
        invoice, found = UUID(bytes=raw[:16]), False
        for secret in self._secrets:
            found |= hmac.compare_digest(_seal(secret, invoice), raw[16:])
        if not found:
            raise NotFound("there is no such page")
        return invoice


def _seal(secret: bytes, invoice: UUID) -> bytes:
    return hmac.new(secret, PURPOSE + invoice.bytes, "sha256").digest()[:SEAL]
