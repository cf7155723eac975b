"""Many-to-many, aligned: the syntax class of every character of Python source."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnfast.demo.numpy_models import NumpyGruModel, time_side_by_side
from rnnfast.demo.pictures import of_gate
from rnnfast.demo.results import Chart, Curve, HeatMap, Result, Settings
from rnnfast.demo.source_data import CLASSES, LEAST, File, Source, load
from rnnfast.demo.source_shown import colours, sample, visible
from rnnfast.demo.training import Decay, Recorder, Trainer, check_same_loss, hidden_states
from rnnfast.models import ManyToMany
from rnnfast.report.answers import confusions
from rnnfast.report.units import by_strongest_step, slowest_units

MODE = "many-to-many, aligned"
TITLE = "syntax class of every character of Python source"
ABOUT = (
    "The model reads files of the standard library character by character and says of each, without knowing what "
    "follows, which of {classes} classes it belongs to ({names}). tokenize knows the truth; from Python 3.12 on, "
    "the code in the braces of f-strings counts as code. {learned:,} characters in {learned_files} "
    "files to learn from, cut into pieces of {steps}; {judged:,} in {judged_files} other files are held out and read "
    "from beginning to end. Characters that occur fewer than {least} times share an id. Yard-stick: the most frequent "
    "class of each character in the files learned from; the model must make at most half of its errors."
)
CLIP = 1.0
BEFORE = '"""Eggs."""\n\nimport os\n\n\n'
WATCHED = 'def spam(eggs):  # if "x"\n    return 3.5 if eggs else "not # None"\n'
"""Read before the heat maps, and in them."""
UNITS = 40
"""Hidden units of the heat map."""

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Size:
    """How much is learned, by how large a model."""

    characters: int
    epochs: int
    hidden: int = 96
    embedding: int = 24
    steps: int = 150
    batch: int = 32
    lr: float = 6e-3
    measurements: int = 10
    measured: int = 3000
    rounds: int = 25


FULL = Size(characters=1_000_000, epochs=2)
QUICK = Size(characters=20_000, epochs=1, hidden=16, embedding=8, measurements=2, rounds=1)


def run(settings: Settings) -> Result:
    """Learn the syntax, and judge the model against the most frequent class of each character."""
    start = time.perf_counter()
    size = QUICK if settings.quick else FULL
    data = load(size.characters, rng=np.random.default_rng(settings.seed))
    yardsticks = _yardsticks(data)
    speedup = _speedup(_model(size, data, settings.seed), data, size)
    model = _model(size, data, settings.seed)
    recorder, seconds, sequences = _train(model, data, size, settings)
    found = model.predict([f.ids for f in data.test])
    levels = [Curve(name=name, y=[level]) for name, level in yardsticks.items()]
    return Result(
        mode=MODE,
        task=TITLE,
        metric="character accuracy",
        higher_is_better=True,
        value=accuracy(found, [f.classes for f in data.test]),
        yardsticks=yardsticks,
        seconds=time.perf_counter() - start,
        sequences_per_second=sequences / seconds,
        speedup_vs_numpy=speedup,
        about=_about(data, size),
        model=model.summary(),
        charts=[
            Chart(
                title=f"Learning syntax: the first {size.measured:,} characters of held-out files",
                x_label="characters read, thousands",
                y_label="accuracy",
                curves=[recorder.curve("GRU", size.epochs * _count(data.train) / 1000), *levels],
            )
        ],
        heat_maps=_heat_maps(model, data),
        pictures=[
            of_gate(model, data.encode(BEFORE + WATCHED), visible(WATCHED)),
            confusions(np.concatenate([f.classes for f in data.test]), np.concatenate(found), list(CLASSES)),
        ],
        samples=[sample(data.test[0], found[0])],
        colours=[colours(data.test[0], found[0])],
    )


def accuracy(found: Sequence[Ids], true: Sequence[Ids]) -> float:
    """Return the share of all steps of all sequences that are right.

    Examples
    --------
    >>> accuracy([np.array([1, 2, 2]), np.array([0])], [np.array([1, 2, 0]), np.array([0])])
    0.75
    """
    return float(np.mean(np.concatenate(found) == np.concatenate(true)))


def most_frequent(files: Sequence[File], alphabet: int) -> Ids:
    """Return the most frequent class of every id in ``files``, (V,); an id that does not occur gets that of all."""
    ids, classes = np.concatenate([f.ids for f in files]), np.concatenate([f.classes for f in files])
    pairs = ids * len(CLASSES) + classes
    counts = np.bincount(pairs, minlength=alphabet * len(CLASSES)).reshape(alphabet, len(CLASSES))
    best: Ids = np.where(counts.any(axis=1), counts.argmax(axis=1), counts.sum(axis=0).argmax())
    return best


def _yardsticks(data: Source) -> dict[str, float]:
    best = most_frequent(data.train, len(data.vocabulary))
    level = accuracy([best[f.ids] for f in data.test], [f.classes for f in data.test])
    print(
        f"  {_count(data.train):,} characters to learn from, {_count(data.test):,} held out; most frequent class of "
        f"the character: {level:.3f} accuracy"
    )
    return {"most frequent class": level, "half its errors": 1.0 - 0.5 * (1.0 - level)}


def _count(files: Sequence[File]) -> int:
    return sum(len(f.ids) for f in files)


def _model(size: Size, data: Source, seed: int) -> ManyToMany:
    return ManyToMany(
        len(data.vocabulary),
        len(CLASSES),
        cell="gru",
        hidden_size=size.hidden,
        embedding=size.embedding,
        seed=seed,
    )


def _pieces(files: Sequence[File], steps: int) -> tuple[list[Ids], list[Ids]]:
    """Cut files into x and y of ``steps`` characters; a file's last piece may be shorter."""
    x = [f.ids[i : i + steps] for f in files for i in range(0, len(f.ids), steps)]
    y = [f.classes[i : i + steps] for f in files for i in range(0, len(f.ids), steps)]
    return x, y


def _train(model: ManyToMany, data: Source, size: Size, settings: Settings) -> tuple[Recorder, float, int]:
    """Return measurements on the way, seconds of training and the number of pieces read."""
    x, y = _pieces(data.train, size.steps)
    begin_x, begin_y = [f.ids[: size.measured] for f in data.test], [f.classes[: size.measured] for f in data.test]
    steps = size.epochs * -(-len(x) // size.batch)
    recorder = Recorder(lambda: accuracy(model.predict(begin_x), begin_y), times=size.measurements, steps=steps)
    start = time.perf_counter()
    model.fit(
        x,
        y,
        epochs=size.epochs,
        batch_size=size.batch,
        lr=size.lr,
        clip_norm=CLIP,
        callbacks=[Decay(size.lr, steps), recorder],
        progress=settings.progress,
        seed=settings.seed,
    )
    return recorder, time.perf_counter() - start - recorder.seconds, size.epochs * len(x)


def _speedup(model: ManyToMany, data: Source, size: Size) -> float:
    """Return the time of a step in NumPy divided by that of the model, which is used up."""
    x, y = _pieces(data.train, size.steps)
    values = {k: p.value for k, p in model.parameters().items()}
    numpy_model = NumpyGruModel(values, every_step=True, lr=size.lr, clip_norm=CLIP)
    trainer = Trainer(model, lr=size.lr, clip_norm=CLIP)
    rng = np.random.default_rng(0)
    batches = [rng.permutation(len(x))[: size.batch] for _ in range(size.rounds + 1)]
    losses: dict[str, float] = {}

    def ours(k: int) -> None:
        losses["ours"] = trainer.step([x[i] for i in batches[k]], [y[i] for i in batches[k]])

    def by_numpy(k: int) -> None:
        losses["numpy"] = numpy_model.step([x[i] for i in batches[k]], [y[i] for i in batches[k]])
        if k == 0:
            check_same_loss(losses["ours"], losses["numpy"])

    return time_side_by_side(ours, by_numpy, rounds=size.rounds)


def _about(data: Source, size: Size) -> str:
    return ABOUT.format(
        classes=len(CLASSES),
        names=", ".join(CLASSES),
        learned=_count(data.train),
        learned_files=len(data.train),
        steps=size.steps,
        judged=_count(data.test),
        judged_files=len(data.test),
        least=LEAST,
    )


def _heat_maps(model: ManyToMany, data: Source) -> list[HeatMap]:
    """What the model believes of each character, and its hidden units."""
    ids = data.encode(BEFORE + WATCHED)
    columns = visible(WATCHED)
    units = by_strongest_step(slowest_units(hidden_states(model, ids)[-len(WATCHED) :], UNITS))
    return [
        HeatMap(
            title="What it believes of each character",
            values=model.predict_proba([ids])[0][-len(WATCHED) :].T,
            columns=columns,
            rows=CLASSES,
            low=0.0,
            y_label="class",
            label="probability",
        ),
        HeatMap(title=f"The {len(units)} hidden units that change most slowly", values=units, columns=columns),
    ]
