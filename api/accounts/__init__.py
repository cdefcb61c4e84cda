"""Accounts over HTTP: sign-in, and the tokens with which other services authenticate their callers."""

from api.accounts.endpoints import service as service
