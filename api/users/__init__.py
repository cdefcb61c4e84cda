"""The users service over HTTP."""

from api.users.endpoints import service as service
