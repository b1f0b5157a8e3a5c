"""`s2s-map view`: a finished run as a map in the browser, which can be asked while one looks."""
