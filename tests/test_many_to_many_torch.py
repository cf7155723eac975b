"""``ManyToMany`` and the same model in PyTorch, trained side by side: the losses agree all the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from tests.test_models_torch import CELLS, OPTIMIZERS, Twin, padded  # noqa: E402
from tests.test_models_torch import one_thread as one_thread  # noqa: E402

pytestmark = pytest.mark.torch
LENGTHS = np.array([4, 11, 1, 7, 7, 2, 9, 5])
EXISTS = torch.arange(11) < torch.tensor(LENGTHS)[:, None]
LOSSES = {
    "classification": torch.nn.functional.cross_entropy,
    "regression": torch.nn.functional.mse_loss,
    "multilabel": torch.nn.functional.binary_cross_entropy_with_logits,
}


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


def torch_losses(twin: Twin, task: str, x: Any, y: Any, name: str, steps: int) -> list[float]:
    kind, lr = OPTIMIZERS[name]
    optimizer = kind(twin.parameters(), lr=lr)
    inputs, targets = padded(x), torch.cat([torch.tensor(t) for t in y])
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = LOSSES[task](twin(inputs, LENGTHS)[0][EXISTS], targets)
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
    return losses


def compare(cell: str, task: str, embedding: int | None, name: str, steps: int, rtol: float, **options: Any) -> None:
    """Train for so many steps of all sequences; compare the losses and, loosely, what was learned."""
    model, x, y = problem(cell, task, embedding, **options)
    twin = Twin(model, embedding or 7)
    theirs = torch_losses(twin, task, x, y, name, steps)
    lr = OPTIMIZERS[name][1]
    optimizer = rf.Adam(lr=lr) if name == "adam" else rf.SGD(lr=lr)
    fitted = model.fit(x, y, epochs=steps, batch_size=8, optimizer=optimizer, shuffle=False, progress=False)
    np.testing.assert_allclose(fitted.history["loss"], theirs, rtol=rtol)
    assert theirs[-1] < theirs[0]
    for key, value in twin.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[key], value.numpy(), rtol=1e-5, atol=1e-7, err_msg=key)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("task", "embedding"), [("classification", 6), ("regression", None), ("multilabel", None)])
def test_fifty_steps(cell: str, task: str, embedding: int | None) -> None:
    compare(cell, task, embedding, "adam", 50, 1e-8)


@pytest.mark.parametrize("cell", CELLS)
def test_fifty_steps_both_ways(cell: str) -> None:
    compare(cell, "classification", 6, "adam", 50, 1e-8, bidirectional=True)


def test_fifty_steps_of_gradient_descent() -> None:
    compare("gru", "classification", None, "sgd", 50, 1e-8)


@pytest.mark.parametrize("cell", CELLS)
def test_two_hundred_steps(cell: str) -> None:
    compare(cell, "classification", 6, "adam", 200, 1e-6)
