"""Bank statements as banks write them: camt.053, MT940 and CSV with a mapping."""
