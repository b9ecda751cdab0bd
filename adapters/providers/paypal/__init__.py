"""PayPal on today's Orders v2, Payments v2 and Vault v3, over its old SDK as transport. Source: ADR-0029."""

from __future__ import annotations

from adapters.providers.paypal.news import Telling
from adapters.providers.paypal.orders import Orders
from adapters.providers.paypal.refunds import Refunds
from adapters.providers.paypal.report import Reporting
from adapters.providers.paypal.transport import Transport
from adapters.providers.paypal.vault import Vault


class PayPalPayments(Orders, Refunds, Vault, Telling, Reporting):
    """One merchant's account; each part is a page of PayPal's API."""

    name = "paypal"


__all__ = ["PayPalPayments", "Transport"]
