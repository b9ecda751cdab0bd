"""HTTP on loopback, behind a proxy of the operator's: webhooks of providers and the pages that customers pay on."""
