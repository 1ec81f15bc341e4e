"""The demo: the whole life of a detector in two minutes."""
