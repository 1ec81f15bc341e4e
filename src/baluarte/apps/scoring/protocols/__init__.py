"""Protocols that people's clients already speak, each a way to read rows and to write answers."""
