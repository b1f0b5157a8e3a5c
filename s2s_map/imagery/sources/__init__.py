"""One `Source` per type of catalog entry."""
