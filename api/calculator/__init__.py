"""The calculator service over HTTP."""

from api.calculator.endpoints import service as service
