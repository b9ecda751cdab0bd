"""The pages of an invoice: see it, pay it at a provider, come back. They run no script and see no card number."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import psycopg
from eventsourcing.persistence import PersistenceError
from fastapi import APIRouter
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from adapters.language import day, money
from adapters.web.answers import SAFE, headers_of
from adapters.web.items import items, totals
from adapters.web.links import Links
from adapters.web.standing import standing
from adapters.web.words import WORDS, Words, wanted_of
from domain.collection import Attempt
from domain.errors import Conflict, IntegrityError, Invalid, NotFound, TallyError
from domain.identity import Kind
from jobs.collect import Collector

log = logging.getLogger("tally.web")
HERE = Path(__file__).parent
STYLE = (HERE / "templates" / "page.css").read_text()
ELSEWHERE = re.compile(r"https://[!-~]+|http://127\.0\.0\.1:[0-9]{1,5}/[!-~]*")

TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip
TEMPLATES.filters |= {"money": money, "day": day}


class Visit(NamedTuple):
    """Somebody at an invoice's page. Shapes: `words` in the browser's language, for a party whose own is not known."""

    invoice: UUID
    words: Words


@dataclass(frozen=True)
class Pages:
    """What a customer sees who has an invoice's link, in the language of the party that is billed."""

    collector: Collector
    links: Links

    def router(self) -> APIRouter:
        """The page, its buttons, the way back, and the style."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/pay/{token}", self._show, methods=["GET", "HEAD"])
        router.add_api_route("/pay/{token}/{provider}", self._pay, methods=["POST"])
        router.add_api_route("/pay/{token}/", self._again, methods=["GET"])
        router.add_api_route("/pay/{token}/{provider}", self._again, methods=["GET"])
        router.add_api_route("/return/{token}", self._come_back, methods=["GET"])
        router.add_api_route("/pay/{cut_off:path}", self._missing, methods=["GET", "POST"])
        router.add_api_route("/page.css", _style, methods=["GET", "HEAD"])
        return router

    async def _show(self, token: str, request: Request) -> Response:
        return await run_in_threadpool(self._of, token, request, self._page)

    async def _again(self, token: str, request: Request) -> Response:
        """An address that a button left in the browser, opened anew: looking begins nothing."""
        return await run_in_threadpool(self._of, token, request, self._to_the_page)

    async def _pay(self, token: str, provider: str, request: Request) -> Response:
        return await run_in_threadpool(self._of, token, request, lambda visit: self._begin(visit, provider))

    async def _come_back(self, token: str, request: Request) -> Response:
        return await run_in_threadpool(self._of, token, request, self._learn)

    async def _missing(self, request: Request) -> Response:
        return self._rendered("missing.html", HTTPStatus.NOT_FOUND, _words_of(request))

    def _of(self, token: str, request: Request, answer: Callable[[Visit], Response]) -> Response:
        """The answer for the invoice of a link; another link is not there, whatever is wrong with it."""
        words = _words_of(request)
        try:
            return answer(Visit(self.links.read(token), words))
        except NotFound:
            return self._rendered("missing.html", HTTPStatus.NOT_FOUND, words)
        except (psycopg.Error, PersistenceError, TallyError) as error:
            log.error("a page could not be shown: %s: %s", type(error).__name__, error)
            return self._rendered("fault.html", HTTPStatus.SERVICE_UNAVAILABLE, words)
        except Exception:
            log.exception("a fault of this program")
            return self._rendered("fault.html", HTTPStatus.INTERNAL_SERVER_ERROR, words)

    def _to_the_page(self, visit: Visit) -> Response:
        return RedirectResponse(f"{self.links.path}/pay/{self.links.token(visit.invoice)}", HTTPStatus.SEE_OTHER, SAFE)

    def _page(self, visit: Visit, status: int = HTTPStatus.OK, did_not_work: bool = False) -> Response:
        """The invoice as it stands; that a button did not work is said where nothing of it is under way."""
        billing = self.collector.billing
        found = standing(billing, visit.invoice, self.collector.providers.keys(), self.collector.now())
        words = WORDS.get(found.language, visit.words)
        names = billing.references(Kind.LICENSE, {line.license for line in found.issued.lines})
        more: dict[str, object] = {"items": items(found.issued, names, words), "totals": totals(found.issued, words)}
        more |= {"token": self.links.token(visit.invoice), "invoice": found.issued, "standing": found}
        said = "busy" if did_not_work and found.state in ("open", "waiting") else found.said
        return self._rendered("invoice.html", status, words, said=said, **more)

    def _begin(self, visit: Visit, provider: str) -> Response:
        """Sends the customer to the provider, or says why not."""
        if provider not in self.collector.providers:
            raise NotFound("there is no such page")
        try:
            attempt = self._attempt(visit.invoice, provider)
        except (Conflict, Invalid):
            # A second press comes to what the first one opened; else the page says what is the matter: paid meanwhile,
            # on hold, or under way elsewhere.
            return self._waiting(visit.invoice, provider) or self._page(visit, HTTPStatus.CONFLICT)
        except TallyError:
            return self._page(visit, HTTPStatus.SERVICE_UNAVAILABLE, did_not_work=True)
        return _to_pay(attempt) or self._page(visit, did_not_work=True)

    def _waiting(self, invoice: UUID, provider: str) -> Response | None:
        live = standing(self.collector.billing, invoice, [provider], self.collector.now()).live
        return _to_pay(live) if live and live.opened.provider == provider and not live.opened.method else None

    def _attempt(self, invoice: UUID, provider: str) -> Attempt:
        """The live attempt where it waits for the customer, else a new one on the provider's own page."""
        found = standing(self.collector.billing, invoice, [provider], self.collector.now())
        if found.state == "waiting" and found.live and found.live.opened.provider == provider:
            return self.collector.authenticate(found.live) if found.live.opened.method else found.live
        if found.live:
            self.collector.make_way(invoice)
        return self.collector.offer(invoice, provider, self.links.return_of(invoice))

    def _learn(self, visit: Visit) -> Response:
        """What became of it, asked of the provider and not of the browser that came back."""
        live = standing(self.collector.billing, visit.invoice, [], self.collector.now()).live
        try:
            if live is not None and live.object and live.opened.provider in self.collector.providers:
                self.collector.learn(live)
        except (Conflict, IntegrityError):
            # Others are at it, or a person has to look: the page says how far it is known.
            return self._page(visit)
        return self._page(visit)

    def _rendered(self, name: str, status: int, words: Words, **more: object) -> Response:
        page = TEMPLATES.get_template(name).render(base=self.links.path, words=words, **more)
        return HTMLResponse(page, status, headers_of(status))


def _words_of(request: Request) -> Words:
    return WORDS[wanted_of(",".join(request.headers.getlist("accept-language")))]


def _to_pay(attempt: Attempt) -> Response | None:
    """Sends the customer to where an attempt waits for him."""
    if attempt.live and ELSEWHERE.fullmatch(attempt.url):
        return RedirectResponse(attempt.url, HTTPStatus.SEE_OTHER, SAFE)
    return None


async def _style() -> Response:
    return Response(STYLE, media_type="text/css", headers={**SAFE, "Cache-Control": "max-age=3600"})
