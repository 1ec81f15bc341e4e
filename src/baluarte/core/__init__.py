"""What is true: values and rules. Stdlib, numpy and msgspec; no clock, disk or network."""
