"""Files of other people opened safely, here and over the network."""
