"""Update rules with the names, formulas and defaults of PyTorch."""

from __future__ import annotations

from rnnfast.checks import as_choice, as_flag, as_items, as_number, at_least_zero, names_arguments
from rnnfast.optim.base import Optimizer, Params, over


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
