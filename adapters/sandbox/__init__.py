"""A loopback server that speaks the protocols of payment providers, with books of its own."""
