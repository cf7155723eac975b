"""Tell shapes in noise apart, inside a scikit-learn pipeline and search: cylinder, bell and funnel.

A plateau, a ramp up or a ramp down begins and ends at random in 128 steps of noise (Saito 1994, the CBF problem of the
UCR archive). The baseline is a random forest on the 128 numbers, searched over in the same way. Needs ``scikit-learn``.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from rnnfast.sklearn import SequenceClassifier, SequenceScaler

KINDS = np.array(["cylinder", "bell", "funnel"])
STEPS = 128


def shapes(count: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return signals (N, 128) and the name of the shape in each."""
    t = np.arange(STEPS)
    begin = rng.integers(16, 33, (count, 1))
    length = rng.integers(32, 97, (count, 1))
    kind = rng.integers(3, size=count)
    rising = (t - begin) / length
    form = np.choose(kind[:, None], [np.ones_like(rising), rising, 1 - rising])
    inside = (t >= begin) & (t <= begin + length)
    x = (6 + rng.normal(size=(count, 1))) * inside * form + rng.normal(size=(count, STEPS))
    return x, KINDS[kind]


def main(*, short: bool = False, seed: int = 0) -> tuple[float, float]:
    """Return the accuracy of the network and of the random forest."""
    rng = np.random.default_rng(seed)
    (x, y), (judged, truth) = shapes(120, rng), shapes(2000, rng)

    network = SequenceClassifier(cell="gru", epochs=40, batch_size=16, random_state=seed)
    sizes, rates = ([16], [0.03]) if short else ([8, 16, 32], [0.01, 0.03])
    choices = {"sequenceclassifier__hidden_size": sizes, "sequenceclassifier__learning_rate": rates}
    search = GridSearchCV(make_pipeline(SequenceScaler(), network), choices, cv=3).fit(x, y)
    forest = GridSearchCV(RandomForestClassifier(random_state=seed), {"max_features": ["sqrt", 0.3]}, cv=3).fit(x, y)
    for name, each in (("network", search), ("random forest", forest)):
        print(f"{name}: {each.best_params_}, accuracy in cross-validation {each.best_score_:.3f}")
    print("the network's answers, a row for each of", KINDS)
    print(confusion_matrix(truth, search.predict(judged), labels=KINDS))
    return float(search.score(judged, truth)), float(forest.score(judged, truth))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="train for seconds only")
    parser.add_argument("--seed", type=int, default=0)
    found, baseline = main(**vars(parser.parse_args()))
    print(f"accuracy {found:.4f}; random forest {baseline:.4f}")
    sys.exit(None if found > baseline else "the network does not beat the random forest")
