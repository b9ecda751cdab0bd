"""The test methods of payment that Stripe documents, and what each of them does in the sandbox."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

DAY = 86400.0


class Method(NamedTuple):
    """How a method behaves.

    Shapes: `decline` is (code, decline code); `approve` says when its bank wants the customer: off session unless it
    was set up, or always; `keeps` when it can be attached to a customer; `fails` when its debit comes back instead of
    succeeding; `disputed` is the reason of a dispute after it succeeded, `inquiry` one that takes no money.
    Units: `settles` in seconds after confirming.
    """

    what: str
    kind: Literal["card", "sepa_debit"] = "card"
    brand: str = "visa"
    last4: str = "4242"
    decline: tuple[str, str] | None = None
    keeps: bool = True
    approve: Literal["", "unless_set_up", "always"] = ""
    settles: float = 0.0
    fails: bool = False
    disputed: str = ""
    inquiry: bool = False
    refunds: Literal["at once", "pending", "fails"] = "at once"

    def details(self) -> dict[str, Any]:
        """What a PaymentMethod tells of itself."""
        if self.kind == "sepa_debit":
            return {
                "bank_code": "37040044", "branch_code": "", "country": "DE", "fingerprint": "sandbox",
                "generated_from": {"charge": None, "setup_attempt": None}, "last4": self.last4,
            }  # fmt: skip
        return {
            "brand": self.brand, "checks": {"address_line1_check": None, "address_postal_code_check": None,
            "cvc_check": "pass"}, "country": "US", "display_brand": self.brand, "exp_month": 12, "exp_year": 2034,
            "fingerprint": "sandbox", "funding": "credit", "generated_from": None, "last4": self.last4,
            "networks": {"available": [self.brand], "preferred": None}, "regulated_status": None,
            "three_d_secure_usage": {"supported": True}, "wallet": None,
        }  # fmt: skip


def _declined(why: str, last4: str) -> Method:
    return Method(f"is declined: {why}", last4=last4, decline=("card_declined", why), keeps=False)


def _debit(what: str, last4: str, **more: Any) -> Method:
    return Method(what, "sepa_debit", "sepa", last4, refunds="pending", **more)


METHODS = {
    "pm_card_visa": Method("pays"),
    "pm_card_mastercard": Method("pays", brand="mastercard", last4="4444"),
    "pm_card_chargeDeclined": _declined("generic_decline", "0002"),
    "pm_card_visa_chargeDeclined": _declined("generic_decline", "0002"),
    "pm_card_chargeDeclinedInsufficientFunds": _declined("insufficient_funds", "9995"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": _declined("insufficient_funds", "9995"),
    "pm_card_visa_chargeDeclinedLostCard": _declined("lost_card", "9987"),
    "pm_card_visa_chargeDeclinedStolenCard": _declined("stolen_card", "9979"),
    "pm_card_chargeDeclinedExpiredCard": Method(
        "is declined: expired_card", last4="0069", decline=("expired_card", "expired_card"), keeps=False
    ),
    "pm_card_chargeDeclinedProcessingError": Method(
        "is declined: processing_error",
        last4="0119",
        decline=("processing_error", "processing_error"),
        keeps=False,
    ),
    "pm_card_chargeCustomerFail": Method(
        "can be attached or left on a page, and is declined", last4="0341", decline=("card_declined", "generic_decline")
    ),
    "pm_card_authenticationRequired": Method("wants the customer each time", last4="3184", approve="always"),
    "pm_card_authenticationRequiredOnSetup": Method(
        "wants the customer unless it was left on a page", last4="3155", approve="unless_set_up"
    ),
    "pm_card_createDispute": Method("pays, and is disputed as fraud", last4="0259", disputed="fraudulent"),
    "pm_card_createDisputeProductNotReceived": Method(
        "pays, and is disputed: nothing came", last4="2685", disputed="product_not_received"
    ),
    "pm_card_createDisputeInquiry": Method(
        "pays, and its bank inquires", last4="1976", disputed="fraudulent", inquiry=True
    ),
    "pm_card_pendingRefund": Method("pays; a refund takes a day", last4="7726", refunds="pending"),
    "pm_card_refundFail": Method("pays; a refund succeeds and fails later", last4="5126", refunds="fails"),
    "pm_success_de": _debit("debit: succeeds after 5 days", "3000", settles=5 * DAY),
    "pm_successDelayed_de": _debit("debit: succeeds after 14 days", "3001", settles=14 * DAY),
    "pm_failed_de": _debit("debit: fails after 5 days", "3002", settles=5 * DAY, fails=True),
    "pm_failedDelayed_de": _debit("debit: fails after 14 days", "3003", settles=14 * DAY, fails=True),
    "pm_disputed_de": _debit(
        "debit: succeeds after 5 days, and is returned", "3005", settles=5 * DAY, disputed="debit_not_authorized"
    ),
}
