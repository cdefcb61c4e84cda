"""What calls of other servers share. httpx is imported at the first of them: its import takes 70 ms."""

from __future__ import annotations

import functools
import logging
import ssl

logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs a line per request


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Returns the context of all calls: reading the certificate authorities takes longer than a handshake."""
    import httpx  # noqa: PLC0415 - see above

    return httpx.create_ssl_context()
