"""Similarity and probability: arrays in, arrays out; knows no encoder and no file."""
