"""Sat2Sound: satellite image, text and audio in one embedding space over a shared codebook.

Nothing here knows of rasters or coordinates. Importing this package does not import torch;
its modules do, except `registry`, `checkpoints` and `protocols`.
"""
