"""Encoders by kind: of each its schema, and what builds or loads it."""
