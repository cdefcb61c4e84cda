"""The ecgs service over HTTP."""

from api.ecgs.endpoints import service as service
