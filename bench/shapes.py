"""The registry of benchmarked shapes: what people run, and where each size comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Mode = Literal["forward", "train"]
MODES: tuple[Mode, ...] = ("forward", "train")


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
    the state of a previous chunk instead of zeros.
    """

    id: str
    cells: tuple[str, ...]
    L: int
    B: int
    T: int
    I: int  # noqa: E741
    H: int
    use: str
    modes: tuple[Mode, ...] = MODES
    target: Literal["all", "last"] = "all"
    carried: bool = False


ROWS: tuple[Row, ...] = (
    Row("S4", ("rnn", "lstm", "gru"), 1, 32, 24, 1, 25, "darts RNNModel defaults"),
    Row("S5", ("lstm",), 2, 32, 72, 20, 40, "GluonTS DeepAR defaults"),
    Row("S7", ("lstm",), 2, 128, 36, 1, 128, "neuralforecast LSTM, 12 steps ahead"),
    Row("S8", ("lstm",), 1, 256, 365, 15, 20, "neuralhydrology 1_basin.yml", target="last"),
    Row("S9", ("lstm",), 1, 256, 999, 4, 126, "NOAA-OWP lstm, seq999", target="last"),
    Row("S9-step", ("lstm",), 1, 1, 1, 4, 126, "NOAA-OWP lstm, one step", ("forward",), carried=True),
    Row("S10", ("lstm",), 1, 50, 1000, 1, 16, "Automated-GuitarAmpModelling", carried=True),
    Row("S11", ("lstm",), 1, 16, 512, 1, 24, "neural-amp-modeler", carried=True),
    Row("S22", ("lstm",), 1, 32, 100, 33, 128, "neurogym yang19 notebook"),
    Row("S23-one", ("gru", "gru_before"), 1, 1, 25, 10, 154, "ARM ML-KWS-for-MCU", ("forward",)),
    Row("S23", ("gru", "gru_before"), 1, 100, 25, 10, 154, "ARM ML-KWS-for-MCU"),
    Row("S25", ("lstm",), 2, 50, 50, 65, 128, "karpathy/char-rnn", carried=True),
    Row("S25-step", ("lstm",), 2, 1, 1, 65, 128, "char-rnn, one character", ("forward",), carried=True),
    Row("S26", ("lstm",), 2, 20, 35, 200, 200, "pytorch/examples word_language_model", carried=True),
    Row("S29", ("lstm", "gru"), 1, 64, 100, 512, 512, "PyTorch fastrnns bench defaults"),
)


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
    def flops(self) -> float:
        """Operations of the matrix products: ``2 G H (I + H) B T`` a layer, three times that to train."""
        row, gates = self.row, CELLS[self.cell].gates
        inputs = [row.I] + [row.H] * (row.L - 1)
        forward = sum(2.0 * gates * row.H * (size + row.H) * row.B * row.T for size in inputs)
        return forward * (3.0 if self.mode == "train" else 1.0)


def cases(
    *, ids: Sequence[str] | None = None, cells: Sequence[str] | None = None, rows: Iterable[Row] = ROWS
) -> list[Case]:
    """Expand rows into cases.

    ``ids`` selects rows, where ``S9`` also means ``S9-step``; ``cells`` replaces the cells that a row lists.
    Raises ValueError naming an id or a cell that does not exist.

    >>> [case.name for case in cases(ids=["S22"])]
    ['S22 lstm forward', 'S22 lstm train']
    """
    rows = list(rows)
    known = {name for row in rows for name in (row.id, row.id.split("-")[0])}
    unknown = [name for name in ids or () if name not in known]
    if unknown:
        raise ValueError(f"shapes: each must be one of {', '.join(row.id for row in rows)}, got {', '.join(unknown)}")
    unknown = [name for name in cells or () if name not in CELLS]
    if unknown:
        raise ValueError(f"cells: each must be one of {', '.join(CELLS)}, got {', '.join(unknown)}")
    chosen = [row for row in rows if ids is None or row.id in ids or row.id.split("-")[0] in ids]
    return [Case(row, cell, mode) for row in chosen for cell in cells or row.cells for mode in row.modes]
