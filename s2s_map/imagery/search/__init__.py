"""Searching a STAC API for the scenes of a region, in parts."""
