"""The text form of UUIDs, the same in every service."""

import re
from typing import Final

# [0-9] and not \d: \d matches the digits of every script. fullmatch and not $: $ matches before a trailing line break.
UUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
"""A UUID with hyphens, in either case; to be used with `fullmatch`. Stored and returned UUIDs are in lower case."""
