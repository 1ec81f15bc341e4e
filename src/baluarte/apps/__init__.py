"""Who knocks: parse, call one stage, render."""
