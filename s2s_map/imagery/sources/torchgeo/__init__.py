"""Datasets of torchgeo, of its own classes or of yours."""
