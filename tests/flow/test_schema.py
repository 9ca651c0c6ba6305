"""The schema against the contract, the migrations, and every named query."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from mediaq import db, migrate
from mediaq.errors import Rejected
from mediaq.settings import Database

CONTRACT = Path(__file__).parent.parent / "contract" / "schema-full.sql"
TABLES = {"media_analysis_requests", "media_analysis_results", "media_files", "contact_sheets"}

COLUMNS = """
SELECT c.relname AS relation, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull AS required, pg_get_expr(d.adbin, d.adrelid) AS preset
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
   AND NOT a.attisdropped
"""
CONSTRAINTS = """
SELECT conrelid::regclass::text AS relation, conname AS name, pg_get_constraintdef(oid) AS text
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
"""
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"


async def connect(database: Database, **options: Any) -> asyncpg.Connection:
    return await asyncpg.connect(database.dsn.get_secret_value(), **options)


async def apply_contract(connection: asyncpg.Connection) -> None:
    await connection.execute(
        "DO $$BEGIN CREATE ROLE n8n; EXCEPTION WHEN duplicate_object THEN END$$"
    )
    await connection.execute(CONTRACT.read_text())


async def catalog(database: Database) -> tuple[dict[Any, Any], set[Any], set[Any]]:
    connection = await connect(database)
    columns = {
        (row["relation"], row["name"]): (row["type"], row["required"], row["preset"])
        for row in await connection.fetch(COLUMNS)
    }
    constraints = {tuple(row) for row in await connection.fetch(CONSTRAINTS)}
    indexes = {tuple(row) for row in await connection.fetch(INDEXES)}
    await connection.close()
    return columns, constraints, indexes


async def test_the_four_tables_are_those_of_the_contract(
    database: Database, empty_database: Database
) -> None:
    connection = await connect(empty_database)
    await apply_contract(connection)
    await connection.close()
    wanted_columns, wanted_constraints, wanted_indexes = await catalog(empty_database)
    columns, constraints, indexes = await catalog(database)

    type_, required, preset = columns["media_analysis_requests", "media_type"]
    assert preset == "'auto'::character varying"
    columns["media_analysis_requests", "media_type"] = (type_, required, None)
    assert wanted_columns.items() <= columns.items()
    assert wanted_constraints <= constraints
    assert wanted_indexes <= indexes

    additions = {key: columns[key] for key in columns.keys() - wanted_columns.keys()}
    for name, (_, required, preset) in additions.items():
        assert preset is not None or not required, name
    assert {name for relation, name in additions if relation == "media_analysis_requests"} >= {
        *("attempt", "priority", "run_after", "options", "callback_url"),
        *("idempotency_key", "model_used"),
    }
    assert {name for relation, name in additions if relation == "media_analysis_results"} >= {
        *("prompt_used", "input_tokens", "output_tokens"),
    }
    assert {name for relation, name in additions if relation == "media_files"} >= {
        *("original_path", "expires_at"),
    }


async def test_public_holds_four_tables_and_one_function_and_nothing_else(pool: db.Pool) -> None:
    relations = await pool.fetch(
        "SELECT relname, relkind FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i'"
    )
    assert {row["relname"] for row in relations} == TABLES
    functions = await pool.fetch(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    )
    assert [row["proname"] for row in functions] == ["cleanup_old_requests"]
    assert not await pool.fetchval(
        "SELECT count(*) FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'"
    )


async def test_migrating_again_applies_nothing(database: Database) -> None:
    assert await migrate.migrate(database, tell=lambda _: None) == []
    assert {state for _, state in await migrate.status(database)} == {"applied"}


async def test_a_dry_run_names_everything_and_changes_nothing(empty_database: Database) -> None:
    told: list[str] = []
    await migrate.migrate(empty_database, tell=told.append, dry_run=True)
    assert "mediaq/0001_tables.sql" in told
    connection = await connect(empty_database)
    assert not await connection.fetchval("SELECT to_regnamespace('mediaq')")
    await connection.close()


async def test_several_migrations_at_once_apply_each_file_once(empty_database: Database) -> None:
    applied = await asyncio.gather(
        *(migrate.migrate(empty_database, tell=lambda _: None) for _ in range(4))
    )
    assert sorted(map(bool, applied)) == [False, False, False, True]


async def test_a_changed_file_is_refused_by_name(database: Database, pool: db.Pool) -> None:
    await pool.execute("UPDATE mediaq.migrations SET sha256 = 'x' WHERE name = '0003_flow.sql'")
    with pytest.raises(Rejected, match=r"mediaq/0003_flow.sql differs from the file that made"):
        await migrate.migrate(database, tell=lambda _: None)


async def test_a_database_of_a_newer_version_is_refused(database: Database, pool: db.Pool) -> None:
    await pool.execute(
        "UPDATE mediaq.migrations SET name = '9999_x.sql' WHERE name = '0003_flow.sql'"
    )
    with pytest.raises(Rejected, match=r"newer than this mediaq: it has mediaq/9999_x.sql"):
        await migrate.migrate(database, tell=lambda _: None)


async def test_a_failing_file_leaves_nothing_of_itself(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = migrate.Migration("mediaq", "0001_bad.sql", "CREATE TABLE half (); SELECT 1/0;")
    monkeypatch.setattr(migrate, "migrations", lambda: [bad])
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate.migrate(empty_database, tell=lambda _: None)
    connection = await connect(empty_database)
    assert await connection.fetchval("SELECT to_regclass('mediaq.half')") is None
    await connection.close()


async def test_replaying_the_engines_migrations_gives_the_schema_that_it_ships(
    database: Database, empty_database: Database
) -> None:
    """Its tables, functions and triggers are in schema mediaq just as they would be in public."""
    import procrastinate.schema

    text = (
        "SELECT oid::regprocedure::text || prosrc FROM pg_proc WHERE proname ~ '^procrastinate'"
        " UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname ~ '^procrastinate'"
        " UNION ALL SELECT indexdef FROM pg_indexes WHERE indexname ~ 'procrastinate'"
    )
    expected = await connect(empty_database)
    await expected.execute(procrastinate.schema.SchemaManager.get_schema())
    found = await connect(database, server_settings={"search_path": "mediaq"})
    shipped, replayed = [
        sorted(re.sub(r"(public|mediaq)[.]", "", row[0]) for row in await connection.fetch(text))
        for connection in (expected, found)
    ]
    await expected.close()
    await found.close()
    assert len(shipped) > 20
    assert replayed == shipped


@pytest.mark.parametrize("name", sorted(db.queries()))
async def test_every_named_query_prepares(pool: db.Pool, name: str) -> None:
    async with pool.acquire() as connection:
        for statement in db.queries()[name].split(";\n"):
            if statement.strip():
                await connection.prepare(statement)
