"""Whether a statement is T-SQL, as far as that can be told without a SQL Server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

KNOWN_GAPS: Final = (
    # pattern, what is parsed in its place, why: T-SQL that the parser does not take. All around it is checked.
    (r"\b(DELETE FROM [\w.]+) OUTPUT deleted\.\w+(?:, deleted\.\w+)*", r"\1", "OUTPUT of a DELETE with a WHERE"),
    (r" MASKED WITH \(FUNCTION = '(?:default|email|partial|random)\([^']*\)'\)", "", "a column's mask"),
    (r"\bCREATE ROLE (\w+)(?= *;?\s*\Z)", r"SELECT 1 FROM \1", "CREATE ROLE"),
    (r"\bGRANT UNMASK TO (\w+)", r"GRANT UNMASK ON dbo TO \1", "a right on the whole database"),
)

# All of T-SQL that Rollbook needs, by the parser's names for it. Whoever needs more adds it, having looked it up: it
# must be in SQL Server 2019.
ALLOWED: Final = {
    "Select", "From", "Where", "Order", "Ordered", "Offset", "Fetch", "LimitOptions", "Subquery", "Union", "Join",
    "QueryOption",
    "Insert", "Values", "Tuple", "Update", "Delete", "Returning", "WithTableHint",
    "Schema", "Table", "TableAlias", "Column", "Alias", "Identifier", "Literal", "National", "Null", "Placeholder",
    "Var",
    # operators
    "And", "Or", "Not", "EQ", "GT", "GTE", "LTE", "Is", "In", "Like", "Add", "Sub", "Paren", "Case", "If",
    # functions
    "Cast", "Count", "Star", "Exists", "ObjectId", "OpenJSON", "DATABASE_PRINCIPAL_ID",
    "JSONExtractScalar", "JSONPath", "JSONPathRoot", "JSONPathSubscript",  # JSON_VALUE
    # scripts
    "Set", "SetItem", "IfBlock", "Block", "Create", "Index", "IndexParameters", "ColumnDef", "DataType",
    "DataTypeParam", "Constraint", "ColumnConstraint", "CheckColumnConstraint", "PrimaryKeyColumnConstraint",
    "ClusteredColumnConstraint", "CollateColumnConstraint",
    "ForeignKey", "Reference", "NotNullColumnConstraint", "GeneratedAsIdentityColumnConstraint",
    "Grant", "GrantPrivilege", "GrantPrincipal",
}  # fmt: skip

_HOLDERS_OF_VALUES = (exp.Select, exp.Alias, exp.Ordered, exp.Tuple, exp.Cast, exp.Add)


def check_tsql(statement: str) -> None:
    """Raises `AssertionError`, with the statement, unless it is T-SQL of the kinds that Rollbook is known to need.

    The parser takes other databases' SQL too. It gives itself away by writing that back as T-SQL: in other words.
    """
    problems = list(_problems(statement))
    assert not problems, f"{'; '.join(problems)}:\n{statement}"


def _problems(statement: str) -> Iterator[str]:
    known = statement
    for pattern, replacement, _ in KNOWN_GAPS:
        known = re.sub(pattern, replacement, known)
    try:
        given = _words(known)
        parsed = sqlglot.parse(known, dialect="tsql", error_level=sqlglot.ErrorLevel.RAISE)
    except SqlglotError as error:
        yield f"does not parse ({error})"
        return
    trees = [tree for tree in parsed if tree]
    if not trees:
        yield "says nothing"
    for node in (node for tree in trees for node in tree.walk()):
        if (kind := node.name.upper() if isinstance(node, exp.Anonymous) else type(node).__name__) not in ALLOWED:
            yield f"{kind} is not allowed"
        yield from _misplaced(node)
    if given != (written := _words("; ".join(tree.sql("tsql", comments=False) for tree in trees))):
        yield f"in T-SQL it is {' '.join(written)}"


def _misplaced(node: exp.Expr) -> Iterator[str]:
    parent = node.parent or node
    if isinstance(node, exp.Predicate | exp.Connector | exp.Not) and isinstance(parent, _HOLDERS_OF_VALUES):
        yield "a condition is no value"
    if isinstance(node, exp.Tuple) and not isinstance(parent, exp.Values):
        yield "a row is no value"
    if isinstance(node, exp.Is) and not isinstance(node.expression, exp.Null):
        yield f"IS {node.expression.sql('tsql')}"
    if isinstance(node, exp.Column) and isinstance(parent, exp.Returning) and node.table not in ("inserted", "deleted"):
        yield "OUTPUT of what is neither inserted nor deleted"
    if isinstance(node, exp.Insert) and node.args.get("alternative"):
        yield "INSERT OR"
    if isinstance(node, exp.Fetch) and not parent.args.get("offset"):
        yield "FETCH without OFFSET"
    if isinstance(node, exp.Offset) and not parent.args.get("order"):
        yield "OFFSET without ORDER BY"
    if isinstance(node, exp.Order) and not parent.args.get("offset") and node.find_ancestor(exp.Subquery, exp.Exists):
        yield "ORDER BY in a subquery"


def _words(text: str) -> list[str]:
    """The words and signs but for those that may be left out or stand elsewhere, INTEGER in its short spelling."""
    words = [token.text.upper() for token in sqlglot.tokenize(text, dialect="tsql")]
    return ["INT" if word == "INTEGER" else word for word in words if word not in (";", "BEGIN", "END", "NOT")]
