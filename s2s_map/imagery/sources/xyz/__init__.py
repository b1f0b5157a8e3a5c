"""Web tiles."""
