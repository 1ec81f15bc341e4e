"""Searches over learners' parameters: one file each."""
