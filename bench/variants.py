"""Variants of the cells: the cost of each relative to its plain cell, in one process, in interleaved rounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

LIMIT = 1.5
"""The largest time allowed for a variant, as a fraction of its plain cell's."""


@dataclass(frozen=True)
class Variant:
    """A layer of rnnfast and the options that select the variant; ``plain`` those of the cell it is compared with.

    An option may be a function of the number of units.
    """

    name: str
    layer: str
    options: dict[str, Any]
    plain: dict[str, Any] = field(default_factory=dict)


_BEFORE = {"reset_after": False}
_OTHERS = ("hard_sigmoid", "softsign", "softplus")
VARIANTS: tuple[Variant, ...] = (
    Variant("activation", "RNN", {"activation": "softplus"}),
    Variant("clip", "RNN", {"clip": 1.0}),
    Variant("leak", "RNN", {"leak": 0.2}),
    Variant("noise", "RNN", {"noise": 0.1}),
    Variant("recurrent dropout", "RNN", {"recurrent_dropout": 0.1}),
    Variant("zoneout", "RNN", {"zoneout": 0.1}),
    Variant("activations", "LSTM", {"activations": _OTHERS}),
    Variant("clip", "LSTM", {"clip": 3.0}),
    Variant("peephole", "LSTM", {"peephole": True}),
    Variant("coupled", "LSTM", {"coupled": True}),
    Variant("projection, H/2", "LSTM", {"proj_size": lambda units: units // 2}),
    Variant("projection, H-1", "LSTM", {"proj_size": lambda units: units - 1}),
    Variant("recurrent dropout", "LSTM", {"recurrent_dropout": 0.1}),
    Variant("zoneout of h and c", "LSTM", {"zoneout": (0.1, 0.1)}),
    Variant("layer norm", "LSTM", {"layer_norm": True}),
    Variant("activations", "GRU", {"activations": ("hard_sigmoid", "elu")}),
    Variant("clip", "GRU", {"clip": 3.0}),
    Variant("recurrent dropout", "GRU", {"recurrent_dropout": 0.1}),
    Variant("zoneout", "GRU", {"zoneout": 0.1}),
    Variant("layer norm", "GRU", {"layer_norm": True}),
    Variant("reset before, activations", "GRU", {**_BEFORE, "activations": ("hard_sigmoid", "elu")}, _BEFORE),
    Variant("reset before, zoneout", "GRU", {**_BEFORE, "zoneout": 0.1}, _BEFORE),
    Variant("reset before, layer norm", "GRU", {**_BEFORE, "layer_norm": True}, _BEFORE),
)
SIZES = ((32, 100, 32, 50), (1, 100, 32, 64), (32, 100, 128, 256))
"""B, T, I, H."""


@dataclass(frozen=True)
class VariantRecord:
    """Times of a variant at one size, as fractions of the plain cell's: inference, and forward with backward."""

    variant: Variant
    size: tuple[int, int, int, int]
    threads: int
    infer: float
    train: float

    @property
    def worst(self) -> float:
        """The larger of the two."""
        return max(self.infer, self.train)


def _options(options: dict[str, Any], units: int) -> dict[str, Any]:
    """The options of a layer of ``units``; an option that is a function is called with their number."""
    return {name: value(units) if callable(value) else value for name, value in options.items()}


def measure(variant: Variant, size: tuple[int, int, int, int], *, threads: int, rounds: int) -> VariantRecord:
    """Return the least time of a variant divided by that of its plain cell; the two alternate."""
    import rnnfast

    B, T, I, H = size  # noqa: E741
    make = getattr(rnnfast, variant.layer)
    x = np.random.default_rng(0).normal(size=(B, T, I)).astype(np.float32)
    least = np.full((2, 2), np.inf)
    with rnnfast.threads(threads):
        layers = [make(I, H, seed=0, **_options(given, H)) for given in (variant.plain, variant.options)]
        dys = [np.ones((B, T, layer.output_size), np.float32) for layer in layers]
        for turn in range(8 * rounds + 1):
            for which, (layer, dy) in enumerate(zip(layers, dys, strict=True)):
                start = perf_counter()
                layer(x)
                middle = perf_counter()
                layer.backward(layer.forward(x)[2], dy)
                if turn:
                    taken = middle - start, perf_counter() - middle
                    least[which] = np.minimum(least[which], taken)
    infer, train = least[1] / least[0]
    return VariantRecord(variant, size, threads, float(infer), float(train))


def run(*, threads: int, rounds: int, quick: bool) -> Iterator[VariantRecord]:
    """Measure all variants at all sizes, or at the first one."""
    for size in SIZES[:1] if quick else SIZES:
        for variant in VARIANTS:
            yield measure(variant, size, threads=threads, rounds=rounds)


def header() -> str:
    """The head of the table."""
    return f"{'variant':34} {'B':>4} {'T':>4} {'I':>4} {'H':>4} {'threads':>8} {'infer':>6} {'train':>6}"


def line(record: VariantRecord) -> str:
    """One line of the table: times as multiples of the plain cell's."""
    B, T, I, H = record.size  # noqa: E741
    name = f"{record.variant.layer} {record.variant.name}"
    mark = "" if record.worst <= LIMIT else f"  above {LIMIT}"
    ratios = f"{record.infer:6.2f} {record.train:6.2f}"
    return f"{name:34} {B:4} {T:4} {I:4} {H:4} {record.threads:8} {ratios}{mark}"


def closing(records: list[VariantRecord]) -> str:
    """The most expensive variant, and the number of variants within the limit."""
    within = sum(record.worst <= LIMIT for record in records)
    dearest = max(records, key=lambda record: record.worst)
    name = f"{dearest.variant.layer} {dearest.variant.name}"
    return f"{within} of {len(records)} take at most {LIMIT} times the plain cell; dearest: {name}, {dearest.worst:.2f}"
