"""Letters: which announcements an account is written about, to whom, and what stands in them.

What is said is read when the letter goes out: nobody is asked for money that came meanwhile, and a license that is
suspended for another reason is not called restored. Source: ADR-0027.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.account import Account
from domain.application import Billing
from domain.application.payments import issued, receivables
from domain.license import UNPAID, License

Data = Mapping[str, Any]

WRITTEN: Mapping[str, str] = MappingProxyType({
    "invoice.issued": "invoice_issued",
    "invoice.paid": "receipt",
    "payment.failed": "payment_failed",
    "payment.action_required": "action_required",
    "refund.succeeded": "refund",
    "dunning.stage_reached": "reminder",
    "dunning.ended": "restored",
    "license.suspended": "suspended",
    "license.resumed": "restored",
})  # fmt: skip
"""The types that accounts are written about, with the letter; others are for machines only."""


class Letter(NamedTuple):
    """One letter before it is put into words.

    Shapes: `fields` are those of the announcement and of the invoice, `licenses` their references, `name` the reader's,
    and `link` where to act, "" for nowhere. Units: amounts in minor units of `currency`.
    """

    template: str
    language: str
    name: str
    address: str
    fields: Data


@dataclass(frozen=True)
class Letters:
    """Writes letters; `pay_link` says where an invoice can be paid, "" for nowhere, `today` the date in a zone."""

    billing: Billing
    pay_link: Callable[[UUID], str] = lambda invoice: ""
    today: Callable[[str], date] = lambda zone: datetime.now(ZoneInfo(zone)).date()

    def write(self, name: str, data: Data) -> Letter | None:
        """The letter about an announcement of a type; None when there is nothing to say (any more)."""
        template = _template(name, data)
        letter = self._letter(template, data) if template else None
        return None if letter is None or self._over(name, letter.fields) else letter

    def sample(self, template: str, invoice: UUID, on: date) -> Letter:
        """A letter as it could be written about an invoice, whatever became of it."""
        found = issued(self.billing, invoice)
        data = {"account_id": found.account, "invoice": invoice, "amount": found.gross, "reason": ""}
        more = {"licenses": list(dict.fromkeys(line.license for line in found.lines)), "wants_method": False}
        return self._letter(template, {**data, **more, **dict.fromkeys(("on", "paid_on", "from_on"), on)})

    def _letter(self, template: str, data: Data) -> Letter:
        account = self.billing.find(Account, UUID(str(data["account_id"])), "account")
        to = self._reader(account)
        fields: dict[str, Any] = {"name": to.party.name, "link": "", "code": "", **data}
        if data.get("invoice"):
            fields |= self._invoice(account, UUID(str(data["invoice"])))
        fields["link"] = data.get("url") or fields["link"]
        fields["licenses"] = [one.reference for one in self._licenses(template, data)]
        return Letter(template, to.party.language, to.party.name, to.party.email, fields)

    def _over(self, name: str, fields: Data) -> bool:
        """Whether what the letter is about is not so any more."""
        if name.startswith("license.") or name == "dunning.ended":
            return not fields["licenses"]
        return name in ("payment.failed", "payment.action_required", "dunning.stage_reached") and not fields["open"]

    def _licenses(self, template: str, data: Data) -> Iterable[License]:
        """The licenses that a letter is about, of which it is still true."""
        named = [data["license_id"]] if "license_id" in data else data.get("restored", data.get("licenses", ()))
        for one in named:
            license = self.billing.find(License, UUID(str(one)), "license")
            gone = template == "suspended" and data["reason"] and data["reason"] not in license.suspended
            if not gone and not (template == "restored" and license.suspended):
                yield license

    def _reader(self, account: Account) -> Account:
        """The account itself, or who pays for it today when it has no address."""
        payer = account.payer_on(self.today(account.zone))
        if account.party.email or payer is None:
            return account
        return self.billing.find(Account, payer, "account")

    def _invoice(self, payer: Account, invoice: UUID) -> dict[str, Any]:
        found = issued(self.billing, invoice)
        left = receivables(self.billing, found.account, found.currency).open_amount(invoice, found.gross)
        return {
            "number": found.document, "currency": found.currency, "net": found.net, "tax": found.tax,
            "gross": found.gross, "issued_on": found.issued_on, "due_on": found.due_on, "open": left,
            "remittance": found.remittance, "link": self.pay_link(invoice) if left else "",
            "method": payer.method.label or payer.method.provider if payer.method else "",
        }  # fmt: skip


def _template(name: str, data: Data) -> str:
    """The letter to write; "" for none. The chase of an invoice tells of its licenses in one letter, not in many."""
    if name == "dunning.stage_reached":
        return str(data["remind"])
    if name in ("license.suspended", "license.resumed") and data["reason"] == UNPAID:
        return ""
    return WRITTEN.get(name, "")
