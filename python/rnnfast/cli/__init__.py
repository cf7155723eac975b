"""The command line: ``python -m rnnfast COMMAND``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rnnfast.cli.judging import EVALUATE, PREDICT
from rnnfast.cli.reporting import REPORT
from rnnfast.cli.tools import CONVERT, DEMO, INFO
from rnnfast.cli.training import TRAIN
from rnnfast.cli.writing import GENERATE

COMMANDS = {
    "train": TRAIN,
    "evaluate": EVALUATE,
    "predict": PREDICT,
    "report": REPORT,
    "generate": GENERATE,
    "convert": CONVERT,
    "demo": DEMO,
    "info": INFO,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0 stands for success, 1 for a command that fell short, with a line on standard error that says why, and 130 for an
    interrupted one. Wrong arguments raise SystemExit with 2, as argparse does.
    """
    for stream in (sys.stdout, sys.stderr):
        # Generated text may hold characters that the terminal's encoding lacks.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    options = _parser().parse_args(argv)
    try:
        return COMMANDS[options.command].run(options)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except OSError as error:
        said = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    except (ValueError, TypeError, ImportError, FloatingPointError, MemoryError) as error:
        said = str(error) or type(error).__name__
    print(f"rnnfast {options.command}: {said}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    from rnnfast import __version__

    parser = argparse.ArgumentParser(prog="rnnfast", description="Recurrent networks on CPUs, trained and run.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        added = commands.add_parser(name, help=command.help, description=command.help)
        added.set_defaults(refuse=added.error)
        command.add_arguments(added)
    return parser
