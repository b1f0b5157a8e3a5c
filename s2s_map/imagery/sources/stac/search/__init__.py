"""A search of a large region, in parts."""
