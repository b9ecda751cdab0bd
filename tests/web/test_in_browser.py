"""The way of a customer in a real browser: from the link in a mail to the provider's page and back."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.bootstrap import Tally
from adapters.sandbox.desk import Clock
from adapters.sandbox.server import Sandbox
from adapters.web.links import Links
from tests.store.test_collect import invoices
from tests.store.test_payments import owed
from tests.web.browser import Browser
from tests.web.serving import LINK_SECRET
from tests.web.test_server import World, receipts


@pytest.fixture
def browser() -> Iterator[Browser]:
    with Browser() as tab:
        yield tab


def test_a_customer_pays_by_the_link_and_comes_back_to_a_paid_invoice(browser, tally: Tally, tmp_path):
    pictures = Path(os.environ.get("TALLY_PICTURES") or tmp_path)
    (invoice,) = invoices(tally, 1)
    with Sandbox(clock=Clock(time.time)) as sandbox:
        world = World(tally, sandbox)
        with world.serving() as running:
            link = Links([LINK_SECRET], running.url).link_of(invoice)
            browser.open(link)
            assert "€23.80" in browser.text()
            assert browser.value("getComputedStyle(document.querySelector('main')).borderRadius") == "16px", "its style"
            browser.picture(pictures / "open.png")
            browser.shown_as(width=320, scheme="dark")
            assert browser.value("document.documentElement.scrollWidth") == 320, "nothing is cut off on a small phone"
            browser.picture(pictures / "phone.png")
            browser.shown_as(width=794, scheme="dark", media="print")
            assert browser.value("getComputedStyle(document.body).color") == "rgb(28, 36, 48)", "dark ink on paper"
            assert browser.value("document.querySelector('.ways').offsetHeight") == 0, "nobody presses paper"
            browser.picture(pictures / "print.png")
            browser.shown_as()
            browser.press("Pay by card")
            browser.wait_for("location.pathname.startsWith('/stripe/pages/')")
            browser.press("pay")
            browser.wait_for("location.pathname.startsWith('/return/')")
            browser.wait_for("document.body.innerText.includes('Paid')")
            browser.picture(pictures / "paid.png")
            sandbox.tick()
            world.settled()
            browser.open(f"{running.url}/pay/nobody")
            assert "not here" in browser.text()
            browser.picture(pictures / "missing.png")
            browser.speaks("de-DE,de;q=0.9")
            browser.shown_as(width=320)
            browser.open(link)
            assert "Bezahlt. Vielen Dank." in browser.text()
            assert "23,80\xa0€" in browser.text()
            assert browser.value("document.documentElement.lang") == "de"
            assert browser.value("document.documentElement.scrollWidth") == 320, "nothing is cut off in German either"
            browser.picture(pictures / "bezahlt.png")
    assert (receipts(tally), [left for _, _, left in owed(tally)]) == (1, [0])
