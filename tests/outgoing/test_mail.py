"""Mails to accounts, through a real SMTP server on loopback."""

from __future__ import annotations

import multiprocessing
import os
import signal
import ssl
import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email import message_from_bytes, policy
from typing import Any
from uuid import UUID

import msgspec
import pytest
from eventsourcing.persistence import StoredEvent

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from adapters.mail.render import Rendered
from adapters.mail.smtp import Mails, server
from adapters.settings import Outgoing, Secret
from domain.application.accounts import ChangeAccount, OpenAccount
from domain.application.licensing import ResumeLicense, SuspendLicense
from domain.application.payments import BookReceipt, OpenAttempt, RecordOutcome, issued
from domain.errors import Invalid
from domain.events import encode
from domain.events.account import Party
from domain.events.dunning import StageReached
from domain.identity import Kind, bucket_of, make_id
from domain.payment import Reply
from jobs.deliver import Message, Verdict
from jobs.letters import WRITTEN, Letters
from tests.builders import declared_package, publish, start
from tests.certificate import contexts
from tests.mailbox import Mailbox
from tests.store.test_deliver import Clock, states
from tests.store.test_payments import FEBRUARY, NOW

SENDER = "Example Billing <billing@seller.example>"


def opened(dsn: str, url: str, sender: str = SENDER) -> Tally:
    return Tally(dsn, outgoing=Outgoing(smtp=Secret(url), sender=sender))


def write_to_accounts(tally: Tally) -> Clock:
    """Mails are on from now on; the clock is one minute ahead."""
    clock = Clock()
    tally.__dict__["deliverer"] = replace(tally.deliverer, now=clock)
    tally.destinations.add("mail", "mail", SENDER, list(WRITTEN), None, datetime.now(UTC))
    return clock


def an_invoice(
    tally: Tally, email: str = "books@acme.example", language: str = "", name: str = "acme", **more: Any
) -> UUID:
    """One invoice over 23.80 EUR of an account with an address."""
    if not tally.billing.names(1):
        publish(tally, declared_package())
    party = Party(name=f"{name.title()} GmbH", email=email, language=language)
    tally.billing.execute(OpenAccount(reference=name, party=party, currency="EUR", tax_percent=Decimal(19), **more))
    start(tally, name, name, "declared", FEBRUARY, quantities={"seats": 10})
    run_billing(tally, FEBRUARY, FEBRUARY)
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        row = connection.execute("SELECT invoice FROM receivable_v1 ORDER BY number DESC LIMIT 1").fetchone()
    assert row
    return row[0]


def pay(tally: Tally, invoice: UUID) -> None:
    found = issued(tally.billing, invoice)
    receipt = BookReceipt(found.account, "EUR", f"bank:{invoice}", "bank", found.gross, FEBRUARY, invoices=(invoice,))
    tally.billing.execute(receipt)


def test_an_invoice_and_its_receipt_come_in_the_accounts_language_as_text_and_html(dsn):
    with Mailbox() as mailbox, opened(dsn, mailbox.url) as tally:
        write_to_accounts(tally)
        invoice = an_invoice(tally, language="de")
        assert tally.deliverer.deliver_due() == {"sent": 1}
        pay(tally, invoice)
        assert tally.deliverer.deliver_due() == {"sent": 1}
        assert tally.deliverer.deliver_due() == {}
    bill, receipt = mailbox.mails
    assert (bill["from"], bill["to"]) == (SENDER, "Acme GmbH <books@acme.example>")
    assert bill["subject"] == "Rechnung INV-000001 über 23,80\xa0€"
    assert receipt["subject"] == "Bezahlt: Rechnung INV-000001"
    assert (bill["auto-submitted"], bill["content-language"]) == ("auto-generated", "de")
    assert [part.get_content_type() for part in bill.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    text, html = (part.get_content() for part in bill.iter_parts())
    assert "23,80\xa0€" in text
    assert "23,80\xa0€" in html
    assert bill["message-id"] != receipt["message-id"]
    assert bill["message-id"].endswith("@seller.example>")


def test_a_server_that_is_busy_is_asked_again_later(dsn):
    replies = {1: "451 4.3.0 try again later"}
    with Mailbox(lambda number: replies.get(number, "250 OK")) as mailbox, opened(dsn, mailbox.url) as tally:
        clock = write_to_accounts(tally)
        an_invoice(tally)
        assert tally.deliverer.deliver_due() == {"failed": 1}
        assert states(tally) == {("waiting", 1, "451"): 1}
        assert tally.deliverer.deliver_due() == {}
        clock.go(timedelta(seconds=6))
        assert tally.deliverer.deliver_due() == {"sent": 1}
    assert len({mail["message-id"] for mail in mailbox.mails}) == 1


def test_a_line_lost_after_the_data_sends_the_mail_twice_under_one_message_id(dsn):
    with Mailbox(lambda number: "" if number == 1 else "250 OK") as mailbox, opened(dsn, mailbox.url) as tally:
        clock = write_to_accounts(tally)
        an_invoice(tally)
        assert tally.deliverer.deliver_due() == {"failed": 1}
        clock.go(timedelta(seconds=6))
        assert tally.deliverer.deliver_due() == {"sent": 1}
    assert len(mailbox.mails) == 2
    assert len({mail["message-id"] for mail in mailbox.mails}) == 1


def test_an_address_that_the_server_refuses_is_dead_and_one_that_is_none_is_skipped(dsn):
    with Mailbox(to="550 5.1.1 nobody of that name") as mailbox, opened(dsn, mailbox.url) as tally:
        write_to_accounts(tally)
        an_invoice(tally, name="unknown")
        an_invoice(tally, name="without", email="")
        an_invoice(tally, name="evil", email="a@b.example>\r\nBcc: c@d.example")
        assert tally.deliverer.deliver_due() == {"dead": 1, "skipped": 2}
        assert mailbox.mails == []
        assert states(tally)["dead", 1, "550"] == 1


def test_who_will_pay_for_an_account_without_an_address_is_written_to_from_that_day_on(tally):
    books = Party(name="Acme", email="books@acme.example")
    tally.billing.execute(OpenAccount(reference="acme", party=books, currency="EUR", tax_percent=Decimal(19)))
    part = an_invoice(tally, name="part", email="", parent="acme")
    tally.billing.execute(ChangeAccount("part", date(2025, 6, 1), payer="acme"))
    for today, address in ((date(2025, 5, 31), ""), (date(2025, 6, 1), "books@acme.example")):
        letters = Letters(tally.billing, today=lambda zone, today=today: today)
        assert letters.sample("invoice_issued", part, FEBRUARY).address == address


def test_a_server_that_is_not_there_loses_nothing(dsn):
    with Mailbox() as mailbox:
        url = mailbox.url
    with opened(dsn, url) as tally:
        write_to_accounts(tally)
        an_invoice(tally)
        assert tally.deliverer.deliver_due() == {"failed": 1}
        assert tally.destinations.named("mail").state == "enabled"


def test_what_is_not_so_any_more_is_not_written(dsn):
    """A declined payment of what was paid meanwhile, a suspension that is over, a return while another reason holds."""
    with Mailbox() as mailbox, opened(dsn, mailbox.url) as tally:
        invoice = an_invoice(tally)
        write_to_accounts(tally)
        attempt = tally.billing.execute(OpenAttempt(invoice, "stripe", NOW, customer="cus_1", method="pm_1"))
        declined = Reply("declined", object="pi_1", code="expired_card")
        tally.billing.execute(RecordOutcome(invoice, attempt.opened.attempt, declined, FEBRUARY))
        tally.billing.execute(SuspendLicense("acme", "fair_use", FEBRUARY))
        tally.billing.execute(SuspendLicense("acme", "abuse", FEBRUARY))
        tally.billing.execute(ResumeLicense("acme", "fair_use", FEBRUARY))
        pay(tally, invoice)
        assert tally.deliverer.deliver_due() == {"skipped": 3, "sent": 2}
    assert {mail["subject"] for mail in mailbox.mails} == {"Paid: invoice INV-000001", "Suspended: acme"}


def test_a_step_of_the_ladder_writes_one_letter_for_all_its_licenses(dsn):
    with Mailbox() as mailbox, opened(dsn, mailbox.url) as tally:
        invoice = an_invoice(tally)
        write_to_accounts(tally)
        found = issued(tally.billing, invoice)
        stream = make_id(Kind.DUNNING, bucket_of(invoice), None, invoice)
        reached = StageReached(
            invoice=invoice, document=found.document, account=found.account, number=1, stage="filter off",
            effect="filter_off", remind="filter_off", retry=False, wants_method=False, attempts=0,
            licenses=tuple({line.license for line in found.lines}), amount=found.gross, currency="EUR",
            due_on=FEBRUARY, on=FEBRUARY,
        )  # fmt: skip
        quiet = msgspec.structs.replace(reached, number=2, remind="")
        unknown = msgspec.structs.replace(reached, number=3, remind="by_pigeon")
        for version, event in enumerate((reached, quiet, unknown), start=1):
            tally.log.insert_events([StoredEvent(stream, version, event.stored_as, encode(event))])
        assert tally.deliverer.deliver_due() == {"sent": 1, "skipped": 1, "dead": 1}
        ((_, _, why),) = (row for row in states(tally) if row[0] == "dead")
        assert "by_pigeon" in why
    (mail,) = mailbox.mails
    assert mail["subject"] == "Filtering is off: invoice INV-000001 is not paid"
    assert "for: acme." in " ".join(next(mail.iter_parts()).get_content().split())


def test_a_name_can_not_bring_headers_of_its_own():
    name = 'Evil "Corp"\r\nBcc: victim@example.com\r\n\r\n<b>\u202e, two@example.com'
    words = Rendered("en", "Subject", "text", "<p>html</p>")
    written = Mails(Letters(None), server("smtp://mail.example"), SENDER).written(  # type: ignore[arg-type]
        "msg_1", NOW, name, "books@acme.example", words
    )
    read = message_from_bytes(written.as_bytes(), policy=policy.default)
    assert [address.addr_spec for address in read["to"].addresses] == ["books@acme.example"]
    assert read["bcc"] is None
    assert not set(read["to"].addresses[0].display_name) & {"\r", "\n", "\u202e"}


class Doomed:
    """Sends, and is killed before that is committed."""

    def __init__(self, real: Mails) -> None:
        self.real = real

    def carry(self, message: Message, now: datetime) -> Verdict:
        assert self.real.carry(message, now).what == "sent"
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def die(dsn: str, url: str) -> None:
    with opened(dsn, url) as tally:
        mails = tally.deliverer.carriers["mail"]
        assert isinstance(mails, Mails)
        replace(tally.deliverer, carriers={"mail": Doomed(mails)}).deliver_due()


def test_killed_after_the_servers_yes_it_is_sent_again_under_the_same_message_id(dsn):
    with Mailbox() as mailbox, opened(dsn, mailbox.url) as tally:
        write_to_accounts(tally)
        an_invoice(tally)
        process = multiprocessing.get_context("spawn").Process(target=die, args=(dsn, mailbox.url))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        for _ in range(100):  # until the server has noticed that the line is dead
            if states(tally) == {("sent", 1, "250"): 1}:
                break
            tally.deliverer.deliver_due()
            threading.Event().wait(0.05)
    assert list(Counter(mail["message-id"] for mail in mailbox.mails).values()) == [2]


def test_it_logs_in_where_it_is_told_to_and_a_wrong_password_is_tried_again_later(dsn):
    with Mailbox(auth_require_tls=False) as mailbox:
        right = mailbox.url.replace("smtp://", "smtp://us%65r:right@")
        with opened(dsn, right) as tally:
            mails = tally.deliverer.carriers["mail"]
            assert isinstance(mails, Mails)
            assert mails.probe("msg_1", NOW, "someone@else.example").what == "sent"
            wrong = replace(mails, server=server(right.replace("right", "wrong")))
            assert wrong.probe("msg_2", NOW, "someone@else.example") == ("failed", "535")
            with pytest.raises(Invalid):
                mails.probe("msg_3", NOW, "two@a.example, three@b.example")
    assert mailbox.logins == [(b"user", b"right"), (b"user", b"wrong"), (b"user", b"wrong")]


def test_a_password_goes_only_behind_tls_to_a_certificate_that_is_trusted(tmp_path):
    """Who offers STARTTLS gets it; whose certificate nobody vouches for gets neither name nor mail."""
    own, trusting = contexts(tmp_path, "IP:127.0.0.1")
    with Mailbox(tls_context=own) as mailbox:
        where = server(mailbox.url.replace("smtp://", "smtp://user:right@"))
        mails = Mails(Letters(None), where, SENDER, trusting)  # type: ignore[arg-type] - it reads nothing
        assert mails.probe("msg_1", NOW, "someone@else.example").what == "sent"
        assert replace(mails, trust=ssl.create_default_context()).probe("msg_2", NOW, "a@b.example").what == "failed"
    assert mailbox.logins == [(b"user", b"right")]
    assert len(mailbox.mails) == 1


def test_settings_that_cannot_be_are_refused(dsn):
    for url in ("http://mail.example", "mail.example:25", "smtp://", "smtp://mail.example:port"):
        with pytest.raises(Invalid, match="TALLY_SMTP_URL"):
            server(url)
    assert server("smtps://mail.example").port == 465
    assert server("smtp://mail.example").port == 587
    with (
        opened(dsn, "smtp://mail.example", sender="no address") as tally,
        pytest.raises(Invalid, match="TALLY_MAIL_FROM"),
    ):
        assert tally.deliverer
