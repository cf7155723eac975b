"""Many-to-many, encoder-decoder: dates as people write them, to ISO 8601."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from rnnfast.data.synthetic import DATE_STYLES
from rnnfast.demo.dates_data import ISO, Calendar, Dates, read_with
from rnnfast.demo.numpy_models import NumpyEncoderDecoder, time_side_by_side
from rnnfast.demo.results import Chart, Curve, HeatMap, Result, Sample, Settings
from rnnfast.demo.training import Decay, Recorder, Trainer, check_same_loss
from rnnfast.models import EncoderDecoder

MODE = "many-to-many, encoder-decoder"
TITLE = "dates as people write them, to ISO 8601"
ABOUT = (
    "The model reads a date in one of {styles} styles, character by character, and writes it as ISO 8601 does, each "
    "character after its own; a date counts when all of it is right. {learned:,} days from {first} to {last} "
    "to learn from, {judged:,} other days are held out; chance chooses the style of each. Years of two digits are "
    "those of POSIX; the month stands first between slashes, the day between points. While it writes, the model "
    "attends to what it has read (Bahdanau et al. 2015). Yard-sticks: the one format of datetime.strptime that reads "
    "most of the held-out dates, and 99 % of them."
)
CLIP = 1.0
WATCHED = date(2019, 4, 22)
SHOWN = ("%A, %B %dth, %Y", "%m/%d/%y", "the %dth of %B %Y")
"""Attention maps show the held-out day nearest to WATCHED, in these styles."""

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Size:
    """How much is learned, by how large a model."""

    days: int
    epochs: int
    held_out: float = 0.1
    hidden: int = 128
    embedding: int = 32
    batch: int = 32
    lr: float = 5e-3
    measurements: int = 8
    measured: int = 500
    rounds: int = 25


FULL = Size(days=33000, epochs=1)
QUICK = Size(days=2000, epochs=2, held_out=0.01, hidden=24, batch=16, lr=1e-2, measurements=2, measured=100, rounds=1)


def run(settings: Settings) -> Result:
    """Learn to write dates, and judge the model by whole dates."""
    start = time.perf_counter()
    size = QUICK if settings.quick else FULL
    rng = np.random.default_rng(settings.seed)
    days = Calendar(held_out=size.held_out, rng=rng)
    learned, test = days.written(rng.permutation(days.train)[: size.days], rng), days.written(days.test, rng)
    yardsticks = _yardsticks(learned, test)
    speedup = _speedup(_model(size, days, settings.seed), learned, size)
    model = _model(size, days, settings.seed)
    recorder, seconds = _train(model, learned, test, size, settings)
    found = model.predict(test.x)
    return Result(
        mode=MODE,
        task=TITLE,
        metric="exact matches",
        higher_is_better=True,
        value=exact(found, test.y),
        yardsticks=yardsticks,
        seconds=time.perf_counter() - start,
        sequences_per_second=size.epochs * len(learned.x) / seconds,
        speedup_vs_numpy=speedup,
        about=ABOUT.format(
            styles=len(DATE_STYLES),
            learned=len(learned.x),
            judged=len(test.x),
            first=days.first.year,
            last=days.last.year,
        ),
        model=model.summary(),
        charts=[
            Chart(
                title=f"Learning dates: {size.measured} held-out days",
                x_label="epochs",
                y_label="exact matches",
                curves=[recorder.curve("GRU with attention", size.epochs), Curve(name="99 %", y=[0.99])],
            )
        ],
        heat_maps=_heat_maps(model, days),
        samples=_samples(test, found),
    )


def exact(found: Sequence[Ids], true: Sequence[Ids]) -> float:
    """Return the share of the sequences that are right from beginning to end.

    Examples
    --------
    >>> exact([np.array([1, 2]), np.array([1])], [np.array([1, 2]), np.array([1, 2])])
    0.5
    """
    return float(np.mean([np.array_equal(a, b) for a, b in zip(found, true, strict=True)]))


def _yardsticks(learned: Dates, test: Dates) -> dict[str, float]:
    shares = {
        style: float(np.mean([read_with(style, text) == day for text, day in zip(test.texts, test.days, strict=True)]))
        for style in DATE_STYLES
    }
    best = max(shares, key=lambda style: shares[style])
    print(
        f"  {len(learned.x):,} days to learn from, {len(test.x):,} held out; best single format of strptime: {best}, "
        f"{shares[best]:.3f} of them"
    )
    return {"best strptime format": shares[best], "99 % of the dates": 0.99}


def _model(size: Size, days: Calendar, seed: int) -> EncoderDecoder:
    return EncoderDecoder(
        len(days.vocabulary),
        len(ISO),
        cell="gru",
        hidden_size=size.hidden,
        source_embedding=size.embedding,
        target_embedding=size.embedding,
        attention="additive",
        seed=seed,
    )


def _train(
    model: EncoderDecoder, learned: Dates, test: Dates, size: Size, settings: Settings
) -> tuple[Recorder, float]:
    """Return measurements on the way and the seconds of training."""
    steps = size.epochs * -(-len(learned.x) // size.batch)
    x, y = test.x[: size.measured], test.y[: size.measured]
    recorder = Recorder(lambda: exact(model.predict(x), y), times=size.measurements, steps=steps)
    start = time.perf_counter()
    model.fit(
        learned.x,
        learned.y,
        epochs=size.epochs,
        batch_size=size.batch,
        lr=size.lr,
        clip_norm=CLIP,
        callbacks=[Decay(size.lr, steps), recorder],
        progress=settings.progress,
        seed=settings.seed,
    )
    return recorder, time.perf_counter() - start - recorder.seconds


def _speedup(model: EncoderDecoder, learned: Dates, size: Size) -> float:
    """Return the time of a step in NumPy divided by that of the model, which is used up."""
    stop, start = len(ISO), len(ISO) + 1
    numpy_model = NumpyEncoderDecoder({k: p.value for k, p in model.parameters().items()}, lr=size.lr, clip_norm=CLIP)
    trainer = Trainer(model, lr=size.lr, clip_norm=CLIP)
    rng = np.random.default_rng(0)
    batches = [rng.permutation(len(learned.x))[: size.batch] for _ in range(size.rounds + 1)]
    losses: dict[str, float] = {}

    def ours(k: int) -> None:
        losses["ours"] = trainer.step([learned.x[i] for i in batches[k]], [learned.y[i] for i in batches[k]])

    def by_numpy(k: int) -> None:
        y = [learned.y[i] for i in batches[k]]
        inputs, targets = [np.r_[start, s] for s in y], [np.r_[s, stop] for s in y]
        losses["numpy"] = numpy_model.step([learned.x[i] for i in batches[k]], inputs, targets)
        if k == 0:
            check_same_loss(losses["ours"], losses["numpy"])

    return time_side_by_side(ours, by_numpy, rounds=size.rounds)


def _heat_maps(model: EncoderDecoder, days: Calendar) -> list[HeatMap]:
    """Return what the model attends to while it writes each character of some dates."""
    day = days.unseen_near(WATCHED)
    texts = [DATE_STYLES[style](day) for style in SHOWN]
    written, weights = model.predict([days.vocabulary.encode(text) for text in texts], return_attention=True)
    return [
        HeatMap(
            title=f"Attention: what it reads of “{text}” while it writes {ISO.decode(ids)}",
            values=w,
            columns=text.replace(" ", "\N{OPEN BOX}"),
            rows=ISO.decode(ids),
            low=0.0,
            x_label="what it reads",
            y_label="what it writes",
            label="attention weight",
        )
        for text, ids, w in zip(texts, written, weights, strict=True)
        if len(ids)
    ]


def _samples(test: Dates, found: Sequence[Ids]) -> list[Sample]:
    """Return held-out dates that the model gets right, and those that it gets wrong."""
    lines: dict[bool, list[str]] = {True: [], False: []}
    for text, true, ids in zip(test.texts, test.y, found, strict=True):
        right = np.array_equal(ids, true)
        lines[right].append(f"{text:<34} {ISO.decode(ids)}" + ("" if right else f"  (is {ISO.decode(true)})"))
    some = lines[True][:: max(1, len(lines[True]) // 8)][:8]
    return [
        Sample(title="Dates of days it has never seen", text="\n".join(some)),
        Sample(title="Dates it gets wrong", text="\n".join(lines[False][:5]) or "none"),
    ]
