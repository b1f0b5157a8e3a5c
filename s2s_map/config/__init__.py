"""Schemas of everything a user writes, and how they are read."""
