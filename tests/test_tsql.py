"""The T-SQL checker accepts what SQL Server 2019 accepts and nothing else, and every script passes it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlglot.expressions
from sqlalchemy import bindparam, insert, select

from persistence.migrations.scripts import SQL, split_batches
from persistence.users.tables import USERS
from tests.support.tsql import ALLOWED, KNOWN_GAPS, check_tsql, compile_tsql

SETTINGS = "SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;\nGO\n"
SCRIPTS = sorted([*SQL.rglob("*.sql"), SQL / "member.sql.template"])
FILLED = {"{name}": "rollbook-app.1", "{sid}": "0x0123456789ABCDEF0123456789ABCDEF"}
"""The placeholders of script templates, with possible values."""


def _filled(script: str) -> str:
    for placeholder, value in FILLED.items():
        script = script.replace(placeholder, value)
    return script


BATCHES = [
    pytest.param(batch, id=f"{script.relative_to(SQL).as_posix()}-{number}")
    for script in SCRIPTS
    for number, batch in enumerate(split_batches(_filled(script.read_text("utf-8"))))
]
NEWER_THAN_2019 = re.compile(
    r"""\b(?:
        GREATEST|LEAST|DATE_BUCKET|DATETRUNC|GENERATE_SERIES|CURRENT_DATE|PRODUCT|UNISTR|VECTOR\w*
        |JSON_(?:OBJECT|ARRAY|OBJECTAGG|ARRAYAGG|PATH_EXISTS|CONTAINS)|APPROX_PERCENTILE_\w+|REGEXP_\w+
        |(?:LEFT|RIGHT)_SHIFT|BIT_COUNT|[GS]ET_BIT|EDIT_DISTANCE\w*|JARO_WINKLER_\w+|BASE64_(?:EN|DE)CODE
        |IS\s+(?:NOT\s+)?DISTINCT\s+FROM|IS_DISTINCT_FROM
        |(?:IGNORE|RESPECT)\s+NULLS
        |WINDOW\s+\w+\s+AS
        |TRIM\s*\(\s*(?:LEADING|TRAILING|BOTH)
        |STRING_SPLIT\s*\([^()]*,[^()]*,\s*[01@]
        |(?:LTRIM|RTRIM|ISJSON)\s*\([^(),]*,
    )(?!\w)""",
    re.IGNORECASE | re.VERBOSE,
)

each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.relative_to(SQL).as_posix())


# ---- the checker


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT a, b + 1 AS c FROM dbo.t WHERE a = ? AND (b > :b OR c >= N'x') AND d IS NOT NULL",
        "SELECT a FROM t ORDER BY a, b OFFSET 0 ROWS FETCH NEXT :row_limit ROWS ONLY",
        "SELECT anon.a FROM (SELECT a FROM t UNION ALL SELECT a FROM u) AS anon ORDER BY anon.a",
        "SELECT a FROM t WHERE b = (SELECT c FROM u AS v WHERE v.is_active = 1)",
        "SELECT a FROM t WITH (UPDLOCK, ROWLOCK) WHERE a IN (SELECT CAST(j.value AS INTEGER) FROM OPENJSON(:ids) AS j)",
        "SELECT a FROM t WHERE a IN (1, 2) AND NOT EXISTS (SELECT 1 FROM u)",
        "SELECT u.n FROM (SELECT ROW_NUMBER() OVER (PARTITION BY b ORDER BY c DESC) AS n FROM t) AS u WHERE u.n = 1",
        "INSERT INTO t (a, b) VALUES (?, ?)",
        "INSERT INTO t (a, b) OUTPUT inserted.id VALUES (?, ?)",
        "INSERT INTO t (a, b) SELECT ?, b FROM u WHERE is_active = 1",
        "UPDATE t SET a = ?, b = 0 WHERE a = ?",
        "SELECT count(*) AS count_1 FROM t WHERE a = 1",
        "DELETE FROM t WHERE a = ?",
        "DELETE FROM t OUTPUT deleted.a, deleted.b WHERE a = ? AND b = 1",
        "SELECT a FROM t WHERE a = ? AND b < ? ORDER BY b DESC OFFSET 0 ROWS FETCH NEXT :row_limit ROWS ONLY",
        "SELECT a FROM t WHERE a <= ? ORDER BY a OFFSET 0 ROWS FETCH NEXT :row_limit ROWS ONLY",
        "SELECT t.a, u.b FROM t JOIN u ON u.id = t.u_id WHERE t.c > 0 ORDER BY t.a, t.id OPTION (FAST 100)",
        "SELECT t.a FROM t INNER JOIN u ON (u.id = t.u_id AND u.b = 1)",
        "INSERT INTO t (a) SELECT ? AS anon_1 WHERE NOT (EXISTS (SELECT t.id FROM t WHERE t.a = ?))",
        "INSERT INTO t (a) SELECT k.a FROM (SELECT JSON_VALUE(j.value, '$[10]') AS a FROM OPENJSON(:k) AS j) AS k",
        "UPDATE t SET a=(t.a - s.a), b=(t.b + ?) FROM t, (SELECT u.a AS a, u.id AS id FROM u) AS s WHERE t.id = s.id",
        "UPDATE t SET a = s.a FROM t JOIN s ON s.id = t.id",
        "UPDATE t SET a=CASE WHEN (t.id = ?) THEN ? ELSE 0 END WHERE t.id IN (1, 2)",
        "SELECT CASE WHEN a = 1 AND EXISTS (SELECT 1 FROM u) THEN b END AS c FROM t",
        "SELECT CASE a WHEN 1 THEN b - 1 ELSE c END AS d FROM t",
        "SELECT a FROM t WHERE CASE WHEN a = 1 THEN b ELSE c END = 1",
        "CREATE TABLE t (a NVARCHAR(9) COLLATE Latin1_General_100_BIN2 NOT NULL, b VARBINARY(MAX) NULL)",
        "CREATE INDEX i ON t (a) WHERE b > 0",
        "IF @@TRANCOUNT > 0\nEXEC (N'INSERT INTO t (a) VALUES (N''it''''s'')');",
    ],
)
def test_t_sql_of_the_kinds_that_the_app_uses_passes(statement: str) -> None:
    check_tsql(statement)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("SELECT a FROM t WHERE", "does not parse"),
        ("SELECT 'a FROM t", "does not parse"),
        ("", "is empty"),
        ("-- nothing", "is empty"),
        ("SELECT a FROM t WHERE (a, b) > (?, ?)", "a row is no value"),
        ("SELECT a FROM t WHERE (a, b) IN (SELECT c, d FROM u)", "a row is no value"),
        ("SELECT a FROM t WHERE (a, b) IN ((1, 2))", "a row is no value"),
        ("SELECT a FROM t WHERE a IS 1", "IS 1"),
        ("SELECT a FROM t WHERE a IS 0", "IS 0"),
        ("SELECT a FROM t WHERE a IS NOT 1", "IS 1"),
        ("SELECT a FROM t WHERE a IS TRUE", "Boolean is not allowed"),
        ("SELECT a FROM t WHERE a = true", "Boolean is not allowed"),
        ("INSERT INTO t (a) VALUES (false)", "Boolean is not allowed"),
        ("SELECT a FROM t WHERE a", "in T-SQL it is"),
        ("SELECT a FROM t WHERE a = 1 AND NOT b", "in T-SQL it is"),
        ("SELECT a IS NULL FROM t", "a condition is no value"),
        ("SELECT EXISTS (SELECT 1 FROM t) AS b", "a condition is no value"),
        ("SELECT a FROM t LIMIT 1", "Limit is not allowed"),
        ("SELECT a FROM t ORDER BY a LIMIT ? OFFSET ?", "Limit is not allowed"),
        ("SELECT a FROM t FETCH NEXT 1 ROWS ONLY", "FETCH without OFFSET"),
        ("SELECT a FROM t ORDER BY a FETCH NEXT 1 ROWS ONLY", "FETCH without OFFSET"),
        ("SELECT a FROM t OFFSET 0 ROWS FETCH NEXT 1 ROWS ONLY", "OFFSET without ORDER BY"),
        ("SELECT a FROM t WHERE a IN (SELECT b FROM u ORDER BY b)", "ORDER BY in a subquery"),
        ("SELECT ROW_NUMBER() OVER (PARTITION BY a) AS n FROM t", "ROW_NUMBER without ORDER BY"),
        ("SELECT a FROM t ORDER BY a NULLS LAST", "in T-SQL it is"),
        ("SELECT a FROM t FOR UPDATE", "does not parse"),
        ("SELECT a FROM t WHERE a IN (SELECT value FROM json_each(?))", "JSON_EACH is not allowed"),
        ("SELECT a || b FROM t", "DPipe is not allowed"),
        ("SELECT a FROM t WHERE a ILIKE 'x'", "ILike is not allowed"),
        ("SELECT a FROM t WHERE a == 1", "in T-SQL it is"),
        ("SELECT a::int FROM t", "in T-SQL it is"),
        ("SELECT ifnull(a, 1) FROM t", "in T-SQL it is SELECT COALESCE"),
        ("SELECT strftime('%Y', a) FROM t", "STRFTIME is not allowed"),
        ("SELECT unheard_of(a) FROM t", "UNHEARD_OF is not allowed"),
        ("SELECT dbo.unheard_of(a) FROM t", "UNHEARD_OF is not allowed"),
        ("SELECT random() FROM t", "Rand is not allowed"),
        ("INSERT INTO t (a) VALUES (1) RETURNING a", "in T-SQL it is"),
        ("DELETE FROM t WHERE a = 1 RETURNING a", "in T-SQL it is"),
        ("INSERT INTO t (a) VALUES (1) RETURNING inserted.a", "in T-SQL it is"),
        ("INSERT INTO t (a) OUTPUT a VALUES (1)", "OUTPUT of what is neither inserted nor deleted"),
        ("INSERT INTO t (a) VALUES (1) ON CONFLICT DO NOTHING", "OnConflict is not allowed"),
        ("INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 1", "OnConflict is not allowed"),
        ("INSERT OR IGNORE INTO t (a) VALUES (1)", "INSERT OR"),
        ("REPLACE INTO t (a) VALUES (1)", "does not parse"),
        ("SELECT `a` FROM t", "does not parse"),
        ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE;", "Merge is not allowed"),
        ("CREATE TABLE IF NOT EXISTS t (a INT)", "in T-SQL it is"),
        ("CREATE TABLE t (a BOOLEAN, b TEXT)", "in T-SQL it is CREATE TABLE T ( A BIT , B VARCHAR"),
        ("CREATE TABLE t (a INT PRIMARY KEY AUTOINCREMENT)", "in T-SQL it is"),
        ("SELECT greatest(a, b) FROM t", "Greatest is not allowed"),
        ("SELECT a FROM t WHERE a IS DISTINCT FROM b", "NullSafeNEQ is not allowed"),
        ("SELECT a FROM t; SELECT a FROM t LIMIT 1", "Limit is not allowed"),
        # conditions and values
        ("SELECT (a = 1) AS b FROM t", "a condition is no value"),
        ("SELECT a - (b > 1) AS c FROM t", "a condition is no value"),
        ("SELECT a + (b > 1) AS c FROM t", "a condition is no value"),
        ("SELECT count(a = 1) AS c FROM t", "a condition is no value"),
        ("SELECT a FROM t WHERE (a > 1) = (b > 1)", "a condition is no value"),
        ("SELECT a FROM t WHERE a IN (1, b = 1)", "a condition is no value"),
        ("SELECT a FROM t ORDER BY (a = 1)", "a condition is no value"),
        ("INSERT INTO t (a) VALUES ((b = 1))", "a condition is no value"),
        ("INSERT INTO t (a) SELECT b > 0 FROM u", "a condition is no value"),
        ("UPDATE t SET a = b > 1", "a condition is no value"),
        ("UPDATE t SET a = a - (b = 1)", "a condition is no value"),
        ("UPDATE t SET a = a - EXISTS (SELECT 1 FROM u)", "a condition is no value"),
        ("UPDATE t SET (a = 1)", "SET of what is no assignment"),
        ("UPDATE t SET a > 1", "SET of what is no assignment"),
        ("UPDATE t SET (a, b) = (1, 2)", "a row is no value"),
        ("SELECT a FROM t WHERE (a)", "a value is no condition"),
        ("SELECT a FROM t WHERE a = 1 OR (b)", "a value is no condition"),
        ("SELECT a FROM t WHERE CASE WHEN a = 1 THEN 1 ELSE 0 END", "a value is no condition"),
        ("SELECT a FROM t JOIN u ON t.b", "a value is no condition"),
        ("CREATE TABLE t (a INT, CONSTRAINT c CHECK (a))", "a value is no condition"),
        ("CREATE INDEX i ON t (a) WHERE b", "a value is no condition"),
        # CASE
        ("SELECT CASE WHEN a = 1 THEN b > 1 ELSE 0 END AS c FROM t", "a condition is no value"),
        ("SELECT CASE WHEN a = 1 THEN 1 ELSE b = 1 END AS c FROM t", "a condition is no value"),
        ("SELECT CASE a = 1 WHEN 1 THEN 1 ELSE 0 END AS c FROM t", "a condition is no value"),
        ("SELECT CASE a WHEN b = 1 THEN 1 ELSE 0 END AS c FROM t", "a condition is no value"),
        ("SELECT CASE WHEN a THEN 1 ELSE 0 END AS c FROM t", "a value is no condition"),
        ("SELECT CASE WHEN (a) THEN 1 ELSE 0 END AS c FROM t", "a value is no condition"),
        ("UPDATE t SET a = CASE WHEN a = 1 THEN 2", "does not parse"),
        ("SELECT IIF(a = 1, 2, 3) AS b FROM t", "IIF"),
        ("SELECT iif(a, 2, 3) AS b FROM t", "IIF"),
        ("SELECT if(a = 1, 2, 3) AS b FROM t", "does not parse"),
        # joins
        ("SELECT a FROM t LEFT JOIN u ON t.id = u.id", "JOIN with side"),
        ("SELECT a FROM t FULL OUTER JOIN u ON t.id = u.id", "JOIN with kind, side"),
        ("SELECT a FROM t FULL JOIN u ON t.id = u.id", "JOIN with side"),
        ("SELECT a FROM t NATURAL JOIN u", "JOIN with method"),
        ("SELECT a FROM t JOIN u USING (id)", "JOIN with using"),
        ("SELECT a FROM t STRAIGHT_JOIN u ON t.id = u.id", "JOIN with kind"),
        ("SELECT a FROM t CROSS JOIN u", "JOIN without ON"),
        ("SELECT a FROM t JOIN u", "JOIN without ON"),
        ("SELECT a FROM t, u WHERE t.id = u.id", "JOIN without ON"),
        ("SELECT a FROM t, json_each(?) AS j", "JSON_EACH is not allowed"),
        ("INSERT INTO t (a) SELECT u.a FROM u, v", "JOIN without ON"),
        ("UPDATE t SET a = 1 WHERE a IN (SELECT u.a FROM u, v)", "JOIN without ON"),
        ("UPDATE t, u SET a = 1", "JOIN without ON"),
        ("UPDATE t SET a = s.a FROM (SELECT u.a AS a FROM u) AS s", "FROM does not begin with its table"),
        ("UPDATE t SET a = s.a FROM s, t WHERE t.id = s.id", "FROM does not begin with its table"),
        ("DELETE FROM t USING u WHERE t.id = u.id", "DELETE of one table with another"),
        ("UPDATE t SET a = 1 ORDER BY a", "ORDER BY of what is no query"),
        ("UPDATE t SET a = 1 LIMIT 1", "Limit is not allowed"),
        ("DELETE FROM t WHERE a <= ? LIMIT ?", "Limit is not allowed"),
        ("UPDATE OR IGNORE t SET a = 1", "does not parse"),
        ("UPDATE t SET a = a - 1 RETURNING a", "in T-SQL it is"),
        # items of JSON
        ("SELECT json_extract(a, '$[0]') AS b FROM t", "JSONExtract is not allowed"),
        ("SELECT a -> 0 AS b FROM t", "JSONExtract is not allowed"),
        ("SELECT a ->> '$[0]' AS b FROM t", "in T-SQL it is SELECT JSON_VALUE"),
        ("SELECT JSON_QUERY(a, '$[0]') AS b FROM t", "JSONExtract is not allowed"),
        ("SELECT JSON_VALUE(a, '$') AS b FROM t", "JSON_VALUE of a path"),
        ("SELECT JSON_VALUE(a, '$.b') AS b FROM t", "JSON_VALUE of a path"),
        ("SELECT JSON_VALUE(a, '$[0][1]') AS b FROM t", "JSON_VALUE of a path"),
        ("SELECT JSON_VALUE(a, '$[-1]') AS b FROM t", "JSON_VALUE of a path"),
        ("SELECT JSON_VALUE(a, '$[#-1]') AS b FROM t", "JSON_VALUE of a path"),
        ("SELECT JSON_VALUE(a, '$[*]') AS b FROM t", "JSON_VALUE of a path"),
        ("SELECT JSON_VALUE(a, 'lax $[0]') AS b FROM t", "JSON_VALUE of a path"),
        ("SELECT JSON_VALUE(a, ?) AS b FROM t", "JSON_VALUE of a path"),
        ("SELECT JSON_VALUE(a, 0) AS b FROM t", "in T-SQL it is"),
        ("SELECT JSON_VALUE(a, '[0]') AS b FROM t", "in T-SQL it is"),
        ("SELECT JSON_VALUE(a) AS b FROM t", "does not parse"),
        ("SELECT JSON_VALUE(a, '$[0]' RETURNING BIGINT) AS b FROM t", "does not parse"),
        # options
        ("SELECT a FROM t OPTION (RECOMPILE)", "OPTION other than FAST"),
        ("SELECT a FROM t OPTION (MAXDOP 1)", "OPTION other than FAST"),
        ("SELECT a FROM t OPTION (FAST 100, RECOMPILE)", "OPTION other than FAST"),
        ("SELECT a FROM t OPTION (FAST)", "OPTION other than FAST"),
        ("SELECT a FROM t OPTION (FAST ?)", "OPTION other than FAST"),
        ("SELECT a FROM t OPTION (FAST '100')", "OPTION other than FAST"),
        ("SELECT s.a FROM (SELECT t.a AS a FROM t OPTION (FAST 100)) AS s", "OPTION other than FAST"),
        ("SELECT a FROM t OPTION (FAST 100) ORDER BY a", "in T-SQL it is"),
        ("SELECT a FROM t ORDER BY a LIMIT 1 OPTION (FAST 100)", "Limit is not allowed"),
        # collations
        ("CREATE TABLE t (a NVARCHAR(9) COLLATE NOCASE)", "COLLATE"),
        ("CREATE TABLE t (a NVARCHAR(9) COLLATE BINARY NOT NULL)", "COLLATE"),
        ('CREATE TABLE t (a NVARCHAR(9) COLLATE "Latin1_General_100_BIN2" NOT NULL)', "COLLATE"),
        ("CREATE TABLE t (a INT COLLATE Latin1_General_100_BIN2 NOT NULL)", "COLLATE"),
        ("SELECT a FROM t WHERE a COLLATE NOCASE = ?", "Collate is not allowed"),
        # signs
        ("SELECT a FROM t WHERE a != 1", "in T-SQL it is"),
        ("SELECT max(a, b) AS c FROM t", "in T-SQL it is SELECT GREATEST"),
        ("CREATE TABLE t (a BLOB)", "in T-SQL it is CREATE TABLE T ( A VARBINARY"),
    ],
)
def test_anything_else_fails_with_the_reason_and_the_statement(statement: str, reason: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_tsql(statement)
    assert reason in str(caught.value)
    assert str(caught.value).endswith(f"\n{statement}")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM t OUTPUT deleted.a WHERE a IS 1",
        "DELETE FROM t OUTPUT deleted.a WHERE a = 1 LIMIT 1",
        "DELETE FROM t OUTPUT lower(deleted.a) WHERE a = 1",
        "CREATE TABLE t (a CHAR(10) MASKED WITH (FUNCTION = 'partial(0, \"X\", 4)') NOT NULL, b BOOLEAN)",
        "CREATE TABLE t (a CHAR(10) MASKED WITH (FUNCTION = 'unheard_of()') NOT NULL)",
        "IF unheard_of(N'r') IS NULL CREATE ROLE r;",
        "CREATE ROLE r UNHEARD OF",
        "CREATE USER r WITH SID = 0x0123456789ABCDEF0123456789ABCDEF, TYPE = E",
        "CREATE USER [r] WITH SID = 0x0123, TYPE = E",
        "CREATE USER [r] WITH SID = 0x0123456789ABCDEF0123456789ABCDEF, TYPE = E, UNHEARD = OF",
        "CREATE USER [r] FROM EXTERNAL PROVIDER",
        "CREATE USER [r]] WITH SID = 0x0123456789ABCDEF0123456789ABCDEF, TYPE = E",
        "ALTER ROLE r ADD MEMBER [m], [n]",
        "ALTER ROLE r DROP MEMBER [m]",
        "ALTER ROLE r ADD MEMBER [m] WHERE a IS 1",
        "GRANT UNMASK TO r UNHEARD OF",
        "EXEC (N'INSERT INTO t (a) VALUES (1) RETURNING a')",
        "EXEC (N'INSERT INTO t (a) VALUES (''it''s'')')",
        "EXEC (N'INSERT INTO t (a) VALUES (1)'); SELECT a IS 1 FROM t",
        "EXEC (N'EXEC (N''SELECT a FROM t LIMIT 1'')')",
        "EXEC ('SELECT a FROM t')",
        "EXEC (N'')",
    ],
)
def test_everything_around_a_known_gap_of_the_parser_is_checked(statement: str) -> None:
    with pytest.raises(AssertionError):
        check_tsql(statement)


def test_an_allowed_kind_is_one_of_the_parser_or_names_a_function() -> None:
    unknown = {kind for kind in ALLOWED if not hasattr(sqlglot.expressions, kind)}
    assert unknown == {"DATABASE_PRINCIPAL_ID", "SCHEMA_ID", "SYSUTCDATETIME", "MIN_ACTIVE_ROWVERSION"}


def test_a_statement_is_compiled_as_the_server_gets_it() -> None:
    numbers = USERS.c.mob_num.in_(bindparam("numbers", expanding=True))
    compiled = compile_tsql(select(USERS.c.version).where(USERS.c.version.in_([1, 2]), numbers))
    assert compiled.endswith("WHERE users.version IN (:version_1) AND users.mob_num IN (:numbers)")
    check_tsql(compiled)
    assert compile_tsql(insert(USERS), ["id"]) == "INSERT INTO users (id) VALUES (:id)"


# ---- the scripts


@pytest.mark.parametrize("batch", BATCHES)
def test_every_batch_of_every_script_is_t_sql(batch: str) -> None:
    check_tsql(batch)


@pytest.mark.parametrize(("pattern", "reason"), [(pattern, reason) for pattern, _, reason in KNOWN_GAPS])
def test_a_script_or_a_statement_needs_every_known_gap(pattern: str, reason: str) -> None:
    assert reason
    needing = [
        "DELETE FROM users OUTPUT deleted.user_id WHERE is_active = 1",
        "SELECT count(*) AS n FROM (SELECT TOP (?) users.id AS id FROM users) AS matching",
        "UPDATE t SET a = s.a FROM t, (SELECT u.a FROM u) AS s WHERE t.a = s.a OPTION (TABLE HINT (t, FORCESEEK))",
        "INSERT INTO t (a) SELECT u.a FROM u OPTION (LOOP JOIN)",
        *(str(batch.values[0]) for batch in BATCHES),
    ]
    assert any(re.search(pattern, text) for text in needing)


@each_script
def test_a_script_begins_with_the_set_lines_of_filtered_indexes(script: Path) -> None:
    assert script.read_bytes().startswith(SETTINGS.encode())


@each_script
def test_only_the_template_has_placeholders(script: Path) -> None:
    left = {*re.findall(r"\{\w*\}", script.read_text("utf-8"))}
    assert left == ({*FILLED} if script == SQL / "member.sql.template" else set())


@each_script
def test_a_script_uses_nothing_newer_than_sql_server_2019_and_no_merge(script: Path) -> None:
    code = re.sub(r"--.*", "", script.read_text("utf-8"))
    assert not NEWER_THAN_2019.search(code)
    assert not re.search(r"\bMERGE\b", code, re.IGNORECASE)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT LEAST(a, b)",
        "WHERE a IS NOT DISTINCT FROM b",
        "FROM GENERATE_SERIES(1, 2)",
        "SELECT DATETRUNC(day, a)",
        "SELECT JSON_OBJECT('a': 1)",
        "FROM STRING_SPLIT(a, ',', 1)",
        "SELECT TRIM(LEADING 'x' FROM a)",
        "FROM t WINDOW w AS (ORDER BY a)",
        "SELECT APPROX_PERCENTILE_CONT(0.5)",
    ],
)
def test_newer_features_are_found_by_their_names(text: str) -> None:
    assert NEWER_THAN_2019.search(text)


def test_features_of_sql_server_2019_are_not_found() -> None:
    assert not NEWER_THAN_2019.search(
        "SELECT TRIM(a), LTRIM(b), c AS window FROM STRING_SPLIT(d, N';') WHERE least_of = 1"
    )


@each_script
def test_a_batch_after_the_first_is_one_statement(script: Path) -> None:
    _, *batches = split_batches(script.read_text("utf-8"))
    for batch in batches:
        code = re.sub(r"--[^\n]*", "", batch)
        assert len([part for part in code.split(";") if part.strip()]) == 1, batch
