"""The users service over HTTP. Importing a module declares its endpoints, after those of `endpoints`."""

from api.users import bulk as bulk
from api.users import history as history
from api.users import masked as masked
from api.users.endpoints import service as service
