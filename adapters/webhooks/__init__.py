"""Tells genuine webhooks of providers from everything else that arrives; what they say is not believed even then."""
