"""PayPal's transaction search in the sandbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from adapters.sandbox.paypal_books import Line
from adapters.sandbox.paypal_words import Json, instant, money


def transactions(balance: Sequence[Line], query: Mapping[str, str]) -> Json:
    """The lines of the balance between two instants, in pages; both ends belong to it, as with PayPal."""
    start, end = (datetime.fromisoformat(query[name]).timestamp() for name in ("start_date", "end_date"))
    size, page = int(query.get("page_size", 100)), int(query.get("page", 1))
    found = [line for line in balance if start <= line.at <= end]
    shown = [{"transaction_info": _info(line)} for line in found[(page - 1) * size : page * size]]
    pages = max(1, -(-len(found) // size))
    return {"transaction_details": shown, "page": page, "total_items": len(found), "total_pages": pages, "links": []}


def _info(line: Line) -> Json:
    fee = {"fee_amount": money(line.fee, line.currency)} if line.fee else {}
    return {
        "transaction_id": line.id, "transaction_event_code": line.code, "transaction_status": "S",
        "transaction_initiation_date": instant(line.at), "transaction_amount": money(line.amount, line.currency),
        "paypal_reference_id": line.reference, **fee,
    }  # fmt: skip
