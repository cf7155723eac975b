"""``python -m bench numpy``: rnnfast against its peers on the shapes that people run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from bench import machine, report
from bench.peers import RIVALS
from bench.run import Settings, run
from bench.shapes import CELLS, MODES, cases

QUICK_ROUNDS, QUICK_SECONDS = 3, 0.03


def positive(text: str) -> int:
    """An integer of at least 1."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    result.add_argument("rivals", nargs="+", choices=RIVALS, help="what to compare rnnfast with")
    result.add_argument("--shapes", nargs="+", metavar="ID", help="rows of the registry, such as S4 S29; default: all")
    result.add_argument("--cells", nargs="+", choices=list(CELLS), help="these cells on every row, instead of its own")
    result.add_argument("--modes", nargs="+", choices=MODES, default=MODES, help="default: both")
    result.add_argument("--threads", type=positive, default=machine.processors(), help="default: all processors")
    result.add_argument("--rounds", type=positive, help=f"interleaved rounds; default: {Settings.rounds}")
    result.add_argument("--json", type=Path, metavar="PATH", help="write what was measured")
    result.add_argument("--quick", action="store_true", help="few, short rounds: a look, not a measurement")
    return result


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings that the command line asks for."""
    seconds = QUICK_SECONDS if options.quick else Settings.seconds
    rounds = QUICK_ROUNDS if options.quick else Settings.rounds
    return Settings(options.threads, options.rounds or rounds, seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        chosen = [case for case in cases(ids=options.shapes, cells=options.cells) if case.mode in options.modes]
    except ValueError as error:
        parser().error(str(error))
    settings, facts = settings_of(options), machine.facts(threads=options.threads)
    print(f"{facts['cpu']}, isa {facts['isa']}, {settings.threads} threads, {facts['blas']}, load {facts['load']}")
    print(", ".join(f"{name} {number}" for name, number in facts["versions"].items()))
    print(report.header(options.rivals), flush=True)
    records = []
    for record in run(chosen, options.rivals, settings):
        records.append(record)
        print(report.line(record, options.rivals), flush=True)
    print(report.closing(records, options.rivals))
    if options.json:
        document = report.document(records, options.rivals, settings, facts)
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
