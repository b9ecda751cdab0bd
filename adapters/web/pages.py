"""The pages of an invoice: see it, pay it at a provider, come back. They run no script and see no card number."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

import psycopg
from eventsourcing.persistence import PersistenceError
from fastapi import APIRouter
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from adapters.web.answers import SAFE
from adapters.web.items import items, totals
from adapters.web.links import Links
from adapters.web.standing import standing
from domain.collection import Attempt
from domain.errors import Conflict, IntegrityError, Invalid, NotFound, TallyError
from jobs.collect import Collector

log = logging.getLogger("tally.web")
HERE = Path(__file__).parent
STYLE = (HERE / "templates" / "page.css").read_text()
ELSEWHERE = re.compile(r"https://[!-~]+|http://127\.0\.0\.1:[0-9]{1,5}/[!-~]*")
BUSY = "That did not work just now. Nothing was taken; please try again in a few minutes."

TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip


@dataclass(frozen=True)
class Pages:
    """What a customer sees who has an invoice's link. Shapes: `names` gives the references of licenses."""

    collector: Collector
    links: Links
    names: Callable[[Iterable[UUID]], Mapping[UUID, str]] = lambda licenses: {}

    def router(self) -> APIRouter:
        """The page, its buttons, the way back, and the style."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/pay/{token}", self._show, methods=["GET", "HEAD"])
        router.add_api_route("/pay/{token}/{provider}", self._pay, methods=["POST"])
        router.add_api_route("/pay/{token}/", self._again, methods=["GET"])
        router.add_api_route("/pay/{token}/{provider}", self._again, methods=["GET"])
        router.add_api_route("/return/{token}", self._come_back, methods=["GET"])
        router.add_api_route("/page.css", _style, methods=["GET", "HEAD"])
        return router

    async def _show(self, token: str) -> Response:
        return await run_in_threadpool(self._of, token, self._page)

    async def _again(self, token: str) -> Response:
        """An address that a button left in the browser, opened anew: looking begins nothing."""
        return await run_in_threadpool(self._of, token, self._to_the_page)

    async def _pay(self, token: str, provider: str) -> Response:
        return await run_in_threadpool(self._of, token, lambda invoice: self._begin(invoice, provider))

    async def _come_back(self, token: str) -> Response:
        return await run_in_threadpool(self._of, token, self._learn)

    def _of(self, token: str, answer: Callable[[UUID], Response]) -> Response:
        """The answer for the invoice of a link; another link is not there, whatever is wrong with it."""
        try:
            return answer(self.links.read(token))
        except NotFound:
            return self._rendered("missing.html", HTTPStatus.NOT_FOUND)
        except (psycopg.Error, PersistenceError, TallyError) as error:
            log.error("a page could not be shown: %s: %s", type(error).__name__, error)
            return self._rendered("busy.html", HTTPStatus.SERVICE_UNAVAILABLE)
        except Exception:
            log.exception("a fault of this program")
            return self._rendered("busy.html", HTTPStatus.INTERNAL_SERVER_ERROR)

    def _to_the_page(self, invoice: UUID) -> Response:
        return RedirectResponse(f"{self.links.path}/pay/{self.links.token(invoice)}", HTTPStatus.SEE_OTHER, SAFE)

    def _page(self, invoice: UUID, said: str = "", status: int = HTTPStatus.OK) -> Response:
        now = self.collector.now()
        found = standing(self.collector.billing, invoice, self.collector.providers.keys(), now)
        rows = items(found.issued, self.names({line.license for line in found.issued.lines}))
        words = {"invoice": found, "said": said, "token": self.links.token(invoice)}
        return self._rendered("invoice.html", status, items=rows, totals=totals(found.issued), **words)

    def _begin(self, invoice: UUID, provider: str) -> Response:
        """Sends the customer to the provider, or says why not."""
        if provider not in self.collector.providers:
            raise NotFound("there is no such page")
        try:
            attempt = self._attempt(invoice, provider)
        except (Conflict, Invalid):
            # A second press comes to what the first one opened; else the page says what is the matter: paid meanwhile,
            # on hold, or under way elsewhere.
            return self._waiting(invoice, provider) or self._page(invoice, status=HTTPStatus.CONFLICT)
        except TallyError:
            return self._page(invoice, BUSY, HTTPStatus.SERVICE_UNAVAILABLE)
        return _to_pay(attempt) or self._page(invoice, "" if attempt.state == "succeeded" else BUSY)

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

    def _learn(self, invoice: UUID) -> Response:
        """What became of it, asked of the provider and not of the browser that came back."""
        live = standing(self.collector.billing, invoice, [], self.collector.now()).live
        try:
            if live is not None and live.object and live.opened.provider in self.collector.providers:
                self.collector.learn(live)
        except (Conflict, IntegrityError):
            # Others are at it, or a person has to look: the page says how far it is known.
            return self._page(invoice)
        return self._page(invoice)

    def _rendered(self, name: str, status: int, **words: object) -> Response:
        return HTMLResponse(TEMPLATES.get_template(name).render(base=self.links.path, **words), status, SAFE)


def _to_pay(attempt: Attempt) -> Response | None:
    """Sends the customer to where an attempt waits for him."""
    if attempt.live and ELSEWHERE.fullmatch(attempt.url):
        return RedirectResponse(attempt.url, HTTPStatus.SEE_OTHER, SAFE)
    return None


async def _style() -> Response:
    return Response(STYLE, media_type="text/css", headers={**SAFE, "Cache-Control": "max-age=3600"})
