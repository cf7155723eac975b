"""``python -m bench``: rnnfast against its peers, and against the machine, on the shapes that people run.

``python -m bench accuracy``: what its models reach; see there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import chart, gemm, machine, panels, report, structure, variants
from bench.accuracy.__main__ import main as accuracy
from bench.peers import RIVALS
from bench.process import PeerMissing, Worker
from bench.run import Record, Settings, run
from bench.shapes import CELLS, GROUPS, MODES, Case, cases

QUICK = Settings(rounds=3, seconds=0.04, attempts=2)
PYTHON_VARIABLE = "RNNFAST_BENCH_PYTHON"
ALL_GROUPS = (*GROUPS, "gemm", "variants", "structure", "restless")
DEFAULT_RIVALS = ("torch", "onnxruntime", "openvino", "jax", "numpy")


def positive(text: str) -> int:
    """An integer of at least 1."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def interpreter(text: str) -> tuple[str, str]:
    """``torch=/path/to/python`` as a pair."""
    name, equals, path = text.partition("=")
    if not equals or name not in RIVALS:
        raise argparse.ArgumentTypeError(f"PEER=PATH with PEER one of {', '.join(RIVALS)} is required, got {text!r}")
    return name, path


def rival(text: str) -> str:
    """The name of a registered rival."""
    if text not in RIVALS:
        raise argparse.ArgumentTypeError(f"PEER: one of {', '.join(RIVALS)} is required, got {text!r}")
    return text


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add = result.add_argument
    add(
        "rivals",
        nargs="*",
        type=rival,
        metavar="PEER",
        help=f"what to compare rnnfast with, of {', '.join(RIVALS)}; "
        f"default: those installed of {', '.join(DEFAULT_RIVALS)}",
    )
    add(
        "--python",
        nargs="+",
        type=interpreter,
        default=[],
        metavar="PEER=PATH",
        help=f"interpreters of peers that are installed elsewhere; also read from {PYTHON_VARIABLE}",
    )
    add("--groups", nargs="+", choices=ALL_GROUPS, default=ALL_GROUPS, help="default: all")
    add("--shapes", nargs="+", metavar="ID", help="rows of the registry, such as S4 32x100x256x256; default: all")
    add("--cells", nargs="+", choices=list(CELLS), help="default: all")
    add("--modes", nargs="+", choices=MODES, default=MODES, help="default: all")
    add("--threads", nargs="+", type=positive, default=[machine.processors()], help="default: all processors")
    add("--seconds", type=float, help=f"of each turn; default: {Settings.seconds}")
    add("--rounds", type=positive, help=f"interleaved rounds; default: {Settings.rounds}")
    add("--json", type=Path, metavar="PATH", help="write what was measured")
    add("--chart", type=Path, metavar="PATH", help="draw ratios and the roofline (PNG); needs matplotlib")
    add("--quick", action="store_true", help="few rows, few, short rounds: a look, not a measurement")
    return result


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings that the command line and the environment ask for."""
    base = QUICK if options.quick else Settings()
    variable = [interpreter(text) for text in os.environ.get(PYTHON_VARIABLE, "").split()]
    python = dict([*variable, *options.python])
    rounds, seconds = options.rounds or base.rounds, options.seconds or base.seconds
    return replace(base, rounds=rounds, seconds=seconds, python=python)


def available(names: Sequence[str], settings: Settings) -> tuple[list[str], list[str]]:
    """The peers that can be imported, and why the others cannot."""
    found, reasons = list[str](), list[str]()
    for name in names:
        try:
            with Worker(name, threads=machine.processors(), python=settings.interpreter(name)) as worker:
                worker.start()
        except PeerMissing as error:
            reasons.append(str(error))
        else:
            found.append(name)
    return found, reasons


def measure(chosen: Sequence[Case], rivals: Sequence[str], settings: Settings, threads: Sequence[int]) -> list[Record]:
    """Run and print all cases on each number of threads."""
    records: list[Record] = []
    if not chosen:
        return records
    print(report.header(rivals), flush=True)
    for count in threads:
        for record in run(chosen, rivals, settings, threads=count):
            records.append(record)
            print(report.line(record, rivals), flush=True)
    print(report.closing(records))
    return records


def measure_products(threads: Sequence[int], settings: Settings, *, quick: bool) -> list[gemm.GemmRecord]:
    """Run and print the table of large products."""
    print(gemm.header(), flush=True)
    records: list[gemm.GemmRecord] = []
    for count in threads:
        for record in gemm.run(threads=count, rounds=settings.rounds, quick=quick):
            records.append(record)
            print(gemm.line(record), flush=True)
    print(gemm.closing(records))
    for count in threads:
        fraction = panels.measure(threads=count, rounds=settings.rounds)
        print(
            f"one sequence, 512 units, {count} threads: alternating order takes {fraction:.2f} of the time of one order"
        )
    return records


def measure_variants(threads: Sequence[int], settings: Settings, *, quick: bool) -> None:
    """Run and print the table of variants."""
    print(variants.header(), flush=True)
    records: list[variants.VariantRecord] = []
    for count in threads:
        for record in variants.run(threads=count, rounds=settings.rounds, quick=quick):
            records.append(record)
            print(variants.line(record), flush=True)
    print(variants.closing(records))


def measure_structure(threads: Sequence[int], settings: Settings) -> None:
    """Run and print the table of ragged, reset, parallel and computed-again sequences."""
    print(structure.header(), flush=True)
    for count in threads:
        for record in structure.run(threads=count, rounds=settings.rounds, seconds=settings.seconds):
            print(structure.line(record), flush=True)


def measure_restless(settings: Settings) -> None:
    """Run and print the tables of restless processors, in a process that is pinned to two of them."""
    subprocess.run([sys.executable, "-m", "bench.restless", "--rounds", f"{settings.rounds}"], check=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["accuracy"]:
        return accuracy(given[1:])
    options = parser().parse_args(given)
    names = ("cells", "groups", "modes", "quick")
    try:
        chosen = cases(ids=options.shapes, **{name: getattr(options, name) for name in names})
        settings = settings_of(options)
    except (ValueError, argparse.ArgumentTypeError) as error:
        parser().error(str(error))
    rivals, reasons = (options.rivals, []) if options.rivals else available(DEFAULT_RIVALS, settings)
    for reason in reasons:
        print(f"left out: {reason}")
    facts = machine.facts()
    print(f"{facts['cpu']}, isa {facts['isa']}, {facts['blas']}, load {facts['load']}")
    try:
        records = measure(chosen, rivals, settings, options.threads)
    except PeerMissing as error:
        parser().error(str(error))
    gemms = "gemm" in options.groups and options.shapes is None
    products = measure_products(options.threads, settings, quick=options.quick) if gemms else []
    if "variants" in options.groups and options.shapes is None:
        measure_variants(options.threads, settings, quick=options.quick)
    if "structure" in options.groups and options.shapes is None and not options.quick:
        measure_structure(options.threads, settings)
    if "restless" in options.groups and options.shapes is None and not options.quick and machine.processors() > 1:
        measure_restless(settings)
    document = report.document(records, products, settings, facts)
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    if options.chart:
        chart.draw(document, options.chart)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
