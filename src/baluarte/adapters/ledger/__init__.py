"""What the segment store is made of: frames, heads, files; no plug-ins."""
