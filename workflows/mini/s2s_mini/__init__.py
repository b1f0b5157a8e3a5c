"""How the embedded model s2s-mini is made: captions from land cover, scenes, training."""
