"""The request header `Accept` (RFC 9110, section 12.5.1): which of two media types the caller prefers."""

from __future__ import annotations

import re
from typing import Final

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

# A parameter other than q: such ranges are meant to match, but none of our media types has parameters.
_PARAMETER: Final = re.compile(r';[ \t]*(?![qQ][ \t]*=)[^\s,;="]+=(?:"(?:[^"\\]|\\.)*"|[^\s,;"]*)')


def prefers(accept: str | None, media_type: str, other: str) -> bool:
    """Returns whether `accept` gives `media_type` a higher q than `other`.

    The most specific range that matches a media type has its q. A type without a range, and a malformed range, have 0.
    """
    ranges = parse_accept_header(_PARAMETER.sub("", accept or ""), MIMEAccept)
    return bool(ranges.quality(media_type) > ranges.quality(other))
