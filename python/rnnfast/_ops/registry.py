"""What the engine's registry says of cells, activations, losses and optimisers."""

from __future__ import annotations

from dataclasses import dataclass

from rnnfast import _core


@dataclass(frozen=True, kw_only=True)
class CellFacts:
    """A cell of the engine.

    ``family`` is what layers ask for; a family's cells stand in the registry from the fastest to the most general one.
    ``activations`` are those of the papers, of f, g and h as far as the cell has them; ``options`` those of
    ``_ops.Cell`` and ``_ops.pack`` that the cell reads; ``gate_names`` the gates that a trace shows.
    """

    name: str
    family: str
    gates: int
    gate_names: tuple[str, ...]
    states: int
    peepholes: int
    activations: tuple[str, ...]
    options: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ActivationFacts:
    """An activation: defaults of the numbers it takes, alpha and beta, and what is ``required`` of alpha."""

    name: str
    numbers: tuple[float, ...]
    required: str


@dataclass(frozen=True, kw_only=True)
class LossFacts:
    """A loss; ``targets`` are "classes", one a row, or "numbers", one an output."""

    name: str
    targets: str


@dataclass(frozen=True, kw_only=True)
class OptimizerFacts:
    """An optimiser's rule: the options it reads, and what it keeps for every parameter."""

    name: str
    options: tuple[str, ...]
    buffers: tuple[str, ...]


CELLS = {entry["name"]: CellFacts(**entry) for entry in _core.cells()}
# The most general cell of each family: what a layer of the family may have.
FAMILIES = {cell.family: cell for cell in CELLS.values()}
ACTIVATIONS = {entry["name"]: ActivationFacts(**entry) for entry in _core.activations()}
LOSSES = {entry["name"]: LossFacts(**entry) for entry in _core.losses()}
OPTIMIZERS = {entry["name"]: OptimizerFacts(**entry) for entry in _core.optimizers()}
