"""Key stores: the keys that personal values are sealed under, and how they are destroyed."""
