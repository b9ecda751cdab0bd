"""The event log in PostgreSQL: schema, recorder and factory."""
