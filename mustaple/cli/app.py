"""The commands and their names, each loaded only when it is asked for, and what becomes of an exception."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer._click.exceptions import UsageError
from typer.core import TyperGroup

from mustaple.cli.common import EXIT_INTERNAL, EXIT_NO_ANSWER, EXIT_REFUSED, EXIT_USAGE, complain

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: Final = (
    "issue",
    "csr",
    "revoke",
    "inspect",
    "responder",
    "fetch",
    "judge",
    "serve",
    "check",
    "collect",
    "compare",
    "playground",
    "cases",
    "grade",
    "policy",
    "agent",
    "run-once",
    "simulate",
)


class _Commands(TyperGroup):
    """A group whose commands live in modules of their own: `mustaple --version` loads none of them."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the framework's signature
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the framework's signature
        if cmd_name not in COMMANDS:
            return None
        command = typer.main.get_command(import_module(f"mustaple.cli.{cmd_name.replace('-', '_')}").app)
        command.name = cmd_name
        _reflow(command)
        return command


def _reflow(command: Any) -> None:
    """Let each paragraph of the help be as wide as the terminal: its lines are the source's, and not meant."""
    if command.help:
        paragraphs = cleandoc(command.help).split("\n\n")
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for each in getattr(command, "commands", {}).values():
        _reflow(each)


app = typer.Typer(
    cls=_Commands,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from mustaple import __version__

        typer.echo(f"mustaple {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def top(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version and end.")
    ] = False,
) -> None:
    """Make a TLS server prove that its certificates are not revoked, and refuse one that does not.

    Start with `mustaple issue localhost --out d`, or see the whole at once with `mustaple compare`.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(EXIT_USAGE)


def run(arguments: Sequence[str]) -> int:
    """Run the command line with these arguments and return its exit code; never raises, never a traceback."""
    # A certificate with a serial number that is not positive is for the judge to mind, not for stderr.
    warnings.filterwarnings("ignore", message="Parsed a serial number")
    command = typer.main.get_command(app)
    try:
        result = command.main(args=list(arguments), prog_name="mustaple", standalone_mode=False)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader went away (`mustaple … | head`): let nothing complain when the interpreter flushes.
        sys.stdout = None
        return 141
    except Exception as error:  # noqa: BLE001 - the last line of defence: it names what it does not know
        return _exit_code(error)
    return result if isinstance(result, int) else 0


def _exit_code(error: Exception) -> int:
    from certtools.chain import ChainError
    from certtools.feature import FeatureError
    from mustaple.core.errors import InputError, NetworkError, RefusedError

    if isinstance(error, typer.BadParameter | UsageError):
        context = error.ctx
        where = context.command_path if context is not None else "mustaple"
        complain(f"{error.format_message()} (see `{where} --help`)")
        return EXIT_USAGE
    if isinstance(error, typer.Abort):
        return 130
    if isinstance(error, RefusedError):
        complain(str(error))
        return EXIT_REFUSED
    if isinstance(error, NetworkError):
        complain(str(error))
        return EXIT_NO_ANSWER
    if isinstance(error, InputError | ChainError | FeatureError) or type(error).__name__ == "CaDirError":
        complain(str(error))
        return EXIT_USAGE
    import os

    if os.environ.get("MUSTAPLE_DEBUG"):
        raise error
    complain(
        f"internal error: {type(error).__name__}: {error} (this is a fault of mustaple; MUSTAPLE_DEBUG=1 shows where)"
    )
    return EXIT_INTERNAL
