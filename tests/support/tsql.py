"""Checks that a statement is T-SQL, as far as that is possible without a SQL Server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import sqlglot
from sqlalchemy.dialects.mssql import pyodbc
from sqlalchemy.sql import ClauseElement, Insert
from sqlglot import exp
from sqlglot.errors import SqlglotError

KNOWN_GAPS: Final = (
    # pattern, what is parsed in its place, why: T-SQL that the parser rejects. Everything around it is checked.
    (r"\b(DELETE FROM [\w.]+) OUTPUT deleted\.\w+(?:, deleted\.\w+)*", r"\1", "OUTPUT of a DELETE with a WHERE"),
    (r"\bSELECT TOP \((?::row_limit|\?)\) ", "SELECT ", "TOP, which the parser takes for a LIMIT"),
    (r" OPTION \(TABLE HINT \(\w+, FORCESEEK\)\)(?=\Z)", "", "a hint for a table of an UPDATE"),
    (r"\A(INSERT INTO [^;]+?)\s+OPTION \(LOOP JOIN\)(?=\Z)", r"\1", "a hint for the joins of an INSERT"),
    (r" MASKED WITH \(FUNCTION = '(?:default|email|partial|random)\([^']*\)'\)", "", "a column's mask"),
    (r"\bCREATE ROLE (\w+)(?= *;?\s*\Z)", r"SELECT 1 FROM \1", "CREATE ROLE"),
    (r"\bCREATE USER (\[[\w.-]+\]) WITH SID = 0x[0-9A-F]{32}, TYPE = E(?= *;?\s*\Z)", r"SELECT 1 FROM \1", "a SID"),
    (r"\bALTER TABLE (\w+) SET \(LOCK_ESCALATION = DISABLE\)(?= *;?\s*\Z)", r"SELECT 1 FROM \1", "a table's option"),
    (r"\bALTER ROLE (\w+) ADD MEMBER (\[[\w.-]+\])(?= *;?\s*\Z)", r"SELECT 1 AS \2 FROM \1", "ADD MEMBER"),
    (r"\bsid <> 0x[0-9A-F]{32}\b", "sid > 0", "a SID that is another one"),
    (r"\bDROP USER (\[[\w.-]+\])(?= *;?\s*\Z)", r"SELECT 1 FROM \1", "DROP USER"),
    (r"\AIF @@TRANCOUNT > 0\n", "", "a system function"),
    (r"\b(?:BEGIN|COMMIT) TRANSACTION(?= *;?\s*\Z)", "SELECT 1", "a transaction"),
    (r"\bTHROW 50000, N'[^'\n]+', 1(?= *;?\s*\Z)", "SELECT 1", "THROW"),
    (r"\bGRANT UNMASK TO (\w+)", r"GRANT UNMASK ON dbo TO \1", "a permission on the whole database"),
)

_DYNAMIC: Final = re.compile(r"(?<![^\n])EXEC \(N'((?:[^']|'')+)'\)(?=;?\Z)")

# The part of T-SQL that Rollbook needs, by the parser's names for it. An addition must exist in SQL Server 2019.
ALLOWED: Final = {
    "With", "CTE", "Select", "From", "Where", "Order", "Ordered", "Offset", "Fetch", "LimitOptions", "Subquery",
    "Union", "Join", "QueryOption", "Window", "RowNumber",
    "Insert", "Values", "Tuple", "Update", "Delete", "Returning", "WithTableHint",
    "Schema", "Table", "TableAlias", "Column", "Alias", "Identifier", "Literal", "National", "Null", "Placeholder",
    "Var",
    # operators
    "And", "Or", "Not", "EQ", "NEQ", "GT", "GTE", "LT", "LTE", "Is", "In", "Like", "Add", "Sub", "Mul", "Neg", "Paren",
    "Case",
    # functions
    "If", "Cast", "Coalesce", "Count", "Star", "Exists", "ObjectId", "OpenJSON", "DATABASE_PRINCIPAL_ID", "SCHEMA_ID",
    "DateAdd", "SYSUTCDATETIME", "MIN_ACTIVE_ROWVERSION", "CurrentSchema",
    "JSONExtractScalar", "JSONPath", "JSONPathRoot", "JSONPathSubscript",  # JSON_VALUE
    # scripts
    "Set", "SetItem", "IfBlock", "Block", "Create", "Index", "IndexParameters", "ColumnDef", "DataType",
    "DataTypeParam", "Constraint", "ColumnConstraint", "CheckColumnConstraint", "PrimaryKeyColumnConstraint",
    "ClusteredColumnConstraint", "NonClusteredColumnConstraint", "CollateColumnConstraint",
    "PrimaryKey", "ForeignKey", "Reference", "NotNullColumnConstraint", "GeneratedAsIdentityColumnConstraint",
    "AutoIncrementColumnConstraint", "Alter", "Drop", "OnProperty",
    "Grant", "GrantPrivilege", "GrantPrincipal",
}  # fmt: skip

# The places of conditions, and of nothing else: T-SQL has no boolean values.
_PLACES_OF_CONDITIONS: Final = {
    (exp.Where, "this"), (exp.Join, "on"), (exp.And, "this"), (exp.And, "expression"), (exp.Or, "this"),
    (exp.Or, "expression"), (exp.Not, "this"), (exp.IfBlock, "this"), (exp.CheckColumnConstraint, "this"),
}  # fmt: skip
_CONDITIONS = (exp.Predicate, exp.Connector, exp.Not)
_COLLATION: Final = "Latin1_General_100_BIN2"
_SQL_SERVER: Final = pyodbc.dialect()  # type: ignore[no-untyped-call]
_TEXTS: Final = (exp.DType.CHAR, exp.DType.VARCHAR, exp.DType.NCHAR, exp.DType.NVARCHAR)


def check_tsql(statement: str) -> None:
    """Raises `AssertionError`, with the statement, unless it is T-SQL of the kinds that Rollbook needs.

    The parser accepts SQL of other databases, too, but writes it back differently: as T-SQL.
    """
    problems = list(_problems(statement))
    assert not problems, f"{'; '.join(problems)}:\n{statement}"


def compile_tsql(statement: ClauseElement, keys: Iterable[str] = ()) -> str:
    """The text of a statement for SQL Server. `keys` are the parameters of an INSERT, which are its columns.

    The list of an `in_` has one element: SQLAlchemy expands it when it has the values.
    """
    is_values = isinstance(statement, Insert) and statement.select is None
    text = str(statement.compile(dialect=_SQL_SERVER, column_keys=[*keys] if is_values else None))
    return re.sub(r"__\[POSTCOMPILE_(\w+)[^\]]*\]", r":\1", text)


def inner_statement(batch: str) -> str:
    """The statement of a dynamic one, `EXEC (N'…')`, behind its condition; any other batch as it is."""
    return _DYNAMIC.sub(lambda match: match[1].replace("''", "'"), batch)


def fill_gaps(statement: str) -> str:
    """The statement, of a dynamic one the inner, with unsupported syntax replaced by what the parser supports."""
    statement = inner_statement(statement)
    for pattern, replacement, _ in KNOWN_GAPS:
        statement = re.sub(pattern, replacement, statement)
    return statement


def _problems(statement: str) -> Iterator[str]:
    known = fill_gaps(statement)
    try:
        given = _words(known)
        parsed = sqlglot.parse(known, dialect="tsql", error_level=sqlglot.ErrorLevel.RAISE)
    except SqlglotError as error:
        yield f"does not parse ({error})"
        return
    trees = [tree for tree in parsed if tree]
    if not trees:
        yield "is empty"
    for node in (node for tree in trees for node in tree.walk()):
        if (kind := node.name.upper() if isinstance(node, exp.Anonymous) else type(node).__name__) not in ALLOWED:
            yield f"{kind} is not allowed"
        yield from _misplaced(node)
    if given != (written := _words("; ".join(tree.sql("tsql", comments=False) for tree in trees))):
        yield f"in T-SQL it is {' '.join(written)}"


def _misplaced(node: exp.Expr) -> Iterator[str]:
    for rules in (_misplaced_value, _misplaced_condition, _misplaced_clause, _misplaced_join):
        yield from rules(node)


def _misplaced_value(node: exp.Expr) -> Iterator[str]:
    parent = node.parent or node
    if isinstance(node, exp.Tuple) and not isinstance(parent, exp.Values):
        yield "a row is no value"
    if isinstance(node, exp.Is) and not isinstance(node.expression, exp.Null):
        yield f"IS {node.expression.sql('tsql')}"
    if isinstance(node, exp.If) and not isinstance(parent, exp.Case):
        yield "IIF in place of CASE"
    if isinstance(node, exp.JSONExtractScalar) and not _is_position(node.expression):
        yield "JSON_VALUE of a path that is not '$[n]'"
    if isinstance(node, exp.CollateColumnConstraint) and not _is_collation(node):
        yield "COLLATE of what is no text, or with a collation that the app does not use"
    if isinstance(node, exp.Column) and isinstance(parent, exp.Returning) and node.table not in ("inserted", "deleted"):
        yield "OUTPUT of what is neither inserted nor deleted"


def _misplaced_clause(node: exp.Expr) -> Iterator[str]:
    parent = node.parent or node
    if isinstance(node, exp.Drop) and node.kind == "INDEX" and not node.find(exp.OnProperty):
        yield "DROP INDEX without its table"
    if isinstance(node, exp.Insert) and node.args.get("alternative"):
        yield "INSERT OR"
    if isinstance(node, exp.Fetch) and not parent.args.get("offset"):
        yield "FETCH without OFFSET"
    if isinstance(node, exp.Offset) and not parent.args.get("order"):
        yield "OFFSET without ORDER BY"
    if isinstance(node, exp.Window) and not node.args.get("order"):
        yield "ROW_NUMBER without ORDER BY"
    is_order = isinstance(node, exp.Order) and not isinstance(parent, exp.Window)
    if is_order and not isinstance(parent, exp.Query):
        yield "ORDER BY of what is no query"
    if is_order and not parent.args.get("offset") and node.find_ancestor(exp.Subquery, exp.Exists):
        yield "ORDER BY in a subquery"
    if isinstance(node, exp.QueryOption) and not _is_fast(node):
        yield "OPTION other than FAST and a number, after a SELECT that is no part of another statement"


def _misplaced_condition(node: exp.Expr) -> Iterator[str]:
    if isinstance(node, exp.Paren):  # its content is checked in its place
        return
    place = node
    while isinstance(place.parent, exp.Paren):
        place = place.parent
    parent, key = place.parent, place.arg_key
    if isinstance(parent, exp.SetItem):  # SET of an option, which the parser reads as a condition
        return
    if isinstance(parent, exp.Update) and key == "expressions":  # an assignment, which it reads as one, too
        if place is not node or not isinstance(node, exp.EQ) or not isinstance(node.this, exp.Column):
            yield "SET of what is no assignment"
        return
    is_place = (type(parent), key) in _PLACES_OF_CONDITIONS
    if isinstance(parent, exp.If) and key == "this":
        is_place = not (isinstance(parent.parent, exp.Case) and parent.parent.this)  # CASE WHEN, not CASE a WHEN
    if is_place and not isinstance(node, _CONDITIONS):
        yield "a value is no condition"
    if parent and not is_place and isinstance(node, _CONDITIONS):
        yield "a condition is no value"


def _misplaced_join(node: exp.Expr) -> Iterator[str]:
    """Inner and left joins with ON; a comma only after the table of an UPDATE, which SQLAlchemy repeats in its FROM."""
    if isinstance(node, exp.Join):
        parts = {name for name, value in node.args.items() if value} - {"this", "on"}
        if parts - {"kind", "side"} or (node.side, node.kind) not in (("", ""), ("", "INNER"), ("LEFT", "OUTER")):
            yield f"JOIN with {', '.join(sorted(parts))}"
        table = node.parent
        in_update = table and isinstance(table.parent, exp.From) and isinstance(table.parent.parent, exp.Update)
        if not node.args.get("on") and not in_update:
            yield "JOIN without ON"
    if isinstance(node, exp.Delete) and (node.args.get("using") or node.args.get("tables")):
        yield "DELETE of one table with another"
    if isinstance(node, exp.Update) and (source := node.args.get("from_")):
        first = source.this.copy()
        first.set("joins", None)
        if first != node.this:
            yield "UPDATE whose FROM does not begin with its table"


def _is_position(path: exp.Expr) -> bool:
    parts = path.expressions if isinstance(path, exp.JSONPath) else []
    kinds = [type(part) for part in parts]
    return kinds == [exp.JSONPathRoot, exp.JSONPathSubscript] and isinstance(parts[1].this, int) and parts[1].this >= 0


def _is_fast(option: exp.QueryOption) -> bool:
    statement, rows = option.parent, option.expression
    is_whole = isinstance(statement, exp.Select) and not statement.parent and len(statement.args["options"]) == 1
    return is_whole and option.name.upper() == "FAST" and isinstance(rows, exp.Literal) and rows.is_int


def _is_collation(constraint: exp.CollateColumnConstraint) -> bool:
    column = constraint.find_ancestor(exp.ColumnDef)
    return constraint.this.sql("tsql") == _COLLATION and bool(column and column.kind and column.kind.this in _TEXTS)


def _words(text: str) -> list[str]:
    """The tokens without optional ones and those whose position varies; INTEGER as INT."""
    words = [token.text.upper() for token in sqlglot.tokenize(text, dialect="tsql")]
    return ["INT" if word == "INTEGER" else word for word in words if word not in (";", "BEGIN", "END", "NOT")]
