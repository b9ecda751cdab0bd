"""What can be asked: rows that follow the event log and can be dropped and rebuilt at any time."""
