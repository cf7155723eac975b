"""Optimisers with the names, formulas and defaults of PyTorch, and gradient clipping."""

from __future__ import annotations

import math
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rnnfast import _ops
from rnnfast.arrays import Array, DType
from rnnfast.checks import (
    above_zero,
    as_array,
    as_choice,
    as_flag,
    as_items,
    as_mapping,
    as_number,
    at_least_zero,
    names_arguments,
)
from rnnfast.copies import CopiedWhole
from rnnfast.params import Parameter, write

Params = Mapping[str, Parameter] | Iterable[Parameter]


class Optimizer(CopiedWhole, ABC):
    """Base of optimisers: parameters, options and buffers. ``step`` updates everything in one call of the engine.

    An interrupt therefore comes before or after a step, never within it.

    A copy or pickle made together with the model, of the tuple ``(model, optimizer)``, is bound to the copied model. A
    copy of the optimiser alone is unbound; it keeps options, buffers and the number of steps, and continues from them
    when it is bound to parameters of the same names and shapes.

    Parameters
    ----------
    params : dict or iterable of Parameter, or None
        What is updated. None leaves the optimiser unbound; ``fit`` and ``bind`` bind it.
    lr : float
        Learning rate, at least 0. The attribute ``lr`` may be changed between steps.
    options : float
        Further options of the update rule, which the state keeps.
    """

    rule: ClassVar[str]
    """Name of the update rule in the engine's registry, which names its options and buffers."""

    def __init__(self, params: Params | None, *, lr: float, **options: float) -> None:
        self.lr = at_least_zero("lr", lr)
        self.options = options
        self._params: dict[str, Parameter] | None = None
        self._copied: dict[str, weakref.ref[Parameter]] | None = None
        self._step = np.zeros(1, np.int64)
        self._names: list[str] = []
        self._buffers: dict[str, list[Array]] = {}
        if params is not None:
            self.bind(params)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_params": self.params, "_copied": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Refer to the copied parameters weakly, so that they live only where a model was copied too."""
        params = state["_params"] or {}
        vars(self).update(state, _params=None, _copied={name: weakref.ref(p) for name, p in params.items()})

    @property
    def params(self) -> dict[str, Parameter] | None:
        """The parameters by name; None while the optimiser is unbound."""
        if self._copied is not None:
            found = {name: p for name, reference in self._copied.items() if (p := reference()) is not None}
            self._params = found if found and len(found) == len(self._copied) else None
            self._copied = None
        return self._params

    def bind(self, params: Params) -> None:
        """Bind the optimiser to ``params``: ``step`` then updates them.

        Buffers are zeros, or those that a copy brought along. An optimiser that is bound already, to all of ``params``
        or to some of them, stays bound to these.

        Parameters
        ----------
        params : dict or iterable of Parameter
            What is updated.

        Raises
        ------
        ValueError
            If there are no parameters, the optimiser is bound to others, or its copied buffers belong to others.
        TypeError
            If something else than a parameter is given.
        """
        named = named_params(params)
        bound = self.params
        if bound is not None:
            given = {id(p) for p in named.values()}
            if not all(id(p) in given for p in bound.values()):
                raise ValueError("optimizer: one bound to this model, or an unbound one, is required, got another's")
            return
        if not named:
            raise ValueError("params: at least one parameter is required, got none")
        if self._names:
            named = self._of_state(named)
        else:
            self._buffers = {
                name: [np.zeros(p.shape, p.dtype) for p in named.values()]
                for name in _ops.OPTIMIZERS[self.rule].buffers
            }
        self._names, self._params = list(named), named

    def _of_state(self, named: dict[str, Parameter]) -> dict[str, Parameter]:
        """Return the parameters that the buffers of a copied optimiser belong to, in the buffers' order."""
        buffers = next(iter(self._buffers.values()))
        known = dict(zip(self._names, buffers, strict=True))
        problems = [
            f"{name} of shape {b.shape} and dtype {b.dtype}"
            for name, b in known.items()
            if name not in named or (named[name].shape, named[name].dtype) != (b.shape, b.dtype)
        ]
        if problems:
            raise ValueError(f"params: those of the optimizer's state are required, got none for {problems[0]}")
        return {name: named[name] for name in known}

    def step(self) -> None:
        """Update every parameter from its ``grad``.

        Raises
        ------
        FloatingPointError
            If a gradient is not finite, or a parameter would not be finite after the step. Nothing is changed then.
        RuntimeError
            If the optimiser is unbound.
        """
        params = self._bound()
        for p in params.values():
            p.drop_held_grad()
        values, grads = [p._data for p in params.values()], [p.grad for p in params.values()]
        largest = self._largest(values, grads)
        update = self._update if largest < self._limit(largest, values[0].dtype) else self._update_or_restore
        write(params.values(), [partial(update, values, grads)])

    def _largest(self, values: list[Array], grads: list[Array]) -> float:
        """Return a bound of gradients (with weight decay), values and buffers; an error unless gradients are finite."""
        gradients = _ops.squared_norm(grads)
        if not math.isfinite(gradients):
            for name, g in zip(self._names, grads, strict=True):
                if not np.isfinite(g).all():
                    raise FloatingPointError(f"grad: finite numbers are required, got others in that of {name}")
        buffers = [_ops.squared_norm(arrays) for arrays in self._buffers.values()]
        decay = 1 + self.options.get("weight_decay", 0.0)
        return decay * math.sqrt(gradients + _ops.squared_norm(values) + sum(buffers))

    def _limit(self, largest: float, dtype: DType) -> float:
        """Return a magnitude below which neither a square nor a step can leave the dtype's range."""
        highest = float(np.finfo(dtype).max) / 8
        return math.sqrt(highest) if self._reach(largest) < highest else 0.0

    def _update_or_restore(self, values: list[Array], grads: list[Array]) -> None:
        """Update as ``_update`` does; restore everything where a number is not finite afterwards."""
        own = [array for arrays in self._buffers.values() for array in arrays]
        kept = [(array, array.copy()) for array in (*values, *own, self._step)]
        try:
            with np.errstate(all="ignore"):
                self._update(values, grads)
            for name, value, (_, before) in zip(self._names, values, kept, strict=False):
                if not np.isfinite(before).all():
                    raise FloatingPointError(f"{name}: finite values are required before a step, got others")
                if not np.isfinite(value).all():
                    raise FloatingPointError(
                        f"lr: a learning rate is required with which parameters stay finite, got {self.lr:g}, "
                        f"which overflows {name}"
                    )
            if not all(np.isfinite(array).all() for array in own):
                raise FloatingPointError("grad: numbers are required whose squares are finite, got larger ones")
        except BaseException:
            for array, before in kept:
                array[...] = before
            raise

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for p in self._bound().values():
            p.grad[...] = 0

    def state_dict(self) -> dict[str, Array]:
        """Return options, number of steps and buffers as a flat dict of arrays.

        Raises
        ------
        RuntimeError
            If the optimiser is unbound.
        """
        params = self._bound()
        options = {"lr": self.lr, **self.options}
        state: dict[str, Array] = {f"option.{name}": np.asarray(value) for name, value in options.items()}
        state["step"] = self._step.copy()
        for name, arrays in self._buffers.items():
            state.update({f"{name}.{key}": a.copy() for key, a in zip(params, arrays, strict=True)})
        return state

    def load_state_dict(self, state: Mapping[str, npt.ArrayLike]) -> None:
        """Replace options, number of steps and buffers by those of another optimiser.

        Parameters
        ----------
        state : mapping of str to array_like
            What ``state_dict`` of an optimiser of the same class and parameters returned.

        Raises
        ------
        ValueError
            If an entry is missing or unexpected, or a shape differs. Nothing is changed then.
        RuntimeError
            If the optimiser is unbound.
        """
        own = self.state_dict()
        new = {name: as_array(str(name), value) for name, value in as_mapping("state", state).items()}
        problems = [f"missing {name}" for name in own if name not in new]
        problems += [f"unexpected {name}" for name in new if name not in own]
        problems += [
            f"{name} of shape {new[name].shape} instead of {own[name].shape}"
            for name in own
            if name in new and new[name].shape != own[name].shape
        ]
        if problems:
            raise ValueError(f"state: the entries of this optimiser are required, got {'; '.join(problems)}")
        options = {name: as_number(f"option.{name}", new[f"option.{name}"]) for name in self.options}
        buffers = {
            name: [new[f"{name}.{key}"].astype(a.dtype) for key, a in zip(self._bound(), arrays, strict=True)]
            for name, arrays in self._buffers.items()
        }
        step, lr = new["step"].astype(np.int64), at_least_zero("option.lr", new["option.lr"])
        vars(self).update(_step=step, lr=lr, options=options, _buffers=buffers)

    def _update(self, values: list[Array], grads: list[Array]) -> None:
        """Update ``values``, buffers and the step counter in place."""
        buffers = [self._buffers[name] for name in _ops.OPTIMIZERS[self.rule].buffers]
        _ops.update(self.rule, values, grads, buffers, self._numbers(), self._step)

    def _numbers(self) -> dict[str, float]:
        """Return the rule's options."""
        return {"lr": self.lr, **self.options}

    @abstractmethod
    def _reach(self, largest: float) -> float:
        """Return an upper bound of what a step adds to any value.

        ``largest`` is a bound of gradients (with weight decay), values and buffers.
        """

    def _bound(self) -> dict[str, Parameter]:
        params = self.params
        if params is None:
            raise RuntimeError("optimizer: parameters are required (pass params=, or let fit bind it), got none")
        return params


def clip_grad_norm(params: Params, max_norm: float) -> float:
    """Scale all gradients together so that their norm is at most ``max_norm``.

    ``g = g min(1, max_norm / (norm + 1e-6))``, as PyTorch's ``clip_grad_norm_``.

    Parameters
    ----------
    params : dict or iterable of Parameter
        Parameters whose ``grad`` is scaled.
    max_norm : float
        Largest Euclidean norm of all gradients together, above 0.

    Returns
    -------
    float
        The norm before.

    Raises
    ------
    ValueError
        If ``max_norm`` is not above 0.
    TypeError
        If something else than a parameter is given.

    References
    ----------
    R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", ICML (2013).

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
    max_norm = above_zero("max_norm", max_norm)
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
    """Return ``params`` as a dict; the parameters of an iterable are named "0", "1" and so on."""
    if isinstance(params, Parameter):
        raise TypeError("params: a dict or an iterable of Parameter is required, got a single Parameter")
    if hasattr(params, "parameters"):
        name = type(params).__name__
        raise TypeError(
            f"params: a dict or an iterable of Parameter is required, such as {name}.parameters(), got {name}"
        )
    items = params if isinstance(params, Mapping) else as_items("params", params)
    named = dict(items) if isinstance(items, Mapping) else {str(i): p for i, p in enumerate(items)}
    for name, p in named.items():
        if not isinstance(p, Parameter):
            raise TypeError(f"params[{name!r}]: a Parameter is required, got {type(p).__name__}")
    return named


def over(a: float, b: float) -> float:
    """Return a / b, infinity where b is 0."""
    return a / b if b else math.inf


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum on request.

    For every parameter p with gradient dL/dp, at each step::

        g = dL/dp + weight_decay p
        b = momentum b + (1 - dampening) g        (the first step: b = g)
        p = p - lr b                              (nesterov: p - lr (g + momentum b))

    Parameters
    ----------
    params : dict or iterable of Parameter, or None
        What is updated. None leaves the optimiser unbound; ``fit`` and ``bind`` bind it.
    lr : float
        Learning rate, at least 0. The attribute ``lr`` may be changed between steps.
    momentum : float
        Decay of the running sum b, at least 0; 0 keeps none of it.
    dampening : float
        Share of g that does not enter b.
    weight_decay : float
        Coefficient of p in g, at least 0.
    nesterov : bool
        Whether the step looks ahead; it requires momentum above 0 and no dampening (Sutskever et al. 2013).

    Raises
    ------
    ValueError
        If a number is out of its range, or there are no parameters.
    TypeError
        If an argument has another type.

    References
    ----------
    I. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML (2013).

    Examples
    --------
    >>> from rnnfast.params import Parameter
    >>> import numpy as np
    >>> p = Parameter(np.ones(2))
    >>> optimizer = SGD([p], lr=0.5)
    >>> p.grad[...] = 1.0
    >>> optimizer.step()
    >>> p.value.tolist()
    [0.5, 0.5]
    """

    rule = "sgd"

    @names_arguments
    def __init__(
        self,
        params: Params | None = None,
        lr: float = 1e-3,
        *,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        momentum = at_least_zero("momentum", momentum)
        if as_flag("nesterov", nesterov) and (momentum == 0 or dampening != 0):
            raise ValueError(
                f"nesterov: momentum > 0 and dampening = 0 are required, got momentum={momentum}, dampening={dampening}"
            )
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            dampening=as_number("dampening", dampening),
            weight_decay=at_least_zero("weight_decay", weight_decay),
            nesterov=float(nesterov),
        )

    def _reach(self, largest: float) -> float:
        o = self.options
        return self.lr * (1 + o["momentum"]) * largest * (2 + o["momentum"] + abs(o["dampening"]))


class RMSprop(Optimizer):
    """RMSprop: steps divided by the running root mean square of the gradient.

    For every parameter p with gradient dL/dp, at each step::

        g = dL/dp + weight_decay p
        v = alpha v + (1 - alpha) g^2
        b = momentum b + g / (sqrt(v) + eps)
        p = p - lr b

    With ``centered`` the root is of ``v - m^2``, where ``m = alpha m + (1 - alpha) g``.

    Parameters
    ----------
    params : dict or iterable of Parameter, or None
        What is updated. None leaves the optimiser unbound; ``fit`` and ``bind`` bind it.
    lr : float
        Learning rate, at least 0. The attribute ``lr`` may be changed between steps.
    alpha : float
        Decay of the running means of g^2 and of g, at least 0.
    eps : float
        Summand of the denominator, at least 0, which keeps it from 0.
    weight_decay : float
        Coefficient of p in g, at least 0.
    momentum : float
        Decay of the running sum b, at least 0; 0 keeps none of it.
    centered : bool
        Whether the squared running mean of g is subtracted from v.

    Raises
    ------
    ValueError
        If a number is out of its range, or there are no parameters.
    TypeError
        If an argument has another type.

    References
    ----------
    G. Hinton, N. Srivastava, K. Swersky, "Neural networks for machine learning", lecture 6 (2012);
    A. Graves, "Generating sequences with recurrent neural networks", arXiv:1308.0850 (2013): centered.

    Examples
    --------
    >>> from rnnfast.params import Parameter
    >>> import numpy as np
    >>> p = Parameter(np.ones(1))
    >>> optimizer = RMSprop([p], alpha=0.75)
    >>> p.grad[...] = 3.0
    >>> optimizer.step()
    >>> p.value.round(6).tolist()
    [0.98]
    """

    rule = "rmsprop"

    @names_arguments
    def __init__(
        self,
        params: Params | None = None,
        lr: float = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            alpha=at_least_zero("alpha", alpha),
            eps=at_least_zero("eps", eps),
            weight_decay=at_least_zero("weight_decay", weight_decay),
            momentum=at_least_zero("momentum", momentum),
            centered=float(as_flag("centered", centered)),
        )

    def _reach(self, largest: float) -> float:
        o = self.options
        return self.lr * (o["momentum"] * largest + over(largest, o["eps"]))


class Adam(Optimizer):
    """Adam: steps of the running mean of the gradient, divided by its running root mean square.

    For every parameter p with gradient dL/dp, at step t = 1, 2, ...::

        g = dL/dp + weight_decay p
        m = b1 m + (1 - b1) g
        v = b2 v + (1 - b2) g^2
        p = p - lr M / (sqrt(V) + eps)    with M = m / (1 - b1^t) and V = v / (1 - b2^t)

    Parameters
    ----------
    params : dict or iterable of Parameter, or None
        What is updated. None leaves the optimiser unbound; ``fit`` and ``bind`` bind it.
    lr : float
        Learning rate, at least 0. The attribute ``lr`` may be changed between steps.
    betas : tuple of two floats
        b1 and b2, each within [0, 1): the decays of the running means of g and of g^2.
    eps : float
        Summand of the denominator, at least 0, which keeps it from 0.
    weight_decay : float
        Coefficient of p in g, at least 0.

    Raises
    ------
    ValueError
        If a number is out of its range, or there are no parameters.
    TypeError
        If an argument has another type.

    References
    ----------
    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR (2015).

    Examples
    --------
    >>> from rnnfast.params import Parameter
    >>> import numpy as np
    >>> p = Parameter(np.ones(1))
    >>> optimizer = Adam([p], lr=0.1)
    >>> p.grad[...] = 3.0
    >>> optimizer.step()
    >>> p.value.round(6).tolist()
    [0.9]
    """

    rule = "adam"
    decoupled = False

    @names_arguments
    def __init__(
        self,
        params: Params | None = None,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        both = tuple(as_items("betas", betas))
        if len(both) != 2:
            raise ValueError(f"betas: a pair of numbers in [0, 1) is required, got {betas}")
        beta1, beta2 = (as_number("betas", b, "a pair of numbers in [0, 1)", lambda v: 0 <= v < 1) for b in both)
        super().__init__(
            params,
            lr=lr,
            beta1=beta1,
            beta2=beta2,
            eps=at_least_zero("eps", eps),
            weight_decay=at_least_zero("weight_decay", weight_decay),
        )

    def _numbers(self) -> dict[str, float]:
        return {**super()._numbers(), "decoupled": float(self.decoupled)}

    def _reach(self, largest: float) -> float:
        o = self.options
        return self.lr * (largest + over(largest, o["eps"] * (1 - o["beta1"])))


class AdamW(Adam):
    """Adam with weight decay that is kept out of the running means.

    For every parameter p with gradient g = dL/dp, at step t = 1, 2, ...::

        p = p - lr weight_decay p
        m = b1 m + (1 - b1) g
        v = b2 v + (1 - b2) g^2
        p = p - lr M / (sqrt(V) + eps)    with M = m / (1 - b1^t) and V = v / (1 - b2^t)

    Parameters
    ----------
    params : dict or iterable of Parameter, or None
        What is updated. None leaves the optimiser unbound; ``fit`` and ``bind`` bind it.
    lr : float
        Learning rate, at least 0. The attribute ``lr`` may be changed between steps.
    betas : tuple of two floats
        b1 and b2, each within [0, 1): the decays of the running means of g and of g^2.
    eps : float
        Summand of the denominator, at least 0, which keeps it from 0.
    weight_decay : float
        Share of p, in units of lr, that each step takes away; at least 0.

    Raises
    ------
    ValueError
        If a number is out of its range, or there are no parameters.
    TypeError
        If an argument has another type.

    References
    ----------
    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR (2015);
    I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR (2019).

    Examples
    --------
    >>> from rnnfast.params import Parameter
    >>> import numpy as np
    >>> p = Parameter(np.ones(1))
    >>> optimizer = AdamW([p], lr=0.1, weight_decay=0.5)
    >>> p.grad[...] = 3.0
    >>> optimizer.step()
    >>> p.value.round(6).tolist()
    [0.85]
    """

    decoupled = True

    @names_arguments
    def __init__(
        self,
        params: Params | None = None,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas=betas, eps=eps, weight_decay=weight_decay)


DEFAULT_LR = 1e-3  # for an optimiser that fit is given by name

OPTIMIZERS: dict[str, type[SGD] | type[RMSprop] | type[Adam]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
}


def optimizer_for(optimizer: str | Optimizer, params: Params, lr: float | None) -> Optimizer:
    """Return an optimiser bound to ``params``: ``optimizer`` itself, or a new one of that name and ``lr``.

    Its default ``lr`` is 1e-3. Beside an optimiser, ``lr`` must be None.
    """
    if isinstance(optimizer, str):
        cls = OPTIMIZERS[as_choice("optimizer", optimizer, OPTIMIZERS, others=" or an Optimizer")]
        return cls(params, DEFAULT_LR if lr is None else lr)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer: a name or an Optimizer is required, got {type(optimizer).__name__}")
    if lr is not None:
        raise ValueError(f"lr: None is required beside an optimizer object (which has lr = {optimizer.lr}), got {lr}")
    optimizer.bind(params)
    return optimizer
