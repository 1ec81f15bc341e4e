"""Learners: each trains a model and compiles it to a sealed program."""
