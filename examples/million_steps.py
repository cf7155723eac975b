"""Learn from one sequence of a million steps, and read another, in memory that does not grow with their length.

A switch has two buttons, and a step says that one of them is pressed, once in 50 steps; all else is noise. The model
says at every step how the switch stands, so that it must remember for hundreds of steps. Truncated back-propagation
passes the state from piece to piece, and prediction reads piece by piece. Whole back-propagation would keep every state
and gate of a million steps. The baseline is the larger of both buttons' means over the last steps, the best number of
them.
"""

from __future__ import annotations

import argparse
import resource
import sys
from typing import Any

import numpy as np

import rnnfast as rf

HIDDEN, PIECE = 32, 50


def switch(steps: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return noisy buttons (1, T, 2) and how the switch stands at every step (1, T)."""
    pressed = rng.random(steps) < 0.02
    pressed[0] = True
    button = rng.integers(2, size=steps)
    x = rng.normal(scale=0.1, size=(steps, 2)).astype(np.float32)
    x[pressed, button[pressed]] += 1
    last = np.maximum.accumulate(np.where(pressed, np.arange(steps), 0))
    return x[None], button[last].astype(np.int8)[None]


def by_means(x: Any, y: Any) -> float:
    """Return the accuracy of the larger mean over the last 1, 10, 30 or 100 steps, the best of these."""
    sums = np.cumsum(x[0, :, 1] - x[0, :, 0], dtype=np.float64)
    late = [sums - np.concatenate([np.zeros(steps), sums[:-steps]]) for steps in (1, 10, 30, 100)]
    return max(float(((each > 0) == y[0]).mean()) for each in late)


def peak() -> float:
    """Return the largest memory that the process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(*, short: bool = False, seed: int = 0) -> tuple[float, float]:
    """Return the accuracy of the model and of the means."""
    rng, steps = np.random.default_rng(seed), 100_000 if short else 1_000_000
    (x, y), (judged, truth) = switch(steps, rng), switch(steps, rng)
    before = peak()
    model = rf.ManyToMany(2, 2, cell="gru", hidden_size=HIDDEN, seed=seed)
    lr = rf.schedules.Cosine(1e-2)
    model.fit(x, y, epochs=1, batch_size=1, tbptt=PIECE, lr=lr, clip_norm=1.0, seed=seed)
    found = model.predict(judged, chunk=PIECE)
    whole = 5 * HIDDEN * x.itemsize * steps
    print(f"{steps} steps: the process has had {peak():.0f} MB of memory at most, {before:.0f} MB before the training;")
    print(f"whole back-propagation would keep {whole / 1e6:.0f} MB of states and gates")
    return float((found == truth).mean()), by_means(judged, truth)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a tenth of the steps")
    parser.add_argument("--seed", type=int, default=0)
    accuracy, baseline = main(**vars(parser.parse_args()))
    print(f"accuracy {accuracy:.4f}; means of the last steps {baseline:.4f}")
    sys.exit(None if accuracy > baseline else "the model does not beat its baseline")
