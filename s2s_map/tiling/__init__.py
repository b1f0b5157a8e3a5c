"""Regions, grids, blocks, patches and how token embeddings blend onto cells: pure geometry."""
