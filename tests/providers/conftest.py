"""What tests of providers share: the sandbox, with PayPal's desk held to PayPal's own documents where they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.providers.paypal import PayPalPayments, Transport
from adapters.sandbox.server import Sandbox
from tests.conftest import SHARED
from tests.providers.far import Far
from tests.providers.paypal_contract import Contract


@pytest.fixture(scope="session")
def paypal_documents() -> Contract | None:
    """PayPal's documents, loaded once; None where they are not."""
    return Contract(SHARED / "specs") if SHARED.exists() else None


@pytest.fixture
def sandbox(paypal_documents: Contract | None) -> Iterator[Sandbox]:
    """A sandbox whose traffic with PayPal's desk keeps to the documents, or the test fails."""
    with Sandbox() as running:
        if paypal_documents:
            paypal_documents.broken.clear()
            running.paypal.observe = paypal_documents.see
        yield running
    if paypal_documents:
        assert paypal_documents.broken == []


@pytest.fixture
def far() -> Iterator[Far]:
    with Far() as server:
        yield server


@pytest.fixture
def paypal(sandbox: Sandbox) -> PayPalPayments:
    return paypal_at(sandbox)


def paypal_at(sandbox: Sandbox, timeout: float = 5) -> PayPalPayments:
    """PayPal's adapter at the sandbox."""
    return PayPalPayments(Transport("sandbox", "secret", f"{sandbox.url}/paypal", timeout))
