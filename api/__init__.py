"""The HTTP edge: one blueprint per service over one boundary (`http.py`). No SQL lives here."""
