"""The HTTP machinery that all services share. No module here refers to a service."""
