"""Many-to-one: the general category of a Unicode character, from its name, letter by letter."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnfast.demo.bag import BagOfLetters
from rnnfast.demo.numpy_models import NumpyGruModel, time_side_by_side
from rnnfast.demo.pictures import of_saliency
from rnnfast.demo.results import Chart, Curve, HeatMap, Result, Sample, Settings
from rnnfast.demo.training import Decay, Recorder, Trainer, check_same_loss, hidden_states
from rnnfast.demo.unicode_data import LEAST, Names, load
from rnnfast.models import ManyToOne
from rnnfast.report.answers import confusions
from rnnfast.report.pictures import Picture
from rnnfast.report.units import by_strongest_step

MODE = "many-to-one"
TITLE = "category of a Unicode character from its name"
ABOUT = (
    "The model reads a character's name letter by letter and says which of {classes} general categories it has "
    "({names}). {learned:,} names to learn from, {judged:,} held out; algorithmic and numbered names are left out, and "
    "categories with fewer than {least} members. Every category counts the same. Yard-sticks: always the most frequent "
    "category, and a converged logistic regression on the name's bag of letters, which cannot see their order; the "
    "model must make at most half of its errors."
)
CLIP = 1.0
INVENTED = (
    "LATIN SMALL LETTER Q WITH DRAGON",
    "DRAGON WITH SMALL LATIN LETTERS",
    "MATHEMATICAL SPAM OPERATOR",
    "KLINGON VOWEL SIGN OO",
    "KLINGON DIGIT FOUR",
    "COMBINING PARROT ABOVE",
)
WATCHED = "GREEK CAPITAL LETTER OMEGA WITH PARROT"

Ids = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """How much is learned, by how large a model."""

    names: int
    epochs: int
    hidden: int = 128
    embedding: int = 24
    batch: int = 32
    lr: float = 5e-3
    measurements: int = 10
    rounds: int = 25
    bag_iterations: int = 400


FULL = Size(names=1_000_000, epochs=5)
QUICK = Size(names=1000, epochs=1, hidden=16, embedding=8, measurements=2, rounds=1, bag_iterations=20)


def run(settings: Settings) -> Result:
    """Learn the names, and judge the model against a bag of letters."""
    start = time.perf_counter()
    size = QUICK if settings.quick else FULL
    data = load(size.names, also=[*INVENTED, WATCHED], rng=np.random.default_rng(settings.seed))
    yardsticks = _yardsticks(data, size)
    speedup = _speedup(_model(size, data, settings.seed), data, size)
    model = _model(size, data, settings.seed)
    recorder, seconds = _train(model, data, size, settings)
    x, y = data.part(data.test)
    found = model.predict(x)
    value = balanced_accuracy(found, y)
    levels = [Curve(name=name, y=[level]) for name, level in yardsticks.items()]
    return Result(
        mode=MODE,
        task=TITLE,
        metric="balanced accuracy",
        higher_is_better=True,
        value=value,
        yardsticks=yardsticks,
        seconds=time.perf_counter() - start,
        sequences_per_second=size.epochs * len(data.train) / seconds,
        speedup_vs_numpy=speedup,
        about=_about(data),
        model=model.summary(),
        charts=[
            Chart(
                title="Learning to classify: held-out names",
                x_label="epochs",
                y_label="balanced accuracy",
                curves=[recorder.curve("GRU", size.epochs), *levels],
            )
        ],
        heat_maps=_heat_maps(model, data),
        pictures=[_saliency(model, data), confusions(y, found, data.classes)],
        samples=_samples(model, data),
    )


def balanced_accuracy(predicted: npt.ArrayLike, y: Ids) -> float:
    """Return the mean over the classes in ``y`` of the share of their members that is predicted right.

    Examples
    --------
    >>> balanced_accuracy([0, 0, 0, 0], np.array([0, 0, 0, 1]))
    0.5
    """
    right = np.asarray(predicted) == y
    return float(np.mean([right[y == k].mean() for k in np.unique(y)]))


def _yardsticks(data: Names, size: Size) -> dict[str, float]:
    (x, y), (test_x, test_y) = data.part(data.train), data.part(data.test)
    counts = np.bincount(y, minlength=len(data.classes))
    majority = balanced_accuracy(np.full(len(test_y), counts.argmax()), test_y)
    bag = BagOfLetters(len(data.vocabulary), len(data.classes))
    bag.fit(x, y, weights=1.0 / counts[y], iterations=size.bag_iterations)
    letters = balanced_accuracy(bag.predict(test_x), test_y)
    print(
        f"  {len(x):,} names to learn from, {len(test_x):,} held out; bag of letters: {letters:.3f} balanced accuracy"
    )
    return {
        "majority class": majority,
        "bag of letters": letters,
        "half the errors of the bag": 1.0 - 0.5 * (1.0 - letters),
    }


def _model(size: Size, data: Names, seed: int) -> ManyToOne:
    return ManyToOne(
        len(data.vocabulary),
        len(data.classes),
        cell="gru",
        hidden_size=size.hidden,
        embedding=size.embedding,
        seed=seed,
    )


def _weights(y: Ids) -> F64:
    """Return weights that give every class the same total, with a mean of 1."""
    weights = np.bincount(y)[y].astype(np.float64) ** -1.0
    weights /= weights.mean()
    return weights


def _train(model: ManyToOne, data: Names, size: Size, settings: Settings) -> tuple[Recorder, float]:
    """Return measurements on the way and the seconds of training."""
    x, y = data.part(data.train)
    test_x, test_y = data.part(data.test)
    steps = size.epochs * -(-len(x) // size.batch)
    recorder = Recorder(lambda: balanced_accuracy(model.predict(test_x), test_y), times=size.measurements, steps=steps)
    start = time.perf_counter()
    model.fit(
        x,
        y,
        epochs=size.epochs,
        batch_size=size.batch,
        lr=size.lr,
        clip_norm=CLIP,
        sample_weight=_weights(y),
        callbacks=[Decay(size.lr, steps), recorder],
        progress=settings.progress,
        seed=settings.seed,
    )
    return recorder, time.perf_counter() - start - recorder.seconds


def _speedup(model: ManyToOne, data: Names, size: Size) -> float:
    """Return the time of a step in NumPy divided by that of the model, which is used up."""
    x, y = data.part(data.train)
    weights = _weights(y).astype(np.float32)
    values = {k: p.value for k, p in model.parameters().items()}
    numpy_model = NumpyGruModel(values, every_step=False, lr=size.lr, clip_norm=CLIP)
    trainer = Trainer(model, lr=size.lr, clip_norm=CLIP)
    rng = np.random.default_rng(0)
    batches = [np.sort(rng.permutation(len(x))[: size.batch]) for _ in range(size.rounds + 1)]
    losses: dict[str, float] = {}

    def ours(k: int) -> None:
        which = batches[k]
        losses["ours"] = trainer.step([x[i] for i in which], y[which], sample_weight=weights[which])

    def by_numpy(k: int) -> None:
        which = batches[k]
        losses["numpy"] = numpy_model.step([x[i] for i in which], y[which], weights[which])
        if k == 0:
            check_same_loss(losses["ours"], losses["numpy"])

    return time_side_by_side(ours, by_numpy, rounds=size.rounds)


def _about(data: Names) -> str:
    return ABOUT.format(
        classes=len(data.classes),
        names=", ".join(data.classes),
        learned=len(data.train),
        judged=len(data.test),
        least=LEAST,
    )


def _heat_maps(model: ManyToOne, data: Names) -> list[HeatMap]:
    """Return what the model believes after each letter, and its hidden units."""
    ids = data.vocabulary.encode(WATCHED)
    belief = model.predict_proba([ids[: t + 1] for t in range(len(ids))]).T
    return [
        HeatMap(
            title=f"What it believes after each letter of {WATCHED}",
            values=belief,
            columns=WATCHED.replace(" ", "\N{OPEN BOX}"),
            rows=data.classes,
            low=0.0,
            y_label="category",
            label="probability",
        ),
        HeatMap(
            title="Its hidden units, ordered by the letter at which each is strongest",
            values=by_strongest_step(hidden_states(model, ids)),
            columns=WATCHED.replace(" ", "\N{OPEN BOX}"),
        ),
    ]


def _saliency(model: ManyToOne, data: Names) -> Picture:
    ids = data.vocabulary.encode(WATCHED)
    answer = data.classes[int(model.predict([ids])[0])]
    return of_saliency(model, ids, list(WATCHED.replace(" ", "\N{OPEN BOX}")), answer)


def _samples(model: ManyToOne, data: Names) -> list[Sample]:
    """Return held-out names, right and wrong, and invented names."""
    x, y = data.part(data.test[:: max(1, len(data.test) // 400)])
    names = [data.vocabulary.decode(ids) for ids in x]
    p = model.predict_proba(x)
    said = p.argmax(axis=1)
    lines = [f"{data.classes[k]} {100 * q[k]:3.0f} %  {name}" for name, q, k in zip(names, p, said, strict=True)]
    right = [line for line, k, true in zip(lines, said, y, strict=True) if k == true]
    wrong = [f"{line}  (is {data.classes[t]})" for line, k, t in zip(lines, said, y, strict=True) if k != t]
    invented = model.predict_proba([data.vocabulary.encode(name) for name in INVENTED])
    guesses = [
        f"{data.classes[q.argmax()]} {100 * q.max():3.0f} %  {n}" for n, q in zip(INVENTED, invented, strict=True)
    ]
    return [
        Sample(title="Held-out names it gets right", text="\n".join(right[:6])),
        Sample(title="Held-out names it gets wrong", text="\n".join(wrong[:6])),
        Sample(title="Names that no character has", text="\n".join(guesses)),
    ]
