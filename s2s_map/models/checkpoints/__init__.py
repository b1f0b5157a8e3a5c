"""Weights: read, converted, fetched."""
