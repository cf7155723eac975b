"""Learn to write Python's manual, letter by letter, and show what the network writes.

The text is ``pydoc_data.topics``; every twelfth topic is judged, not learned. The measure is bits for each character.
The baseline is n-grams with Witten-Bell smoothing, of as many characters as serve best.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from pydoc_data.topics import topics

import numpy as np

import rnnfast as rf

START = "\f"  # precedes every topic


def manual() -> tuple[str, str]:
    """Return the text to learn and the text to judge, each paragraph once: topics share many."""
    seen: set[str] = set()
    parts: tuple[list[str], list[str]] = [], []
    for i, name in enumerate(sorted(topics)):
        paragraphs = {" ".join(each.lower().split()): each for each in topics[name].split("\n\n")}
        new = [each for key, each in paragraphs.items() if key not in seen]
        parts[i % 12 == 0].append(START + "\n\n".join(new))
        seen |= paragraphs.keys()
    known = set("".join(parts[0]))
    return "".join(parts[0]), "".join(c for c in "".join(parts[1]) if c in known)


def by_ngrams(learned: str, judged: str, longest: int) -> float:
    """Return the bits for each character of n-grams (Witten and Bell 1991) behind up to ``longest`` characters."""
    p, bits = np.full(len(judged), 1 / len(set(learned))), []
    for n in range(longest + 1):
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for i in range(n, len(learned)):
            counts[learned[i - n : i]][learned[i]] += 1
        totals = {context: found.total() for context, found in counts.items()}
        for i in range(n, len(judged)):
            found = counts.get(judged[i - n : i])
            if found:
                p[i] = (found[judged[i]] + len(found) * p[i]) / (totals[judged[i - n : i]] + len(found))
        bits.append(float(-np.log2(p).mean()))
    return min(bits)


def main(*, short: bool = False, seed: int = 0) -> tuple[float, float]:
    """Return the bits for each character of the model and of n-grams."""
    learned, judged = manual()
    print(f"{len(learned)} characters to learn, {len(judged)} to judge")
    hidden, epochs, longest = (64, 2, 2) if short else (256, 8, 6)
    vocabulary = rf.text.Vocabulary(learned)
    model = rf.OneToMany(
        vocabulary=vocabulary, cell="gru", embedding=32, hidden_size=hidden, output_dropout=0.1, seed=seed
    )
    lr = rf.schedules.Cosine(1e-2 if short else 5e-3)
    model.fit(learned, epochs=epochs, batch_size=32, tbptt=64, lr=lr, clip_norm=1.0, seed=seed)
    print(model.generate(START, 400, temperature=0.7, seed=seed))
    return float(model.evaluate(judged)["loss"] / np.log(2)), by_ngrams(learned, judged, longest)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="train for seconds only")
    parser.add_argument("--seed", type=int, default=0)
    found, baseline = main(**vars(parser.parse_args()))
    print(f"bits for each character {found:.3f}; n-grams {baseline:.3f}")
    sys.exit(None if found < baseline else "the model does not beat n-grams")
