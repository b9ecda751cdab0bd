"""PayPal's books in the sandbox, the judge of double captures: orders, captures, refunds, and what moved when."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.sandbox.desk import Answer, Clock
from adapters.sandbox.paypal_events import Events
from adapters.sandbox.paypal_words import DAY, HOUR, PAYERS, Json, Payer, instant, link, money, refused, units
from domain.chargeable import PAYPAL

ORDER_LIVES = 72 * HOUR
"""After this an order that was not captured is forgotten. It outlives its key, which is the harder case for us."""
REFUND_TAKES = 3 * DAY


@dataclass
class Line:
    """A line of the balance. Units: PayPal's own."""

    id: str
    code: str
    at: float
    amount: int
    fee: int
    currency: str
    reference: str = ""


@dataclass
class Books:
    """One merchant's account.

    Shapes: `captures` and `captured` by invoice: how many took money or will, and how much it was in PayPal's units.
    """

    clock: Clock
    events: Events
    orders: dict[str, Json] = field(default_factory=dict)
    found: dict[str, Json] = field(default_factory=dict)
    payers: dict[str, Payer] = field(default_factory=dict)
    captures: Counter[str] = field(default_factory=Counter)
    captured: Counter[str] = field(default_factory=Counter)
    balance: list[Line] = field(default_factory=list)
    due: list[tuple[float, Json, str]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    unique_invoices: bool = False

    def create(self, wanted: Mapping[str, Any]) -> Answer:
        """Makes an order. One that names a method on file is captured at once, as PayPal does it."""
        unit, number = wanted["purchase_units"][0], f"O{next(self.numbers):016d}"
        if issue := _wrong_amount(unit["amount"]):
            return refused(422, issue)
        wallet = wanted.get("payment_source", {}).get("paypal")
        order = {
            "id": number, "intent": wanted["intent"], "status": "CREATED", "create_time": instant(self.clock.now),
            "purchase_units": [{"reference_id": "default", **unit}], "links": [],
        }  # fmt: skip
        self.orders[number] = {"order": order, "at": self.clock.now, "payer": "", "return_url": ""}
        if wallet is not None and wallet.get("vault_id"):
            return self.capture(number, PAYERS.get(wallet["vault_id"]))
        if wallet is not None:
            self.send_to_page(number, wallet)
        self._links(order)
        return Answer(201, order)

    def send_to_page(self, number: str, wallet: Mapping[str, Any]) -> Answer:
        """Lets the customer approve on PayPal's page."""
        held = self.orders[number]
        held["return_url"] = wallet.get("experience_context", {}).get("return_url", "")
        held["order"]["status"] = "PAYER_ACTION_REQUIRED"
        self._links(held["order"])
        return Answer(200, held["order"])

    def order(self, number: str) -> Json | None:
        """An order with its page, None when it is not there or forgotten."""
        held = self.orders.get(number)
        if held and held["order"]["status"] != "COMPLETED" and self.clock.now - held["at"] > ORDER_LIVES:
            return None
        return held

    def approve(self, number: str, payer: str) -> None:
        """The customer approves on the page."""
        held = self.orders[number]
        if held["order"]["status"] == "PAYER_ACTION_REQUIRED":
            held["payer"], held["order"]["status"] = payer, "APPROVED"
            self._links(held["order"])
            self.events.tell("CHECKOUT.ORDER.APPROVED", "checkout-order", held["order"])

    def patch(self, number: str, changes: list[Json]) -> Answer:
        """Changes an order that is neither completed nor with its customer."""
        order = self.orders[number]["order"]
        if order["status"] == "COMPLETED":
            return refused(422, "ORDER_ALREADY_COMPLETED")
        if order["status"] == "PAYER_ACTION_REQUIRED" or [one["path"] for one in changes] != ["/intent"]:
            return refused(422, "NOT_PATCHABLE")
        order["intent"] = changes[0]["value"]
        return Answer(204)

    def capture(self, number: str, on_file: Payer | None, by_method: bool = True) -> Answer:
        """Moves the money of an order, once."""
        held = self.orders[number]
        order = held["order"]
        payer = on_file if by_method else PAYERS.get(held["payer"])
        if issue := self._why_not(order, payer, by_method):
            return refused(422, issue)
        assert payer is not None
        if payer.issue == "PAYER_ACTION_REQUIRED" and by_method:
            self.send_to_page(number, {})
            return refused(422, payer.issue, [link(self._page(order), "payer-action")])
        if payer.issue and payer.issue != "PAYER_ACTION_REQUIRED":
            return refused(422, payer.issue)
        self._move(order, payer)
        return Answer(201, order)

    def _why_not(self, order: Json, payer: Payer | None, by_method: bool) -> str:
        if order["status"] == "COMPLETED":
            return "ORDER_ALREADY_CAPTURED"
        if order["intent"] != "CAPTURE":
            return "ACTION_DOES_NOT_MATCH_INTENT"
        if not by_method and order["status"] != "APPROVED":
            return "ORDER_NOT_APPROVED"
        if payer is None:
            return "TOKEN_ID_NOT_FOUND"
        reference = order["purchase_units"][0].get("invoice_id")
        taken = {one.get("invoice_id") for one in self.found.values() if one["kind"] == "capture"}
        return "DUPLICATE_INVOICE_ID" if self.unique_invoices and reference in taken else ""

    def _move(self, order: Json, payer: Payer) -> None:
        unit, number = order["purchase_units"][0], f"C{next(self.numbers):016d}"
        capture = {
            "id": number, "status": payer.status, "amount": unit["amount"], "final_capture": True,
            "custom_id": unit.get("custom_id", ""), "invoice_id": unit.get("invoice_id", ""),
            "create_time": instant(self.clock.now), "supplementary_data": {"related_ids": {"order_id": order["id"]}},
            "links": [link(f"{self.events.base}/v2/checkout/orders/{order['id']}", "up")],
        }  # fmt: skip
        capture |= {"status_details": {"reason": payer.reason}} if payer.reason else {}
        held = {"kind": "capture", "body": capture, "order": order, "payer": payer, "back": 0, "invoice_id": number}
        self.found[number] = held | {"invoice_id": capture["invoice_id"]}
        unit.setdefault("payments", {}).setdefault("captures", []).append(capture)
        order["status"] = "COMPLETED"
        self._links(order)
        if payer.status != "DECLINED":
            self.captures[invoice_of(capture)] += 1
        if payer.status == "PENDING":
            self.due.append((self.clock.now + payer.after, self.found[number], payer.ends))
        self._captured(self.found[number])

    def _captured(self, held: Json) -> None:
        capture = held["body"]
        if capture["status"] == "COMPLETED":
            amount, currency = units(capture["amount"]), capture["amount"]["currency_code"]
            self.captured[invoice_of(capture)] += amount
            self.balance.append(Line(capture["id"], "T0006", self.clock.now, amount, -(amount * 3 // 100), currency))
        elif capture["status"] == "DECLINED" and "status_details" in capture:
            self.captures[invoice_of(capture)] -= 1
        self.events.tell(f"PAYMENT.CAPTURE.{capture['status']}", "capture", capture)

    def settle(self) -> None:
        """Lets happen what is due by now."""
        ready = [one for one in self.due if one[0] <= self.clock.now]
        self.due = [one for one in self.due if one[0] > self.clock.now]
        for _, held, end in ready:
            held["body"]["status"] = end
            if held["kind"] == "capture":
                self._captured(held)
            else:
                self._refunded(held)

    def refund(self, capture_id: str, wanted: Mapping[str, Any]) -> Answer:
        """Gives money of a capture back."""
        held = self.found[capture_id]
        capture = held["body"]
        amount = units(wanted["amount"]) if wanted.get("amount") else units(capture["amount"]) - held["back"]
        if issue := self._not_refundable(held, amount, wanted):
            return refused(422, issue)
        number, payer = f"R{next(self.numbers):016d}", held["payer"]
        refund = {
            "id": number, "status": payer.refund, "amount": money(amount, capture["amount"]["currency_code"]),
            "create_time": instant(self.clock.now),
            "links": [link(f"{self.events.base}/v2/payments/captures/{capture_id}", "up")],
        }  # fmt: skip
        refund |= {name: wanted[name] for name in ("invoice_id", "custom_id", "note_to_payer") if name in wanted}
        made = {"kind": "refund", "body": refund, "capture": held, "units": amount, "was": "", **_name(refund)}
        self.found[number] = made
        held["order"]["purchase_units"][0]["payments"].setdefault("refunds", []).append(refund)
        if payer.refund == "PENDING":
            self.due.append((self.clock.now + REFUND_TAKES, made, payer.refund_ends))
        self._refunded(made)
        return Answer(201, refund)

    def reverse(self, capture_id: str, amount: int) -> str:
        """PayPal takes money back by itself; the id of the reversal."""
        held, number = self.found[capture_id], f"R{next(self.numbers):016d}"
        refund = {
            "id": number, "status": "COMPLETED", "amount": money(amount, held["body"]["amount"]["currency_code"]),
            "create_time": instant(self.clock.now),
            "links": [link(f"{self.events.base}/v2/payments/captures/{capture_id}", "up")],
        }  # fmt: skip
        made = {"kind": "refund", "body": refund, "capture": held, "units": amount, "was": "", **_name(refund)}
        self.found[number] = made
        held["order"]["purchase_units"][0]["payments"].setdefault("refunds", []).append(refund)
        self._refunded(made, "PAYMENT.CAPTURE.REVERSED", "T1106")
        return number

    def _not_refundable(self, held: Json, amount: int, wanted: Mapping[str, Any]) -> str:
        capture, left = held["body"], units(held["body"]["amount"]) - held["back"]
        names = {one.get("invoice_id") for one in self.found.values() if one["kind"] == "refund"}
        if wanted.get("invoice_id") in names:
            return "DUPLICATE_INVOICE_ID"
        if capture["status"] == "PENDING":
            return "PENDING_CAPTURE"
        if left == 0:
            return "CAPTURE_FULLY_REFUNDED"
        return "" if 0 < amount <= left else "REFUND_AMOUNT_EXCEEDED"

    def _refunded(self, made: Json, kind: str = "", code: str = "T1107") -> None:
        """Books a refund as it stands now: a pending one already holds its money."""
        refund, held = made["body"], made["capture"]
        failed, before = refund["status"] == "FAILED", made["was"]
        held["back"] += {"": made["units"], "PENDING": -made["units"] if failed else 0}[before]
        made["was"] = refund["status"]
        whole = held["back"] >= units(held["body"]["amount"])
        held["body"]["status"] = "REFUNDED" if whole else "PARTIALLY_REFUNDED" if held["back"] else "COMPLETED"
        if refund["status"] == "COMPLETED":
            currency = refund["amount"]["currency_code"]
            line = Line(refund["id"], code, self.clock.now, -made["units"], 0, currency, held["body"]["id"])
            self.balance.append(line)
        ends = {"COMPLETED": "PAYMENT.CAPTURE.REFUNDED", "PENDING": "PAYMENT.REFUND.PENDING"}
        self.events.tell(kind or ends.get(refund["status"], "PAYMENT.REFUND.FAILED"), "refund", refund)

    def _page(self, order: Json) -> str:
        return f"{self.events.base}/checkoutnow?token={order['id']}"

    def _links(self, order: Json) -> None:
        address, where = f"{self.events.base}/v2/checkout/orders/{order['id']}", {"CREATED": "approve"}
        where |= {"PAYER_ACTION_REQUIRED": "payer-action"}
        page = [link(self._page(order), where[order["status"]])] if order["status"] in where else []
        order["links"] = [link(address, "self"), *page]


def invoice_of(capture: Mapping[str, Any]) -> str:
    """The invoice that a capture is for, as its merchant named it."""
    return str(capture.get("custom_id", "")).partition(",")[0]


def _name(refund: Mapping[str, Any]) -> Json:
    return {"invoice_id": refund["invoice_id"]} if "invoice_id" in refund else {}


def _wrong_amount(amount: Mapping[str, str]) -> str:
    if amount["currency_code"] not in PAYPAL:
        return "INVALID_CURRENCY_CODE"
    count = units(amount)
    return "DECIMAL_PRECISION" if count < 0 else "CANNOT_BE_ZERO_OR_NEGATIVE" if count == 0 else ""
