"""Cubes in Zarr."""
