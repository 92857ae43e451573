"""Entry point of ``histnu``; verbs are imported when they are called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

import histnu
from histnu.cli.signals import Interrupted, interruptible
from histnu.errors import HistnuError

VERBS: dict[str, str] = {
    "build": "Build workspace, PatchSet and manifest of an analysis.",
    "contour": "Two-dimensional confidence region of an analysis.",
    "coverage": "Coverage of intervals, with toys at true parameters.",
    "electron": "Electron recoils: bounds, dipole contours, figures, workspaces.",
    "export": "Write a likelihood as ROOT, XML, HS3 or a HEPData submission.",
    "fetch": "Download a public data release.",
    "limit": "Confidence interval or upper limit from a workspace.",
    "list": "Models, experiments, analyses and releases found here.",
    "plot": "Draw the figures of a results folder again.",
    "reproduce": "Reproduce the paper: bounds, figures, workspaces.",
    "scan": "Profile likelihood of one parameter.",
    "toys": "Limits with pseudo-experiments (CLs, Feldman-Cousins).",
    "validate": "Check a workspace, PatchSet, experiment or analysis file.",
}
MODULES = {"list": "list_names"}
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
INTERRUPTED = "interrupted; files are written whole or not at all, so nothing is half-written"


class LazyGroup(click.Group):
    """A group that knows its verbs' names and help, and imports a verb only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        module = importlib.import_module(f"histnu.cli.{MODULES.get(name, name)}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(sorted(VERBS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(histnu.__version__, prog_name="histnu")
def cli() -> None:
    """Neutrino electromagnetic physics as pyhf likelihoods of real xenon experiments.

    \b
    Examples:
      histnu reproduce -o results       the paper's bounds, figures and workspaces
      histnu build magnetic_moment_combined -o likelihood
      histnu limit likelihood/workspace.json --poi mu2_universal
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every expected fault is one line and exit status 2.

    SIGINT and SIGTERM end in one line, too, and exit status 130 and 143.
    """
    try:
        with interruptible():
            status = cli.main(args=arguments, prog_name="histnu", standalone_mode=False)
    except HistnuError as error:
        fail(str(error))
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else "histnu"
        fail(f"{error.format_message()}; see {where} --help")
    except click.ClickException as error:
        fail(error.format_message())
    except Interrupted as interrupt:
        fail(INTERRUPTED, interrupt.status)
    except (click.Abort, KeyboardInterrupt):
        fail(INTERRUPTED, EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    sys.exit(status if isinstance(status, int) else 0)


def fail(message: str, status: int = EXIT_BAD_INPUT) -> None:
    """Print one line on standard error and exit."""
    click.echo(f"histnu: error: {' '.join(message.split())}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
