"""Where the memory of window features is kept; one file a kind."""
