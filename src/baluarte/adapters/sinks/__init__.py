"""Sinks of decisions: files today, one file a format."""
