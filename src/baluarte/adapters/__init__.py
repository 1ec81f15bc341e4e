"""Where it touches the world: swappable input and output, one file each."""
