"""The command line: ``python -m rnnfast COMMAND``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A sub-command: its line of help, its arguments, and what it does; ``run`` returns the exit code."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 for success, 1 where it fell short, 130 when interrupted."""
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


def _parser() -> argparse.ArgumentParser:
    from rnnfast import __version__

    parser = argparse.ArgumentParser(prog="rnnfast", description="Recurrent networks on CPUs, trained and run.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.add_arguments(commands.add_parser(name, help=command.help, description=command.help))
    return parser


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    from rnnfast.demo.tasks import TASKS

    parser.add_argument("--task", action="append", choices=list(TASKS), help="only this task; may be repeated")
    parser.add_argument("--output", default="rnnfast-demo", metavar="FOLDER", help="for the reports (%(default)s)")
    parser.add_argument("--seed", type=_seed, default=0, help="of data split, training and text (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a few seconds on little data; does not beat anything")
    parser.add_argument("--no-progress", action="store_true", help="without progress bars")


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a number >= 0 required, got {text!r}")
    return int(text)


def _demo(options: argparse.Namespace) -> int:
    from rnnfast import demo

    settings = demo.Settings(seed=options.seed, quick=options.quick, progress=not options.no_progress)
    results = demo.main(settings, tasks=options.task or (), output=options.output)
    return 0 if options.quick or all(r.beats_all for r in results) else 1


def _no_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def _info(options: argparse.Namespace) -> int:
    from rnnfast import show_config

    del options
    show_config()
    return 0


def _convert_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help=".safetensors, .pt, .onnx, .keras, .h5 or RTNeural's .json")
    parser.add_argument("destination", metavar="DST", help="the file to write, in the format of its ending")
    parser.add_argument("--layer", action="append", default=[], metavar="NAME", help="read this recurrent layer alone")
    parser.add_argument("--model", choices=["many-to-one", "many-to-many"], help="of a state dictionary with a head")
    parser.add_argument("--task", default="classification", help="of a state dictionary with a head (%(default)s)")
    parser.add_argument("--activation", default="tanh", help="of an RNN in a state dictionary (%(default)s)")


def _convert(options: argparse.Namespace) -> int:
    from rnnfast.convert import convert

    chosen = {name: getattr(options, name) for name in ("layer", "model", "task", "activation")}
    try:
        module = convert(options.source, options.destination, **chosen)
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"rnnfast convert: {error}", file=sys.stderr)
        return 1
    described = module.summary() if hasattr(module, "summary") else repr(module)
    print(f"{options.destination}: {described}")
    return 0


COMMANDS = {
    "demo": Command("train and judge models on data that every Python carries", _demo_arguments, _demo),
    "convert": Command("write a layer or model in the format of another library", _convert_arguments, _convert),
    "info": Command("show version, instruction set and threads", _no_arguments, _info),
}
