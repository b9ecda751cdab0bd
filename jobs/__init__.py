"""When things happen: counting, billing runs, following the log, schedules."""

from jobs import bank, bill, destinations, import_counts, inbox, outbox

DDL: tuple[str, ...] = (*bill.DDL, *import_counts.DDL, *bank.DDL, *inbox.DDL, *destinations.DDL, *outbox.DDL)
"""Tables of the jobs: runs and their chunks are local work lists, not history."""
