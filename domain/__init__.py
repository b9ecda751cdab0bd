"""What is true, and who decides: billing arithmetic, aggregates, events and commands. No I/O and no clock."""
