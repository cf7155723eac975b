"""Random problems, the engine's and the reference's answers to them, and the comparison of the two.

A problem is a call of ``forward`` and ``backward``. Its values are exact in float32, so that both precisions
solve the same problem. Where sequences are ragged, the padding of ``x`` and ``dy`` is NaN: it must not reach
anything.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

import rnnfast as rf
from rnnfast import reference
from rnnfast.reference.cells import make_cell
from tests.support.matrix import LAYERS

CELLS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn-tanh": ("rnn", {"activation": "tanh"}),
    "rnn-relu": ("rnn", {"activation": "relu"}),
    "rnn-identity": ("rnn", {"activation": "identity"}),
    "lstm": ("lstm", {}),
    "gru": ("gru", {"reset_after": True}),
    "gru-before": ("gru", {"reset_after": False}),
}
# Those without a bend: a difference quotient is a derivative everywhere.
SMOOTH = [name for name in CELLS if name != "rnn-relu"]
# Those that PyTorch has, too.
IN_TORCH = ["rnn-tanh", "rnn-relu", "lstm", "gru"]
_OTHER = ("hard_sigmoid", 0.3, 0.4)
# Cells that share most of their code with those above, and are tested on fewer problems.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn-clipped": ("rnn", {"activation": "tanh", "clip": 0.4}),
    "rnn-leaky": ("rnn", {"activation": "relu", "leak": 0.3}),
    "rnn-leaky-softplus": ("rnn", {"activation": "softplus", "leak": 0.75, "clip": 0.5}),
    "lstm-peephole": ("lstm", {}),
    "lstm-coupled": ("lstm", {"coupled": True}),
    "lstm-projected": ("lstm", {}),
    "lstm-coupled-peephole-projected": ("lstm", {"coupled": True, "clip": 0.9}),
    "lstm-coupled-peephole": ("lstm", {"coupled": True, "activations": (_OTHER, "tanh", "identity")}),
    "lstm-activations": ("lstm", {"activations": (_OTHER, ("scaled_tanh", 1.2, 0.8), "softsign"), "clip": 0.9}),
    "lstm-normed": ("lstm", {}),
    "lstm-coupled-normed": ("lstm", {"coupled": True, "activations": (_OTHER, "tanh", "softsign"), "clip": 0.9}),
    "gru-normed": ("gru", {}),
    "gru-before-normed": ("gru", {"reset_after": False, "activations": ("sigmoid", "softsign")}),
    "gru-activations": ("gru", {"activations": (_OTHER, "softsign"), "clip": 0.6}),
    "gru-before-activations": ("gru", {"activations": ("sigmoid", ("elu", 0.5)), "clip": 0.8, "reset_after": False}),
}
KINDS = CELLS | VARIANTS
# Rows whose outer products a gradient of weights adds before it adds their sum to the others.
CHAIN = 256
SIZES = [1, 2, 7, 8, 9, 15, 16, 17, 31, 33]

Result = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Problem:
    """``x, dy (N, T, .)``; ``state``, ``dstate``: tuples of ``(L*D, N, H)``, one entry a state."""

    cell: str
    params: dict[str, np.ndarray]
    x: np.ndarray
    state: tuple[np.ndarray, ...] | None
    lengths: np.ndarray | None
    dy: np.ndarray
    dstate: tuple[np.ndarray, ...]
    bidirectional: bool = False
    resets: np.ndarray | None = None

    @property
    def layers(self) -> int:
        return len(self.dstate[0]) // (2 if self.bidirectional else 1)

    @property
    def hidden(self) -> int:
        return len(self.params["weight_hh_l0"]) // gates_of(self.cell)

    @cached_property
    def expected(self) -> Result:
        return run_reference(self)

    @cached_property
    def padding(self) -> np.ndarray:
        rows, steps = self.x.shape[:2]
        lengths = np.full(rows, steps) if self.lengths is None else self.lengths
        return np.arange(steps) >= lengths[:, None]


def gates_of(cell: str) -> int:
    """Blocks of H rows in a cell's matrices."""
    kind, choice = KINDS[cell]
    return make_cell(kind, **choice).gates


def outputs_of(cell: str, H: int) -> int:
    """Numbers of h."""
    return max(H // 2, 1) if "projected" in cell and H > 1 else H


def shapes_of(cell: str, C: int, H: int, bias: bool) -> dict[str, tuple[int, ...]]:
    """The shapes of the parameters of one layer and direction that reads C numbers."""
    rows, P = gates_of(cell) * H, outputs_of(cell, H)
    shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, C), "weight_hh": (rows, P)}
    if bias:
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    if "peephole" in cell:
        shapes["weight_ph"] = (gates_of(cell) - 1, H)
    if P < H:
        shapes["weight_hr"] = (P, H)
    if "normed" in cell:
        shapes |= {"gamma_ih": (rows,), "gamma_hh": (rows,)}
        shapes |= {"gamma_c": (H,)} if "lstm" in cell else {}
        shapes |= {"beta_c": (H,)} if "lstm" in cell and bias else {}
    return shapes


def value_of(name: str, shape: tuple[int, ...], H: int, rng: np.random.Generator) -> np.ndarray:
    """Random values of PyTorch's scale U(+-1/sqrt(H)); gains around 1."""
    return _exact(("gamma" in name) + rng.uniform(-1, 1, shape) / np.sqrt(H))


@cache
def make_problem(
    cell: str,
    *,
    N: int = 3,
    T: int = 5,
    C: int = 4,
    H: int = 8,
    L: int = 1,
    ragged: bool = True,
    bias: bool = True,
    start: bool = True,
    bidirectional: bool = False,
    resets: bool = False,
) -> Problem:
    """A random problem; the same arguments give the same one. See :func:`value_of`."""
    rng = np.random.default_rng([zlib.crc32(cell.encode()), N, T, C, H, L, ragged])
    D, P = 1 + bidirectional, outputs_of(cell, H)
    params: dict[str, np.ndarray] = {}
    for layer in range(L):
        for suffix in (f"_l{layer}", f"_l{layer}_reverse")[:D]:
            shapes = shapes_of(cell, C if layer == 0 else D * P, H, bias)
            params |= {name + suffix: value_of(name, s, H, rng) for name, s in shapes.items()}
    lengths = rng.permutation(np.r_[0, T, rng.integers(1, T + 1, max(N - 2, 0))][:N]) if ragged else None
    kind, choice = KINDS[cell]
    states = (P, H)[: make_cell(kind, **choice).states]
    problem = Problem(
        cell,
        params,
        _exact(rng.normal(size=(N, T, C))),
        tuple(_exact(rng.uniform(-1, 1, (L * D, N, size))) for size in states) if start else None,
        lengths,
        _exact(rng.normal(size=(N, T, D * P))),
        tuple(_exact(rng.normal(size=(L * D, N, size))) for size in states),
        bidirectional,
        rng.random((N, T)) < 0.3 if resets else None,
    )
    problem.x[problem.padding] = np.nan
    problem.dy[problem.padding] = np.nan
    return problem


def build_layer(problem: Problem, dtype: str, **options: Any) -> Any:
    """The engine's layer with the problem's weights."""
    kind, choice = KINDS[problem.cell]
    bias = "bias_ih_l0" in problem.params
    if "weight_ph_l0" in problem.params:
        options["peephole"] = True
    if "weight_hr_l0" in problem.params:
        options["proj_size"] = len(problem.params["weight_hr_l0"])
    if "gamma_ih_l0" in problem.params:
        options["layer_norm"] = True
    if "h0" in problem.params:
        options["learn_initial_state"] = True
    make = LAYERS[kind]
    sizes = (problem.x.shape[2], problem.hidden)
    if problem.bidirectional:
        options["bidirectional"] = True
    layer = make(*sizes, num_layers=problem.layers, bias=bias, dtype=dtype, **choice, **options)
    layer.load_state_dict({name: value.astype(dtype) for name, value in problem.params.items()})
    return layer


def run_engine(problem: Problem, dtype: str) -> Result:
    """Forward with a tape and backward, by rnnfast."""
    layer = build_layer(problem, dtype)
    state = None if problem.state is None else bundle([s.astype(dtype) for s in problem.state])
    y, last, tape = layer.forward(problem.x.astype(dtype), state, lengths=problem.lengths, resets=problem.resets)
    dstate = bundle([d.astype(dtype) for d in problem.dstate])
    dx, dfirst = layer.backward(tape, problem.dy.astype(dtype), dstate)
    grads = {name: p.grad for name, p in layer.parameters().items()}
    return collect(y, last, dx, dfirst, grads)


def run_reference(problem: Problem, dtype: str = "float64") -> Result:
    """The same by the reference."""
    kind, choice = KINDS[problem.cell]
    params = {name: value.astype(dtype) for name, value in problem.params.items()}
    state = None if problem.state is None else bundle([s.astype(dtype) for s in problem.state])
    x = problem.x.astype(dtype)
    y, last, tape = reference.forward(kind, params, x, state, lengths=problem.lengths, resets=problem.resets, **choice)
    dx, dfirst, grads = reference.backward(tape, problem.dy.astype(dtype), bundle(problem.dstate))
    return collect(y, last, dx, dfirst, grads)


def bundle(parts: Any) -> Any:
    """The API's form of a state: the array itself, or a tuple when the cell has two."""
    return parts[0] if len(parts) == 1 else tuple(parts)


def unbundle(state: Any) -> tuple[np.ndarray, ...]:
    """The inverse of :func:`bundle`."""
    return state if isinstance(state, tuple) else (state,)


def collect(y: Any, state: Any, dx: Any, dstate: Any, grads: dict[str, Any]) -> Result:
    """All results under names: y, h, c, dx, dh, dc and, for their gradients, the parameters' own."""
    states = dict(zip(("h", "c"), unbundle(state), strict=False))
    dstates = dict(zip(("dh", "dc"), unbundle(dstate), strict=False))
    return {"y": y, **states, "dx": dx, **dstates, **grads}


def tolerance(problem: Problem, dtype: str) -> float:
    """Bound for the relative error, in norm, of any result.

    A pre-activation is two chains of C and H roundings, whose errors behave as a random walk; an activation and the
    arithmetic of a gate add a dozen. The factor 2 is the distance between a walk's deviation and its extremes. Errors
    add up over the layers and the two passes; :func:`growth` says how over the steps.
    """
    unit = np.finfo(dtype).eps / 2
    roundings = problem.x.shape[2] + problem.hidden + 12
    return float(2 * unit * np.sqrt(roundings) * 2 * growth(problem, roundings) * problem.layers)


def growth(problem: Problem, roundings: int) -> float:
    """The growth of the error of one step over all steps.

    PyTorch's scale of weights makes a step a contraction: errors of earlier steps fade, and those of y, of states and
    of their gradients do not grow. Measured in float32, for T from 1 to 300, they are 1 to 9 units of eps / 2. A
    gradient of weights adds a rounding a step, in chains of ``CHAIN`` rows: 1 to 3 units at T = 1, 4 to 11 at T = 300.
    It is a sum of terms of both signs, which may cancel where there are few such sums: errors were up to 4 times larger
    for H = 2, 20 times for H = 1.

    A normalised product has deviation 1 where that scale leaves 1/sqrt(3) of h's: a step gains up to sqrt(3), forward
    and back, and errors grow until a reset. Measured without resets: 6 to 190 units at T = 10, 10 to 3600 at T = 30.
    """
    steps = max(problem.x.shape[1], 1)
    if "gamma_ih_l0" in problem.params:
        return 3 * longest_run(problem)
    chain = np.sqrt(1 + (min(steps, CHAIN) - 1) / roundings)
    return float(min(steps, chain * (1 + 8 / problem.hidden**2)))


def longest_run(problem: Problem) -> int:
    """The most steps that a sequence takes between two resets."""
    if problem.resets is None:
        return int(problem.x.shape[1])
    longest = run = np.zeros(len(problem.x), int)
    for reset in problem.resets.T:
        run = np.where(reset, 1, run + 1)
        longest = np.maximum(longest, run)
    return int(longest.max(initial=0))


def assert_matches(problem: Problem, actual: Result, dtype: str, expected: Result | None = None) -> None:
    """Compare every result with the float64 reference, by norm and by element; copies and zeros exactly."""
    wanted = problem.expected if expected is None else expected
    assert list(actual) == list(wanted)
    bound = tolerance(problem, dtype)
    for name, value in wanted.items():
        assert actual[name].shape == value.shape, name
        assert actual[name].dtype == dtype, name
        error = actual[name].astype(np.float64) - value
        limit = bound * np.linalg.norm(value)
        assert np.linalg.norm(error) <= limit, f"{name}: error {np.linalg.norm(error):.2e} above {limit:.2e}"
        largest = np.abs(error).max(initial=0)
        assert largest <= 4 * bound * np.abs(value).max(initial=0), f"{name}: an element is off by {largest:.2e}"
    assert (actual["y"][problem.padding] == 0).all(), "y past a length"
    assert (actual["dx"][problem.padding] == 0).all(), "dx past a length"
    if problem.lengths is not None:
        empty = problem.lengths == 0
        for name in {"h", "c", "dh", "dc"} & set(actual):
            np.testing.assert_array_equal(actual[name][:, empty], wanted[name][:, empty], name)


def assert_same_bits(actual: Result, expected: Result) -> None:
    """Equal in every bit, name by name."""
    assert list(actual) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name, strict=True)


def assert_threads_agree(run: Callable[[], Result]) -> None:
    """The bits of one thread, from two and three, one of which a small machine does not have."""
    with rf.threads(1):
        alone = run()
    for count in (2, 3):
        with rf.threads(count):
            assert_same_bits(run(), alone)


def _exact(values: np.ndarray) -> np.ndarray:
    """Values that float32 holds exactly, as float64."""
    return values.astype(np.float32).astype(np.float64)
