"""What is true: values and rules. Standard library, numpy and msgspec; no clock, disk or
network."""
