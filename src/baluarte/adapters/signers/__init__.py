"""Signers: what makes and checks a signature."""
