"""One-to-many: write text in the style of the Python manual, character by character."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnfast.demo import manual_text, ngrams
from rnnfast.demo.numpy_models import NumpyGruModel, time_side_by_side
from rnnfast.demo.pictures import of_gradients
from rnnfast.demo.results import Chart, Curve, HeatMap, Result, Sample, Settings
from rnnfast.demo.training import Decay, Recorder, Trainer, check_same_loss, hidden_states
from rnnfast.models import OneToMany
from rnnfast.report.units import by_strongest_step, slowest_units
from rnnfast.text import Vocabulary

MODE = "one-to-many"
TITLE = "write text in the style of the Python manual"
ABOUT = (
    "The model reads the topics of Python's own manual (pydoc_data.topics) and predicts every character from all those "
    "before it. {learned:,} characters to learn from, {judged:,} held out: whole topics ({topics}), with no paragraph "
    "that the others have. Yard-sticks: n-gram models with Witten-Bell smoothing over the same {alphabet} characters, "
    "trained on the same text. A sequence is a piece of {steps} characters."
)
ORDERS = 6
CLIP = 1.0
READ_BEFORE, SHOWN, UNITS = 300, 100, 40
"""Characters of a held-out topic before the heat maps and in them, and the number of units that they show."""

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Size:
    """How much is learned, by how large a model."""

    text: int
    read: int
    hidden: int = 256
    embedding: int = 32
    streams: int = 16
    steps: int = 32
    lr: float = 4e-3
    measurements: int = 8
    rounds: int = 15
    written: int = 500


FULL = Size(text=1_000_000, read=1_300_000)
QUICK = Size(text=20_000, read=20_000, hidden=16, embedding=8, measurements=2, rounds=1, written=80)


@dataclass
class Text:
    """The manual as ids."""

    vocabulary: Vocabulary
    train: Ids
    test: Ids
    held_out: list[str]


def run(settings: Settings) -> Result:
    """Learn the manual, judge the model against n-grams, and generate text."""
    start = time.perf_counter()
    size = QUICK if settings.quick else FULL
    text = _text(size, settings.seed)
    n = len(text.vocabulary)
    yardsticks = {f"{k}-gram": v for k, v in ngrams.ngram_nats(text.train, text.test, n, ORDERS).items()}
    best = min(yardsticks, key=lambda name: yardsticks[name])
    print(
        f"  {len(text.train):,} characters to learn from, {len(text.test):,} held out; best yard-stick: "
        f"{best}, {yardsticks[best]:.3f} nats a character"
    )
    speedup = _speedup(_model(size, n, settings.seed), text.train, size)
    model = _model(size, n, settings.seed)
    recorder, seconds, sequences = _train(model, text, size, settings)
    value = model.evaluate(text.test)["loss"]
    level = Curve(name=best, y=[yardsticks[best]])
    return Result(
        mode=MODE,
        task=TITLE,
        metric="nats a character",
        higher_is_better=False,
        value=value,
        yardsticks=yardsticks,
        seconds=time.perf_counter() - start,
        sequences_per_second=sequences / seconds,
        speedup_vs_numpy=speedup,
        about=_about(text, size),
        model=model.summary(),
        charts=[
            Chart(
                title="Learning to write: held-out topics",
                x_label="characters read, thousands",
                y_label="nats a character",
                curves=[recorder.curve("GRU", sequences * size.steps / 1000), level],
            )
        ],
        heat_maps=_heat_maps(model, text, int(best[0])),
        pictures=[of_gradients(model, text.test[:SHOWN])],
        samples=_samples(model, text.vocabulary, size, settings.seed),
    )


def _text(size: Size, seed: int) -> Text:
    topics = manual_text.without_duplicates(manual_text.load())
    parts = manual_text.split(topics, share=0.1, rng=np.random.default_rng(seed))
    vocabulary = Vocabulary(parts.train + manual_text.UNKNOWN)
    train, test = vocabulary.encode(parts.train[: size.text]), vocabulary.encode(parts.test[: size.text // 4])
    return Text(vocabulary, train, test, parts.held_out)


def _about(text: Text, size: Size) -> str:
    topics = ", ".join(text.held_out)
    return ABOUT.format(
        learned=len(text.train), judged=len(text.test), topics=topics, alphabet=len(text.vocabulary), steps=size.steps
    )


def _model(size: Size, alphabet: int, seed: int) -> OneToMany:
    return OneToMany(alphabet, cell="gru", hidden_size=size.hidden, embedding=size.embedding, seed=seed)


def _train(model: OneToMany, text: Text, size: Size, settings: Settings) -> tuple[Recorder, float, float]:
    """Return measurements on the way, seconds of training and the number of pieces read."""
    epochs = max(1, round(size.read / len(text.train)))
    longest = -(-(len(text.train) - 1) // size.streams)
    steps = epochs * -(-longest // size.steps)
    recorder = Recorder(
        lambda: model.evaluate(text.test, batch_size=size.streams)["loss"], times=size.measurements, steps=steps
    )
    start = time.perf_counter()
    model.fit(
        text.train,
        epochs=epochs,
        batch_size=size.streams,
        tbptt=size.steps,
        lr=size.lr,
        clip_norm=CLIP,
        callbacks=[Decay(size.lr, steps), recorder],
        progress=settings.progress,
        seed=settings.seed,
    )
    seconds = time.perf_counter() - start - recorder.seconds
    return recorder, seconds, epochs * (len(text.train) - 1) / size.steps


def _speedup(model: OneToMany, train: Ids, size: Size) -> float:
    """Return the time of a step in NumPy divided by that of the model, which is used up."""
    numpy_model = NumpyGruModel(
        {name: p.value for name, p in model.parameters().items()}, every_step=True, lr=size.lr, clip_norm=CLIP
    )
    trainer = Trainer(model, lr=size.lr, clip_norm=CLIP)
    length = size.steps + 1
    pieces = train[: len(train) // length * length].reshape(-1, length)
    batches = [pieces[k * size.streams : (k + 1) * size.streams] for k in range(len(pieces) // size.streams)]
    losses: dict[str, float] = {}

    def ours(k: int) -> None:
        losses["ours"] = trainer.step(batches[k % len(batches)])

    def by_numpy(k: int) -> None:
        batch = batches[k % len(batches)]
        losses["numpy"] = numpy_model.step(batch[:, :-1], batch[:, 1:])
        if k == 0:
            check_same_loss(losses["ours"], losses["numpy"])

    return time_side_by_side(ours, by_numpy, rounds=size.rounds)


def _heat_maps(model: OneToMany, text: Text, order: int) -> list[HeatMap]:
    """Return hidden units over a held-out passage, and the surprise of model and n-gram at each of its characters."""
    read = text.test[: READ_BEFORE + SHOWN]
    before, wanted = read[:-1], read[1:]
    ours = model.predict_proba(before)[np.arange(len(wanted)), wanted]
    grams = ngrams.ngram_probabilities(text.train, before, wanted, len(text.vocabulary), order)[order]
    surprise = -np.log(np.maximum(np.stack([ours, grams]), 1e-12))
    slow = slowest_units(hidden_states(model, before)[-SHOWN:], UNITS)
    states = by_strongest_step(slow)
    letters = [_visible(c) for c in text.vocabulary.decode(read[-SHOWN - 1 :])]
    rows = ["GRU", f"{order}-gram"]
    return [
        HeatMap(
            title=f"The {len(states)} hidden units that change most slowly, over a held-out topic",
            values=states,
            columns=letters[:-1],
        ),
        HeatMap(
            title="Surprise at each character of a held-out topic, nats",
            values=surprise[:, -SHOWN:],
            columns=letters[1:],
            rows=rows,
            low=0.0,
            high=6.0,
            y_label="model",
            label="nats",
        ),
    ]


def _samples(model: OneToMany, vocabulary: Vocabulary, size: Size, seed: int) -> list[Sample]:
    def write(beginning: str, temperature: float) -> str:
        prompt = vocabulary.encode(manual_text.START + beginning)
        stop = int(vocabulary.encode(manual_text.START)[0])
        ids: list[int] = model.generate(prompt, size.written, temperature=temperature, stop=stop, seed=seed)
        return beginning + vocabulary.decode(ids)

    heading = 'The "spam" statement\n********************\n\n'
    return [
        Sample(title="Written from nothing, temperature 0.7", text=write("", 0.7)),
        Sample(title='Written on from the heading The "spam" statement, temperature 0.5', text=write(heading, 0.5)),
    ]


def _visible(character: str) -> str:
    return {" ": "\N{OPEN BOX}", "\n": "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}", manual_text.START: "§"}.get(
        character, character
    )
