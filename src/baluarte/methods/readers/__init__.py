"""Readers of models that people already have: one format a file, nothing in it is run."""
