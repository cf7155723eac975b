"""The registry of benchmarked shapes: what people run, and where each size comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Mode = Literal["infer", "train", "stream"]
MODES: tuple[Mode, ...] = ("infer", "train", "stream")
Group = Literal["table", "users", "sequences", "small"]
GROUPS: tuple[Group, ...] = ("table", "users", "sequences", "small")

STREAM_STEPS = 16
"""Steps whose results are compared before single steps are timed."""


@dataclass(frozen=True)
class Cell:
    """One kind of recurrent cell: its layer in rnnfast, the options that select it, its gates."""

    layer: str
    gates: int
    reset_after: bool | None = None


CELLS: dict[str, Cell] = {
    "rnn": Cell("RNN", 1),
    "lstm": Cell("LSTM", 4),
    "gru": Cell("GRU", 3, reset_after=True),
    "gru_before": Cell("GRU", 3, reset_after=False),
}


@dataclass(frozen=True)
class Row:
    """One shape: layers L, batch B, steps T, inputs I, hidden units H, and how it is used.

    ``target`` is what the loss sees: every output ("all") or the last state ("last"); ``carried`` rows start from
    the state of a previous chunk instead of zeros. Layers read in D directions. ``shortest`` rows are ragged: lengths
    lie evenly from there to T. ``quick`` rows are those of a quick run.
    """

    id: str
    cells: tuple[str, ...]
    L: int
    B: int
    T: int
    I: int  # noqa: E741
    H: int
    use: str
    modes: tuple[Mode, ...] = ("infer", "train")
    target: Literal["all", "last"] = "all"
    carried: bool = False
    D: int = 1
    shortest: int | None = None
    group: Group = "users"
    quick: bool = False


ALL, LSTM, GRU = ("lstm", "gru", "rnn"), ("lstm",), ("gru",)
TABLE_SIZES: tuple[tuple[tuple[str, ...], tuple[int, int, int, int]], ...] = (
    (ALL, (1, 100, 8, 16)),
    (ALL, (1, 100, 16, 64)),
    (ALL, (1, 100, 128, 128)),
    (ALL, (1, 100, 256, 256)),
    (LSTM, (1, 100, 512, 512)),
    (LSTM, (1, 50, 1024, 1024)),
    (ALL, (16, 100, 64, 64)),
    (ALL, (32, 100, 128, 128)),
    (ALL, (32, 100, 256, 256)),
    (ALL, (64, 50, 512, 512)),
    (LSTM, (128, 50, 64, 128)),
    (ALL, (64, 35, 650, 650)),
    (LSTM, (20, 35, 1500, 1500)),
)
"""Cells and (B, T, I, H) of the sweep from the smallest layer to the largest."""
STEP_SIZES: tuple[tuple[tuple[str, ...], tuple[int, int]], ...] = (
    (LSTM, (8, 16)),
    (ALL, (16, 64)),
    (LSTM, (128, 128)),
    (LSTM, (256, 256)),
)
"""Cells and (I, H) of the sweep over single steps."""


def table_rows() -> Iterator[Row]:
    """The rows of the group "table"; an id is its sizes, such as ``32x100x256x256``."""
    quick = {(1, 100, 16, 64), (32, 100, 128, 128)}
    for cells, size in TABLE_SIZES:
        name = "x".join(map(str, size))
        yield Row(name, cells, 1, *size, "sweep over sizes", group="table", quick=size in quick)
    for cells, (inputs, hidden) in STEP_SIZES:
        name, use, quick_row = f"step-{inputs}x{hidden}", "sweep over single steps", hidden == 64
        yield Row(name, cells, 1, 1, 1, inputs, hidden, use, ("stream",), group="table", quick=quick_row)


USERS_ROWS: tuple[Row, ...] = (
    Row("S2", LSTM, 1, 8, 1, 8, 256, "CleanRL and SB3, a step of 8 environments", ("stream",)),
    Row("S4", ("rnn", "lstm", "gru"), 1, 32, 24, 1, 25, "darts RNNModel defaults", quick=True),
    Row("S5", LSTM, 2, 32, 72, 20, 40, "GluonTS DeepAR defaults"),
    Row("S6", LSTM, 2, 3200, 1, 20, 40, "DeepAR, a step of 32 x 100 samples", ("infer",), carried=True),
    Row("S7", LSTM, 2, 128, 36, 1, 128, "neuralforecast LSTM, 12 steps ahead"),
    Row("S8", LSTM, 1, 256, 365, 15, 20, "neuralhydrology 1_basin.yml", target="last"),
    Row("S9", LSTM, 1, 256, 999, 4, 126, "NOAA-OWP lstm, seq999", target="last"),
    Row("S9-step", LSTM, 1, 1, 1, 4, 126, "NOAA-OWP lstm, one step", ("stream",)),
    Row("S10", LSTM, 1, 50, 1000, 1, 16, "Automated-GuitarAmpModelling", carried=True),
    Row("S11", LSTM, 1, 16, 512, 1, 24, "neural-amp-modeler", carried=True),
    Row("S12", LSTM, 1, 1, 64, 1, 24, "neural-amp-modeler, a block of 64 samples", ("infer",), carried=True),
    Row("S13", GRU, 3, 128, 50, 384, 384, "RNNoise v0.2, 50 of its 2000 steps"),
    Row("S14", GRU, 3, 1, 1, 384, 384, "RNNoise v0.2, one frame", ("stream",)),
    Row("S16", LSTM, 1, 1, 1, 128, 128, "Silero VAD, one frame", ("stream",), quick=True),
    Row("S17", LSTM, 3, 16, 259, 512, 256, "Open-Unmix, both directions", D=2),
    Row("S18", LSTM, 1, 1, 63, 24, 32, "oneDNN, a customer's speech model, both directions", ("infer",), D=2),
    Row("S19", LSTM, 2, 32, 60, 293, 128, "pyannet, both directions", ("infer",), D=2),
    Row("S22", LSTM, 1, 32, 100, 33, 128, "neurogym yang19 notebook"),
    Row("S23-one", ("gru", "gru_before"), 1, 1, 25, 10, 154, "ARM ML-KWS-for-MCU", ("infer",)),
    Row("S23", ("gru", "gru_before"), 1, 100, 25, 10, 154, "ARM ML-KWS-for-MCU"),
    Row("S24", LSTM, 3, 1, 1, 256, 256, "Vollo lstm_small, one tick", ("stream",)),
    Row("S25", LSTM, 2, 50, 50, 65, 128, "karpathy/char-rnn", carried=True),
    Row("S25-step", LSTM, 2, 1, 1, 65, 128, "char-rnn, one character", ("stream",)),
    Row("S26", LSTM, 2, 20, 35, 200, 200, "pytorch/examples word_language_model", carried=True),
    Row("S27", LSTM, 2, 32, 200, 128, 64, "keras-io IMDB, both directions, ragged", target="last", D=2, shortest=10),
    Row("S29", ("lstm", "gru"), 1, 64, 100, 512, 512, "PyTorch fastrnns bench defaults"),
    Row("S30-8", GRU, 1, 8, 30, 512, 512, "ONNX Runtime's tuning of GRU", ("infer",)),
    Row("S30-32", GRU, 1, 32, 30, 1024, 1024, "ONNX Runtime's tuning of GRU", ("infer",)),
    Row("S31", LSTM, 2, 8, 2000, 256, 256, "PyTorch, a report of slow inference", ("infer",)),
    Row("S32", ALL, 1, 32, 2000, 64, 64, "PyTorch, a report of slow packed sequences", shortest=10),
)
SEQUENCES_ROWS: tuple[Row, ...] = (
    Row("both-ways", LSTM, 1, 32, 200, 64, 64, "both directions", D=2, group="sequences", quick=True),
    Row("two-layers", LSTM, 2, 32, 200, 64, 64, "two layers", group="sequences"),
    Row("two-layers-both", LSTM, 2, 32, 200, 128, 64, "two layers, both directions", D=2, group="sequences"),
    Row("ragged", ALL, 1, 32, 200, 64, 128, "unequal lengths", shortest=10, group="sequences"),
)
SMALL_SIZES: tuple[tuple[tuple[int, int, int, int], str], ...] = (
    ((32, 24, 1, 25), "darts RNNModel defaults"),
    ((32, 72, 20, 40), "GluonTS DeepAR defaults"),
    ((256, 365, 15, 20), "neuralhydrology 1_basin.yml"),
    ((100, 20, 24, 48), "many short sequences"),
    ((256, 24, 5, 32), "many short sequences, few features"),
    ((50, 1000, 1, 16), "Automated-GuitarAmpModelling"),
    ((16, 512, 1, 24), "neural-amp-modeler"),
    ((50, 200, 2, 50), "neuroscience, two channels"),
    ((96, 60, 96, 96), "the largest of the small"),
)
"""(B, T, I, H) of small layers in large batches, one layer each, and who runs them."""


def small_rows() -> Iterator[Row]:
    """The rows of the group "small"; an id is its sizes."""
    for size, use in SMALL_SIZES:
        yield Row("x".join(map(str, size)), ALL, 1, *size, use, group="small", quick=size == (256, 24, 5, 32))


ROWS: tuple[Row, ...] = (*table_rows(), *USERS_ROWS, *SEQUENCES_ROWS, *small_rows())


@dataclass(frozen=True)
class Case:
    """One line of the table: a row, one of its cells, one mode."""

    row: Row
    cell: str
    mode: Mode

    @property
    def name(self) -> str:
        """The identity of the case in reports, such as ``S4 lstm train``."""
        return f"{self.row.id} {self.cell} {self.mode}"

    @property
    def steps(self) -> int:
        """Steps of one timed operation."""
        return 1 if self.mode == "stream" else self.row.T

    @property
    def lengths(self) -> list[int]:
        """Steps of every sequence, ascending."""
        B, T, shortest = self.row.B, self.steps, self.row.shortest
        return [T if shortest is None else shortest + (T - shortest) * i // max(B - 1, 1) for i in range(B)]

    @property
    def products(self) -> list[tuple[int, int]]:
        """Inputs and hidden units of every layer and direction."""
        D, H = self.row.D, self.row.H
        return [(self.row.I if layer == 0 else D * H, H) for layer in range(self.row.L) for _ in range(D)]

    @property
    def flops(self) -> float:
        """Operations of the products: ``2 G H (I + H)`` a step, layer and direction, three times that to train."""
        columns = 2.0 * CELLS[self.cell].gates * sum(self.lengths)
        forward = sum(columns * H * (inputs + H) for inputs, H in self.products)
        return forward * (3.0 if self.mode == "train" else 1.0)


def cases(
    *,
    ids: Sequence[str] | None = None,
    cells: Sequence[str] | None = None,
    groups: Sequence[str] = GROUPS,
    modes: Sequence[str] = MODES,
    quick: bool = False,
    rows: Iterable[Row] = ROWS,
) -> list[Case]:
    """Expand rows into cases.

    ``ids`` selects rows, where ``S9`` also means ``S9-step``; ``cells``, ``groups`` and ``modes`` keep those named.
    ``quick`` keeps the rows of a quick run. Raises ValueError naming an id that does not exist.

    >>> [case.name for case in cases(ids=["S22"])]
    ['S22 lstm infer', 'S22 lstm train']
    """
    rows = list(rows)
    known = {name for row in rows for name in (row.id, row.id.split("-")[0])}
    unknown = [name for name in ids or () if name not in known]
    if unknown:
        raise ValueError(f"shapes: each must be one of {', '.join(row.id for row in rows)}, got {', '.join(unknown)}")
    chosen = [row for row in rows if ids is None or row.id in ids or row.id.split("-")[0] in ids]
    return [
        Case(row, cell, mode)
        for row in chosen
        if row.group in groups and (row.quick or not quick)
        for cell in row.cells
        if cells is None or cell in cells
        for mode in row.modes
        if mode in modes
    ]
