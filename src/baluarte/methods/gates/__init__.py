"""Gates: each turns proof rows into a verdict with a bound."""
