"""Rewrite dates as ISO 8601 does, and see what the network attends to while it writes.

An encoder-decoder with attention reads "Sunday, 9/12/2032" and writes "2032-09-12". Days of a hundred years are written
in one of twelve styles. The baseline is the format of ``datetime.strptime`` that reads most of them. The picture needs
``matplotlib``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime

import numpy as np

import rnnfast as rf
from rnnfast import plot
from rnnfast.data.synthetic import DATE_STYLES, dates

WATCHED = "Monday, April 22nd, 2019"


def exact(found: Sequence[str], true: Sequence[str]) -> float:
    """Return the share of the dates that are right in every character."""
    return float(np.mean([a == b for a, b in zip(found, true, strict=True)]))


def parsed(text: str, style: str) -> str:
    """Return the date that ``strptime`` reads, or nothing."""
    try:
        return datetime.strptime(text, style).date().isoformat()
    except ValueError:
        return ""


def main(*, short: bool = False, seed: int = 0, picture: str | None = None) -> tuple[float, float]:
    """Return the share of right dates of the network and of the best format."""
    written, iso = dates(4000 if short else 30_000, seed=seed)
    unseen = [(w, i) for w, i in zip(*dates(3000, seed=seed + 1), strict=True) if i not in set(iso)]
    judged, truth = map(list, zip(*unseen, strict=True))
    model = rf.EncoderDecoder(
        source_vocabulary=rf.text.Vocabulary([*written, WATCHED]),
        target_vocabulary=rf.text.Vocabulary("-0123456789"),
        cell="gru",
        hidden_size=64 if short else 128,
        source_embedding=32,
        target_embedding=32,
        attention="additive",
        seed=seed,
    )
    lr = rf.schedules.Cosine(1e-2)
    model.fit(written, iso, epochs=2, batch_size=32, lr=lr, clip_norm=1.0, seed=seed)
    found = model.predict(judged)
    for each in list(zip(judged, found, truth, strict=True))[:5]:
        print("{:<30} {}  (is {})".format(*each))
    if picture:
        answer, weights = model.predict(WATCHED, return_attention=True)
        plot.attention(weights, source=WATCHED.replace(" ", "_"), written=answer).figure.savefig(picture)
        print("picture:", picture)
    formats = {style: exact([parsed(text, style) for text in judged], truth) for style in DATE_STYLES}
    return exact(found, truth), max(formats.values())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="train for seconds only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", default="dates.png", help="file of the attention map")
    found, baseline = main(**vars(parser.parse_args()))
    print(f"right dates {found:.3f}; best format of strptime {baseline:.3f}")
    sys.exit(None if found > baseline else "the network does not beat strptime")
