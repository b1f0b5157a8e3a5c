"""From embeddings and questions to maps."""
