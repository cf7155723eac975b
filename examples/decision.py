"""Decide which way noisy dots move, and see how a network of leaky neurons does it.

The continuous-time network ``tau dh/dt = -h + tanh(W x + R h + b)``, with tau = 100 ms in steps of 20 ms, reads two
channels of noisy evidence while a cue lasts and answers when it ends. The baseline answers by the last evidence that it
saw, the ideal observer by the sum of all. Fixed points show how the network does it: two stable ones keep the answers,
and the evidence pushes the state from the saddle between them to one side. The picture needs ``matplotlib``.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

import rnnfast as rf
from rnnfast import analysis, plot
from rnnfast.data.synthetic import perceptual_decision

STEP, TAU = 20, 100  # milliseconds
TRIAL = {"fixation": 5, "stimulus": 20, "decision": 20}  # steps


def correct(answers: Any, y: Any) -> float:
    """Return the share of the trials with the right answer at the last step."""
    return float(np.mean(answers == y[:, -1]))


def rules(x: Any, y: Any) -> tuple[float, float]:
    """Return how often the last evidence is right, and how often the sum of all evidence."""
    stimulus = slice(TRIAL["fixation"], TRIAL["fixation"] + TRIAL["stimulus"])
    evidence = (x[..., 2] - x[..., 1])[:, stimulus]
    return correct(1 + (evidence[:, -1] > 0), y), correct(1 + (evidence.sum(axis=1) > 0), y)


def main(*, short: bool = False, seed: int = 0, picture: str | None = None) -> tuple[float, float]:
    """Return the share of right answers of the network and of the last evidence."""
    rng = np.random.default_rng(seed)
    x, y = perceptual_decision(2000 if short else 4000, **TRIAL, seed=rng)
    judged, y_judged = perceptual_decision(4000, **TRIAL, seed=rng)
    options = {"activation": "tanh", "leak": STEP / TAU, "noise": 0.05}
    model = rf.ManyToMany(3, 3, cell="rnn", hidden_size=32, cell_options=options, activity_l2=5e-5, seed=seed)
    recurrent = model.parameters()["rnn.weight_hh_l0"]
    recurrent[...] = recurrent.value / 2  # strong ones oscillate and keep the answer in a cycle
    lr = rf.schedules.Cosine(5e-3)
    model.fit(x, y, epochs=20, batch_size=50, lr=lr, clip_norm=1.0, seed=seed)

    last, ideal = rules(judged, y_judged)
    found = correct(model.predict(judged)[:, -1], y_judged)
    print(f"right answers of the ideal observer {ideal:.3f}")

    h = model.trace(judged[:200]).h[-1]
    for name, constant in (("stimulus without motion", [1, 0.5, 0.5]), ("answer", [0, 0, 0])):
        points = analysis.fixed_points(model.rnn, constant, starts=h[:64, -1][None], seed=seed)
        largest = ", ".join(f"{each:.2f}" for each in np.abs(points.eigenvalues).max(axis=1))
        print(f"{name}: {points.stable.sum()} of {len(points)} fixed points are stable; largest |eigenvalue| {largest}")
    if picture:
        plot.phase_portrait(h[:40], points).figure.savefig(picture)
        print("picture:", picture)
    return found, last


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="train for seconds only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", default="decision.png", help="file of the phase portrait")
    found, baseline = main(**vars(parser.parse_args()))
    print(f"right answers {found:.3f}; last evidence alone {baseline:.3f}")
    sys.exit(None if found > baseline else "the network does not beat its baseline")
