"""``mediaq migrate``."""

from __future__ import annotations

import json

import click

from mediaq import migrate as migration
from mediaq.cli import EXIT_FAILED, wiring


@click.command("migrate", help="Bring the database to this version's schema; safe to repeat.")
@click.option(
    "--status", is_flag=True, help="Only list the migrations; exit 1 when some are pending."
)
@click.option("--dry-run", is_flag=True, help="Only name what would be applied.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, status: bool, dry_run: bool, as_json: bool) -> int:
    """Apply, or show, what is pending."""
    with wiring.opened() as (_, database):
        if status:
            return _show(wiring.run(migration.status(database)), as_json=as_json)
        verb = "would apply" if dry_run else "apply"

        def tell(name: str) -> None:
            if not as_json:
                click.echo(f"{verb} {name}")

        applied = wiring.run(migration.migrate(database, tell=tell, dry_run=dry_run))
        if as_json:
            click.echo(json.dumps({"dry_run": dry_run, "applied": [str(m) for m in applied]}))
        elif not applied:
            click.echo(f"{database.address} is up to date")
    return 0


def _show(states: list[tuple[migration.Migration, migration.State]], *, as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps([{"migration": str(m), "state": state} for m, state in states]))
    else:
        for entry, state in states:
            click.echo(f"{state:8} {entry}")
    return EXIT_FAILED if any(state == "pending" for _, state in states) else 0
