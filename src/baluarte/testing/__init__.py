"""Fakes and conformance suites, for us and for plug-in authors."""
