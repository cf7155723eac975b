"""``ManyToMany`` and the same model in PyTorch, trained side by side: the losses agree all the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from tests.support.torch_models import (  # noqa: E402
    LOSSES,
    TORCH_LAYERS,
    TorchModel,
    assert_same_parameters,
    optimizer_of,
    padded,
    torch_losses,
)

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_torch_thread")]
LENGTHS = np.array([4, 11, 1, 7, 7, 2, 9, 5])
EXISTS = torch.arange(11) < torch.tensor(LENGTHS)[:, None]


def problem(
    cell: str, task: str, embedding: int | None, **options: Any
) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(0)
    model = rf.ManyToMany(
        7, 3, cell=cell, hidden_size=9, num_layers=2, embedding=embedding, task=task, dtype="float64", seed=1, **options
    )
    x = [rng.integers(0, 7, n) if embedding else rng.normal(size=(n, 7)) for n in LENGTHS]
    y = [rng.integers(0, 3, n) if task == "classification" else rng.uniform(size=(n, 3)) for n in LENGTHS]
    return model, x, y


def compare(cell: str, task: str, embedding: int | None, name: str, steps: int, rtol: float, **options: Any) -> None:
    """Train on all sequences for ``steps`` steps; compare the losses and, loosely, the parameters."""
    model, x, y = problem(cell, task, embedding, **options)
    peer = TorchModel(model, embedding or 7)
    targets = torch.cat([torch.tensor(t) for t in y])

    def loss(peer: TorchModel, inputs: Any) -> Any:
        return LOSSES[task](peer(inputs, LENGTHS)[0][EXISTS], targets)

    theirs = torch_losses(peer, loss, [(padded(x),)], name, steps, None)
    fitted = model.fit(x, y, epochs=steps, batch_size=8, optimizer=optimizer_of(name), shuffle=False, progress=False)
    np.testing.assert_allclose(fitted.history["loss"], theirs, rtol=rtol)
    assert theirs[-1] < theirs[0]
    assert_same_parameters(model, peer)


@pytest.mark.parametrize("cell", TORCH_LAYERS)
@pytest.mark.parametrize(("task", "embedding"), [("classification", 6), ("regression", None), ("multilabel", None)])
def test_fifty_steps(cell: str, task: str, embedding: int | None) -> None:
    compare(cell, task, embedding, "adam", 50, 1e-8)


@pytest.mark.parametrize("cell", TORCH_LAYERS)
def test_fifty_steps_both_ways(cell: str) -> None:
    compare(cell, "classification", 6, "adam", 50, 1e-8, bidirectional=True)


def test_fifty_steps_of_gradient_descent() -> None:
    compare("gru", "classification", None, "sgd", 50, 1e-8)


@pytest.mark.parametrize("cell", TORCH_LAYERS)
def test_two_hundred_steps(cell: str) -> None:
    compare(cell, "classification", 6, "adam", 200, 1e-6)
