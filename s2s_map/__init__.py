"""s2s_map."""
