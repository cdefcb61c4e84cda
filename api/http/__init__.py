"""The HTTP machinery that all services share. It names no service."""
