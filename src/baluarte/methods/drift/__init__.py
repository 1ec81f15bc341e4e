"""Drift: the e-detector that alarms, and views that a person reads."""
