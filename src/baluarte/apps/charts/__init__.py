"""Inline SVG charts for the pages: axes, labels, units, a word for every colour, and no script."""
