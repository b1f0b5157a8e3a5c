"""Reading imagery onto the pixel lattice of a block: band order, scaling, validity."""
