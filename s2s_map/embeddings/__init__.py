"""What keeps a region's embeddings, so that later queries need neither imagery nor encoder."""
