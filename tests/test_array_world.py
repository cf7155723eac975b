"""Arrays of other libraries: PyTorch, JAX, pandas, polars, and objects with a protocol of NumPy or DLPack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import _ops, checks
from rnnfast.data.sequences import as_real_sequences

X = np.random.default_rng(0).normal(size=(2, 3, 2)).astype(np.float32)


class ByArray:
    """An array by ``__array__`` alone; read-only, as JAX arrays are."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values.view()
        self.values.flags.writeable = False

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.values if dtype is None else self.values.astype(dtype)


class ByInterface:
    """An array by ``__array_interface__`` alone."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self.values.__array_interface__


class ByDLPack:
    """An array by ``__dlpack__`` alone."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.values.__dlpack_device__()


PROTOCOLS = [ByArray, ByInterface, ByDLPack]


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def layers() -> list[Any]:
    return [rf.RNN(2, 4, seed=0), rf.LSTM(2, 4, seed=0), rf.GRU(2, 4, seed=0), rf.Linear(2, 4, seed=0)]


def outputs(layer: Any, x: Any) -> np.ndarray:
    found = layer(x)
    y = found[0] if isinstance(found, tuple) else found
    assert type(y) is np.ndarray
    return y


def require_no_copy(x: Any, where: int) -> None:
    """The engine reads the array where it lies."""
    assert address(checks.as_array("x", x)) == where
    assert address(_ops.sequences("x", x, 2, np.dtype("float32"), time_major=False)) == where
    assert address(as_real_sequences(x, 2, np.dtype("float32")).values) == where
    for layer in layers():
        np.testing.assert_array_equal(outputs(layer, x), outputs(layer, X))
    model = rf.ManyToOne(2, 3, hidden_size=4, seed=0)
    np.testing.assert_array_equal(model.predict_proba(x), model.predict_proba(X))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_protocols_are_read_without_a_copy(protocol: Any) -> None:
    require_no_copy(protocol(X), address(X))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_protocols_are_arrays_everywhere(protocol: Any) -> None:
    layer, model = rf.GRU(2, 4, seed=0), rf.ManyToMany(2, 3, hidden_size=4, seed=0)
    given = [protocol(s) for s in X]
    np.testing.assert_array_equal(layer(given)[0], layer(X)[0])
    stream = layer.stream(batch_size=2)
    np.testing.assert_array_equal(stream.step(protocol(X[:, 0].copy())), layer(X[:, :1])[0][:, 0])
    y = np.array([[0, 1, 2], [2, 1, 0]])
    assert model.loss(protocol(X), protocol(y)) == model.loss(X, y)
    assert model.loss(given, [protocol(row) for row in y]) == model.loss(X, y)
    ids = rf.OneToMany(5, embedding=2, hidden_size=3, seed=0)
    written = ids.generate(np.array([1, 2]), 4, greedy=True)
    np.testing.assert_array_equal(ids.generate(protocol(np.array([1, 2])), 4, greedy=True), written)
    layer.load_state_dict({name: protocol(value) for name, value in layer.state_dict().items()})


def test_dlpack_elsewhere_is_refused() -> None:
    class Elsewhere(ByDLPack):
        def __dlpack__(self, **options: Any) -> Any:
            raise BufferError("the device cannot be read")

    with pytest.raises(TypeError, match=r"^x: an array is required, got Elsewhere: the device cannot be read"):
        outputs(rf.GRU(2, 4), Elsewhere(X))


@pytest.mark.torch
class TestTorch:
    @pytest.fixture
    def torch(self) -> Any:
        return pytest.importorskip("torch")

    def test_tensors_are_read_without_a_copy(self, torch: Any) -> None:
        x = torch.tensor(X)
        require_no_copy(x, x.data_ptr())

    def test_a_transposed_tensor_is_a_view(self, torch: Any) -> None:
        x = torch.tensor(X).transpose(0, 1)
        layer = rf.GRU(2, 4, time_major=True, seed=0)
        assert address(checks.as_array("x", x)) == x.data_ptr()
        np.testing.assert_array_equal(layer(x)[0], layer(X.transpose(1, 0, 2))[0])

    def test_gradients_are_refused(self, torch: Any) -> None:
        x = torch.tensor(X, requires_grad=True)
        message = (
            r"^x: an array, or a tensor without gradient, is required \(x\.detach\(\) is one; .* got requires_grad"
        )
        for layer in layers():
            with pytest.raises(TypeError, match=message):
                layer(x)
            np.testing.assert_array_equal(outputs(layer, x.detach()), outputs(layer, X))
        with pytest.raises(TypeError, match=r"^x\[1\]: an array, or a tensor without gradient"):
            rf.GRU(2, 4)([x[0].detach(), x[1]])
        with pytest.raises(TypeError, match=r"^x: an array, or a tensor without gradient"):
            rf.ManyToOne(2, 3).predict(x)

    def test_what_numpy_cannot_hold_is_refused(self, torch: Any) -> None:
        with pytest.raises(TypeError, match=r"^x: an array is required, got Tensor: .*meta"):
            rf.GRU(2, 4)(torch.tensor(X).to("meta"))
        with pytest.raises(TypeError, match=r"^x: an array is required, got Tensor: .*BFloat16"):
            rf.GRU(2, 4)(torch.tensor(X).bfloat16())


# Libraries set environment variables when they are first used: fixtures of a module begin before the guard of a test.
@pytest.fixture(scope="module")
def jax_array() -> Any:
    jnp = pytest.importorskip("jax.numpy", reason="JAX is not installed")
    return jnp.asarray(X)


@pytest.fixture(scope="module")
def pl() -> Any:
    return pytest.importorskip("polars", reason="polars is not installed")


def test_jax_arrays_are_read_without_a_copy(jax_array: Any) -> None:
    x = jax_array
    assert not checks.as_array("x", x).flags.writeable
    require_no_copy(x, x.unsafe_buffer_pointer())


def test_frames_of_polars(pl: Any) -> None:
    own = rf.ManyToOne(2, 1, task="regression", hidden_size=3, seed=0)
    frame = pl.DataFrame({"price": [1.5, 2.0], "holiday": [True, False]})
    np.testing.assert_array_equal(own.predict([frame]), own.predict([np.array([[1.5, 1], [2, 0]])]))
    swapped = own.predict([frame.select("holiday", "price")])
    np.testing.assert_array_equal(swapped, own.predict([np.array([[1, 1.5], [0, 2]])]))
    with pytest.raises(TypeError, match=r"^x\[0\]\['holiday'\]: values without gaps are required .* in dtype Boolean"):
        own.predict([pl.DataFrame({"price": [1.5, 2.0], "holiday": [True, None]})])
    with pytest.raises(TypeError, match=r"^x\[0\]\['day'\]: real numbers are required, got a column of dtype String"):
        own.predict([pl.DataFrame({"price": [1.0], "day": ["Monday"]})])
    with pytest.raises(TypeError, match=r"^y: values without gaps are required"):
        own.loss([frame, frame], pl.Series([1, None]))
    assert own.loss([frame, frame], pl.Series([1, 2])) == own.loss([frame, frame], [1, 2])


class Column:
    """A column of polars, as far as it is read."""

    def __init__(self, values: list[Any], missing: int = 0) -> None:
        self.values, self.missing, self.dtype = values, missing, "Int64"

    def null_count(self) -> int:
        return self.missing

    def to_numpy(self) -> np.ndarray:
        return np.array(self.values)


class Frame:
    """A frame of polars, as far as it is read."""

    def __init__(self, **columns: Column) -> None:
        self.columns, self.parts = list(columns), list(columns.values())

    def get_columns(self) -> list[Column]:
        return self.parts


def test_frames_are_read_by_the_order_of_their_columns() -> None:
    frame = Frame(b=Column([1, 2]), a=Column([3, 4]))
    np.testing.assert_array_equal(checks.as_array("x", frame), [[1, 3], [2, 4]])
    with pytest.raises(TypeError, match=r"^x\['a'\]: values without gaps are required"):
        checks.as_array("x", Frame(b=Column([1, 2]), a=Column([3, 4], missing=1)))
    with pytest.raises(TypeError, match=r"^x\['a'\]: real numbers are required"):
        checks.as_array("x", Frame(a=Column(["Monday"])))
