"""``mediaq bench``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

import click
from rich.console import Console

from mediaq.bench import report
from mediaq.bench.figures import Figure
from mediaq.bench.scratch import scratch
from mediaq.cli import wiring
from mediaq.settings import Database


@click.command(
    "bench",
    help="Measure the queue and event streams on the database that the environment names, or on an"
    " embedded one, in a database of its own, mediaq_bench, which is dropped afterwards. MEASURES:"
    " latency, drain, inserts, claims, fanout; default all.",
)
@click.argument("measures", nargs=-1, type=click.Choice(report.MEASURES))
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--jobs", type=click.IntRange(1), default=10_000, show_default=True, help="Jobs of a drain."
)
@click.option(
    "--rows",
    type=click.IntRange(1),
    default=1_000_000,
    show_default=True,
    help="Other jobs in the table that claims are timed on.",
)
@click.option(
    "--listeners",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    help="Event streams of the fan-out.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per figure.")
def command(*, as_json: bool, measures: tuple[str, ...], **sizes: int) -> None:
    """Measure and print."""
    with wiring.opened(quiet=True) as (_, database):
        wiring.run(_bench(database, measures, sizes, as_json=as_json))


async def _bench(
    database: Database,
    measures: tuple[str, ...],
    sizes: Mapping[str, int],
    *,
    as_json: bool,
) -> None:
    console = Console(highlight=False)
    async with scratch(database) as made:
        async for figure in report.figures(made, **sizes, only=measures):
            if as_json:
                told = dataclasses.asdict(figure) | {"ratio": figure.ratio, "met": figure.met}
                click.echo(json.dumps(told))
            else:
                console.print(_line(figure), soft_wrap=True)


def _line(figure: Figure) -> str:
    text = f"{figure.name}: {_number(figure.ours)} {figure.unit}"
    if figure.floor is not None and figure.ratio is not None:
        text += f" = {figure.ratio:.2f} x {_number(figure.floor)} ({figure.beside})"
    if figure.met is not None:
        aim = f"at most {figure.at_most:g}" if figure.at_most else f"at least {figure.at_least:g}"
        text += (
            f"  [{'green' if figure.met else 'red'}]{'met' if figure.met else 'missed'}: {aim}[/]"
        )
    return text


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"  # noqa: PLR2004 - three digits
