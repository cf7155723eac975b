"""Accelerated modules of PyTorch against PyTorch's own: outputs, states and every gradient."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from torch import nn  # noqa: E402
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence  # noqa: E402

from rnnfast.interop.torch import accelerate  # noqa: E402

pytestmark = [
    pytest.mark.torch,
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:LSTM with projections"),
]

LENGTHS = (7, 5, 5, 2, 1, 1)
BOUND = {"float32": 5e-5, "float64": 1e-10}
KINDS: dict[str, Any] = {
    "lstm": (nn.LSTM, {}),
    "projected": (nn.LSTM, {"proj_size": 3}),
    "gru": (nn.GRU, {}),
    "tanh": (nn.RNN, {}),
    "relu": (nn.RNN, {"nonlinearity": "relu"}),
}
CELLS: dict[str, Any] = {
    "lstm": (nn.LSTMCell, {}),
    "gru": (nn.GRUCell, {}),
    "tanh": (nn.RNNCell, {}),
    "relu": (nn.RNNCell, {"nonlinearity": "relu"}),
}
OPTIONS = ("bias", "bidirectional", "batch_first")


def tensors_of(result: Any) -> list[Any]:
    """Every tensor of a module's result that has a gradient."""
    if isinstance(result, PackedSequence):
        return [result.data]
    return [result] if torch.is_tensor(result) else [t for part in result for t in tensors_of(part)]


def assert_same(module: Any, *inputs: Any) -> None:
    """Outputs and gradients of inputs and parameters are PyTorch's, for random gradients of all outputs."""
    fast = accelerate(copy.deepcopy(module))
    bound = BOUND[str(next(module.parameters()).dtype).removeprefix("torch.")]
    given = [t for t in tensors_of(inputs) if t.requires_grad]
    results = []
    for each in (module, fast):
        torch.manual_seed(0)
        outputs = tensors_of(each(*inputs))
        directions = [torch.randn(y.shape, dtype=y.dtype) for y in outputs]
        wanted = [*given, *each.parameters()]
        results.append((outputs, torch.autograd.grad(outputs, wanted, directions, allow_unused=True)))
    for expected, actual in zip(*[[*outputs, *gradients] for outputs, gradients in results], strict=True):
        if expected is None:
            assert actual is None or not actual.any()
            continue
        assert actual.shape == expected.shape
        assert actual.dtype == expected.dtype
        torch.testing.assert_close(actual, expected, rtol=bound, atol=bound)


def layer_of(kind: str, dtype: str, **options: Any) -> Any:
    cls, own = KINDS[kind]
    torch.manual_seed(1)
    return cls(4, 6, 2, dtype=getattr(torch, dtype), **own, **options)


def random(*shape: int, dtype: str) -> Any:
    return torch.randn(shape, dtype=getattr(torch, dtype), requires_grad=True)


def states_of(module: Any, sequences: int, dtype: str) -> Any:
    both = module.num_layers * (1 + module.bidirectional)
    h = random(both, sequences, module.proj_size or module.hidden_size, dtype=dtype)
    if not isinstance(module, nn.LSTM):
        return h
    return h, random(both, sequences, module.hidden_size, dtype=dtype)


@pytest.mark.parametrize("given", ["plain", "apart", "packed", "unsorted", "unbatched"])
@pytest.mark.parametrize("options", list(itertools.product((True, False), repeat=3)), ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_layer(kind: str, options: tuple[bool, ...], given: str, dtype: str) -> None:
    module = layer_of(kind, dtype, **dict(zip(OPTIONS, options, strict=True)))
    T, N = max(LENGTHS), len(LENGTHS)
    shape = (N, T, 4) if module.batch_first else (T, N, 4)
    x: Any = random(*shape, dtype=dtype)
    state = states_of(module, N, dtype)
    if given == "apart":
        x = random(*shape[:2], 9, dtype=dtype)[..., 1::2]
    elif given == "packed":
        x = pack_padded_sequence(x, torch.tensor(LENGTHS), batch_first=module.batch_first)
    elif given == "unsorted":
        mixed = torch.tensor(LENGTHS)[[3, 0, 5, 1, 4, 2]]
        x = pack_padded_sequence(x, mixed, batch_first=module.batch_first, enforce_sorted=False)
    elif given == "unbatched":
        x = random(T, 4, dtype=dtype)
        state = tuple(s[:, 0] for s in state) if isinstance(state, tuple) else state[:, 0]
    assert_same(module, x, state)
    assert_same(module, x)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", CELLS)
def test_cell(kind: str, bias: bool, dtype: str) -> None:
    cls, own = CELLS[kind]
    torch.manual_seed(1)
    module = cls(4, 6, bias=bias, dtype=getattr(torch, dtype), **own)
    h: Any = random(5, 6, dtype=dtype)
    if kind == "lstm":
        h = (h, random(5, 6, dtype=dtype))
    assert_same(module, random(5, 4, dtype=dtype), h)
    assert_same(module, random(5, 8, dtype=dtype)[:, ::2])
    assert_same(module, random(4, dtype=dtype))


def test_a_part_of_the_outputs_is_enough() -> None:
    """The gradient of one output is asked for, and of frozen parameters none."""
    module = layer_of("lstm", "float64")
    module.weight_hh_l0.requires_grad_(False)
    fast = accelerate(copy.deepcopy(module))
    x = random(3, 2, 4, dtype="float64")
    for each in (module, fast):
        each(x.detach())[1][1][1].sum().backward()
    torch.testing.assert_close(fast.weight_ih_l0.grad, module.weight_ih_l0.grad)
    assert fast.weight_hh_l0.grad is None
    assert not fast.weight_ih_l1.grad.isnan().any()


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_against_differences(kind: str) -> None:
    module = accelerate(layer_of(kind, "float64", bidirectional=True))
    x, state = random(3, 2, 4, dtype="float64"), states_of(module, 2, "float64")
    flat = state if isinstance(state, tuple) else (state,)

    def outputs(x: Any, *states: Any) -> Any:
        return tuple(tensors_of(module(x, states if len(states) > 1 else states[0])))

    assert torch.autograd.gradcheck(outputs, (x, *flat))
    assert torch.autograd.gradgradcheck(outputs, (x, *flat))
    packed = pack_sequence([x[:2, 0], x[:, 1], x[:1, 1]], enforce_sorted=False)

    def of_packed(data: Any, *weights: Any) -> Any:
        with torch.nn.utils.parametrize.cached():
            names = [name for name, _ in module.named_parameters()]
            given = PackedSequence(data, *packed[1:])
            return tuple(
                tensors_of(torch.func.functional_call(module, dict(zip(names, weights, strict=True)), (given,)))
            )

    assert torch.autograd.gradcheck(of_packed, (packed.data.detach().requires_grad_(), *module.parameters()))


@pytest.mark.parametrize("kind", CELLS)
def test_gradients_of_cells_against_differences(kind: str) -> None:
    cls, own = CELLS[kind]
    module = accelerate(cls(4, 3, dtype=torch.float64, **own))

    def outputs(x: Any, h: Any) -> Any:
        return tuple(tensors_of(module(x, (h, h.flip(0)) if kind == "lstm" else h)))

    given = random(2, 4, dtype="float64"), random(2, 3, dtype="float64")
    assert torch.autograd.gradcheck(outputs, given)
    assert torch.autograd.gradgradcheck(outputs, given)


def test_dropout_follows_the_seed() -> None:
    module = accelerate(layer_of("gru", "float64", dropout=0.5))
    x = random(5, 3, 4, dtype="float64")
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        y, _ = module(x)
        drawn.append((y, *torch.autograd.grad(y.sum(), [x], retain_graph=True), *torch.autograd.grad(y.sum(), [x])))
    for each in zip(drawn[0], drawn[1], strict=True):
        assert torch.equal(*each)
    assert not torch.equal(drawn[0][0], drawn[2][0])
    assert torch.equal(drawn[0][1], drawn[0][2])  # a retained graph has the same masks
    module.eval()
    torch.testing.assert_close(module(x)[0], layer_of("gru", "float64", dropout=0.5).eval()(x)[0])


def test_dropout_has_the_right_mean_and_gradient() -> None:
    module = accelerate(layer_of("tanh", "float64", dropout=0.3))
    x = random(3, 2, 4, dtype="float64")

    def same_masks(x: Any) -> Any:
        torch.manual_seed(3)
        return module(x)[0]

    assert torch.autograd.gradcheck(same_masks, (x,))
