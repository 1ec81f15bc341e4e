"""How it is computed: swappable algorithms, one file each, no network."""
