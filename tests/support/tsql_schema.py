"""The schema that a sequence of T-SQL statements creates, normalized."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import sqlglot
from sqlalchemy import MetaData
from sqlalchemy.dialects.mssql import pyodbc
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement
from sqlglot import exp

from persistence.migrations.scripts import split_batches
from tests.support.tsql import fill_gaps

Schema = dict[str, set[str]]
"""By the name of a table its columns, constraints and indexes; the order of columns is not compared."""


def read_schema(statements: Iterable[str]) -> Schema:
    """The schema after these statements, without Alembic's table; other statements than DDL are ignored."""
    schema: Schema = {}
    for statement in statements:
        for node in parse(statement):
            _apply(schema, node)
    return schema


def parse(statement: str, *, conditions: bool = False) -> list[exp.Expr]:
    """The parsed statements of a batch, without the conditions around them unless these are requested."""
    nodes = [node for node in sqlglot.parse(fill_gaps(statement), dialect="tsql") if node]
    if conditions:
        return nodes
    return [node.args["true"].expressions[0] if isinstance(node, exp.IfBlock) else node for node in nodes]


def _apply(schema: Schema, node: exp.Expr) -> None:
    match node:
        case exp.Create(kind="TABLE"):
            name, parts = node.this.this.name, node.this.expressions
            if name == "alembic_version":
                return
            assert name not in schema, f"{name} is created twice"
            schema[name] = {_text(part) for part in parts}
        case exp.Create(kind="INDEX"):
            schema[next(node.find_all(exp.Table)).name].add(_text(node))
        case exp.Alter():
            assert all(isinstance(action, exp.ColumnDef) for action in node.args["actions"]), _text(node)
            schema[node.this.name] |= {_text(action) for action in node.args["actions"]}
        case exp.Drop(kind="INDEX"):
            index = re.compile(rf"CREATE (UNIQUE )?INDEX {node.args['tables'][0].name} ")
            table = node.args["cluster"].this.name
            dropped = {part for part in schema[table] if index.match(part)}
            assert len(dropped) == 1, _text(node)
            schema[table] -= dropped
        case exp.Drop():
            raise AssertionError(f"not known here yet: {_text(node)}")


def _text(node: exp.Expr) -> str:
    """T-SQL without defaults: the schema dbo, CLUSTERED for a primary key, (1, 1) for IDENTITY."""
    return re.sub(r"\bdbo\.| CLUSTERED(?= \()|(?<=IDENTITY)\(1, 1\)", "", node.sql("tsql", comments=False))


def script_statements(*paths: Path) -> list[str]:
    """The statements of scripts."""
    return [batch for path in paths for batch in split_batches(path.read_text("utf-8"))]


def model_statements(models: MetaData) -> list[str]:
    """The statements that create the tables of the models, with key names as in the migrations.

    Columns that SQL Server alone has are marked as system columns, which `CreateTable` leaves out.
    """
    convention = {"pk": "pk_%(table_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s"}
    named = MetaData(naming_convention=convention)
    for table in models.tables.values():
        copy = table.to_metadata(named)
        for column in copy.columns:
            column.system = False
    tables = named.sorted_tables
    statements: list[ExecutableDDLElement] = [CreateTable(table) for table in tables]
    statements += [CreateIndex(index) for table in tables for index in table.indexes]
    dialect = pyodbc.dialect()  # type: ignore[no-untyped-call]
    return [str(statement.compile(dialect=dialect)) for statement in statements]
