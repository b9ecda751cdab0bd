"""Kill Bill's cases: its catalogs, actions and events told to our domain."""
