"""Web tiles: which ones, fetched once and politely, judged, and warped onto the lattice."""
