"""Scenes of a STAC API."""
