"""Runs scripts that insert missing rows on SQLite: what they say is simple enough to mean the same there."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlglot import exp

from tests.support.tsql_schema import parse, script_statements


def run_seed(connection: sqlite3.Connection, script: Path) -> None:
    """Runs a script on a database whose schema `dbo` has the tables."""
    for condition, insert in parse_seed(script):
        if connection.execute(f"SELECT {condition.sql('sqlite')}").fetchone()[0]:
            connection.execute(insert.sql("sqlite", comments=False))


def parse_seed(script: Path) -> list[tuple[exp.Expr, exp.Expr]]:
    """Returns the condition and the statement of each batch."""
    batches = [parse(batch, conditions=True) for batch in script_statements(script)[1:]]
    nodes = [node.transform(_plain_text) for (node,) in batches]
    return [(node.this, node.args["true"].expressions[0]) for node in nodes]


def _plain_text(node: exp.Expr) -> exp.Expr:
    return exp.Literal.string(node.name) if isinstance(node, exp.National) else node
