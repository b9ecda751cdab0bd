"""The command line: `tally`. Parses words, opens Tallystick, prints what comes back; rules live elsewhere."""
