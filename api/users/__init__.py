"""The users service over HTTP. Importing a module declares its endpoints."""

from api.users import history as history
from api.users.endpoints import service as service

# The order of the documentation; without it, that of the imports.
_FIRST = ("create_user", "get_users", "delete_user", "update_user")
service.endpoints.sort(key=lambda endpoint: (*_FIRST, endpoint.name).index(endpoint.name))
