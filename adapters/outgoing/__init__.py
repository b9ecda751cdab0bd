"""Outgoing webhooks: signed, posted, and kept away from our own network."""
