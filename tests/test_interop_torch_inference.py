"""Calls without gradients take a shorter way: the same bits as the way through PyTorch's own code, and its errors."""

from __future__ import annotations

import copy
import gc
import threading
from typing import Any

import pytest

import rnnfast as rf

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from torch import nn  # noqa: E402

from rnnfast.interop.torch import accelerate, accelerated, frozen, inference, packs  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_torch_thread")]

CELLS: dict[str, Any] = {
    "lstm": nn.LSTMCell,
    "gru": nn.GRUCell,
    "tanh": nn.RNNCell,
    "relu": lambda *sizes, **options: nn.RNNCell(*sizes, nonlinearity="relu", **options),
}
LAYERS: dict[str, Any] = {
    "lstm": nn.LSTM,
    "projected": lambda *sizes, **options: nn.LSTM(*sizes, proj_size=3, **options),
    "gru": nn.GRU,
    "tanh": nn.RNN,
    "relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
}
DTYPES = [torch.float32, torch.float64]


def parts(result: Any) -> list[Any]:
    """All tensors of what a module returned."""
    return [result] if isinstance(result, torch.Tensor) else [tensor for each in result for tensor in parts(each)]


def assert_same(results: Any, expected: Any) -> None:
    for result, one in zip(parts(results), parts(expected), strict=True):
        assert torch.equal(result, one.detach())


@pytest.fixture
def shorter(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each call without gradients took the shorter way."""
    taken: list[bool] = []
    for name in ("_step", "_from_zeros"):
        own = getattr(inference, name)

        def watched(module: Any, x: Any, hx: Any, own: Any = own) -> Any:
            new = own(module, x, hx)
            taken.append(new is not None)
            return new

        monkeypatch.setattr(inference, name, watched)
    inference_classes_again()
    return taken


def inference_classes_again() -> None:
    """Let classes be accelerated anew, so that they call what the fixture watches."""
    from rnnfast.interop.torch import acceleration

    acceleration._on_engine.cache_clear()


@pytest.fixture(autouse=True)
def own_classes() -> Any:
    yield
    inference_classes_again()


def state_of_zeros(state: Any) -> Any:
    return tuple([torch.zeros_like(part) for part in state]) if isinstance(state, tuple) else torch.zeros_like(state)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_steps_of_cells(name: str, bias: bool, dtype: Any, shorter: list[bool]) -> None:
    cell = accelerate(CELLS[name](5, 7, bias=bias, dtype=dtype))
    state, x = cell(torch.randn(4, 5, dtype=dtype)), torch.randn(3, 4, 5, dtype=dtype)
    with torch.no_grad():
        assert_same(cell(x[0]), cell(x[0], state_of_zeros(state)))
    assert shorter == [True] * 2
    for step in x:
        expected = cell(step, state)
        with torch.no_grad():
            assert_same(cell(step, state), expected)
            with frozen(cell):
                assert_same(cell(step, state), expected)
                assert_same(cell(step.T.contiguous().T, state), expected)
        state = expected
    assert shorter == [True] * 11


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "options", [{}, {"bias": False, "num_layers": 2}, {"bidirectional": True, "batch_first": True}]
)
@pytest.mark.parametrize("name", LAYERS)
def test_layers_from_zeros(name: str, options: dict[str, Any], dtype: Any, shorter: list[bool]) -> None:
    layer = accelerate(LAYERS[name](5, 7, **options, dtype=dtype))
    x = torch.randn(4, 6, 5, dtype=dtype)
    expected = layer(x)
    with torch.no_grad():
        assert_same(layer(x), expected)
        assert_same(layer(x.transpose(0, 1)), layer(x.transpose(0, 1).contiguous()))
        with frozen(layer):
            assert_same(layer(x), expected)
    assert shorter == [True] * 4


@pytest.mark.parametrize("frozen_too", [False, True])
def test_what_takes_the_usual_way(frozen_too: bool, shorter: list[bool]) -> None:
    cell, layer = accelerate(nn.LSTMCell(5, 7)), accelerate(nn.GRU(5, 7, 2, dropout=0.5))
    x, state = torch.randn(4, 5), (torch.zeros(4, 7), torch.zeros(4, 7))
    both = nn.ModuleList([cell, layer])
    with torch.no_grad(), frozen(both) if frozen_too else accelerated(both):
        usual: list[Any] = [
            lambda: cell(x[0]),
            lambda: cell(x[0], (state[0][0], state[1][0])),
            lambda: cell(x[:0], (state[0][:0], state[1][:0])),
            lambda: layer(x),
            lambda: layer(x[None], torch.zeros(2, 4, 7)),
            lambda: layer(x[None]),
            lambda: layer(nn.utils.rnn.pack_sequence([x])),
        ]
        for given in usual:
            given()
    assert not any(shorter)
    with torch.no_grad():
        calls: list[Any] = [
            lambda each: each(x[:, :4], state),
            lambda each: each(x, (state[0][:3], state[1])),
            lambda each: each(x, (state[0],)),
            lambda each: each(x.double(), state),
            lambda each: each(x.numpy(), state),
        ]
        for wrong in calls:
            with pytest.raises((RuntimeError, AttributeError)) as ours:
                wrong(cell)
            with pytest.raises(type(ours.value)):
                wrong(nn.LSTMCell(5, 7))
    assert not any(shorter)


def test_dropout_of_a_layer_in_evaluation(shorter: list[bool]) -> None:
    layer = accelerate(nn.GRU(5, 7, 2, dropout=0.5)).eval()
    x = torch.randn(3, 4, 5)
    expected = layer(x)
    with torch.no_grad():
        assert_same(layer(x), expected)
    assert shorter == [True]


@pytest.mark.parametrize("name", CELLS)
def test_weights_of_steps_are_never_stale(name: str) -> None:
    cell = accelerate(CELLS[name](5, 7))
    x, state = torch.randn(4, 5), cell(torch.randn(4, 5))
    with torch.no_grad():
        for change in (
            lambda: cell.weight_hh.data.add_(0.1),
            lambda: cell.bias_ih.detach().numpy().__iadd__(0.1),
            lambda: setattr(cell, "weight_ih", nn.Parameter(torch.randn_like(cell.weight_ih))),
            cell.double,
        ):
            cell(x.to(cell.weight_ih.dtype), state)
            change()
            dtype = cell.weight_ih.dtype
            x = x.to(dtype)
            state = tuple([part.to(dtype) for part in state]) if isinstance(state, tuple) else state.to(dtype)
            with torch.enable_grad():
                expected = cell(x, state)
            assert_same(cell(x, state), expected)


def test_frozen_weights_must_stay_in_their_module() -> None:
    cell = accelerate(nn.GRUCell(5, 7))
    with pytest.raises(RuntimeError, match=r"frozen.*changed"), torch.no_grad(), frozen(cell):
        cell.weight_hh = nn.Parameter(torch.zeros(21, 7))


def test_threads_have_streams_of_their_own() -> None:
    cell = accelerate(nn.LSTMCell(5, 7))
    x = torch.randn(8, 50, 4, 5)
    with torch.no_grad():
        alone = [run(cell, each) for each in x]
        results: dict[int, Any] = {}

        def work(i: int) -> None:
            with torch.no_grad():
                results[i] = run(cell, x[i])

        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(x))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for i, expected in enumerate(alone):
        assert_same(results[i], expected)


def run(cell: Any, x: Any) -> Any:
    state = torch.zeros(4, 7), torch.zeros(4, 7)
    for step in x:
        state = cell(step, state)
    return state


def test_streams_of_a_cell_are_few() -> None:
    cell = accelerate(nn.GRUCell(5, 7))
    with torch.no_grad():
        for count in range(1, 3 * packs._MOST_STREAMS):
            cell(torch.zeros(count, 5), torch.zeros(count, 7))
    assert len(packs._kept[id(cell.weight_ih)]._streams) <= packs._MOST_STREAMS


def test_nothing_is_kept_of_modules_that_are_gone() -> None:
    cell = accelerate(nn.LSTMCell(5, 7))
    with torch.no_grad():
        cell(torch.zeros(4, 5), (torch.zeros(4, 7), torch.zeros(4, 7)))
    key = id(cell)
    assert key in inference._steps
    clone = copy.deepcopy(cell)
    with torch.no_grad():
        assert_same(clone(torch.zeros(4, 5)), cell(torch.zeros(4, 5)))
    del cell
    gc.collect()
    assert key not in inference._steps


def test_a_step_is_the_layers() -> None:
    module = nn.LSTMCell(5, 7)
    layer = rf.LSTM(5, 7)
    layer.load_state_dict({f"{name}_l0": p.detach().numpy() for name, p in module.named_parameters()})
    cell, x = accelerate(module), torch.randn(4, 5)
    state = torch.randn(4, 7), torch.randn(4, 7)
    _, (h, c) = layer(x[:, None].numpy(), (state[0][None].numpy(), state[1][None].numpy()))
    with torch.no_grad():
        assert_same(cell(x, state), (torch.from_numpy(h[0]), torch.from_numpy(c[0])))
