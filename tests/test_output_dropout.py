"""Dropout of the input of a model's head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import _ops
from rnnfast.models.base import Heads
from rnnfast.models.config import HeadConfig
from rnnfast.tasks import Regression
from tests.support.matrix import ISAS

X = np.random.default_rng(0).normal(size=(6, 5, 3))
IDS = np.random.default_rng(0).integers(0, 4, (6, 5))
MODELS: dict[str, tuple[type[Any], tuple[int, int], dict[str, Any], tuple[Any, ...]]] = {
    "many to one": (rf.ManyToOne, (3, 2), {}, (X, np.arange(6) % 2)),
    "both directions": (
        rf.ManyToOne,
        (3, 2),
        {"bidirectional": True},
        ([x[: 1 + n] for n, x in enumerate(X[:5])], [0] * 5),
    ),
    "many to many": (rf.ManyToMany, (3, 4), {}, (X, IDS)),
    "one to many": (rf.OneToMany, (4, 4), {}, (IDS,)),
    "encoder decoder": (rf.EncoderDecoder, (4, 4), {"source_embedding": 2, "attention": "dot"}, (IDS, IDS)),
}
every_model = pytest.mark.parametrize(("cls", "sizes", "options", "data"), MODELS.values(), ids=MODELS.keys())


@pytest.mark.parametrize("rows", [1, 7, 300])
@pytest.mark.parametrize("width", [1, 5, 64])
def test_elements_are_kept_or_dropped(rows: int, width: int, dtype: str, isa: str, threads: int) -> None:
    """The mask is that of one thread and of the first instruction set, and kept elements are scaled."""
    x = np.random.default_rng(0).normal(size=(rows, width)).astype(dtype) + 10
    y = _ops.dropout(x, 0.25, 3, 5)
    kept = _ops.dropout(np.ones_like(x), 0.25, 3, 5) != 0
    np.testing.assert_array_equal(y, np.where(kept, x * np.dtype(dtype).type(1 / 0.75), 0))
    with rf.threads(1):
        np.testing.assert_array_equal(_ops.dropout(x, 0.25, 3, 5), y)
    if rows * width > 1000:
        share = 1 - kept.mean()
        assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / kept.size)
        assert (kept != (_ops.dropout(x, 0.25, 3, 6) != 0)).any()
        assert (kept != (_ops.dropout(x, 0.25, 4, 5) != 0)).any()


def test_masks_do_not_depend_on_the_instruction_set() -> None:
    from tests.support.state import using_isa

    x, masks = np.ones((40, 33), np.float32), set()
    for name in ISAS:
        with using_isa(name):
            masks.add(_ops.dropout(x, 0.5, 1, 2).tobytes())
    assert len(masks) == 1


@every_model
def test_only_training_drops(cls: Any, sizes: Any, options: Any, data: Any) -> None:
    plain = cls(*sizes, hidden_size=8, seed=0, **options)
    model = cls(*sizes, hidden_size=8, seed=0, output_dropout=0.4, **options)
    np.testing.assert_equal(model.state_dict(), plain.state_dict())
    assert model.loss(*data) == plain.loss(*data)
    losses = {model.loss_and_grad(*data) for _ in range(5)}
    assert len(losses) == 5
    assert model.loss(*data) == plain.loss(*data)
    assert len({plain.loss_and_grad(*data) for _ in range(2)}) == 1


@every_model
def test_gradients_are_those_of_the_dropped_outputs(cls: Any, sizes: Any, options: Any, data: Any) -> None:
    """Every parameter, by central differences of the loss under one mask."""
    model = cls(*sizes, hidden_size=3, seed=0, output_dropout=0.4, dtype="float64", **options)

    def loss() -> float:
        model.heads.set_random_state({"calls": 7})
        return float(model.loss_and_grad(*data))

    model.zero_grad()
    loss()
    gradients = {name: p.grad.copy() for name, p in model.parameters().items()}
    for name, p in model.parameters().items():
        for index in list(np.ndindex(p.shape))[:6]:
            kept, ends = float(p.value[index]), []
            for step in (1e-5, -1e-5):
                p[index] = kept + step
                ends.append(loss())
            p[index] = kept
            assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(gradients[name][index], rel=1e-5, abs=1e-8), name


@every_model
def test_training_repeats_itself(cls: Any, sizes: Any, options: Any, data: Any) -> None:
    """One seed gives the same result with any number of threads."""
    found = []
    for threads in (1, 2, 3):
        with rf.threads(threads):
            model = cls(*sizes, hidden_size=8, seed=0, output_dropout=0.4, **options)
            model.fit(*data, epochs=2, batch_size=2, progress=False, seed=1)
            found.append(model.state_dict())
    np.testing.assert_equal(found[1], found[0])
    np.testing.assert_equal(found[2], found[0])


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan"), "half"])
def test_a_probability_is_required(p: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="output_dropout: a "):
        rf.ManyToOne(3, 2, output_dropout=p)


def test_rows_that_are_not_read_get_no_gradient() -> None:
    config = {"": HeadConfig(task=Regression(), size=2)}
    heads = Heads(config, 4, np.dtype("float64"), np.random.default_rng(0), dropout=0.5)
    y, rows = np.ones((6, 4)), np.array([1, 4])
    outputs, tape = heads.forward(y, rows)
    assert outputs[""].shape == (2, 2)
    dy = heads.backward(tape, {"": np.ones((2, 2))})
    assert (dy[[0, 2, 3, 5]] == 0).all()
    assert 0 < np.count_nonzero(dy[rows]) < 8
