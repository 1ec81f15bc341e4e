"""Stores: registry, bundles, ledger segments."""
