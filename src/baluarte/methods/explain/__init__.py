"""Counterfactuals: what would have made the decision come out otherwise, one file a search."""
