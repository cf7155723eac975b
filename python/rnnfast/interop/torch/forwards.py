"""What ``torch.nn``'s recurrent modules call for their computation, under the names of ``torch._VF``, on the engine.

``bound_to_engine`` returns a module's own ``forward`` with these functions in the place of ``torch._VF``. PyTorch's
code checks arguments, permutes packed sequences and makes initial states as ever. What the engine does not do goes to
PyTorch's functions: other dtypes and devices, transforms of ``torch.func``, forward-mode derivatives, autocast,
``torch.jit.trace`` and export to ONNX.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from rnnfast import _ops
from rnnfast.interop.torch.autograd import run
from rnnfast.interop.torch.engine import NOTHING_RANDOM, Call, Stack

_VF = torch._VF
_TENSORS = (Tensor, torch.nn.Parameter)
_DTYPES = (torch.float32, torch.float64)
_BIASED = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@lru_cache(maxsize=1024)
@torch.compiler.assume_constant_result
def stack_named(
    name: str, *, bias: bool, projected: bool, bidirectional: bool, batch_first: bool, dropout: float
) -> Stack:
    """Return the stack of a layer of ``torch.nn``: "lstm", "gru", "rnn_tanh" or "rnn_relu"."""
    family, _, activation = name.partition("_")
    known = ((activation, 0.0, 0.0),) if activation else ()
    return Stack(
        cell=_ops.Cell(name=family, activations=known),
        directions=2 if bidirectional else 1,
        parts=(_BIASED if bias else _BIASED[:2]) + (("weight_hr",) if projected else ()),
        batch_first=batch_first,
        random=(dropout, *NOTHING_RANDOM[1:]),
    )


def cell_stack(name: str, *, bias: bool) -> Stack:
    """Return the stack of a cell of ``torch.nn``, whose steps are sequences of one step, time first."""
    stack: Stack = stack_named(name, bias=bias, projected=False, bidirectional=False, batch_first=False, dropout=0.0)
    return stack


def runs_on_engine(tensors: Sequence[Tensor]) -> bool:
    """Whether the engine computes with these tensors here: plain ones, of one float dtype, outside transforms."""
    dtype = tensors[0].dtype
    if dtype not in _DTYPES:
        return False
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0:
        return all([tensor.dtype == dtype for tensor in tensors]) and not torch.onnx.is_in_onnx_export()
    for tensor in tensors:
        plain = type(tensor) in _TENSORS and tensor.is_cpu and tensor.layout is torch.strided
        if not plain or tensor.dtype != dtype:
            return False
    return not (
        torch._C._functorch.peek_interpreter_stack() is not None
        or forward_ad._current_level >= 0
        or torch.is_autocast_enabled("cpu")
        or torch._C._get_tracing_state() is not None
    )


def draw_seed() -> Tensor:
    """Return a seed from PyTorch's generator, which ``torch.manual_seed`` sets."""
    return torch.randint(2**63 - 1, ())


def _layer(name: str, *arguments: Any) -> Sequence[Tensor]:
    """Compute a stack of layers; ``arguments`` are those of the function of ``torch._VF`` of that name."""
    packed_sequences = isinstance(arguments[3], bool) is False
    x, *given = arguments
    batch_sizes = given.pop(0) if packed_sequences else None
    hx, weights, bias, num_layers, dropout, training, bidirectional, *first = given
    states = hx if isinstance(hx, tuple) else (hx,)
    if not runs_on_engine((x, *states, *weights)) or 0 in x.shape or 0 in states[0].shape:
        return getattr(_VF, name)(*arguments)  # type: ignore[no-any-return]
    drops = dropout > 0 and training and num_layers > 1
    projected = len(weights) // (num_layers * (1 + bidirectional)) not in (2, 4)
    stack = stack_named(
        name,
        bias=bias,
        projected=projected,
        bidirectional=bidirectional,
        batch_first=bool(first and first[0]),
        dropout=float(dropout) if drops else 0.0,
    )
    call = Call(x, states, weights, batch_sizes=batch_sizes, seed=draw_seed() if drops else None)

    def torch_path(x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor]) -> Sequence[Tensor]:
        sizes = () if batch_sizes is None else (batch_sizes,)
        h = tuple(states) if isinstance(hx, tuple) else states[0]
        own: Sequence[Tensor] = getattr(_VF, name)(x, *sizes, h, list(weights), *arguments[3 + len(sizes) :])
        return own

    return run(stack, call, torch_path=torch_path)


def _cell(
    name: str, x: Tensor, hx: Tensor | Sequence[Tensor], w: Tensor, r: Tensor, b_w: Tensor | None, b_r: Tensor | None
) -> Any:
    """Compute one step; arguments are those of the function ``<name>_cell`` of ``torch._VF``."""
    states = (hx,) if isinstance(hx, Tensor) else tuple(hx)
    weights = (w, r) if b_w is None or b_r is None else (w, r, b_w, b_r)
    if not runs_on_engine((x, *states, *weights)) or not _fits(name, x, states, w, r):
        return getattr(_VF, f"{name}_cell")(x, hx, w, r, b_w, b_r)
    call = Call(x[None], [state[None] for state in states], weights)

    def torch_path(x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor]) -> Sequence[Tensor]:
        h = tuple([state[0] for state in states])
        last = getattr(_VF, f"{name}_cell")(x[0], h if len(h) > 1 else h[0], *weights)
        new = last if isinstance(last, tuple) else (last,)
        return (new[0][None], *[state[None] for state in new])

    _, *new = run(cell_stack(name, bias=len(weights) > 2), call, torch_path=torch_path)
    return (new[0][0], new[1][0]) if len(new) > 1 else new[0][0]


def _fits(name: str, x: Tensor, states: Sequence[Tensor], w: Tensor, r: Tensor) -> bool:
    """Whether shapes fit; PyTorch says what is wrong where they do not."""
    shape = (x.shape[0], r.shape[1])
    known = len(states) == (2 if name == "lstm" else 1)
    return known and 0 not in x.shape and x.shape[-1] == w.shape[1] and all(state.shape == shape for state in states)


_LAYERS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
_FUNCTIONS = types.SimpleNamespace(
    **{name: partial(_layer, name) for name in _LAYERS},
    **{f"{name}_cell": partial(_cell, name) for name in _LAYERS},
)


# Functions with PyTorch's code find their names in this module, which has all of PyTorch's own and another _VF. It is
# a module, not a plain dictionary, because torch.compile looks names up in the module that a function names.
_NAMES = types.ModuleType(f"{__name__}._names", "What the code of torch.nn.modules.rnn sees on the engine.")
vars(_NAMES).update(vars(torch.nn.modules.rnn) | vars(_NAMES) | {"_VF": _FUNCTIONS})
sys.modules[_NAMES.__name__] = _NAMES


def bound_to_engine(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with the code of ``forward``, in which ``_VF`` means the functions of this file.

    Raises
    ------
    RuntimeError
        If the code does not call ``_VF``, as that of another version of PyTorch may not.
    """
    function: Any = forward
    if "_VF" not in function.__code__.co_names or function.__closure__:
        raise RuntimeError(f"accelerate: code that calls torch._VF is required, got PyTorch {torch.__version__}")
    return types.FunctionType(function.__code__, vars(_NAMES), function.__name__, function.__defaults__)
