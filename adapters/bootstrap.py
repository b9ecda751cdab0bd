"""The composition root: the only module that names concrete adapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self

import psycopg
from eventsourcing.utils import get_topic
from psycopg_pool import ConnectionPool

from adapters.embedded import Embedded
from adapters.outgoing.webhooks import Webhooks
from adapters.store import factory
from adapters.store.install import install
from adapters.store.recorder import BucketedRecorder
from adapters.web.links import Links
from adapters.webhooks.stripe import StripeVerifier
from adapters.webhooks.verifier import Verifier
from domain.application import Billing
from domain.application.catalog import published
from domain.errors import Conflict, Invalid
from domain.provider import Provider
from domain.terms import Packages
from jobs import DDL as job_tables
from jobs.collect import Collector
from jobs.deliver import Carrier, Deliverer
from jobs.destinations import Destinations
from jobs.letters import Letters
from jobs.outbox import Outbox
from jobs.refund import Refunder
from projections import ALL
from projections.follower import Follower

if TYPE_CHECKING:
    from adapters.providers.findings import Finding
    from adapters.settings import Outgoing, Settings

NOWHERE = "https://localhost/"
"""Where customers come back to while nobody said where our pages are."""
MODULE = get_topic(factory.Factory).partition(":")[0]


class Tally:
    """A running Tallystick: the door for commands, the log, and connections for reading.

    Shapes: `dsn` is the owner's; everything but installing works as the role that may only add to the log.
    """

    def __init__(
        self,
        dsn: str,
        providers: Mapping[str, Provider] = MappingProxyType({}),
        outgoing: Outgoing | None = None,
        links: Links | None = None,
    ) -> None:
        self.dsn, self.providers = dsn, providers
        self._outgoing, self.links = outgoing, links
        install(dsn, all_ddl())
        self.billing = Billing(env={"PERSISTENCE_MODULE": MODULE, "TALLY_DSN": dsn})
        assert isinstance(self.billing.recorder, BucketedRecorder)
        self.log = self.billing.recorder

    @property
    def pool(self) -> ConnectionPool[psycopg.Connection]:
        """Connections for reading and for projections."""
        return self.log.pool

    @cached_property
    def packages(self) -> Packages:
        """Finds published package versions, and remembers them."""
        return published(self.billing)

    def follower(self) -> Follower:
        """Brings all projections up to the log."""
        return Follower(self.pool, ALL)

    @cached_property
    def outgoing(self) -> Outgoing:
        """What others are told by. Settings are heavy to load, and a worker of a run tells nobody."""
        from adapters.settings import Outgoing

        return self._outgoing or Outgoing()

    @property
    def destinations(self) -> Destinations:
        """Endpoints and mail."""
        return Destinations(self.pool)

    @cached_property
    def deliverer(self) -> Deliverer:
        """Tells endpoints and mailboxes what happened, as far as it is set up."""
        return Deliverer(self.pool, Follower(self.pool, [Outbox()]), carriers_of(self))

    def close(self) -> None:
        """Gives everything back; the embedded server goes on."""
        self.billing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def all_ddl() -> list[str]:
    """The tables of everything that follows the log or stands beside it."""
    return [*job_tables, *(statement for projection in ALL for statement in projection.ddl)]


def open_tally(chosen: Settings) -> Tally:
    """Connects to the configured database, starting and installing what is needed."""
    dsn = chosen.database_url or Embedded(chosen.home).start()
    links = links_of(chosen) if chosen.public_url else None
    return Tally(dsn, providers_of(chosen), chosen.outgoing, links)


def assumptions_of(chosen: Settings, patience: float, paypal_method: str = "") -> Iterator[Finding]:
    """Tries what we assume of the providers that there are keys for.

    Raises: Conflict without a key; Invalid for one that is not for tests.
    """
    if chosen.stripe_key is None and chosen.paypal_secret is None:
        raise Conflict(
            "set TALLY_STRIPE_KEY, or TALLY_PAYPAL_CLIENT and TALLY_PAYPAL_SECRET, to keys of a test account"
        )
    if chosen.stripe_key is not None:
        from adapters.providers.stripe import StripePayments, assumptions

        key = chosen.stripe_key.get_secret_value()
        yield from assumptions.confirm_assumptions(StripePayments(key, chosen.stripe_base), key, patience)
    if chosen.paypal_secret is not None:
        from adapters.providers.paypal import Transport
        from adapters.providers.paypal import assumptions as paypal

        secret = chosen.paypal_secret.get_secret_value()
        transport = Transport(chosen.paypal_client, secret, chosen.paypal_base)
        yield from paypal.confirm_assumptions(transport, paypal_method)


def providers_of(chosen: Settings) -> dict[str, Provider]:
    """The providers of payments that there are keys for. Their SDKs are heavy to load, and most commands ask none."""
    found: dict[str, Provider] = {}
    if chosen.stripe_key is not None:
        from adapters.providers.stripe import StripePayments

        key, back = chosen.stripe_key.get_secret_value(), chosen.public_url or NOWHERE
        found["stripe"] = StripePayments(key, chosen.stripe_base, return_url=back)
    if chosen.paypal_secret is not None:
        from adapters.providers.paypal import PayPalPayments, Transport

        secret = chosen.paypal_secret.get_secret_value()
        found["paypal"] = PayPalPayments(Transport(chosen.paypal_client, secret, chosen.paypal_base))
    return found


def collector_of(tally: Tally) -> Collector:
    """Who collects by the providers that are set up. Raises: Conflict when there are none."""
    _some_provider(tally)
    return Collector(tally.billing, tally.providers)


def refunder_of(tally: Tally) -> Refunder:
    """Who gives money back by the providers that are set up. Raises: Conflict when there are none."""
    _some_provider(tally)
    return Refunder(tally.billing, tally.providers)


def provider_of(tally: Tally, name: str) -> Provider:
    """A provider that is set up. Raises: Conflict when there is no key for it."""
    if name not in tally.providers:
        raise Conflict(f"there is no key for {name!r}: see docs/providers.md, or `tally sandbox` to try it")
    return tally.providers[name]


def _some_provider(tally: Tally) -> None:
    if not tally.providers:
        raise Conflict("no provider of payments is set up: set TALLY_STRIPE_KEY (`tally sandbox` shows how to try it)")


def verifiers_of(chosen: Settings) -> dict[str, Verifier]:
    """The endpoints for webhooks that there are secrets for.

    Raises: Invalid when a provider has a key and no secret: its webhooks could not be told from forged ones.
    """
    found: dict[str, Verifier] = {}
    if secrets := [secret.get_secret_value() for secret in chosen.stripe_webhook_secrets]:
        found["stripe"] = StripeVerifier(secrets, chosen.is_stripe_live)
    if chosen.stripe_key and "stripe" not in found:
        raise Invalid("TALLY_STRIPE_KEY is set and TALLY_STRIPE_WEBHOOK_SECRET is not: set it to the endpoint's secret")
    if chosen.paypal_webhook_id:
        from adapters.webhooks.paypal import paypal_verifier

        found["paypal"] = paypal_verifier(chosen.paypal_webhook_id, chosen.paypal_base)
    if chosen.paypal_secret and "paypal" not in found:
        raise Invalid("TALLY_PAYPAL_SECRET is set and TALLY_PAYPAL_WEBHOOK_ID is not: set it to the id of our webhook")
    return found


def links_of(chosen: Settings, public_url: str = "") -> Links | None:
    """Links to invoices' pages, when there is a secret to seal them. Raises: Invalid without an address."""
    address = chosen.public_url or public_url
    if not chosen.link_secrets:
        return None
    if not address:
        raise Invalid("TALLY_LINK_SECRET is set and TALLY_PUBLIC_URL is not: links would lead nowhere")
    return Links([secret.get_secret_value() for secret in chosen.link_secrets], address)


def carriers_of(tally: Tally) -> dict[str, Carrier]:
    """What brings messages to destinations, by kind: what there is a key or a server for."""
    chosen = tally.outgoing
    carriers: dict[str, Carrier] = {}
    if chosen.key is not None:
        carriers["webhook"] = Webhooks(chosen.key.get_secret_value(), chosen.loopback)
    if chosen.smtp is not None:
        # Templates and languages are heavy to load, and most commands write to nobody.
        from adapters.mail.smtp import Mails, server

        carriers["mail"] = Mails(letters_of(tally), server(chosen.smtp.get_secret_value()), chosen.sender)
    return carriers


def letters_of(tally: Tally) -> Letters:
    """Who writes letters; they say where to pay when there are links."""
    return Letters(tally.billing, tally.links.link_of) if tally.links else Letters(tally.billing)
