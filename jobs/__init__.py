"""When things happen: counting, billing runs, following the log, schedules."""
