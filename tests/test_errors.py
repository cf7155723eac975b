"""Every refusal: its type, and that its message names the argument, what was required, and what came."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.comparison import unbundle
from tests.support.matrix import LAYERS

TOO_LARGE = (OverflowError, ValueError, MemoryError)


@pytest.fixture(params=LAYERS.values(), ids=lambda kind: kind.__name__)
def layer(request: pytest.FixtureRequest) -> Any:
    """A layer of C = 4, H = 8, L = 2 that must be unchanged after every refusal."""
    layer = request.param(4, 8, num_layers=2, seed=0)
    before = layer.state_dict()
    yield layer
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert not any(p.grad.any() for p in layer.parameters().values())


def x_of(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (x_of(5, 4), r"x: .*\(N, T, C\).* got .*\(5, 4\)"),
        (x_of(4), r"x: .*\(N, T, C\).* got .*\(4,\)"),
        (x_of(2, 3, 5), r"x: .*C = 4.* got .*5"),
        (x_of(2, 3, 0), r"x: .*C = 4.* got .*0"),
        (x_of(2, 3, 2, 2), r"x: .*reshape.*\(N, T, C\)"),
        (np.float32(1), r"x: .*\(N, T, C\)"),
    ],
    ids=["two axes", "one axis", "width", "no width", "four axes", "scalar"],
)
def test_shape_of_x(layer: Any, x: np.ndarray, message: str) -> None:
    for call in (layer, layer.forward):
        with pytest.raises(ValueError, match=message):
            call(x)


@pytest.mark.parametrize("dtype", ["float64", "float16", "complex64", "int32", "bool", "U3", "O"])
def test_dtype_of_x(layer: Any, dtype: str) -> None:
    x = np.zeros((2, 3, 4), dtype)
    for call in (layer, layer.forward):
        with pytest.raises(TypeError, match=rf"x: .*float32.* got .*{np.dtype(dtype)}"):
            call(x)


def test_a_float32_array_is_not_a_float64_one() -> None:
    with pytest.raises(TypeError, match=r"x: .*float64.* got .*float32"):
        rf.GRU(4, 8, dtype="float64")(x_of(2, 3, 4))


@pytest.mark.parametrize("x", [None, "text", 3, {"a": 1}], ids=repr)
def test_x_is_no_array(layer: Any, x: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="x: "):
        layer(x)


def states(layer: Any, *shape: int, dtype: str = "float32") -> Any:
    parts = [np.zeros(shape, dtype)] * (2 if isinstance(layer, rf.LSTM) else 1)
    return tuple(parts) if len(parts) == 2 else parts[0]


@pytest.mark.parametrize("shape", [(2, 3, 7), (1, 3, 8), (2, 2, 8), (3, 2, 8), (2, 8), (3, 8), ()], ids=str)
def test_shape_of_the_state(layer: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"(state|h|h0|state\[0\]).*: .*\(2, 3, 8\).* got") as caught:
        layer(x_of(3, 5, 4), states(layer, *shape))
    assert str(shape) in str(caught.value)


def test_dtype_of_the_state(layer: Any) -> None:
    with pytest.raises(TypeError, match=r"state.*: .*float32.* got .*float64"):
        layer(x_of(3, 5, 4), states(layer, 2, 3, 8, dtype="float64"))


def test_number_of_states() -> None:
    x, h = x_of(3, 5, 4), np.zeros((1, 3, 8), np.float32)
    with pytest.raises((TypeError, ValueError), match=r"state: .*\(h, c\)"):
        rf.LSTM(4, 8)(x, h)
    with pytest.raises((TypeError, ValueError), match=r"state: .*\(h, c\)"):
        rf.LSTM(4, 8)(x, (h,))
    with pytest.raises((TypeError, ValueError), match="state: "):
        rf.GRU(4, 8)(x, (h, h))


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([1, 2], r"lengths: .*\(N,\).*3.* got .*2"),
        ([[1, 2, 3]], r"lengths: .*\(N,\).*3.* got"),
        ([1, 2, 6], r"lengths: .*0..T.*5.* got .*6"),
        ([1, -1, 2], r"lengths: .*0..T.*5.* got .*-1"),
        ([1, 2, 2**62], r"lengths: .*0..T.*5.* got"),
        ([-(2**63), 2, 2], r"lengths: .*0..T.*5.* got"),
    ],
    ids=["too few", "two axes", "too long", "negative", "huge", "hugely negative"],
)
def test_bad_lengths(layer: Any, lengths: Any, message: str) -> None:
    for given in (lengths, np.array(lengths, np.int64)):
        for call in (layer, layer.forward):
            with pytest.raises(ValueError, match=message):
                call(x_of(3, 5, 4), lengths=given)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bool", "U3"])
def test_dtype_of_lengths(layer: Any, dtype: str) -> None:
    with pytest.raises(TypeError, match=r"lengths: .*integer.* got"):
        layer(x_of(3, 5, 4), lengths=np.ones(3, dtype))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
def test_every_integer_counts_as_a_length(layer: Any, dtype: str) -> None:
    expected, _ = layer(x_of(3, 5, 4), lengths=[5, 0, 2])
    np.testing.assert_array_equal(layer(x_of(3, 5, 4), lengths=np.array([5, 0, 2], dtype))[0], expected)


@pytest.mark.parametrize(
    ("x", "kind", "message"),
    [
        ([x_of(3, 4), x_of(3, 5)], ValueError, r"x\[1\]: .*C = 4.* got .*5"),
        ([x_of(3, 4), x_of(4)], ValueError, r"x\[1\]: .*\(T, C\).* got .*\(4,\)"),
        ([x_of(3, 4), np.zeros((3, 4))], TypeError, r"x\[1\]: .*float32.* got .*float64"),
    ],
    ids=["width", "axes", "dtype"],
)
def test_bad_lists(layer: Any, x: Any, kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        layer(x)


def test_a_list_has_its_own_lengths(layer: Any) -> None:
    with pytest.raises(ValueError, match="lengths"):
        layer([x_of(3, 4), x_of(2, 4)], lengths=[3, 2])


@pytest.mark.parametrize(
    ("dy", "kind", "message"),
    [
        (x_of(3, 5, 7), ValueError, r"dy: .*\(N, T, .\).*8.* got .*\(3, 5, 7\)"),
        (x_of(3, 8), ValueError, r"dy: .*\(N, T, .\).* got .*\(3, 8\)"),
        (np.ones((3, 5, 8)), TypeError, r"dy: .*float32.* got .*float64"),
    ],
    ids=["width", "axes", "dtype"],
)
def test_bad_gradients_of_outputs(layer: Any, dy: np.ndarray, kind: Any, message: str) -> None:
    _, _, tape = layer.forward(x_of(3, 5, 4))
    with pytest.raises(kind, match=message):
        layer.backward(tape, dy)


def test_bad_gradients_of_states(layer: Any) -> None:
    _, _, tape = layer.forward(x_of(3, 5, 4))
    with pytest.raises(ValueError, match=r"dstate.*: .*\(2, 3, 8\).* got .*\(1, 3, 8\)"):
        layer.backward(tape, x_of(3, 5, 8), states(layer, 1, 3, 8))
    _, _, tape = layer.forward(x_of(3, 5, 4))
    with pytest.raises(TypeError, match=r"dstate.*: .*float32.* got .*float64"):
        layer.backward(tape, x_of(3, 5, 8), states(layer, 2, 3, 8, dtype="float64"))


@pytest.mark.parametrize("tape", [None, 3, object()], ids=["None", "number", "object"])
def test_no_tape(layer: Any, tape: Any) -> None:
    with pytest.raises(TypeError, match="tape"):
        layer.backward(tape, x_of(3, 5, 8))


def test_save_is_a_choice(layer: Any) -> None:
    with pytest.raises(ValueError, match=r"save: .*got 'some'"):
        layer.forward(x_of(3, 5, 4), save="some")


@pytest.mark.parametrize(("rows", "steps"), [(0, 5), (3, 0), (0, 0)])
def test_nothing_to_do_is_no_error(layer: Any, rows: int, steps: int) -> None:
    state = states(layer, 2, rows, 8)
    y, last, tape = layer.forward(x_of(rows, steps, 4), state)
    assert y.shape == (rows, steps, 8)
    dx, dstate = layer.backward(tape, np.ones_like(y), last)
    assert dx.shape == (rows, steps, 4)
    for given, *results in zip(*map(unbundle, (state, last, dstate)), strict=True):
        for result in results:
            np.testing.assert_array_equal(result, given)
    y, _ = layer(x_of(rows, steps, 4), lengths=np.zeros(rows, int))
    assert y.shape == (rows, steps, 8)


def test_an_empty_list(layer: Any) -> None:
    y, _ = layer([])
    assert y.shape == (0, 0, 8)


def test_a_list_of_empty_sequences(layer: Any) -> None:
    y, _ = layer([x_of(0, 4), x_of(0, 4)])
    assert y.shape == (2, 0, 8)


@pytest.mark.parametrize("make", LAYERS.values(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"input_size": 0}, ValueError, "input_size: .* got 0"),
        ({"hidden_size": 0}, ValueError, "hidden_size: .* got 0"),
        ({"hidden_size": -3}, ValueError, "hidden_size: .* got -3"),
        ({"hidden_size": 2.5}, TypeError, "hidden_size: .* got .*(float|2.5)"),
        ({"num_layers": 0}, ValueError, "num_layers: .* got 0"),
        ({"num_layers": "2"}, TypeError, "num_layers: .* got .*(str|'2')"),
        ({"dropout": -0.1}, ValueError, "dropout: .* got -0.1"),
        ({"dropout": 1.5}, ValueError, "dropout: .* got 1.5"),
        ({"dropout": float("nan")}, ValueError, "dropout: .* got nan"),
        ({"dtype": "float16"}, TypeError, "dtype: .*float32.*float64.* got .*float16"),
        ({"dtype": "int32"}, TypeError, "dtype: .*float32.*float64.* got .*int32"),
        ({"dtype": "nonsense"}, TypeError, "nonsense"),
        ({"seed": -1}, ValueError, "seed: |non-negative"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_options(make: Any, options: dict[str, Any], kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        make(**{"input_size": 4, "hidden_size": 8, **options})


def test_unknown_activation() -> None:
    with pytest.raises(ValueError, match=r"activation: .*tanh.*relu.*identity.* got 'cube'"):
        rf.RNN(4, 8, activation="cube")


@pytest.mark.parametrize("make", LAYERS.values(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("sizes", [(2**62, 2**62), (4, 2**33), (2**62, 4), (2**64, 4)], ids=str)
def test_layers_too_large_to_exist(make: Any, sizes: tuple[int, int]) -> None:
    with pytest.raises(TOO_LARGE):
        make(*sizes)


@pytest.mark.parametrize("shape", [(2**30, 2**28, 4), (2**56, 1, 4), (1, 2**56, 4)], ids=str)
def test_calls_too_large_to_answer(layer: Any, shape: tuple[int, ...]) -> None:
    """An array of no memory that pretends to a size whose outputs no machine can hold."""
    x = np.broadcast_to(np.float32(0), shape)
    for call in (layer, layer.forward):
        with pytest.raises(TOO_LARGE):
            call(x)


def test_bad_values_of_a_parameter(layer: Any) -> None:
    p = layer.parameters()["weight_hh_l0"]
    with pytest.raises(ValueError, match=rf"\({p.shape[0]}, 8\).* got \(2, 2\)"):
        p.assign(np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match=rf"\(2,2\).*\({p.shape[0]},8\)"):
        p[...] = np.zeros((2, 2), np.float32)


@pytest.mark.parametrize("count", [0, -1, 100_000, 2**40])
def test_bad_numbers_of_threads(count: int) -> None:
    before = rf.get_num_threads()
    with pytest.raises(ValueError, match=rf"(threads|n|num_threads): .* got {count}"):
        rf.set_num_threads(count)
    assert rf.get_num_threads() == before


def test_threads_are_restored_after_an_error() -> None:
    before = rf.get_num_threads()
    with pytest.raises(KeyError), rf.threads(before + 1):
        raise KeyError
    assert rf.get_num_threads() == before


def test_dy_has_the_shape_of_y() -> None:
    layer = rf.GRU(2, 3)
    tape = layer.forward(np.ones((2, 3, 2), np.float32))[2]
    with pytest.raises(ValueError, match=r"^dy: the shape of y, N = 2 and T = 3, is required, got \(2, 2, 3\)"):
        layer.backward(tape, np.ones((2, 2, 3), np.float32))
