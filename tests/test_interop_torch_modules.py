"""The modules of ``rnnfast.interop.torch`` against those of PyTorch and, for what PyTorch has not, the layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnfast as rf

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from torch import nn  # noqa: E402

from rnnfast.interop import torch as rft  # noqa: E402

pytestmark = [
    pytest.mark.torch,
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:LSTM with projections"),
]

PLAIN: list[tuple[Any, Any, dict[str, Any]]] = [
    (rft.LSTM, nn.LSTM, {}),
    (rft.LSTM, nn.LSTM, {"proj_size": 3}),
    (rft.GRU, nn.GRU, {}),
    (rft.RNN, nn.RNN, {"nonlinearity": "relu"}),
]
OPTIONS: list[tuple[Any, dict[str, Any]]] = [
    (rft.LSTM, {"peephole": True, "clip": 0.5}),
    (rft.LSTM, {"coupled": True, "recurrent_dropout": 0.3}),
    (rft.LSTM, {"layer_norm": True, "bidirectional": True}),
    (rft.LSTM, {"zoneout": (0.2, 0.1), "learn_initial_state": True}),
    (rft.LSTM, {"proj_size": 2, "forget_bias": 1.0}),
    (rft.GRU, {"reset_after": False, "input_dropout": 0.2}),
    (rft.GRU, {"layer_norm": True, "learn_initial_state": True, "bidirectional": True}),
    (rft.GRU, {"activations": ("hard_sigmoid", "softsign"), "dropout": 0.4}),
    (rft.RNN, {"nonlinearity": "softplus", "leak": 0.3, "noise": 0.1}),
]
X = torch.randn(6, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([6, 4, 1])


def flat(result: Any) -> list[Any]:
    return [result] if torch.is_tensor(result) else [t for part in result for t in flat(part)]


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize(("cls", "peer", "options"), PLAIN, ids=str)
def test_plain_modules_are_torch_s(cls: Any, peer: Any, options: Any, both: bool, batch_first: bool) -> None:
    shape = {"num_layers": 2, "batch_first": batch_first, "bidirectional": both, "dtype": torch.float64}
    ours, theirs = cls(4, 5, **shape, **options), peer(4, 5, **shape, **options)
    theirs.load_state_dict(ours.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = X.clone().requires_grad_()
    pack = nn.utils.rnn.pack_padded_sequence
    makes: list[Callable[[], Any]] = [
        lambda: x,
        lambda: pack(x, LENGTHS[[2, 0, 1]], enforce_sorted=False),
        lambda: x[:, 0],
    ]
    for make in makes:
        results = [
            flat([part.data if isinstance(part, nn.utils.rnn.PackedSequence) else part for part in each(make())])
            for each in (ours, theirs)
        ]
        gradients = [
            torch.autograd.grad(sum(y.square().sum() for y in outputs), [x, *each.parameters()])
            for outputs, each in zip(results, (ours, theirs), strict=True)
        ]
        for a, b in zip([*results[0], *gradients[0]], [*results[1], *gradients[1]], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("cls", "options"), OPTIONS, ids=str)
def test_options_are_the_layer_s(cls: Any, options: dict[str, Any]) -> None:
    module = cls(4, 5, 2, dtype=torch.float64, **options).eval()
    layer = rft.from_torch(module)
    with torch.no_grad():
        for p in module.parameters():
            p += 0.1 * torch.randn_like(p)
    layer.load_state_dict({name: p.numpy() for name, p in module.state_dict().items()})
    resets = torch.zeros(6, 3, dtype=torch.bool)
    resets[2, 0] = resets[3, 1] = True
    x = X.clone().requires_grad_()
    outputs = flat(module(x, lengths=LENGTHS, resets=resets))
    y, state, tape = layer.forward(X, lengths=LENGTHS, resets=resets, training=False)
    for actual, expected in zip(outputs, [y, *(state if isinstance(state, tuple) else (state,))], strict=True):
        np.testing.assert_array_equal(actual.detach().numpy(), expected)
    dy = torch.randn(y.shape, dtype=torch.float64)
    outputs[0].backward(dy)
    dx, _ = layer.backward(tape, dy)
    np.testing.assert_array_equal(x.grad.numpy(), dx)
    for name, p in module.named_parameters():
        np.testing.assert_array_equal(p.grad.numpy(), layer.parameters()[name].grad, err_msg=name)


@pytest.mark.parametrize(("cls", "options"), OPTIONS, ids=str)
def test_gradients_against_differences(cls: Any, options: dict[str, Any]) -> None:
    """In training, with the same random masks in every call; also of weights and of learned states."""
    torch.manual_seed(1)
    module = cls(4, 3, 2, dtype=torch.float64, **options)
    names = [name for name, _ in module.named_parameters()]
    resets = torch.zeros(6, 3, dtype=torch.bool)
    resets[2, 0] = True

    def outputs(x: Any, *weights: Any) -> Any:
        torch.manual_seed(2)
        given = dict(zip(names, weights, strict=True))
        options = {"lengths": LENGTHS, "resets": resets}
        return tuple(flat(torch.func.functional_call(module, given, (x,), options)))

    given = (X.clone().requires_grad_(), *module.parameters())
    # The fast mode moves x and back between two backward passes, which leaves a rounding error.
    assert torch.autograd.gradcheck(outputs, given, fast_mode=True, nondet_tol=1e-12)


def test_resets_are_a_masked_loop() -> None:
    ours, cell = rft.LSTM(4, 5, batch_first=True), nn.LSTMCell(4, 5)
    cell.load_state_dict({name.removesuffix("_l0"): p for name, p in ours.state_dict().items()})
    x, starts = X.float().transpose(0, 1).contiguous(), torch.zeros(3, 6, dtype=torch.bool)
    starts[0, 0] = starts[1, 3] = starts[1, 4] = True
    first = (torch.randn(1, 3, 5), torch.randn(1, 3, 5))
    state = (first[0][0], first[1][0])
    steps = []
    for t in range(6):
        keep = (~starts[:, t, None]).float()
        state = cell(x[:, t], (state[0] * keep, state[1] * keep))
        steps.append(state[0])
    y, last = ours(x, first, resets=starts)
    torch.testing.assert_close(y, torch.stack(steps, dim=1))
    torch.testing.assert_close(last[1][0], state[1])


def test_masks_follow_the_seed() -> None:
    module = rft.GRU(4, 5, recurrent_dropout=0.5)
    x = X.float()
    torch.manual_seed(1)
    y, _ = module(x)
    again, _ = module(x)
    torch.manual_seed(1)
    assert torch.equal(module(x)[0], y)
    assert not torch.equal(again, y)
    module.eval()
    assert torch.equal(module(x)[0], module(x)[0])
    torch.manual_seed(3)
    first = rft.GRU(4, 5).state_dict()
    torch.manual_seed(3)
    assert all(torch.equal(p, first[name]) for name, p in rft.GRU(4, 5).state_dict().items())


def test_arguments() -> None:
    module = rft.LSTM(4, 5)
    x = X.float()
    with pytest.raises(ValueError, match="input: shape"):
        module(x[..., :3])
    with pytest.raises(ValueError, match="input: shape"):
        module(x[None])
    with pytest.raises(ValueError, match="hx: shapes"):
        module(x, (torch.zeros(1, 2, 5), torch.zeros(1, 2, 5)))
    with pytest.raises(ValueError, match="hx: shapes"):
        module(x, torch.zeros(1, 3, 5))
    with pytest.raises(ValueError, match="lengths"):
        module(x, lengths=torch.tensor([7, 1, 1]))
    with pytest.raises(ValueError, match="resets"):
        module(x, resets=torch.zeros(3, 6, dtype=torch.bool))
    with pytest.raises(TypeError, match="resets"):
        module(x, resets=torch.zeros(6, 3))
    with pytest.raises(ValueError, match="PackedSequence"):
        module(nn.utils.rnn.pack_sequence([x[:, 0]]), lengths=LENGTHS)
    with pytest.raises(TypeError, match=r"dtype torch\.float32"):
        module(x.double())
    with pytest.raises(TypeError, match="autocast"), torch.autocast("cpu"):
        module(x)
    with pytest.raises(ValueError, match="device"):
        rft.LSTM(4, 5, device="meta")
    with pytest.raises(TypeError, match="peepholes"):
        rft.LSTM(4, 5, peepholes=True)
    with pytest.raises(ValueError, match="zoneout"):
        rft.LSTM(4, 5, zoneout=2.0)
    with pytest.raises((ValueError, TypeError), match="dtype"):
        rft.LSTM(4, 5, dtype=torch.bfloat16)


def test_a_second_derivative_is_refused() -> None:
    x = X.clone().requires_grad_()
    y, _ = rft.GRU(4, 5, zoneout=0.1, dtype=torch.float64)(x)
    with pytest.raises(NotImplementedError, match="double backward"):
        torch.autograd.grad(y.sum(), x, create_graph=True)


def test_back_to_a_layer() -> None:
    for cls, options in OPTIONS:
        module = cls(4, 5, 2, **options)
        layer = rft.from_torch(module)
        assert isinstance(layer, rf.RNN | rf.LSTM | rf.GRU)
        for name, value in layer.state_dict().items():
            np.testing.assert_array_equal(value, module.state_dict()[name].numpy())


def test_shown() -> None:
    assert repr(rft.LSTM(3, 5, 2, batch_first=True, peephole=True)) == (
        "LSTM(3, 5, num_layers=2, peephole=True, batch_first=True)"
    )
