"""Sets of located sounds with imagery and captions, in the schema of GeoSound and SoundingEarth."""
