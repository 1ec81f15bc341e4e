"""The data plane: takes events, answers decisions."""
