"""A message as a value. Pure: no database, no network."""
