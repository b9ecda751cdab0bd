"""Genuine webhooks with one thing changed, thousands of them, judged by a reference that shares no code with ours.

`make fuzz-webhooks` plays 50,000 against a database of its own.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import json
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.bootstrap import Tally
from adapters.embedded import Embedded
from adapters.web.app import make_app
from adapters.web.webhooks import Door
from adapters.webhooks.stripe import StripeVerifier
from tests.deliveries import AT, NOW, OLDER_SECRET, SECRET, Headers, ask, body_of, event, mac, signed

Case = tuple[Headers, bytes]


@dataclass
class Found:
    """What became of all of them. Shapes: `wrong` was accepted against the reference, or answered with a fault."""

    statuses: dict[int, int] = field(default_factory=dict)
    wrong: list[tuple[str, Headers, bytes, int]] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        return self.statuses.get(200, 0)


def reference(headers: Headers, body: bytes) -> bool:
    """Whether a delivery is genuine, by the words of Stripe's own page and nothing else."""
    values = [value for name, value in headers if name.lower() == b"stripe-signature"]
    times = re.findall(rb"(?:^|,)t=([0-9]+)(?=,|$)", b",".join(values))
    macs = [hmac.new(key.encode(), times[0] + b"." + body, hashlib.sha256).hexdigest().encode()
            for key in (SECRET, OLDER_SECRET)] if len(times) == 1 and len(values) == 1 else []  # fmt: skip
    return bool(macs) and abs(int(times[0]) - AT) <= 300 and any(b"v1=" + one in values[0].split(b",") for one in macs)


def _flip(content: bytes, chance: random.Random) -> bytes:
    if not content:
        return b"\x01"
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]


def _edit(content: bytes, chance: random.Random) -> bytes:
    """Bytes put in, taken out, doubled or moved."""
    at, to = sorted(chance.randrange(len(content) + 1) for _ in "ab")
    piece = bytes(chance.choice(b'\x00\xff",:{}[]=tv1 0aA\n') for _ in range(chance.randrange(1, 9)))
    return chance.choice([
        content[:at] + piece + content[at:], content[:at] + content[to:], content[:to] + content[at:],
        content[to:] + content[:to], content + piece, piece + content,
    ])  # fmt: skip


def _in_signature(change: Callable[[bytes, random.Random], bytes]) -> Callable[[Case, random.Random], Case]:
    def mutate(case: Case, chance: random.Random) -> Case:
        headers, body = case
        return [(n, change(v, chance) if n == b"stripe-signature" else v) for n, v in headers], body

    return mutate


def _of_header(value: bytes, chance: random.Random) -> bytes:
    """What clever forgers do to the header."""
    time, _, signature = value.partition(b",")
    digits = signature.removeprefix(b"v1=")
    shifted = str(AT + chance.choice([-1, 1]) * chance.choice([1, 300, 301, 10**6, 10**9])).encode()
    return chance.choice([
        b"t=" + shifted + b"," + signature, time + b",v0=" + digits, time + b",v1=" + digits.upper(),
        time + b",v1=" + digits[:-1], time + b",v1=" + digits + b"0", value + b",t=" + shifted,
        b"t=" + shifted + b"," + value, time + b"," + b"v1=" + b"0" * 64 + b"," + signature, value + b",v0=x",
        value + b"," + signature, time.replace(b"t=", b"t= ") + b"," + signature, value.replace(b",", b";"),
        value.upper(), b"", value * 2, value + b",", time + b",v1=" + digits.decode().translate(
            {48 + n: 0x660 + n for n in range(10)}).encode(),
    ])  # fmt: skip


def _in_body(case: Case, chance: random.Random) -> Case:
    headers, body = case
    return headers, chance.choice([_flip, _edit])(body, chance)


def _rewritten(case: Case, chance: random.Random) -> Case:
    headers, body = case
    told = json.loads(body)
    return headers, chance.choice([
        json.dumps(told).encode(), b"\xef\xbb\xbf" + body, body.replace(b"\n", b"\r\n"), gzip.compress(body),
        body + b"\n", body.decode().encode("utf-16"), json.dumps(told, sort_keys=True, indent=2).encode(), b"",
    ])  # fmt: skip


def _signed_anew(case: Case, chance: random.Random) -> Case:
    """A bad body with a genuine signature: what the strict reader is for."""
    body = chance.choice([_flip, _edit])(case[1], chance)
    return signed(body, AT, chance.choice([SECRET, OLDER_SECRET])), body


def _of_another(case: Case, chance: random.Random) -> Case:
    body = case[1]
    return signed(body, AT, chance.choice(["", "whsec_of_another", SECRET[:-1], SECRET.upper(), f" {SECRET}"])), body


def _around(case: Case, chance: random.Random) -> Case:
    """Headers around the signature: doubled, left out, added, of another case."""
    headers, body = list(case[0]), case[1]
    at = chance.randrange(len(headers))
    name, value = headers[at]
    whole = (name, value)
    changed = chance.choice([
        [whole] * 2, [], [(name.upper(), value)], [(name, _flip(value, chance))], [(_flip(name, chance), value)],
        [whole, (b"x-more", b"1")], [whole, (b"stripe-signature", mac(body).encode())],
    ])  # fmt: skip
    return [*headers[:at], *changed, *headers[at + 1 :]], body


def _untouched(case: Case, chance: random.Random) -> Case:
    return case


MUTATORS: dict[str, Callable[[Case, random.Random], Case]] = {
    "a bit of the signature": _in_signature(_flip),
    "bytes of the signature": _in_signature(_edit),
    "the header's form": _in_signature(_of_header),
    "the body": _in_body,
    "the body written anew": _rewritten,
    "a bad body, signed": _signed_anew,
    "of another endpoint": _of_another,
    "other headers": _around,
    "nothing": _untouched,
}


def fuzz(app: Any, count: int, seed: int, told: Callable[[int], None] = lambda done: None) -> Found:
    """Plays mutated webhooks; the reference says of each whether it may be accepted."""
    return asyncio.run(_fuzz(app, count, random.Random(seed), told))


async def _fuzz(app: Any, count: int, chance: random.Random, told: Callable[[int], None]) -> Found:
    found = Found()
    for number in range(count):
        body = body_of(event(f"evt_{number % 500}", chance.choice(["charge.refunded", "payment_intent.succeeded"])))
        name = chance.choice(list(MUTATORS))
        headers, mutated = MUTATORS[name]((signed(body), body), chance)
        answer = await ask(app, headers, mutated)
        found.statuses[answer.status] = found.statuses.get(answer.status, 0) + 1
        may = reference(headers, mutated)
        if answer.status >= 500 or (answer.status == 200 and not may) or (name == "nothing" and answer.status != 200):
            found.wrong.append((name, headers, mutated, answer.status))
        if number % 5000 == 4999:
            told(number + 1)
    return found


def main(count: int, seed: int) -> int:
    """Plays them on an embedded database that is gone afterwards; 1 when anything was wrong."""
    home = Path(tempfile.mkdtemp(prefix="tally-fuzz-"))
    home.chmod(0o755)
    embedded = Embedded(home, durable=False)
    try:
        with Tally(embedded.start()) as tally:
            verifier = StripeVerifier([SECRET, OLDER_SECRET], live=False)
            app = make_app(Door({"stripe": verifier}, tally.pool, now=lambda: NOW))
            found = fuzz(app, count, seed, lambda done: print(f"{done} played", flush=True))
    finally:
        embedded.stop()
        shutil.rmtree(home, ignore_errors=True)
    faults = sum(number for status, number in found.statuses.items() if status >= 500)
    print(
        f"{count} webhooks: {found.accepted} genuine ones accepted, {len(found.wrong)} wrongly, {faults} server errors"
    )
    for wrong in found.wrong[:5]:
        print(wrong)
    return bool(found.wrong)


if __name__ == "__main__":
    sys.exit(main(*(int(word) for word in [*sys.argv[1:], "50000", "1"][:2])))
