"""Random problems against PyTorch: outputs, states, and every gradient."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from tests.support.comparison import CELLS, IN_TORCH, bundle, unbundle
from tests.support.matrix import LAYERS

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from tests.support.torch_models import torch_layer  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_torch_thread")]

BOUND = {"float32": 1e-5, "float64": 1e-12}
SHAPES: list[Any] = [
    # N, T, C, H, L, D
    (2, 1, 3, 4, 1, 1),
    (3, 5, 4, 8, 1, 1),
    (7, 20, 9, 17, 2, 1),
    (20, 30, 3, 33, 3, 1),
    (3, 1000, 2, 16, 1, 1),
    (2, 40, 70, 512, 1, 1),
    (2, 1, 3, 4, 1, 2),
    (3, 5, 4, 8, 1, 2),
    (20, 30, 9, 17, 3, 2),
    (3, 300, 2, 16, 2, 2),
    pytest.param((16, 60, 64, 256, 2, 1), marks=pytest.mark.slow),
    pytest.param((16, 60, 64, 256, 2, 2), marks=pytest.mark.slow),
    pytest.param((4, 1000, 32, 512, 1, 1), marks=pytest.mark.slow),
]


def close(name: str, actual: np.ndarray, expected: Any, dtype: str, kink: bool = False) -> None:
    """Relative distance in norm.

    A gradient at the kink of relu may take either slope: among a million pre-activations in float32, rounding puts
    a few on the other side. The same problem in float64 has none, and keeps its bound.
    """
    bound = 1e-2 if kink else BOUND[dtype]
    wanted = expected.detach().numpy()
    assert actual.shape == wanted.shape, name
    assert actual.dtype == wanted.dtype == dtype, name
    distance = np.linalg.norm(actual - wanted)
    assert distance <= bound * np.linalg.norm(wanted), f"{name}: {distance / np.linalg.norm(wanted):.2e}"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("cell", IN_TORCH)
@pytest.mark.parametrize(
    ("ragged", "start"), [(False, False), (True, True), (True, False)], ids=["plain", "ragged, state", "ragged"]
)
def test_random_problem(cell: str, shape: tuple[int, ...], dtype: str, ragged: bool, start: bool) -> None:
    N, T, C, H, L, D = shape
    rng = np.random.default_rng([zlib.crc32(cell.encode()), *shape, ragged, start])
    kind, choice = CELLS[cell]
    both = {"num_layers": L, "bidirectional": D == 2}
    layer = LAYERS[kind](C, H, dtype=dtype, seed=1, **both, **choice)
    peer = torch_layer(cell, C, H, dtype=getattr(torch, dtype), **both)
    assert list(layer.parameters()) == [name for name, _ in peer.named_parameters()]
    peer.load_state_dict({name: torch.tensor(p.value) for name, p in layer.parameters().items()})
    x, dy = (rng.normal(size=(N, T, k)).astype(dtype) for k in (C, D * H))
    states = len(layer.state_sizes)
    first, dlast = (tuple(rng.normal(size=(L * D, N, H)).astype(dtype) for _ in range(states)) for _ in range(2))
    lengths = np.r_[T, 0, rng.integers(1, T + 1, N)][:N] if ragged else np.full(N, T)

    given = bundle(first) if start else None
    y, last, tape = layer.forward(x, given, lengths=lengths if ragged else None)
    dx, dfirst = layer.backward(tape, dy, bundle(dlast))

    kink = cell == "rnn-relu" and dtype == "float32" and N * T * H * L * D > 500_000
    some = np.flatnonzero(lengths)
    wanted = run_peer(peer, x[some], [s[:, some] for s in first] if start else None, lengths[some])
    torch.autograd.backward(
        [wanted["y"], *wanted["last"]],
        [torch.tensor(mask_past(dy[some], lengths[some])), *(torch.tensor(d[:, some]) for d in dlast)],
    )
    close("y", y[some], wanted["y"], dtype)
    close("dx", dx[some], wanted["x"].grad, dtype, kink)
    for k, name in enumerate(("h", "c")[:states]):
        close(name, unbundle(last)[k][:, some], wanted["last"][k], dtype)
        close("d" + name, unbundle(dfirst)[k][:, some], wanted["first"][k].grad, dtype, kink)
    for name, p in peer.named_parameters():
        close(name, layer.parameters()[name].grad, p.grad, dtype, kink)
    check_empty(np.flatnonzero(lengths == 0), y, dx, (last, given), (dfirst, dlast))


def run_peer(peer: Any, x: np.ndarray, state: Any, lengths: np.ndarray) -> dict[str, Any]:
    """PyTorch's answer; it has no sequences without steps."""
    inputs = torch.tensor(x, requires_grad=True)
    steps = x.shape[1]
    states = 2 if isinstance(peer, torch.nn.LSTM) else 1
    if state is None:
        directions = 2 if peer.bidirectional else 1
        zero = np.zeros((peer.num_layers * directions, len(x), peer.hidden_size), x.dtype)
        state = [zero] * states
    first = [torch.tensor(s, requires_grad=True) for s in state]
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        inputs, torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    out, last = peer(packed, bundle(first))
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=True, total_length=steps)
    return {"x": inputs, "first": first, "y": y, "last": list(unbundle(last))}


def mask_past(dy: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return np.where(np.arange(dy.shape[1])[:, None] < lengths[:, None, None], dy, 0)


def check_empty(rows: np.ndarray, y: Any, dx: Any, states: tuple[Any, Any], dstates: tuple[Any, Any]) -> None:
    """A sequence without steps: no output, no gradient of its padding, state and gradient passed through."""
    assert not y[rows].any()
    assert not dx[rows].any()
    last, given = states
    for k, state in enumerate(unbundle(last)):
        expected = 0 if given is None else unbundle(given)[k][:, rows]
        np.testing.assert_array_equal(state[:, rows], np.broadcast_to(expected, state[:, rows].shape))
    for d, expected in zip(unbundle(dstates[0]), dstates[1], strict=True):
        np.testing.assert_array_equal(d[:, rows], expected[:, rows])
