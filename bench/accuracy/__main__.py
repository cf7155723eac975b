"""``python -m bench accuracy``: how good rnnfast's models become on fourteen tasks, from real training runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import rnnfast as rf
from bench.accuracy import table
from bench.accuracy.readers import VARIABLE, DataMissing
from bench.accuracy.rows import ROWS
from bench.accuracy.run import SEEDS, Record, measure


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m bench accuracy", description=__doc__)
    add = result.add_argument
    names = [row.name for row in ROWS]
    add("rows", nargs="*", metavar="ROW", help=f"of {', '.join(names)}; default: all")
    add("--seeds", nargs="+", type=int, default=SEEDS, help="of initial weights, order and dropout; default: 0 1 2")
    add("--threads", type=int, default=1, help="results do not depend on it; default: 1")
    add(
        "--choose", action="store_true", help="judge by the validation part, as choices are made; no test data are read"
    )
    add("--json", type=Path, metavar="PATH", help="write what was measured, after each row")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows; returns the exit status."""
    options = parser().parse_args(arguments)
    known = {row.name: row for row in ROWS}
    for name in options.rows:
        if name not in known:
            parser().error(f"ROW: one of {', '.join(known)} is required, got {name}")
    records = list[Record]()
    print(table.header(), flush=True)
    with rf.threads(options.threads):
        for row in [known[name] for name in options.rows] or ROWS:
            try:
                data = row.task.load()
            except DataMissing as error:
                print(f"left out: {row.name}: {error}; {VARIABLE} names the folder")
                continue
            records.append(measure(row, data, seeds=options.seeds, choosing=options.choose))
            print(table.line(records[-1]), flush=True)
            if options.json:
                options.json.write_text(json.dumps(table.document(records), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
