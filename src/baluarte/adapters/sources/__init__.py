"""Sources of events: files today, one file a format."""
