"""A few hundred calls through a bad network; `make provider-faults` plays 20,000."""

from __future__ import annotations

from tests.providers.faults import play
from tests.providers.stripe_world import sandbox_now


def test_through_a_bad_network_nobody_is_charged_or_refunded_twice(tally):
    with sandbox_now() as sandbox:
        business = play(tally, sandbox, seed=3, number=6, calls=300)
    assert sandbox.stripe.books.captured.total() > 0
    assert len(sandbox.stripe.books.objects["refund"]) > 0
    assert business.calls >= 300
