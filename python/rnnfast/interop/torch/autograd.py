"""Recurrent calls that autograd differentiates, eagerly and as operators of ``torch.ops.rnnfast``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from rnnfast.interop.torch import engine
from rnnfast.interop.torch.engine import Call, Stack, stack_of
from rnnfast.interop.torch.packs import packed

TorchPath = Callable[[Tensor, Sequence[Tensor], Sequence[Tensor]], Sequence[Tensor]]
"""PyTorch's own computation of y and the states from x, states and weights."""

Outputs = tuple[Tensor, ...]

_ARGUMENTS = (
    "str stack, Tensor x, Tensor[] states, Tensor[] weights, Tensor[] learned, "
    "Tensor? batch_sizes, Tensor? lengths, Tensor? resets, Tensor? seed"
)
torch.library.define("rnnfast::recurrent", f"({_ARGUMENTS}) -> (Tensor, Tensor, Tensor)")
torch.library.define(
    "rnnfast::recurrent_backward",
    f"({_ARGUMENTS}, Tensor? dy, Tensor? dh, Tensor? dc) -> (Tensor, Tensor[], Tensor[], Tensor[])",
)


def run(stack: Stack, call: Call, *, torch_path: TorchPath | None = None) -> Outputs:
    """Return y, h and, of an LSTM, c, differentiable if need be; a second derivative goes through ``torch_path``."""
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0:
        y, h, c = torch.ops.rnnfast.recurrent(stack.text, *call)
        return (y, h, c) if stack.has_cell_state else (y, h)
    given = (call.x, *call.states, *call.weights, *call.learned)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given):
        outputs: Outputs = _Recurrent.apply(stack, call, torch_path, *given)
        return outputs
    y, h, c, _ = engine.forward(stack, call, packed(stack, call.weights), save=False)
    return (y, h) if c is None else (y, h, c)


class _Recurrent(torch.autograd.Function):
    """A call of the engine with its tape.

    The tape serves the first backward pass. A second one, of a graph that was retained, runs the forward pass again,
    with the same random masks.
    """

    @staticmethod
    def forward(ctx: Any, stack: Stack, call: Call, torch_path: TorchPath | None, *given: Tensor) -> Outputs:
        y, h, c, tape = engine.forward(stack, call, packed(stack, call.weights), save=True)
        ctx.set_materialize_grads(False)
        ctx.stack, ctx.torch_path, ctx.tape = stack, torch_path, tape
        ctx.sizes = (len(call.states), len(call.weights), len(call.learned))
        ctx.others = call[4:]
        ctx.save_for_backward(y, *given)
        return (y, h) if c is None else (y, h, c)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        _, x, *rest = ctx.saved_tensors
        states, weights, _ = ctx.sizes
        call = Call(x, rest[:states], rest[states : states + weights], rest[states + weights :], *ctx.others)
        if torch.is_grad_enabled():
            return (None,) * 3 + _through_torch(ctx, call, gradients)
        tape, ctx.tape = ctx.tape, None
        if tape is None:
            tape = engine.forward(ctx.stack, call, packed(ctx.stack, call.weights), save=True)[3]
        needs = ctx.needs_input_grad[3]
        dx, *others = engine.backward(ctx.stack, call, tape, gradients, need_dx=needs)
        return (None,) * 3 + (dx, *(d for each in others for d in each))


def _through_torch(ctx: Any, call: Call, gradients: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """Return gradients that can be differentiated again: those of PyTorch's own path."""
    if ctx.torch_path is None or call.seed is not None:
        kind = "dropout" if call.seed is not None else "options that torch.nn has not"
        raise NotImplementedError(
            f"double backward: a layer of torch.nn without dropout is required, got {kind}; "
            "use create_graph=False, or the module's own PyTorch code (rnnfast.interop.torch.restore)"
        )
    given = [call.x, *call.states, *call.weights]
    outputs = ctx.torch_path(call.x, call.states, call.weights)
    pairs = [(y, dy) for y, dy in zip(outputs, gradients, strict=True) if dy is not None]
    wanted = [tensor for tensor in given if tensor.requires_grad]
    found = torch.autograd.grad(
        [y for y, _ in pairs], wanted, [dy for _, dy in pairs], create_graph=True, allow_unused=True
    )
    each = iter(found)
    return tuple([next(each) if tensor.requires_grad else None for tensor in given])


def _call(arguments: Sequence[Any]) -> tuple[Stack, Call]:
    return stack_of(arguments[0]), Call(*arguments[1:9])


@torch.library.impl("rnnfast::recurrent", "CPU")
def _recurrent(*arguments: Any) -> Outputs:
    stack, call = _call(arguments)
    y, h, c, _ = engine.forward(stack, call, packed(stack, call.weights), save=False)
    return y, h, call.x.new_empty(0) if c is None else c


@torch.library.impl("rnnfast::recurrent_backward", "CPU")
def _recurrent_backward(*arguments: Any) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
    stack, call = _call(arguments)
    tape = engine.forward(stack, call, engine.pack(stack, call.weights), save=True)[3]
    assert tape is not None
    gradients = arguments[9:] if stack.has_cell_state else arguments[9:11]
    dx, *others = engine.backward(stack, call, tape, gradients, need_dx=True)
    assert dx is not None
    return dx, *others


@torch.library.register_fake("rnnfast::recurrent")
def _recurrent_shapes(*arguments: Any) -> Outputs:
    stack, call = _call(arguments)
    y = call.x.new_empty((*call.x.shape[:-1], stack.output_size(call.weights)))
    h, c = [call.x.new_empty(state.shape) for state in call.states] + [call.x.new_empty(0)] * (2 - len(call.states))
    return y, h, c


@torch.library.register_fake("rnnfast::recurrent_backward")
def _recurrent_backward_shapes(*arguments: Any) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
    _, call = _call(arguments)
    states, weights, learned = [
        [tensor.new_empty(tensor.shape) for tensor in each] for each in (call.states, call.weights, call.learned)
    ]
    return call.x.new_empty(call.x.shape), states, weights, learned


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    _, call = _call(inputs)
    ctx.text = inputs[0]
    ctx.sizes = (len(call.states), len(call.weights))
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(call.x, *call[4:], *call.states, *call.weights, *call.learned)


def _operator_backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
    x, batch_sizes, lengths, resets, seed, *rest = ctx.saved_tensors
    states, weights = ctx.sizes
    parts = rest[:states], rest[states : states + weights], rest[states + weights :]
    dy, dh, dc = gradients
    dx, *others = torch.ops.rnnfast.recurrent_backward(
        ctx.text, x, *parts, batch_sizes, lengths, resets, seed, dy, dh, dc if states > 1 else None
    )
    return (None, dx, *others, None, None, None, None)


def _no_second_derivative(ctx: Any, *gradients: Any) -> Any:
    raise NotImplementedError(
        "double backward: eager code is required, got a compiled or exported graph; compute it without torch.compile"
    )


torch.library.register_autograd("rnnfast::recurrent", _operator_backward, setup_context=_keep)
torch.library.register_autograd("rnnfast::recurrent_backward", _no_second_derivative)
