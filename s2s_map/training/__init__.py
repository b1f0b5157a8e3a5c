"""Training of Sat2Sound models at any size."""
