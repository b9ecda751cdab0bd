"""Everything that touches the world: the database, files, the command line. Only `bootstrap` wires them together."""
