"""The catalog of imagery sources: entries, scenes and regions given as files."""
