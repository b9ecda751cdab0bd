"""When things happen: counting, billing runs, following the log, schedules."""

from jobs import bill

DDL: tuple[str, ...] = bill.DDL
"""Tables of the jobs: runs and their chunks are local work lists, not history."""
