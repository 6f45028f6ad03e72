"""The command and its verbs; what every verb does about mistakes and logging."""

from __future__ import annotations

import logging
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vmrbench import __version__
from vmrbench.cli.data import data
from vmrbench.cli.ls import ls
from vmrbench.cli.plan import plan
from vmrbench.cli.profile import profile
from vmrbench.cli.report import report
from vmrbench.cli.run import run
from vmrbench.cli.schema import schema
from vmrbench.cli.score import score
from vmrbench.cli.validate import validate
from vmrbench.cli.weights import weights
from vmrbench.errors import UserError


class _Verbs(TyperGroup):
    """A user's mistake is one line on stderr and exit code 2; everything else keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            typer.echo(f"error: {' '.join(str(error).split())}", err=True)
            raise typer.Exit(2) from error
        except KeyboardInterrupt as error:
            typer.echo("interrupted", err=True)
            raise typer.Exit(130) from error


class _StderrHandler(logging.Handler):
    """Looks stderr up at every line: progress bars put their own in its place while they are drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        print(self.format(record), file=sys.stderr, flush=True)


app = typer.Typer(
    cls=_Verbs,
    name="vmrbench",
    help="Video moment retrieval backbones with and without query-aware clip trimming: accuracy beside cost.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _verb in (ls, plan, run, report, score, profile, schema, validate):
    app.command()(_verb)
app.add_typer(weights)
app.add_typer(data)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.callback()
def _before_every_verb(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings and errors only.")] = False,
) -> None:
    log = logging.getLogger("vmrbench")
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    log.handlers = [handler]
    log.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    log.propagate = False
