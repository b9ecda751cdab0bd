"""Posts webhooks: to the address that the guard looked at, in seconds, without redirects or proxies.

Of the answer only the status is read: an endpoint cannot be used to read what our network says.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime

from adapters.outgoing import guard, signature
from adapters.outgoing.guard import Resolve, Target
from domain.errors import Invalid, Unavailable
from jobs.deliver import Message, Verdict

CONNECT_SECONDS = 5
WHOLE_SECONDS = 10
GONE = 410


@dataclass(frozen=True)
class Webhooks:
    """Shapes: `key` is what secrets are derived from; `loopback` allows http://127.0.0.1:PORT, for tests and trials."""

    key: str
    loopback: bool = False
    resolve: Resolve = guard.resolved
    trust: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    def carry(self, message: Message, now: datetime) -> Verdict:
        """Posts a message; 2xx took it, 410 never wants one again, anything else is tried again."""
        endpoint = message.destination
        secrets = [signature.secret(self.key, endpoint.id, one) for one in endpoint.generations(now)]
        headers = signature.headers(message.id, int(now.timestamp()), message.body, secrets)
        try:
            where = guard.target(endpoint.url, self.loopback)
            status = self._post(where, guard.address_of(where, self.resolve), message.body, headers)
        except (Invalid, Unavailable) as error:
            return Verdict("failed", str(error))
        except (OSError, http.client.HTTPException) as error:
            return Verdict("failed", _named(error))
        return Verdict("sent" if 200 <= status < 300 else "gone" if status == GONE else "failed", str(status))

    def _post(self, where: Target, address: str, content: bytes, headers: Mapping[str, str]) -> int:
        line = socket.create_connection((address, where.port), timeout=CONNECT_SECONDS)
        line.settimeout(WHOLE_SECONDS)
        if not where.loopback:
            line = self.trust.wrap_socket(line, server_hostname=where.host, do_handshake_on_connect=False)
        # A receiver that dribbles would keep each read just short of its time-out: the line is cut instead.
        cut = threading.Timer(WHOLE_SECONDS, _cut, [line])
        cut.start()
        try:
            return _status(line, where, content, headers)
        finally:
            cut.cancel()
            line.close()


def _status(line: socket.socket, where: Target, content: bytes, headers: Mapping[str, str]) -> int:
    if isinstance(line, ssl.SSLSocket):
        line.do_handshake()
    host = f"{where.host}:{where.port}" if where.loopback else where.host
    connection = http.client.HTTPConnection(where.host, where.port)
    connection.sock = line
    fixed = {"Host": host, "Content-Type": "application/json", "User-Agent": "tallystick", "Connection": "close"}
    with closing(connection):
        connection.request("POST", where.path, content, {**fixed, **headers})
        return connection.getresponse().status


def _cut(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


def _named(error: Exception) -> str:
    """What went wrong, in our words: nothing that the other side wrote."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return "TLS failed: the certificate or the handshake"
    if isinstance(error, ConnectionError):
        return "the connection was refused or cut"
    return "it did not answer in HTTP" if isinstance(error, http.client.HTTPException) else "the network failed"
