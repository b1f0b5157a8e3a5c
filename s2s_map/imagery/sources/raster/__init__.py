"""Raster files."""
