"""The invoices service over HTTP. Importing a module declares its endpoints and timers."""

from api.invoices import delivery as delivery
from api.invoices import low_stock as low_stock
from api.invoices import peers as peers
from api.invoices.endpoints import service as service
