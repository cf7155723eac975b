"""What all optimisers share, and gradient clipping."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops
from rnnfast.params import Parameter

Array = npt.NDArray[Any]
Params = Mapping[str, Parameter] | Iterable[Parameter]


class Optimizer(ABC):
    """Parameters, options and buffers; ``step`` updates everything in one call of the engine.

    One call means that an interrupt comes before or after a step, never within it.

    Parameters
    ----------
    params : dict or iterable of Parameter, or None
        None leaves the optimiser unbound; ``fit`` binds it.
    lr : float
        Learning rate; may be changed between steps.
    options : float
        Further options of the formula, kept in the state.
    """

    buffer_names: tuple[str, ...]

    def __init__(self, params: Params | None, *, lr: float, **options: float) -> None:
        self.lr = at_least_zero("lr", lr)
        self.options = options
        self.params: dict[str, Parameter] | None = None
        self._step = np.zeros(1, np.int64)
        self._buffers: dict[str, list[Array]] = {}
        if params is not None:
            self.bind(params)

    def bind(self, params: Params) -> None:
        """Take charge of ``params`` and make zero buffers for them.

        An optimiser that is bound already, to all of ``params`` or to some, stays so.

        Raises
        ------
        ValueError
            No parameters, or bound already to other ones.
        """
        named = named_params(params)
        if self.params is not None:
            given = {id(p) for p in named.values()}
            if not all(id(p) in given for p in self.params.values()):
                raise ValueError("optimizer: one that is bound to this model or unbound required, got another model's")
            return
        if not named:
            raise ValueError("params: at least one parameter required, got none")
        self._buffers = {name: [np.zeros(p.shape, p.dtype) for p in named.values()] for name in self.buffer_names}
        self.params = named

    def step(self) -> None:
        """Update every parameter from its ``grad``."""
        params = self._bound().values()
        for p in params:
            p.drop_held_grad()
        self._update([p.begin_update() for p in params], [p.grad for p in params])
        for p in params:
            p.settle()

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for p in self._bound().values():
            p.grad[...] = 0

    def state_dict(self) -> dict[str, Array]:
        """Return options, number of steps and buffers as a flat dict of arrays."""
        params = self._bound()
        options = {"lr": self.lr, **self.options}
        state: dict[str, Array] = {f"option.{name}": np.asarray(value) for name, value in options.items()}
        state["step"] = self._step.copy()
        for name, arrays in self._buffers.items():
            state.update({f"{name}.{key}": a.copy() for key, a in zip(params, arrays, strict=True)})
        return state

    def load_state_dict(self, state: Mapping[str, npt.ArrayLike]) -> None:
        """Go on where the optimiser that gave ``state`` stood.

        Raises
        ------
        ValueError
            Names what is missing, unexpected or of another shape; nothing is changed then.
        """
        own = self.state_dict()
        new = {name: np.asarray(value) for name, value in state.items()}
        problems = [f"missing {name}" for name in own if name not in new]
        problems += [f"unexpected {name}" for name in new if name not in own]
        problems += [
            f"{name} of shape {new[name].shape} instead of {own[name].shape}"
            for name in own
            if name in new and new[name].shape != own[name].shape
        ]
        if problems:
            raise ValueError(f"state: the entries of this optimiser required, got {'; '.join(problems)}")
        options = {name: float(new[f"option.{name}"]) for name in self.options}
        buffers = {
            name: [new[f"{name}.{key}"].astype(a.dtype) for key, a in zip(self._bound(), arrays, strict=True)]
            for name, arrays in self._buffers.items()
        }
        step, lr = new["step"].astype(np.int64), float(new["option.lr"])
        self._step, self.lr, self.options, self._buffers = step, lr, options, buffers

    @abstractmethod
    def _update(self, values: list[Array], grads: list[Array]) -> None:
        """Update ``values``, buffers and the step counter in place."""

    def _bound(self) -> dict[str, Parameter]:
        if self.params is None:
            raise RuntimeError("optimizer: parameters required (pass params=, or let fit bind it), got none")
        return self.params


def clip_grad_norm(params: Params, max_norm: float) -> float:
    """Scale all gradients together so that their norm is at most ``max_norm``; return the norm before.

    ``g *= min(1, max_norm / (norm + 1e-6))`` (Pascanu et al. 2013), as PyTorch's ``clip_grad_norm_``.

    Examples
    --------
    >>> from rnnfast.params import Parameter
    >>> import numpy as np
    >>> p = Parameter(np.zeros(2))
    >>> p.grad[...] = [3.0, 4.0]
    >>> clip_grad_norm([p], 1.0)
    5.0
    >>> p.grad.round(4).tolist()
    [0.6, 0.8]
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm: a number > 0 required, got {max_norm}")
    every = named_params(params).values()
    for p in every:
        p.drop_held_grad()
    grads = [p.grad for p in every]
    norm = math.sqrt(_ops.squared_norm(grads))
    factor = max_norm / (norm + 1e-6)
    if not factor >= 1:
        _ops.scale_(grads, factor)
    return norm


def named_params(params: Params) -> dict[str, Parameter]:
    """Return ``params`` as a dict; an iterable's names are "0", "1", ..."""
    if isinstance(params, Parameter):
        raise TypeError("params: a dict or an iterable of Parameter required, got a single Parameter")
    named = dict(params) if isinstance(params, Mapping) else {str(i): p for i, p in enumerate(params)}
    for name, p in named.items():
        if not isinstance(p, Parameter):
            raise TypeError(f"params[{name!r}]: a Parameter required, got {type(p).__name__}")
    return named


def at_least_zero(name: str, value: float) -> float:
    """Return ``value`` as a float; ValueError when it is negative or NaN."""
    if not value >= 0:
        raise ValueError(f"{name}: a number >= 0 required, got {value}")
    return float(value)
