"""Weak soundscape captions from land cover."""
