"""The invoices service over HTTP."""

from api.invoices.endpoints import service as service
