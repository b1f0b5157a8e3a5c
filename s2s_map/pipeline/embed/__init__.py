"""From blocks of imagery to blocks of embeddings."""
