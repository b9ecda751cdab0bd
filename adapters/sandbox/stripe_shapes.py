"""The shapes of Stripe's objects in the sandbox: every key that its API answers, with what is there from the start."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

KEYS = {
    "payment_intent": (
        "amount amount_capturable amount_details amount_received application application_fee_amount "
        "automatic_payment_methods canceled_at cancellation_reason capture_method client_secret "
        "confirmation_method created currency customer customer_account description "
        "excluded_payment_method_types last_payment_error latest_charge livemode managed_payments metadata "
        "next_action on_behalf_of payment_method payment_method_configuration_details payment_method_options "
        "payment_method_types processing receipt_email review setup_future_usage shipping "
        "statement_descriptor statement_descriptor_suffix status transfer_data transfer_group"
    ),
    "charge": (
        "amount amount_captured amount_refunded application application_fee application_fee_amount "
        "balance_transaction billing_details calculated_statement_descriptor captured created currency "
        "customer description disputed failure_balance_transaction failure_code failure_message fraud_details "
        "livemode metadata on_behalf_of outcome paid payment_intent payment_method payment_method_details "
        "receipt_email receipt_number receipt_url refunded refunds review shipping source_transfer "
        "statement_descriptor statement_descriptor_suffix status transfer_data transfer_group"
    ),
    "checkout.session": (
        "adaptive_pricing after_expiration allow_promotion_codes amount_subtotal amount_total automatic_tax "
        "billing_address_collection cancel_url client_reference_id client_secret collected_information "
        "consent consent_collection created currency currency_conversion custom_fields custom_text customer "
        "customer_account customer_creation customer_details customer_email discounts expires_at "
        "integration_identifier invoice invoice_creation livemode locale managed_payments metadata mode "
        "origin_context payment_intent payment_link payment_method_collection "
        "payment_method_configuration_details payment_method_options payment_method_types payment_status "
        "permissions phone_number_collection recovered_from saved_payment_method_options setup_intent "
        "shipping_address_collection shipping_cost shipping_options status submit_type subscription "
        "success_url total_details ui_mode url wallet_options"
    ),
    "setup_intent": (
        "application automatic_payment_methods cancellation_reason client_secret created customer description "
        "excluded_payment_method_types flow_directions last_setup_error latest_attempt livemode mandate "
        "metadata next_action on_behalf_of payment_method payment_method_configuration_details "
        "payment_method_options payment_method_types single_use_mandate status usage"
    ),
    "refund": (
        "amount balance_transaction charge created currency customer customer_account destination_details "
        "failure_balance_transaction failure_reason metadata payment_intent payment_method reason "
        "receipt_number source_transfer_reversal status transfer_reversal"
    ),
    "dispute": (
        "amount balance_transactions charge created currency enhanced_eligibility_types evidence "
        "evidence_details is_charge_refundable livemode metadata payment_intent payment_method_details reason "
        "status"
    ),
    "balance_transaction": (
        "amount available_on balance_type created currency description exchange_rate fee fee_details net "
        "reporting_category source status type"
    ),
    "payout": (
        "amount application_fee application_fee_amount arrival_date automatic balance_transaction created "
        "currency description destination failure_balance_transaction failure_code failure_message livemode "
        "metadata method original_payout payout_method reconciliation_status reversed_by source_type "
        "statement_descriptor status trace_id type"
    ),
    "event": ("api_version created data livemode pending_webhooks request type"),
    "payment_method": ("allow_redisplay billing_details created customer customer_account livemode metadata type"),
    "customer": (
        "address balance created currency default_source delinquent description discount email invoice_prefix "
        "invoice_settings livemode metadata name next_invoice_sequence phone preferred_locales shipping "
        "tax_exempt test_clock"
    ),
    "mandate": ("customer_acceptance livemode multi_use payment_method payment_method_details status type"),
    "webhook_endpoint": ("api_version application created description enabled_events livemode metadata status url"),
}
PREFIXES = {
    "payment_intent": "pi", "charge": "ch", "checkout.session": "cs_test", "setup_intent": "seti", "refund": "re",
    "dispute": "dp", "balance_transaction": "txn", "payout": "po", "event": "evt", "payment_method": "pm",
    "customer": "cus", "mandate": "mandate", "webhook_endpoint": "we",
}  # fmt: skip
BILLING: dict[str, Any] = {
    "address": dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state")),
    "email": None, "name": None, "phone": None, "tax_id": None,
}  # fmt: skip
FIRST: dict[str, dict[str, Any]] = {
    "payment_intent": {
        "amount_capturable": 0, "amount_received": 0, "capture_method": "automatic_async", "metadata": {},
        "confirmation_method": "automatic", "payment_method_types": ["card", "sepa_debit"],
        "automatic_payment_methods": {"enabled": True}, "payment_method_options": {},
    },
    "charge": {
        "amount_captured": 0, "amount_refunded": 0, "billing_details": BILLING, "captured": False, "disputed": False,
        "fraud_details": {}, "metadata": {}, "paid": False, "refunded": False,
    },
    "checkout.session": {
        "automatic_tax": {"enabled": False, "liability": None, "status": None, "provider": None}, "custom_fields": [],
        "custom_text": dict.fromkeys(
            ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
        ),
        "metadata": {}, "payment_method_types": ["card", "sepa_debit"], "payment_status": "unpaid",
        "shipping_options": [], "status": "open", "payment_method_options": {}, "ui_mode": "hosted_page",
    },
    "setup_intent": {
        "metadata": {}, "payment_method_types": ["card", "sepa_debit"], "usage": "off_session",
        "status": "requires_payment_method", "payment_method_options": {},
    },
    "refund": {"metadata": {}},
    "dispute": {
        "balance_transactions": [], "enhanced_eligibility_types": [], "evidence": {}, "is_charge_refundable": False,
        "evidence_details": {
            "due_by": None, "has_evidence": False, "past_due": False, "submission_count": 0, "enhanced_eligibility": {}
        },
        "metadata": {}, "status": "needs_response",
    },
    "balance_transaction": {"balance_type": "payments", "fee": 0, "fee_details": [], "status": "pending"},
    "payout": {
        "automatic": True, "metadata": {}, "method": "standard", "reconciliation_status": "in_progress",
        "source_type": "card", "status": "in_transit", "type": "bank_account",
    },
    "event": {"pending_webhooks": 0},
    "payment_method": {"billing_details": BILLING, "metadata": {}, "allow_redisplay": "unspecified"},
    "customer": {"balance": 0, "metadata": {}, "tax_exempt": "none", "preferred_locales": [], "delinquent": False},
    "mandate": {
        "customer_acceptance": {
            "accepted_at": None, "type": "online", "online": {"ip_address": "127.0.0.1", "user_agent": "sandbox"},
        },
        "multi_use": {}, "status": "active", "type": "multi_use",
    },
    "webhook_endpoint": {"metadata": {}, "status": "enabled"},
}  # fmt: skip


def shaped(kind: str, number: int, created: int, fields: dict[str, Any]) -> dict[str, Any]:
    """A new object. Shapes: a kind of Stripe's; `created` in seconds since 1970."""
    known = {**dict.fromkeys(KEYS[kind].split()), **deepcopy(FIRST[kind])}
    if "created" in known:
        known["created"] = created
    if "livemode" in known:
        known["livemode"] = False
    prefix = fields.pop("prefix", PREFIXES[kind])
    return {"id": f"{prefix}_{number:024d}", "object": kind, **known, **fields}
