"""The users service over HTTP."""

from api.users import bulk as bulk  # declares its endpoint
from api.users.endpoints import service as service
