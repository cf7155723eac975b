"""Learn the sound of an amplifier, then play through the network in blocks of 64 samples.

The amplifier is simulated: a high-pass filter, a valve that saturates on one side before the other, a supply voltage
that sags while it plays loud, and a low-pass filter. The network hears plucked strings before and after it. The measure
is the error-to-signal ratio of audio modelling (Wright et al. 2019): the energy of the error over that of the signal.
The baselines have no recurrent state: the best linear filter of 128 samples, and the best curve from input to output.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import rnnfast as rf
from rnnfast.interop.rtneural import from_rtneural, save_rtneural

RATE, BLOCK, TAPS = 44_100, 64, 128
WARM = 500  # samples in which the state of the amplifier becomes known


def plucked(seconds: float, notes: int, rng: np.random.Generator) -> Any:
    """Return ``notes`` recordings (N, T) of a string, plucked twice in each, with overtones that fade faster."""
    t = np.arange(int(seconds * RATE)) / RATE
    x = np.zeros((notes, len(t)))
    for start in (0.0, seconds / 2):
        pitch, loudness = 82 * 2 ** rng.uniform(0, 3, (notes, 1)), rng.uniform(0.1, 1.0, (notes, 1))
        after = np.maximum(t - start, 0)
        for k in range(1, 9):
            x += (t >= start) * loudness / k * np.sin(2 * np.pi * k * pitch * after) * np.exp(-(2 + k) * after)
    return x


def amplifier(x: Any) -> Any:
    """Return what the amplifier makes of x (N, T), sample by sample."""
    y, low, sag, smooth = np.empty_like(x), np.zeros(len(x)), np.zeros(len(x)), np.zeros(len(x))
    for t, sample in enumerate(x.T):
        low += 0.01 * (sample - low)  # what lies below 70 Hz
        driven = 4 * (sample - low) / (1 + 2 * sag)
        shaped = np.tanh(driven) + 0.3 * np.tanh(driven) ** 2
        sag += 0.0005 * (np.abs(shaped) - sag)  # 45 ms
        smooth += 0.4 * (shaped - smooth)  # what lies below 3.6 kHz
        y[:, t] = smooth
    return y


def error(found: Any, y: Any) -> float:
    """Return the error-to-signal ratio behind the first samples."""
    return float(((found - y)[:, WARM:] ** 2).sum() / (y[:, WARM:] ** 2).sum())


def baseline(x: Any, y: Any, judged: Any, truth: Any) -> float:
    """Return the smaller error of a linear filter and of a curve of the ninth degree, both by least squares."""
    padded = np.pad(x, ((0, 0), (TAPS - 1, 0)))
    some = np.lib.stride_tricks.sliding_window_view(padded, TAPS, axis=1)[:, ::16].reshape(-1, TAPS)
    taps = np.linalg.lstsq(some, y[:, ::16].ravel(), rcond=1e-3)[0][::-1]
    filtered = np.stack([np.convolve(each, taps)[: len(each)] for each in judged])
    curve = np.polynomial.Polynomial.fit(x.ravel(), y.ravel(), 9)
    errors = error(filtered, truth), error(curve(judged), truth)
    print("error-to-signal ratio of a linear filter {:.4f}, of a curve {:.4f}".format(*errors))
    return min(errors)


def play(model: rf.ManyToMany, x: Any) -> tuple[Any, float]:
    """Return the output for one recording (T,), block by block, and the seconds that a second of sound takes."""
    stream, blocks = model.stream(), x[: len(x) // BLOCK * BLOCK].astype(np.float32).reshape(-1, 1, BLOCK, 1)
    start = time.perf_counter()
    y = [stream.process(block) for block in blocks]
    return np.concatenate(y, axis=1).ravel(), (time.perf_counter() - start) * RATE / blocks.size


def main(*, short: bool = False, seed: int = 0, output: str | None = None) -> tuple[float, float]:
    """Return the error of the network and of the best baseline."""
    rng = np.random.default_rng(seed)
    x, judged = plucked(0.5, 8 if short else 32, rng), plucked(0.5, 8, rng)
    y, truth = amplifier(x), amplifier(judged)
    model = rf.ManyToMany(1, 1, task="regression", cell="lstm", hidden_size=16, seed=seed)
    model.fit(
        x[..., None],
        y[..., None],
        epochs=6 if short else 60,
        batch_size=8,
        tbptt=512,
        burn_in=WARM,
        lr=rf.schedules.Cosine(1e-2),
        clip_norm=1.0,
        seed=seed,
    )
    found = model.predict(judged[..., None])[..., 0]

    played, factor = play(model, judged[0])
    print(f"blocks of {BLOCK} samples take {factor:.3f} of real time")
    print("same bits as one call:", np.array_equal(played, found[0, : len(played)]))
    if output:
        save_rtneural(model, output)
        again = from_rtneural(output).predict(judged[..., None])[..., 0]
        size, difference = Path(output).stat().st_size, np.abs(again - found).max()
        print(f"{output}: {size} bytes for RTNeural; read again, it differs by {difference:.1e}")
    return error(found, truth), baseline(x, y, judged, truth)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="train for seconds only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="amplifier.json", help="file for RTNeural")
    ours, theirs = main(**vars(parser.parse_args()))
    print(f"error-to-signal ratio {ours:.4f}; best without state {theirs:.4f}")
    sys.exit(None if ours < theirs else "the network does not beat its baselines")
