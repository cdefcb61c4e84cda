"""The HTTP edge: one blueprint per service over one boundary (`http.py`). No SQL lives here."""

__version__ = "0.1.0"

# Imported only where enabled: an import is paid for at every cold start.
BLUEPRINTS = {
    "users": "api.users",
    "points": "api.points",
}
"""The module of every service, whose `blueprint` has its triggers."""
