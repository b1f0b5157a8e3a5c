"""How often hosts may be asked, by all processes together."""
