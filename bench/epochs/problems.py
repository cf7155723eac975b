"""The six trainings: data, model and settings, which both sides share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import rnnfast as rf
from bench.accuracy import readers


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A model of rnnfast, by its class and options, the arguments of its ``fit``, and the rate and bound of a step."""

    kind: Callable[..., Any]
    options: dict[str, Any]
    x: Any
    y: Any = None
    batch_size: int
    lr: float
    clip_norm: float
    tbptt: int | None = None
    validation: tuple[Any, Any] | None = None

    def model(self, dtype: str) -> Any:
        """The untrained model."""
        return self.kind(**self.options, dtype=dtype, seed=0)


def part_of(share: float, *lists: Any) -> list[Any]:
    """The first ``share`` of the sequences of each list, and no fewer than 8, in an order of chance that they share."""
    order = np.random.default_rng(0).permutation(len(lists[0]))[: max(8, round(share * len(lists[0])))]
    return [[each[i] for i in order] for each in lists]


def vowels(share: float) -> Problem:
    """JapaneseVowels, official split: sequences of 12 numbers, one of nine speakers."""
    train, test = (
        rf.data.read_ts(readers.found("japanese_vowels", f"JapaneseVowels_{part}.ts.gz")) for part in ("TRAIN", "TEST")
    )
    x, y = part_of(share, train.x, train.y)
    x_test, y_test = part_of(share, test.x, test.y)
    return Problem(
        kind=rf.ManyToOne,
        options={"input_size": 12, "output_size": 9, "cell": "gru", "hidden_size": 64},
        x=x,
        y=np.array(y),
        batch_size=16,
        lr=1e-3,
        clip_norm=1.0,
        validation=(x_test, np.array(y_test)),
    )


def characters(share: float) -> Problem:
    """A quarter of tinyshakespeare, as 50 streams that are read in pieces of 50 characters."""
    text = readers.text(readers.found("shakespeare", "tinyshakespeare.txt.gz"))
    ids = rf.text.Vocabulary(text).encode(text)
    steps = round(share * len(ids)) // (4 * 50)
    return Problem(
        kind=rf.OneToMany,
        options={"input_size": int(ids.max()) + 1, "hidden_size": 128, "num_layers": 2, "embedding": 128},
        x=ids[: 50 * steps + 1],
        batch_size=50,
        lr=2e-3,
        clip_norm=5.0,
        tbptt=50,
    )


def hydrology(share: float) -> Problem:
    """Discharge after a year of 15 daily forcings, made by a linear reservoir: 2048 years."""
    count = max(256, round(2048 * share))
    x = np.random.default_rng(0).standard_normal((count, 365, 15), dtype=np.float32)
    y = np.maximum(x, 0)[:, :, 0] @ (0.95 ** np.arange(365)[::-1]).astype(np.float32)
    return Problem(
        kind=rf.ManyToOne,
        options={"input_size": 15, "output_size": 1, "hidden_size": 20, "task": "regression"},
        x=x,
        y=(y[:, None] - y.mean()) / y.std(),
        batch_size=256,
        lr=1e-3,
        clip_norm=1.0,
    )


def audio(share: float) -> Problem:
    """A distorted guitar, made: 50 segments of half a second, which are read in pieces of 1000 samples."""
    steps = 1000 * max(2, round(22 * share))
    noise = np.random.default_rng(0).standard_normal((50, steps, 1), dtype=np.float32)
    x = np.cumsum(noise, axis=1) - np.cumsum(np.roll(noise, 50, axis=1), axis=1)
    x /= np.abs(x).max()
    return Problem(
        kind=rf.ManyToMany,
        options={"input_size": 1, "output_size": 1, "hidden_size": 16, "task": "regression"},
        x=x,
        y=np.tanh(4 * x),
        batch_size=50,
        lr=5e-3,
        clip_norm=1.0,
        tbptt=1000,
    )


def tagging(share: float) -> Problem:
    """UD English ATIS: a tag for each word; the words of the training part, and one id for all others."""
    train, dev = (
        readers.tagged_sentences(readers.found("ud_atis", f"en_atis-{part}.form_upos.tsv.gz"))
        for part in ("train", "dev")
    )
    words = {word: k + 1 for k, word in enumerate(sorted({word for sentence in train for word, _ in sentence}))}
    tags = {tag: k for k, tag in enumerate(sorted({tag for sentence in (*train, *dev) for _, tag in sentence}))}
    parts = []
    for (sentences,) in (part_of(share, train), part_of(share, dev)):
        x = [np.array([words.get(word, 0) for word, _ in sentence]) for sentence in sentences]
        parts.append((x, [np.array([tags[tag] for _, tag in sentence]) for sentence in sentences]))
    options = {"input_size": len(words) + 1, "output_size": len(tags), "embedding": 64, "hidden_size": 64}
    return Problem(
        kind=rf.ManyToMany,
        options={**options, "bidirectional": True},
        x=parts[0][0],
        y=parts[0][1],
        batch_size=32,
        lr=1e-3,
        clip_norm=1.0,
        validation=parts[1],
    )


def dates(share: float) -> Problem:
    """Dates as people write them, translated into ISO 8601 under attention: 4096 pairs."""
    written, wanted = rf.data.synthetic.dates(max(64, round(4096 * share)), seed=0)
    read, iso = (rf.text.Vocabulary("".join(sorted(set("".join(texts))))) for texts in (written, wanted))
    options = {"source_size": len(read), "target_size": len(iso), "source_embedding": 32, "target_embedding": 32}
    return Problem(
        kind=rf.EncoderDecoder,
        options={**options, "hidden_size": 128, "attention": "dot"},
        x=[read.encode(text) for text in written],
        y=[iso.encode(text) for text in wanted],
        batch_size=32,
        lr=5e-3,
        clip_norm=1.0,
    )


PROBLEMS: dict[str, Callable[[float], Problem]] = {
    "characters": characters,
    "vowels": vowels,
    "hydrology": hydrology,
    "audio": audio,
    "tagging": tagging,
    "dates": dates,
}
"""Each by its name, as a function of the share of the data that it takes."""
