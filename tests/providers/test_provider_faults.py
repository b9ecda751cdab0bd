"""A few hundred calls through a bad network; `make provider-faults` plays 20,000."""

from __future__ import annotations

from tests.providers.faults import far_away, play


def test_through_a_bad_network_nobody_is_charged_or_refunded_twice(tally):
    with far_away() as far:
        business = play(tally, far, seed=3, number=8, calls=400)
    stripe, paypal = far["stripe"].sandbox.stripe.books, far["paypal"].sandbox.paypal.books
    assert min(stripe.captured.total(), paypal.captured.total()) > 0
    assert stripe.objects["refund"]
    assert any(one["kind"] == "refund" for one in paypal.found.values())
    assert min(one.calls for one in far.values()) > business.calls // 3
