"""How good a map is: metrics on labelled points. Pure functions; nothing here trains."""
