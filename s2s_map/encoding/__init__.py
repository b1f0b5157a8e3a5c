"""Imagery, texts and recordings -> unit vectors."""
