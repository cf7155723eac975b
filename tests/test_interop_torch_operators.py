"""Operators, compiled and exported graphs, and what goes to PyTorch's own code or is refused."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from torch import nn  # noqa: E402

from rnnfast.interop import torch as rft  # noqa: E402
from rnnfast.interop.torch import forwards  # noqa: E402
from rnnfast.interop.torch.engine import stack_of  # noqa: E402
from rnnfast.interop.torch.forwards import stack_named  # noqa: E402

pytestmark = [
    pytest.mark.torch,
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

KINDS: list[Any] = [nn.LSTM, nn.GRU, nn.RNN]


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    yield
    torch._dynamo.reset()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows with every call of PyTorch's own functions."""
    found: list[str] = []

    class Recording:
        def __getattr__(self, name: str) -> Any:
            found.append(name)
            return getattr(torch._VF, name)

    monkeypatch.setattr(forwards, "_VF", Recording())
    return found


def arguments(kind: str, *, grad: bool = True, **others: Any) -> tuple[Any, ...]:
    """Arguments of the operator for a layer of one direction, T = 3, N = 2, C = 4, H = 5."""
    gates = {"lstm": 4, "gru": 3, "rnn_tanh": 1}[kind]
    stack = stack_named(kind, bias=True, projected=False, bidirectional=False, batch_first=False, dropout=0.0)
    torch.manual_seed(0)

    def random(*shape: int) -> Any:
        return torch.randn(shape, dtype=torch.float64, requires_grad=grad)

    states = [random(1, 2, 5) for _ in range(2 if kind == "lstm" else 1)]
    weights = [random(gates * 5, 4), random(gates * 5, 5), random(gates * 5), random(gates * 5)]
    return (
        stack.text, random(3, 2, 4), states, weights, [],
        others.get("batch_sizes"), others.get("lengths"), others.get("resets"), None,
    )  # fmt: skip


@pytest.mark.parametrize("others", [{}, {"lengths": torch.tensor([3, 1])}], ids=str)
@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn_tanh"])
def test_operators(kind: str, others: Any) -> None:
    torch.library.opcheck(torch.ops.rnnfast.recurrent.default, arguments(kind, **others))
    given = arguments(kind, grad=False, **others)
    gradients = (torch.randn(3, 2, 5).double(), None, torch.randn(1, 2, 5).double() if kind == "lstm" else None)
    torch.library.opcheck(torch.ops.rnnfast.recurrent_backward.default, (*given, *gradients))


def test_operators_of_packed_sequences() -> None:
    stack, _, states, weights, learned, *_ = arguments("gru")
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    given = (stack, x, states, weights, learned, torch.tensor([2, 1]), None, None, None)
    torch.library.opcheck(torch.ops.rnnfast.recurrent.default, given)


def test_a_second_derivative_of_an_operator_is_refused() -> None:
    stack, x, *others = arguments("gru")
    y = torch.ops.rnnfast.recurrent(stack, x, *others)[0]
    (dx,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="double backward"):
        dx.sum().backward()


class Net(nn.Module):
    """Layers and a cell in a loop."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.rnn = kind(4, 5, 2, batch_first=True, bidirectional=True)
        self.cell = nn.GRUCell(10, 3)

    def forward(self, x: Any) -> Any:
        y, _ = self.rnn(x)
        h = None
        for t in range(3):
            h = self.cell(y[:, t], h)
        return h


def assert_same_with_gradients(a: Any, b: Any, x: Any) -> None:
    results = []
    for each in (a, b):
        given = x.clone().requires_grad_()
        y = each(given)
        results.append([y, *torch.autograd.grad(y.square().sum(), [given, *each.parameters()])])
    for expected, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.fixture(autouse=True)
def import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inductor adds the folder of its own modules."""
    monkeypatch.setattr(sys, "path", list(sys.path))


BACKENDS = ["eager", "aot_eager", pytest.param("inductor", marks=pytest.mark.slow)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_compile_without_a_break(kind: Any, backend: str) -> None:
    if not hasattr(torch._dynamo.config, "allow_rnn"):
        pytest.skip("this PyTorch breaks the graph at torch.nn's layers")
    net = Net(kind)
    fast = rft.accelerate(copy.deepcopy(net))
    with torch._dynamo.config.patch(allow_rnn=True):
        compiled = torch.compile(fast, backend=backend, fullgraph=True)
        assert_same_with_gradients(net, compiled, torch.randn(3, 6, 4))
        assert "rnnfast" in str(torch._dynamo.explain(fast)(torch.randn(3, 6, 4)).graphs[0].graph)


def test_compile_around_layers() -> None:
    """Where the compiler does not look into torch.nn's layers, it breaks the graph there and computes them as ever."""
    net = Net(nn.LSTM)
    compiled = torch.compile(rft.accelerate(copy.deepcopy(net)), backend="aot_eager")
    assert_same_with_gradients(net, compiled, torch.randn(3, 6, 4))


def test_compile_around_packed_sequences() -> None:
    layer = nn.GRU(4, 5, bidirectional=True)
    compiled = torch.compile(rft.accelerate(copy.deepcopy(layer)), backend="aot_eager")
    given = nn.utils.rnn.pack_sequence([torch.randn(2, 4), torch.randn(6, 4)], enforce_sorted=False)
    results = []
    for each in (layer, compiled):
        y, h = each(given)
        results.append([y.data, h, *torch.autograd.grad(y.data.square().sum(), list(each.parameters()))])
    for expected, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("backend", BACKENDS)
def test_compile_a_loop_over_a_cell(backend: str, gradients: bool) -> None:
    cell = rft.accelerate(nn.LSTMCell(4, 5))

    def last(x: Any) -> Any:
        state = torch.zeros(3, 5), torch.zeros(3, 5)
        for step in x:
            state = cell(step, state)
        return state[0]

    compiled = torch.compile(last, backend=backend, fullgraph=True)
    x = torch.randn(4, 3, 4)
    with torch.set_grad_enabled(gradients):
        torch.testing.assert_close(compiled(x), last(x))


@pytest.mark.parametrize("backend", BACKENDS)
def test_compile_our_modules(backend: str) -> None:
    module = rft.LSTM(4, 5, 2, batch_first=True, peephole=True, learn_initial_state=True)
    resets = torch.zeros(3, 6, dtype=torch.bool)
    resets[1, 2] = True

    def outputs(x: Any) -> Any:
        return module(x, resets=resets, lengths=torch.tensor([6, 2, 4]))[0]

    compiled = torch.compile(outputs, backend=backend, fullgraph=True)
    x = torch.randn(3, 6, 4)
    results = []
    for each in (outputs, compiled):
        given = x.clone().requires_grad_()
        y = each(given)
        results.append([y, *torch.autograd.grad(y.square().sum(), [given, *module.parameters()])])
    for expected, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected)


def test_compile_with_dropout() -> None:
    module = rft.GRU(4, 5, 2, dropout=0.5)
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    x = torch.ones(6, 3, 4)
    torch.manual_seed(1)
    y = compiled(x)[0]
    y.sum().backward()
    torch.manual_seed(1)
    assert torch.equal(compiled(x)[0], y)
    assert not torch.equal(compiled(x)[0], y)


@pytest.mark.parametrize("kind", KINDS)
def test_export(kind: Any) -> None:
    net = rft.accelerate(Net(kind)).eval()
    auto = torch.export.Dim.AUTO
    program = torch.export.export(net, (torch.randn(3, 6, 4),), dynamic_shapes=({0: auto, 1: auto},))
    assert "rnnfast.recurrent" in str(program.graph)
    x = torch.randn(2, 9, 4)
    torch.testing.assert_close(program.module()(x), net(x))


def test_trace_of_operators() -> None:
    """make_fx sees the operators, forward and backward."""
    from torch.fx.experimental.proxy_tensor import make_fx

    net = rft.accelerate(nn.GRU(4, 5))

    def gradient(x: Any) -> Any:
        x = x.detach().requires_grad_()
        return torch.autograd.grad(net(x)[0].sum(), x)[0]

    x = torch.randn(3, 2, 4)
    graph = make_fx(gradient)(x)
    assert "rnnfast.recurrent_backward" in graph.code
    torch.testing.assert_close(graph(x), gradient(x))


def test_an_exported_graph_needs_no_names(calls: list[str]) -> None:
    """The text of a stack says everything."""
    stack = stack_named("rnn_relu", bias=False, projected=False, bidirectional=True, batch_first=True, dropout=0.5)
    assert stack_of(stack.text) == stack
    assert calls == []


def test_plain_calls_run_on_the_engine(calls: list[str]) -> None:
    rft.accelerate(nn.LSTM(4, 5))(torch.randn(3, 2, 4))
    rft.accelerate(nn.GRUCell(4, 5))(torch.randn(2, 4))
    assert calls == []


def own_path(calls: list[str], kind: str) -> None:
    assert calls
    assert set(calls) == {kind}


def test_other_dtypes_go_to_torch(calls: list[str]) -> None:
    rft.accelerate(nn.LSTM(4, 5, dtype=torch.bfloat16))(torch.randn(3, 2, 4, dtype=torch.bfloat16))
    own_path(calls, "lstm")


def test_other_devices_go_to_torch(calls: list[str]) -> None:
    y, _ = rft.accelerate(nn.GRU(4, 5, device="meta"))(torch.randn(3, 2, 4, device="meta"))
    assert y.is_meta
    own_path(calls, "gru")


def test_autocast_goes_to_torch(calls: list[str]) -> None:
    net, x = nn.GRU(4, 5), torch.randn(3, 2, 4)
    with torch.autocast("cpu"):
        expected, (actual, _) = net(x)[0], rft.accelerate(copy.deepcopy(net))(x)
    assert torch.equal(actual, expected)
    own_path(calls, "gru")


def test_functional_transforms_go_to_torch(calls: list[str]) -> None:
    net = nn.GRU(4, 5)
    fast = rft.accelerate(copy.deepcopy(net))
    x = torch.randn(7, 3, 2, 4)
    results = []
    for each in (net, fast):

        def loss(x: Any, each: Any = each) -> Any:
            return each(x)[0].square().sum()

        results.append(torch.func.grad(loss)(x[0]))
        with pytest.raises(RuntimeError, match="Batching rule not implemented for aten::gru"):
            torch.func.vmap(lambda x, each=each: each(x)[0])(x)
    torch.testing.assert_close(*results)
    own_path(calls, "gru")


def test_forward_derivatives_go_to_torch(calls: list[str]) -> None:
    net = nn.RNNCell(4, 5)
    fast = rft.accelerate(copy.deepcopy(net))
    x, v = torch.randn(2, 4), torch.randn(2, 4)
    expected, actual = (torch.func.jvp(each, (x,), (v,))[1] for each in (net, fast))
    torch.testing.assert_close(actual, expected)
    with torch.autograd.forward_ad.dual_level():
        y = fast(torch.autograd.forward_ad.make_dual(x, v))
        torch.testing.assert_close(torch.autograd.forward_ad.unpack_dual(y).tangent, expected)
    own_path(calls, "rnn_tanh_cell")


def test_trace_by_jit_goes_to_torch(calls: list[str]) -> None:
    net = rft.accelerate(nn.LSTMCell(4, 5))
    x = torch.randn(2, 4)
    traced = torch.jit.trace(net, (x,))
    assert "rnnfast::" not in str(traced.inlined_graph)
    own_path(calls, "lstm_cell")
    torch.testing.assert_close(traced(x)[0], net(x)[0])


def test_script_by_jit_is_refused() -> None:
    with pytest.raises(TypeError, match="restore"):
        torch.jit.script(nn.Sequential(rft.accelerate(nn.LSTM(4, 5))))


def test_second_derivatives_go_to_torch(calls: list[str]) -> None:
    net = nn.LSTM(4, 5, 2)
    fast = rft.accelerate(copy.deepcopy(net))
    results = []
    for each in (net, fast):
        x = torch.linspace(-1, 1, 24).reshape(3, 2, 4).requires_grad_()
        (dx,) = torch.autograd.grad(each(x)[0].square().sum(), x, create_graph=True)
        results.append(torch.autograd.grad(dx.square().sum(), [x, *each.parameters()], allow_unused=True))
    for expected, actual in zip(*results, strict=True):
        assert (expected is None) == (actual is None)
        if expected is not None:
            torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    own_path(calls, "lstm")


def test_second_derivatives_under_dropout_are_refused() -> None:
    net = rft.accelerate(nn.GRU(4, 5, 2, dropout=0.5))
    x = torch.randn(3, 2, 4, requires_grad=True)
    with pytest.raises(NotImplementedError, match=r"double backward.*dropout"):
        torch.autograd.grad(net(x)[0].sum(), x, create_graph=True)


@pytest.mark.parametrize("steps", [0, 1])
def test_empty_batches_go_to_torch(steps: int) -> None:
    net, x = nn.GRU(4, 5), torch.randn(steps, 0, 4)
    fast = rft.accelerate(copy.deepcopy(net))
    try:
        expected = net(x)[0].shape
    except RuntimeError as error:
        with pytest.raises(RuntimeError, match=str(error)):
            fast(x)
    else:
        assert fast(x)[0].shape == expected


def test_in_place_changes_are_seen() -> None:
    net = rft.accelerate(nn.GRU(4, 5))
    for changed in (0, 1):
        x = torch.randn(3, 2, 4, requires_grad=True)
        given = x * 1
        y, _ = net(given)
        (given, y)[changed].mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()
