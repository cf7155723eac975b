"""Layers without a recurrence: values, gradients, tapes, copies, and what they refuse."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import _ops, init

MAKES: dict[str, Callable[..., Any]] = {
    "linear": lambda **options: rf.Linear(3, 5, seed=0, **options),
    "no bias": lambda **options: rf.Linear(3, 5, bias=False, seed=0, **options),
    "embedding": lambda **options: rf.Embedding(7, 5, seed=0, **options),
    "dropout": lambda **options: rf.Dropout(0.4, seed=0),
}
every_block = pytest.mark.parametrize("name", MAKES)
AXES = [(), (4,), (2, 3), (2, 0), (2, 1, 3, 2)]


def given(name: str, axes: tuple[int, ...] = (4, 6), dtype: str = "float32") -> Any:
    rng = np.random.default_rng(len(axes))
    return rng.integers(0, 7, axes) if name == "embedding" else rng.normal(size=(*axes, 3)).astype(dtype)


@every_block
@pytest.mark.parametrize("axes", AXES)
def test_any_leading_axes(name: str, axes: tuple[int, ...], dtype: str) -> None:
    """Each row is computed by itself, and forward returns the bits of the call."""
    block, x = MAKES[name](dtype=dtype), given(name, axes, dtype)
    y = block(x)
    assert y.shape == (*axes, 3 if name == "dropout" else 5)
    assert y.dtype == dtype
    for index in np.ndindex(axes):
        np.testing.assert_array_equal(block(x[index]), y[index])
    unchanged, tape = block.forward(x, training=False)
    np.testing.assert_array_equal(unchanged, y)
    dx = block.backward(tape, np.ones_like(y))
    assert dx is None if name == "embedding" else (dx.shape, dx.dtype) == (x.shape, x.dtype)


def test_a_linear_layer_is_an_affine_map() -> None:
    layer, x = rf.Linear(3, 5, dtype="float64", seed=0), given("linear", dtype="float64")
    assert layer.bias is not None
    np.testing.assert_allclose(layer(x), x @ layer.weight.value.T + layer.bias.value, rtol=1e-14, atol=1e-15)
    assert rf.Linear(3, 5, bias=False, seed=0).bias is None
    np.testing.assert_allclose(MAKES["no bias"](dtype="float64")(x), x @ layer.weight.value.T, rtol=1e-14, atol=1e-15)


def test_an_embedding_takes_rows() -> None:
    layer, ids = rf.Embedding(7, 5, seed=0), given("embedding")
    np.testing.assert_array_equal(layer(ids), layer.weight.value[ids])
    np.testing.assert_array_equal(layer(ids.astype(np.uint8)), layer(ids.tolist()))
    assert layer([]).shape == (0, 5)


@pytest.mark.parametrize("name", ["linear", "no bias", "embedding"])
def test_gradients_of_parameters(name: str) -> None:
    block, x = MAKES[name](dtype="float64"), given(name, dtype="float64")

    def loss() -> float:
        y, tape = block.forward(x)
        block.backward(tape, np.cos(y))
        return float(np.sin(y).sum())

    report = rf.check_gradient(loss, block.parameters(), samples=None)
    assert report.error < 1e-7
    assert report.compared == sum(p.value.size for p in block.parameters().values())


@pytest.mark.parametrize("name", ["linear", "dropout"])
def test_gradients_of_x(name: str) -> None:
    """The loss of x, as a parameter of its own; of dropout with the mask of one call."""
    x = rf.Parameter(given(name, dtype="float64"))

    def loss() -> float:
        block = MAKES[name](dtype="float64")
        y, tape = block.forward(x.value)
        x.grad += block.backward(tape, np.cos(y))
        return float(np.sin(y).sum())

    assert rf.check_gradient(loss, {"x": x}, samples=None).error < 1e-7


def test_gradients_are_added() -> None:
    layer, x = MAKES["linear"](), given("linear")
    for _ in range(2):
        y, tape = layer.forward(x)
        layer.backward(tape, np.ones_like(y))
    np.testing.assert_allclose(layer.weight.grad, np.tile(2 * x.sum(axis=(0, 1)), (5, 1)), rtol=1e-5)
    np.testing.assert_array_equal(layer.bias.grad, np.full(5, 48, np.float32))


def test_dropout_scales_what_it_keeps(dtype: str) -> None:
    block, x = rf.Dropout(0.25, seed=0), np.ones((50, 40), dtype)
    y, tape = block.forward(x)
    np.testing.assert_array_equal(np.unique(y), np.array([0, 1 / 0.75], dtype))
    assert 0.2 < (y == 0).mean() < 0.3
    np.testing.assert_array_equal(block.backward(tape, x), y)
    assert (block.forward(x)[0] != y).any()
    assert block(x) is x
    assert rf.Dropout(0).forward(x)[0] is x


def test_masks_are_functions_of_seed_call_row_and_unit(threads: int) -> None:
    """Not of threads, dtype or leading axes."""
    first, second = (rf.Dropout(0.5, seed=3) for _ in range(2))
    x = np.ones((300, 70))
    with rf.threads(1):
        expected = [first.forward(x)[0] for _ in range(2)]
    for whole in expected:
        np.testing.assert_array_equal(second.forward(x.astype("f").reshape(3, 100, 70))[0].reshape(x.shape), whole)
    np.testing.assert_array_equal(rf.Dropout(0.5, seed=3).forward(x[:20])[0], expected[0][:20])


def test_first_values_are_those_of_a_generator() -> None:
    """In the order weight, bias; a generator given as seed is advanced."""
    layer = rf.Linear(9, 5, dtype="float64", seed=np.random.default_rng(4))
    rng = np.random.default_rng(4)
    for p, shape in zip(layer.parameters().values(), ((5, 9), (5,)), strict=True):
        np.testing.assert_array_equal(p.value, init.uniform(shape, 1 / 3, rng=rng, dtype="float64"))
    np.testing.assert_array_equal(rf.Linear(9, 5, dtype="float64", seed=4).weight.value, layer.weight.value)
    vectors = rf.Embedding(7, 5, seed=np.random.default_rng(4)).weight.value
    np.testing.assert_array_equal(vectors, init.normal((7, 5), rng=np.random.default_rng(4), dtype="float32"))
    rng = np.random.default_rng(4)
    assert (rf.Linear(9, 5, seed=rng).weight.value != rf.Linear(9, 5, seed=rng).weight.value).all()


def test_dropout_takes_the_first_number_of_a_generator() -> None:
    x, seed = np.ones((4, 50)), int(np.random.default_rng(4).integers(2**63))
    expected = _ops.dropout(x, 0.5, seed, 1)
    for given_seed in (4, np.random.default_rng(4)):
        np.testing.assert_array_equal(rf.Dropout(0.5, seed=given_seed).forward(x)[0], expected)


@every_block
def test_a_tape_is_used_once_by_its_layer(name: str) -> None:
    block, x = MAKES[name](), given(name)
    y, tape = block.forward(x)
    with pytest.raises(RuntimeError, match=r"^tape: one of this layer's own forward calls is required"):
        MAKES[name]().backward(tape, y)
    with pytest.raises(ValueError, match=r"^dy: the shape of y = "):
        block.backward(tape, y[0])
    block.backward(tape, y)
    assert tape.used
    with pytest.raises(RuntimeError, match=r"^tape: a new one is required for every backward"):
        block.backward(tape, y)
    with pytest.raises(TypeError, match=r"^tape: what forward returned is required, got None"):
        block.backward(None, y)
    with pytest.raises(TypeError, match=r"BlockTape: it cannot be copied or pickled"):
        copy.copy(tape)


@pytest.mark.parametrize("name", ["linear", "no bias", "embedding"])
def test_a_tape_ends_with_its_parameters(name: str) -> None:
    for key in MAKES[name]().parameters():
        block = MAKES[name]()
        y, tape = block.forward(given(name))
        block.parameters()[key][...] = 0
        with pytest.raises(RuntimeError, match=r"^tape: unchanged parameters are required"):
            block.backward(tape, y)
        assert not block.parameters()[key].grad.any()


def test_what_is_refused() -> None:
    linear, embedding, dropout = MAKES["linear"](), MAKES["embedding"](), MAKES["dropout"]()
    make: Any = rf.Linear
    for call, message in (
        (lambda: linear(np.ones((2, 3))), r"^x: dtype float32 is required, got float64"),
        (lambda: linear(np.ones((2, 4), "f")), r"^x: shape \(..., F\) with F = 3 is required, got \(2, 4\)"),
        (lambda: linear(np.float32(1)), r"^x: shape \(..., F\) with F = 3 is required, got \(\)"),
        (lambda: embedding([[0, 1], [2, 7]]), r"^x: ids 0..V-1 \(V = 7\) are required, got 7 at index \(1, 1\)"),
        (lambda: embedding(np.array([3, -1])), r"^x: ids 0..V-1 \(V = 7\) are required, got -1 at index \(1,\)"),
        (lambda: embedding([0.5]), r"^x: integer ids are required, got dtype float64"),
        (lambda: dropout(np.ones(3, int)), r"^x: float32 or float64 is required, got dtype int64"),
        (lambda: dropout(np.ones(())), r"^x: one axis or more, \(..., F\), is required, got none"),
        (lambda: rf.Dropout(1.0), r"^p: a probability within \[0, 1\) is required, got 1.0"),
        (lambda: make(3, 5, units=4), r"^Linear: unknown argument 'units'"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            call()
    y, tape = linear.forward(given("linear"))
    with pytest.raises(TypeError, match=r"^dy: dtype float32 is required, got float64"):
        linear.backward(tape, y.astype(float))


WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda block: pickle.loads(pickle.dumps(block)),
}


@every_block
@pytest.mark.parametrize("way", WAYS)
def test_copies_go_on_alike_and_share_nothing(name: str, way: str) -> None:
    block, x = MAKES[name](), given(name)
    block.forward(x)
    copied = WAYS[way](block)
    for key, p in block.parameters().items():
        assert not np.shares_memory(p.value, copied.parameters()[key].value)
        np.testing.assert_array_equal(p.value, copied.parameters()[key].value)
    for _ in range(2):
        results = []
        for each in (block, copied):
            y, tape = each.forward(x)
            each.backward(tape, y)
            results.append([y, *(p.grad for p in each.parameters().values())])
        for a, b in zip(*results, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_state_goes_from_one_to_another() -> None:
    layer, other = rf.Linear(3, 5, seed=0), rf.Linear(3, 5, seed=1)
    other.load_state_dict(layer.state_dict())
    assert list(layer.state_dict()) == ["weight", "bias"]
    np.testing.assert_array_equal(other(given("linear")), layer(given("linear")))
    assert rf.Dropout().state_dict() == {}


@every_block
def test_repr_builds_it_again(name: str) -> None:
    block = MAKES[name]()
    text = repr(block).replace("dtype=float32", "dtype='float32'")
    assert repr(eval(f"rf.{text}")) == repr(block)


@pytest.mark.parametrize("axes", [(6,), (2, 4)])
def test_torch_agrees(axes: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    layer, embedding = rf.Linear(3, 5, dtype="float64", seed=0), rf.Embedding(7, 3, dtype="float64", seed=0)
    theirs = torch.nn.Sequential(torch.nn.Embedding(7, 3), torch.nn.Linear(3, 5)).double()
    names = {"0.weight": embedding.weight, **{f"1.{name}": p for name, p in layer.parameters().items()}}
    theirs.load_state_dict({key: torch.tensor(p.value) for key, p in names.items()})
    ids = np.random.default_rng(0).integers(0, 7, axes)
    vectors, first = embedding.forward(ids)
    y, second = layer.forward(vectors)
    embedding.backward(first, layer.backward(second, y))
    expected = theirs(torch.tensor(ids))
    (expected**2 / 2).sum().backward()
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-12)
    for key, p in theirs.named_parameters():
        np.testing.assert_allclose(names[key].grad, p.grad.numpy(), rtol=1e-11, atol=1e-12)


def test_blocks_and_a_layer_learn_together() -> None:
    """Which sequences contain a 0? Embedding, GRU, dropout and head, with one optimiser."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 8, (200, 6))
    target = (ids == 0).any(axis=1)[:, None].astype(np.float32)
    parts: dict[str, Any] = {
        "embedding": rf.Embedding(8, 4, seed=0),
        "rnn": rf.GRU(4, 12, seed=1),
        "head": rf.Linear(12, 1, seed=2),
    }
    dropout = rf.Dropout(0.1, seed=3)
    named = {f"{part}.{name}": p for part, module in parts.items() for name, p in module.parameters().items()}
    optimizer = rf.Adam(named, lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        x, first = parts["embedding"].forward(ids)
        _, h, second = parts["rnn"].forward(x)
        kept, third = dropout.forward(h[-1])
        y, fourth = parts["head"].forward(kept)
        dh = dropout.backward(third, parts["head"].backward(fourth, 2 * (y - target) / len(y)))
        parts["embedding"].backward(first, parts["rnn"].backward(second, None, dh[None])[0])
        optimizer.step()
    y = parts["head"](parts["rnn"](parts["embedding"](ids))[1][-1])
    assert ((y > 0.5) == target).mean() > 0.9
