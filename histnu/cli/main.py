"""Entry point of ``histnu``; verbs are imported when they are called."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence

import click

from histnu.cli.signals import Interrupted, interruptible
from histnu.core.errors import HistnuError

VERBS: dict[str, str] = {
    "build": "Build workspace, PatchSet and manifest of an analysis.",
    "cite": "BibTeX of everything that a result rests on.",
    "cls": "CLs of one value, observed and expected, asymptotic and with toys.",
    "compare": "What differs between two likelihoods or two results.",
    "contour": "Two-dimensional confidence region of an analysis.",
    "coverage": "Coverage of intervals, with toys at true parameters.",
    "electron": "Electron recoils: bounds, dipole contours, figures, workspaces.",
    "export": "Write a likelihood as ROOT, XML, HS3 or a HEPData submission.",
    "fetch": "Download a public data release.",
    "fit": "Best fit, uncertainties, correlations, goodness of fit, yields.",
    "impacts": "Impacts and pulls of the nuisance parameters.",
    "limit": "Confidence interval or upper limit from a workspace.",
    "list": "Models, experiments, analyses and releases found here.",
    "plot": "Draw a figure of a target, or the figures of a results folder again.",
    "reproduce": "Reproduce a study (default: the paper): bounds, figures, workspaces.",
    "scan": "Profile likelihood of one parameter.",
    "significance": "Significance of a signal, asymptotic and with toys.",
    "toys": "Limits and maps with pseudo-experiments (Feldman-Cousins).",
    "validate": "Check a workspace, PatchSet, experiment or analysis file.",
}
MODULES = {"list": "list_names"}
EXIT_BAD_INPUT = 2
EXIT_FAULT = 70
"""A fault of histnu (``EX_SOFTWARE`` of sysexits.h)."""
EXIT_INTERRUPTED = 130
COMPLETION = "_HISTNU_COMPLETE"
"""Variable that a shell sets when it asks for completions."""
LINE = 2000
"""Longest line of an error."""
FAULT_SHOWN = 300
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


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
@click.option("--version", is_flag=True, help="Show the version; with -v all that a report needs.")
@click.option(
    "--verbose", "-v", count=True, help="Say what is done (-v), and how fits go (-vv), on stderr."
)
@click.option("--debug", is_flag=True, help="Show tracebacks and all warnings.")
@click.pass_context
def cli(context: click.Context, version: bool, verbose: int, debug: bool) -> None:
    """Neutrino physics as pyhf likelihoods of real experiments.

    \b
    Examples:
      histnu reproduce -o results       the paper's bounds, figures and workspaces
      histnu build magnetic_moment_combined -o likelihood
      histnu limit likelihood/workspace.json --poi mu2_universal
    """
    if version:
        from histnu.cli.versions import version_lines

        click.echo("\n".join(version_lines(detailed=verbose > 0)))
        context.exit(0)
    if context.invoked_subcommand is None:
        raise click.UsageError("Missing command.", context)
    if verbose:
        _log_to_stderr(logging.INFO if verbose == 1 else logging.DEBUG)


def _log_to_stderr(level: int) -> None:
    """Show what the modules of histnu log."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(relativeCreated)7.0f ms %(name)s: %(message)s"))
    handler.addFilter(lambda record: record.levelno < logging.WARNING)  # the others: main
    logger = logging.getLogger("histnu")
    logger.setLevel(level)
    logger.addHandler(handler)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Exit status: 0; 2 and one line for bad input; 70 and one line for a fault of histnu; 130 or
    143 and one line after SIGINT or SIGTERM. A reader that closes the pipe early (``| head -1``)
    is no error. Warnings of Python packages are shown with ``--debug`` only, histnu's own after
    the answer.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words[:1]
    notes = _Notes()
    try:
        with _warnings(notes, debug), interruptible():
            status = _run(words)
            sys.stdout.flush()
    except BrokenPipeError:
        _close_output()
        status = 0
    except Interrupted as interrupt:
        status = report(INTERRUPTED, interrupt.status)
    except (click.Abort, KeyboardInterrupt):
        status = report(INTERRUPTED, EXIT_INTERRUPTED)
    except Exception as error:
        status = _fault(error, debug)
    else:
        for note in dict.fromkeys(notes.texts):
            click.echo(f"histnu: warning: {one_line(note)}", err=True)
    sys.exit(status)


def _run(words: list[str]) -> int:
    """Parse the words and run a verb; return its exit status."""
    if COMPLETION in os.environ:
        cli.main(prog_name="histnu")
    try:
        with cli.make_context("histnu", words or ["--help"]) as context:
            status = cli.invoke(context)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    return status if isinstance(status, int) else 0


def _fault(error: Exception, debug: bool) -> int:
    """Say in one line what went wrong, and return the exit status."""
    if debug and not isinstance(error, click.ClickException):
        traceback.print_exception(error)
    if isinstance(error, HistnuError):
        return report(str(error), EXIT_BAD_INPUT)
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx is not None else "histnu"
        problem = error.format_message().rstrip(".")
        return report(f"{problem}; see {where} --help", EXIT_BAD_INPUT)
    if isinstance(error, click.ClickException):
        return report(error.format_message(), EXIT_BAD_INPUT)
    if isinstance(error, MemoryError):
        return report("the memory is not enough; ask for fewer points or toys", EXIT_BAD_INPUT)
    if isinstance(error, OSError) and error.filename is None:
        _close_output()
        return report(f"the output cannot be written ({error.strerror or error})", EXIT_BAD_INPUT)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    mend = "histnu --debug VERB ... shows the traceback for a report"
    return report(f"this is a fault of histnu ({what[:FAULT_SHOWN]}); {mend}", EXIT_FAULT)


def report(message: str, status: int) -> int:
    """Print an error as one line on standard error; return the status."""
    with contextlib.suppress(OSError, ValueError):
        click.echo(f"histnu: error: {one_line(message)}", err=True)
    return status


def one_line(message: str) -> str:
    """The message without line breaks and control characters, not longer than ``LINE``.

    >>> one_line("a\\n  b\\x1b[0m")
    'a b?[0m'
    """
    text = "".join(c if c.isprintable() else "?" for c in " ".join(message.split()))
    return text if len(text) <= LINE else text[:LINE] + "..."


def _close_output() -> None:
    """Let what is still buffered for a closed or full output go nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Notes(logging.Handler):
    """Keeps the warnings of histnu's modules until the answer is known."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] == "histnu":
            self.texts.append(record.getMessage())


@contextlib.contextmanager
def _warnings(notes: _Notes, debug: bool) -> Iterator[None]:
    """Collect what modules log; show Python's warnings only when debugging."""
    if debug:
        yield
        return
    root = logging.getLogger()
    show = warnings.showwarning
    root.addHandler(notes)
    warnings.showwarning = lambda *arguments, **options: None
    try:
        yield
    finally:
        root.removeHandler(notes)
        warnings.showwarning = show


if __name__ == "__main__":
    main()
