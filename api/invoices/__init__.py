"""The invoices service over HTTP. Its modules add their endpoints and timers to the service."""

from api.invoices import low_stock as low_stock
from api.invoices.endpoints import service as service
