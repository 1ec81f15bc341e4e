"""Checks of the data before anyone trains; plan runs them."""
