"""Letters: which announcements an account is written about, to whom, and what stands in them.

What is said is read when the letter goes out, so that nobody is asked for money that came meanwhile, and a license that
is suspended for another reason is not called restored. Source: ADR-0027.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from domain.account import Account
from domain.application import Billing
from domain.application.payments import issued, receivables
from domain.license import License

Data = Mapping[str, Any]

TEMPLATES: Mapping[str, str] = MappingProxyType({
    "invoice.issued": "invoice_issued",
    "invoice.paid": "receipt",
    "payment.failed": "payment_failed",
    "payment.action_required": "action_required",
    "refund.succeeded": "refund",
    "license.suspended": "suspended",
    "license.resumed": "restored",
})  # fmt: skip
"""Which letter tells of which type; others are for machines only."""
ASKING = frozenset({"payment_failed", "action_required", "reminder"})
"""Letters that ask for money: they are not sent when none is open."""


class Letter(NamedTuple):
    """One letter before it is put into words.

    Shapes: `fields` are those of the announcement, the invoice's, `name`, and `link` ("" for none).
    Units: amounts in minor units of `currency`.
    """

    template: str
    language: str
    name: str
    address: str
    fields: Data


@dataclass(frozen=True)
class Letters:
    """Writes letters; `pay_link` says where an invoice can be paid, "" for nowhere."""

    billing: Billing
    pay_link: Callable[[UUID], str] = lambda invoice: ""

    def write(self, template: str, data: Data) -> Letter | None:
        """The letter about an announcement; None when there is nothing to say any more."""
        letter = self._letter(template, data)
        return None if self._over(template, letter.fields) else letter

    def sample(self, template: str, invoice: UUID, stage: str, on: date) -> Letter:
        """A letter as it could be written about an invoice, whatever became of it."""
        found = issued(self.billing, invoice)
        license = found.lines[0].license
        reference = self.billing.find(License, license, "license").reference
        days = dict.fromkeys(("on", "paid_on", "from_on"), on)
        data = {"account_id": found.account, "invoice": invoice, "amount": found.gross, "reason": "", "stage": stage}
        return self._letter(template, {**data, **days, "license": reference, "license_id": license})

    def _letter(self, template: str, data: Data) -> Letter:
        account = self.billing.find(Account, UUID(str(data["account_id"])), "account")
        to = self._reader(account)
        fields: dict[str, Any] = {"name": to.party.name, "link": "", "code": "", **data}
        if "invoice" in data:
            fields |= self._invoice(account, UUID(str(data["invoice"])), fields)
        fields["link"] = data.get("url") or fields["link"]
        return Letter(template, to.party.language, to.party.name, to.party.email, fields)

    def _over(self, template: str, fields: Data) -> bool:
        """Whether what the letter is about is not so any more."""
        if template in ("suspended", "restored"):
            license = self.billing.find(License, UUID(str(fields["license_id"])), "license")
            return bool(license.suspended) == (template == "restored")
        return template in ASKING and fields.get("open") == 0

    def _reader(self, account: Account) -> Account:
        """The account itself, or who pays for it when it has no address."""
        if account.party.email or account.payer is None:
            return account
        return self.billing.find(Account, account.payer, "account")

    def _invoice(self, payer: Account, invoice: UUID, fields: Data) -> dict[str, Any]:
        found = issued(self.billing, invoice)
        left = receivables(self.billing, found.account, found.currency).open_amount(invoice, found.gross)
        return {
            "number": found.document, "currency": found.currency, "net": found.net, "tax": found.tax,
            "gross": found.gross, "issued_on": found.issued_on, "due_on": found.due_on, "open": left,
            "remittance": found.remittance, "link": self.pay_link(invoice) if left else "",
            "method": payer.method.label or payer.method.provider if payer.method else "",
        }  # fmt: skip
