"""Regions from names, boxes and files: places that ship, outlines, projections."""
