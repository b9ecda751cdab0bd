"""Lago's cases: its records, actions and aggregations told to our domain."""
