"""The terminal as all tools use it: the arguments that name the service, a secret, and text that cannot control it."""

from __future__ import annotations

import argparse
import getpass
import io
import os
import sys
import warnings

import httpx
from rich.console import Console
from rich.text import Text

from tools.http_calls import is_loopback

FAILED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes: a part failed; wrong arguments, as argparse has it; Ctrl-C, as shells have it."""


def escape_output() -> None:
    """Makes characters that a terminal's encoding lacks print as escapes instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def add_url(parser: argparse.ArgumentParser) -> None:
    """Adds `--url` and `--insecure`; `check_url` checks them together."""
    parser.add_argument("--url", required=True, type=_url, help="where Rollbook is, as http://127.0.0.1:7071")
    parser.add_argument("--insecure", action="store_true", help="allow http:// to another machine")


def check_url(parser: argparse.ArgumentParser, options: argparse.Namespace, sent: str) -> None:
    """Ends the program with a usage error if `sent`, which must stay secret, would be sent unencrypted."""
    if options.url.scheme == "http" and not is_loopback(options.url.host) and not options.insecure:
        parser.error(f"http:// would send {sent} unencrypted; use https://, or --insecure")


def _url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise argparse.ArgumentTypeError(f"not a URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query or url.fragment:
        raise argparse.ArgumentTypeError("not a URL like https://rollbook.example.org")
    return url


def read_secret(variable: str, name: str) -> str:
    """Returns the secret of the environment or the terminal. Raises `SystemExit` where there is none."""
    secret = os.environ.get(variable)
    if secret is not None:
        return secret
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)  # instead of reading it with echo from standard input
        try:
            return getpass.getpass(f"{name.capitalize()}: ")
        except (EOFError, getpass.GetPassWarning):
            print(f"No terminal to read the {name} from: set {variable}.", file=sys.stderr)
            sys.exit(USAGE)


def open_console() -> Console:
    """Returns the console of standard error, for bars and reports."""
    return Console(stderr=True, force_terminal=sys.stderr.isatty(), highlight=False)


def print_line(console: Console, text: str) -> None:
    """Prints a line, above the bar if there is one."""
    console.print(Text(printable(text)), soft_wrap=True)


def printable(text: str) -> str:
    """Returns a text that cannot control the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
