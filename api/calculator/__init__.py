"""The calculator service."""
