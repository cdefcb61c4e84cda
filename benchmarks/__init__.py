"""Measures the app on this machine; no test depends on a figure."""
