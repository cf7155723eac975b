"""Tasks from outside: one class each, with a head of another width than the targets, with options, in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import rnnfast as rf
from rnnfast.metrics import Metric
from rnnfast.tasks import as_task, task_config

Array = npt.NDArray[Any]
C, K = 3, 2


class Normal(rf.Task):
    """Independent normal distributions: mean and logarithm of the standard deviation of each number."""

    name = "test_normal"

    def outputs(self, size: int) -> int:
        return 2 * size

    def loss(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        mean, log_std = np.split(outputs.astype(np.float64), 2, axis=1)
        z = (targets - mean) * np.exp(-log_std)
        w = np.ones(len(z)) if weights is None else weights.astype(np.float64)
        share = (w / max(w.sum() * z.shape[1], 1e-300))[:, None]
        gradient = np.concatenate([-z * np.exp(-log_std), 1 - z**2], axis=1)
        return float((share * (z**2 / 2 + log_std)).sum()), (share * gradient).astype(outputs.dtype)

    def decide(self, outputs: Array) -> Array:
        return np.split(outputs, 2, axis=1)[0]


class Quantiles(rf.Task):
    """The pinball loss of several levels (Koenker and Bassett 1978)."""

    name = "test_quantiles"

    def __init__(self, levels: tuple[float, ...] = (0.1, 0.5, 0.9)) -> None:
        self.levels = tuple(levels)

    def options(self) -> dict[str, Any]:
        return {"levels": self.levels}

    def outputs(self, size: int) -> int:
        return size * len(self.levels)

    def _errors(self, outputs: Array, targets: Array) -> Array:
        errors: Array = targets[:, :, None] - outputs.reshape(len(outputs), -1, len(self.levels))
        return errors

    def loss(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        errors, q = self._errors(outputs, targets), np.array(self.levels)
        w = np.ones(len(errors)) if weights is None else weights
        share = (w / max(w.sum() * errors[0].size, 1e-300))[:, None, None] if len(errors) else 1.0
        loss = float((share * np.maximum(q * errors, (q - 1) * errors)).sum())
        return loss, (share * np.where(errors > 0, -q, 1 - q)).reshape(outputs.shape).astype(outputs.dtype)

    def decide(self, outputs: Array) -> Array:
        return outputs.reshape(len(outputs), -1, len(self.levels))

    def metrics(self) -> list[Metric]:
        return []


TASKS: dict[str, tuple[Any, int]] = {
    "by name": ("test_normal", 2 * K),
    "an object": (Normal(), 2 * K),
    "with options": (Quantiles((0.25, 0.75, 0.9)), 3 * K),
    "by configuration": ({"name": "test_quantiles", "levels": (0.5,)}, K),
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["one", "many"])
def test_a_head_as_wide_as_the_task_asks(task: str, kind: str, tmp_path: Path, rng: np.random.Generator) -> None:
    given, width = TASKS[task]
    x = [rng.normal(size=(length, C)) for length in (4, 2, 5)]
    make = rf.ManyToOne if kind == "one" else rf.ManyToMany
    y: Any = rng.normal(size=(3, K)) if kind == "one" else [rng.normal(size=(len(s), K)) for s in x]
    model: Any = make(C, K, task=given, hidden_size=4, seed=0, dtype="float64")
    assert model.head.weight.shape == (width, 4)
    rf.check_gradient(lambda: model.loss_and_grad(x, y), model.parameters())
    history = model.fit(x, y, epochs=25, lr=0.05, progress=False, seed=0, validation_data=(x, y)).history
    assert history["val_loss"][-1] < history["val_loss"][0]
    model.save(tmp_path / "model.safetensors")
    same = rf.load(tmp_path / "model.safetensors")
    assert task_config(same.task) == task_config(model.task)
    assert same.loss(x, y) == model.loss(x, y)
    assert sorted(model.evaluate(x, y)) == ["loss"]


def test_quantiles_cover_what_they_say(rng: np.random.Generator) -> None:
    """A tenth of the targets lies below the first quantile of a distribution that does not depend on x."""
    x, y = np.zeros((2000, 2, 1)), rng.normal(size=(2000, 1))
    model = rf.ManyToOne(1, 1, task=Quantiles(), hidden_size=2, seed=0)
    model.fit(x, y, epochs=60, batch_size=200, lr=0.05, progress=False, seed=0)
    assert model.predict(x[:1])[0, 0] == pytest.approx([-1.28, 0.0, 1.28], abs=0.15)


class Exponential(rf.Task):
    """Outputs that are not the elements, though there are as many."""

    name = "test_exponential"

    def loss(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        raise NotImplementedError

    def decide(self, outputs: Array) -> Array:
        found: Array = np.exp(outputs)
        return found


@pytest.mark.parametrize("task", ["test_normal", "test_exponential"])
@pytest.mark.parametrize("make", [rf.OneToMany, lambda *sizes, **given: rf.EncoderDecoder(C, *sizes[1:], **given)])
def test_a_model_that_writes_reads_what_it_writes(make: Any, task: str) -> None:
    with pytest.raises(ValueError, match=f"task: one whose outputs are the next element is required, got '{task}'"):
        make(K, K, task=task)


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"task: one of classification, .*test_normal.* is required, got 'normel'"):
        as_task("task", "normel")
    with pytest.raises((TypeError, ValueError), match=r"task: one of .* is required"):
        as_task("task", 3)


def test_the_elements_of_the_tasks() -> None:
    """What a model that writes feeds back, and the dtype of predictions."""
    facts = {
        name: (as_task("task", name).element, as_task("task", name).dtype(np.dtype("float32")).name)
        for name in ("classification", "regression", "multilabel")
    }
    assert facts == {
        "classification": ("id", "int64"),
        "regression": ("vector", "float32"),
        "multilabel": ("labels", "int64"),
    }


def test_a_task_of_weights_of_elements_only() -> None:
    """A task from outside knows no missing values, and no weights of single numbers."""
    model = rf.ManyToOne(C, K, task=Normal(), hidden_size=3)
    x, y = np.zeros((2, 4, C)), np.ones((2, K))
    with pytest.raises(ValueError, match=r"^sample_weight: shape \(N,\) = \(2,\) is required, got \(2, 2\)"):
        model.loss(x, y, sample_weight=np.ones((2, K)))
    y[0, 1] = np.nan
    with pytest.raises(ValueError, match=r"^y: finite numbers are required, got nan in sequence 0, number 1 of 2"):
        model.loss(x, y)
