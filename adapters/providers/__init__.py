"""Providers of payments: each is one file on the port `domain.payment`."""
