"""The command line: reads the environment, opens, wires, runs."""

from __future__ import annotations

import importlib
import sys

import click

import mediaq
from mediaq.errors import Rejected, Unavailable

# Commands are imported when they are called: `mediaq --help` stays quick.
COMMANDS = {
    "demo": "Show the whole way on a sample video, or on VIDEO.",
    "up": "Run API and worker in one process, with an embedded database unless one is named.",
    "api": "Run the HTTP API.",
    "worker": "Run a worker.",
    "migrate": "Bring the database to this version's schema.",
    "submit": "Submit a file or URL.",
    "status": "Show a request, or the latest ones.",
    "watch": "Follow events as they happen.",
    "cancel": "Cancel requests that wait or run.",
    "retry": "Ask again for requests that failed or were cancelled.",
    "delete": "Delete requests with all that was made of them.",
    "cleanup": "Remove requests that ended long ago, and other things that are old.",
    "bench": "Measure the queue and event streams beside floors and peers on this database.",
    "doctor": "Check this machine and the database, and say what to do.",
}

EXIT_FAILED = 1
"""The command ran; what it did or followed failed."""
EXIT_WRONG = 2
"""The call, a setting or the input is wrong."""
EXIT_UNAVAILABLE = 3
"""Something needed is away, such as the database; later may help."""
EXIT_INTERRUPTED = 130
EXIT_SIGNAL = 128
"""Plus the number of the second signal, which did not wait for what ran."""


class Commands(click.Group):
    """The group of commands, each a module of this folder with the command's name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"mediaq.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong call or setting, 3 something needed is away.",
)
@click.version_option(mediaq.__version__, prog_name="mediaq")
def group() -> None:
    """Media analysis as a Postgres queue: a row in, contact sheets, results and an event out."""


def main() -> None:
    """Run the command line; a failure is one sentence on stderr and an exit code that means it."""
    try:
        code = group.main(prog_name="mediaq", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_WRONG)
    except Rejected as error:
        _say(error.message)
        sys.exit(EXIT_WRONG)
    except Unavailable as error:
        _say(error.message)
        sys.exit(EXIT_UNAVAILABLE)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output left, as `| head` does.
        sys.stderr.close()
        sys.exit(EXIT_FAILED)
    except OSError as error:
        _say(f"the output cannot be written, or the system says no: {error.strerror or error}")
        sys.exit(EXIT_FAILED)
    sys.exit(code if isinstance(code, int) else 0)


def _say(message: str) -> None:
    click.echo(f"mediaq: {message}", err=True)
