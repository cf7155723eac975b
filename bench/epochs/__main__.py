"""``python -m bench.epochs``: a whole epoch of training beside the same loop in PyTorch.

An epoch is all that a user waits for: batches, loss, metrics of the validation data, gradient, clipping, Adam. Each
contestant runs in a process of its own, by turns. ``--check`` compares the losses in float64, and ``--parts`` says what
an epoch of rnnfast is made of.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from statistics import median

from bench.epochs.problems import PROBLEMS
from bench.process import THREAD_VARIABLES
from bench.report import geometric_mean
from bench.rounds import Estimate, estimate

CONTESTANTS = ("torch", "rnnfast")
TOLERANCE = 1e-9
"""The largest relative difference of the last loss in float64."""


def here(case: str, contestant: str, threads: int, epochs: int, dtype: str, share: float) -> list[list[float]]:
    """Seconds and loss of each epoch, in this process."""
    import rnnfast

    problem = PROBLEMS[case](share)
    rnnfast.set_num_threads(threads)
    if contestant == "rnnfast":
        from bench.epochs import ours

        return list(ours.train(problem, dtype, epochs))
    import torch

    from bench.epochs import theirs

    torch.set_num_threads(threads)
    return list(theirs.train(problem, case, dtype, epochs))


def child(
    case: str, contestant: str, threads: int, epochs: int, dtype: str = "float32", share: float = 1.0
) -> list[list[float]]:
    """The same in a process of its own."""
    options = ["--here", contestant, "--threads", str(threads), "--epochs", str(epochs)]
    command = [sys.executable, "-m", "bench.epochs", case, *options, "--dtype", dtype, "--share", str(share)]
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    found: list[list[float]] = json.loads(done.stdout)
    return found


def compare(case: str, threads: int, *, epochs: int, rounds: int, share: float) -> tuple[dict[str, float], Estimate]:
    """Median seconds of an epoch by contestant, and the ratio, that of each round; first epochs do not count."""
    times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for turn in range(rounds):
        for name in CONTESTANTS if turn % 2 == 0 else reversed(CONTESTANTS):
            times[name].append(median(child(case, name, threads, epochs + 1, share=share)[0][1:]))
    ratios = [theirs / ours for theirs, ours in zip(times["torch"], times["rnnfast"], strict=True)]
    return {name: median(own) for name, own in times.items()}, estimate(ratios)


def difference(case: str, *, epochs: int, share: float) -> float:
    """The relative difference of the last losses in float64."""
    ours, theirs = (child(case, name, 1, epochs, "float64", share)[1][-1] for name in ("rnnfast", "torch"))
    return abs(ours - theirs) / abs(theirs)


def parts(case: str, threads: int, *, epochs: int, rounds: int, share: float) -> str:
    """The shares of an epoch of rnnfast, in the fastest of a few trainings."""
    import rnnfast
    from bench.epochs import ours
    from bench.epochs.parts import timed

    problem, found = PROBLEMS[case](share), list[tuple[float, dict[str, float]]]()
    for _ in range(rounds):
        with rnnfast.threads(threads), timed() as seconds:
            found.append((sum(ours.train(problem, "float32", epochs)[0]), seconds))
    total, seconds = min(found, key=lambda training: training[0])
    seconds["Python and NumPy"] = total - sum(seconds.values())
    shares = ", ".join(f"{name} {own / total:.1%}" for name, own in seconds.items() if own > 0)
    return f"{case}, {threads} threads: {total / epochs:.3f} s an epoch: {shares}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(PROBLEMS)}; default: all")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--epochs", type=int, default=3, help="epochs of a process, after one that does not count")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each contestant")
    parser.add_argument("--share", type=float, default=1.0, help="of the data")
    parser.add_argument("--check", action="store_true", help="compare the losses in float64 instead")
    parser.add_argument("--parts", action="store_true", help="say what an epoch of rnnfast is made of instead")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    parser.add_argument("--dtype", default="float32", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    given.cases = given.cases or list(PROBLEMS)
    if unknown := [case for case in given.cases if case not in PROBLEMS]:
        parser.error(f"CASE: each must be one of {', '.join(PROBLEMS)}, got {', '.join(unknown)}")
    if given.here:
        found = here(given.cases[0], given.here, given.threads[0], given.epochs, given.dtype, given.share)
        print(json.dumps(found))
        return
    if given.check:
        for case in given.cases:
            off = difference(case, epochs=given.epochs, share=given.share)
            print(f"{case}: losses differ by {off:.1e}{'  above' if off > TOLERANCE else ''}", flush=True)
        return
    options = {"epochs": given.epochs, "rounds": given.rounds, "share": given.share}
    for threads in given.threads:
        ratios = []
        for case in given.cases:
            if given.parts:
                print(parts(case, threads, **options), flush=True)
                continue
            own, ratio = compare(case, threads, **options)
            ratios.append(ratio.middle)
            shown = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in own.items())
            print(f"{case}, {threads} threads: {shown} an epoch, {ratio} times as fast", flush=True)
        if len(ratios) > 1:
            print(f"geometric mean, {threads} threads: {geometric_mean(ratios):.2f}", flush=True)


if __name__ == "__main__":
    main()
