"""A tagger of sound events, and its mixes as an audio encoder."""
