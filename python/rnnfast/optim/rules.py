"""The update rules, with the names, formulas and defaults of PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rnnfast.checks import as_choice, as_flag, names_arguments
from rnnfast.optim.named import Params
from rnnfast.optim.optimizer import Optimizer, Options
from rnnfast.schedules import Schedule

LearningRate = float | Schedule | Callable[[int], float]
Groups = Iterable[Mapping[str, Any]]
GroupedParams = Params | Groups


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
    params : dict or iterable of Parameter, list of dict, or None
        What is updated. None leaves the optimiser unbound; ``fit`` and ``bind`` bind it. In a list of dicts, each has
        ``params`` and options that only these have.
    lr : float, Schedule or function of steps
        Learning rate, at least 0; a schedule or a function gives that of each step, of the number of steps before it.
        The attribute ``lr`` may be changed between steps.
    momentum : float
        Decay of the running sum b, at least 0; 0 keeps none of it.
    dampening : float
        Share of g that does not enter b.
    weight_decay : float
        Coefficient of p in g, at least 0.
    nesterov : bool
        Whether the step looks ahead; it requires momentum above 0 and no dampening (Sutskever et al. 2013).
    groups : list of dict
        Parameters that have options of their own. ``params`` of a group are names, which may be patterns such as
        "head.*" or "*bias*", or parameters; its other entries are arguments of this class, ``lr`` included. A parameter
        takes the options of all groups that it belongs to, of the later group where they differ.

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
        params: GroupedParams | None = None,
        lr: LearningRate = 1e-3,
        *,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        groups: Groups = (),
    ) -> None:
        super().__init__(
            params,
            groups,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
        )

    def _check(self, options: Options) -> None:
        momentum, dampening = options["momentum"], options["dampening"]
        if options["nesterov"] and (momentum == 0 or dampening != 0):
            raise ValueError(
                f"nesterov: momentum > 0 and dampening = 0 are required, got momentum={momentum}, dampening={dampening}"
            )

    def _reach(self, options: Options, largest: float) -> float:
        momentum, dampening = options["momentum"], options["dampening"]
        return options["lr"] * (1 + momentum) * largest * (2 + momentum + abs(dampening))


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
    params : dict or iterable of Parameter, list of dict, or None
        What is updated. None leaves the optimiser unbound; ``fit`` and ``bind`` bind it. In a list of dicts, each has
        ``params`` and options that only these have.
    lr : float, Schedule or function of steps
        Learning rate, at least 0; a schedule or a function gives that of each step, of the number of steps before it.
        The attribute ``lr`` may be changed between steps.
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
    groups : list of dict
        Parameters that have options of their own. ``params`` of a group are names, which may be patterns such as
        "head.*" or "*bias*", or parameters; its other entries are arguments of this class, ``lr`` included. A parameter
        takes the options of all groups that it belongs to, of the later group where they differ.

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
        params: GroupedParams | None = None,
        lr: LearningRate = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        groups: Groups = (),
    ) -> None:
        super().__init__(
            params,
            groups,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
        )

    def _reach(self, options: Options, largest: float) -> float:
        return options["lr"] * (options["momentum"] * largest + over(largest, options["eps"]))


class Adam(Optimizer):
    """Adam: steps of the running mean of the gradient, divided by its running root mean square.

    For every parameter p with gradient dL/dp, at step t = 1, 2, ...::

        g = dL/dp + weight_decay p
        m = b1 m + (1 - b1) g
        v = b2 v + (1 - b2) g^2
        p = p - lr M / (sqrt(V) + eps)    with M = m / (1 - b1^t) and V = v / (1 - b2^t)

    Parameters
    ----------
    params : dict or iterable of Parameter, list of dict, or None
        What is updated. None leaves the optimiser unbound; ``fit`` and ``bind`` bind it. In a list of dicts, each has
        ``params`` and options that only these have.
    lr : float, Schedule or function of steps
        Learning rate, at least 0; a schedule or a function gives that of each step, of the number of steps before it.
        The attribute ``lr`` may be changed between steps.
    betas : tuple of two floats
        b1 and b2, each within [0, 1): the decays of the running means of g and of g^2.
    eps : float
        Summand of the denominator, at least 0, which keeps it from 0.
    weight_decay : float
        Coefficient of p in g, at least 0.
    amsgrad : bool
        Whether V is made of the largest v so far instead of the latest, so that steps do not grow again (Reddi et al.
        2018).
    groups : list of dict
        Parameters that have options of their own. ``params`` of a group are names, which may be patterns such as
        "head.*" or "*bias*", or parameters; its other entries are arguments of this class, ``lr`` included. A parameter
        takes the options of all groups that it belongs to, of the later group where they differ.

    Raises
    ------
    ValueError
        If a number is out of its range, or there are no parameters.
    TypeError
        If an argument has another type.

    References
    ----------
    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR (2015);
    S. J. Reddi, S. Kale, S. Kumar, "On the convergence of Adam and beyond", ICLR (2018): amsgrad.

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
        params: GroupedParams | None = None,
        lr: LearningRate = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        groups: Groups = (),
    ) -> None:
        if as_flag("amsgrad", amsgrad):
            self.rule = "amsgrad"
        super().__init__(params, groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def _read(self, options: Options) -> Options:
        return {**options, "decoupled": float(self.decoupled)}

    def _reach(self, options: Options, largest: float) -> float:
        return options["lr"] * (largest + over(largest, options["eps"] * (1 - options["beta1"])))


class AdamW(Adam):
    """Adam with weight decay that is kept out of the running means.

    For every parameter p with gradient g = dL/dp, at step t = 1, 2, ...::

        p = p - lr weight_decay p
        m = b1 m + (1 - b1) g
        v = b2 v + (1 - b2) g^2
        p = p - lr M / (sqrt(V) + eps)    with M = m / (1 - b1^t) and V = v / (1 - b2^t)

    Parameters
    ----------
    params : dict or iterable of Parameter, list of dict, or None
        What is updated. None leaves the optimiser unbound; ``fit`` and ``bind`` bind it. In a list of dicts, each has
        ``params`` and options that only these have.
    lr : float, Schedule or function of steps
        Learning rate, at least 0; a schedule or a function gives that of each step, of the number of steps before it.
        The attribute ``lr`` may be changed between steps.
    betas : tuple of two floats
        b1 and b2, each within [0, 1): the decays of the running means of g and of g^2.
    eps : float
        Summand of the denominator, at least 0, which keeps it from 0.
    weight_decay : float
        Share of p, in units of lr, that each step takes away; at least 0.
    amsgrad : bool
        Whether V is made of the largest v so far instead of the latest, so that steps do not grow again (Reddi et al.
        2018).
    groups : list of dict
        Parameters that have options of their own. ``params`` of a group are names, which may be patterns such as
        "head.*" or "*bias*", or parameters; its other entries are arguments of this class, ``lr`` included. A parameter
        takes the options of all groups that it belongs to, of the later group where they differ.

    Raises
    ------
    ValueError
        If a number is out of its range, or there are no parameters.
    TypeError
        If an argument has another type.

    References
    ----------
    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR (2015);
    I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR (2019);
    S. J. Reddi, S. Kale, S. Kumar, "On the convergence of Adam and beyond", ICLR (2018): amsgrad.

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
        params: GroupedParams | None = None,
        lr: LearningRate = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        groups: Groups = (),
    ) -> None:
        super().__init__(params, lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, groups=groups)


class NAdam(Optimizer):
    """Adam whose mean of the gradient looks one step ahead, as Nesterov's momentum does.

    For every parameter p with gradient dL/dp, at step t = 1, 2, ...::

        g = dL/dp + weight_decay p
        m = b1 m + (1 - b1) g
        v = b2 v + (1 - b2) g^2
        M = n(t+1) m / (1 - n(1) ... n(t+1)) + (1 - n(t)) g / (1 - n(1) ... n(t))
        p = p - lr M / (sqrt(V) + eps)    with n(t) = b1 (1 - 0.96^(t momentum_decay) / 2) and V = v / (1 - b2^t)

    With ``decoupled_weight_decay`` the decay is ``p = p - lr weight_decay p`` before the step instead.

    Parameters
    ----------
    params : dict or iterable of Parameter, list of dict, or None
        What is updated. None leaves the optimiser unbound; ``fit`` and ``bind`` bind it. In a list of dicts, each has
        ``params`` and options that only these have.
    lr : float, Schedule or function of steps
        Learning rate, at least 0; a schedule or a function gives that of each step, of the number of steps before it.
        The attribute ``lr`` may be changed between steps.
    betas : tuple of two floats
        b1 and b2, each within [0, 1): the decays of the running means of g and of g^2.
    eps : float
        Summand of the denominator, at least 0, which keeps it from 0.
    weight_decay : float
        Coefficient of p in g, at least 0.
    momentum_decay : float
        How fast n(t) rises from b1 / 2 to b1, at least 0.
    decoupled_weight_decay : bool
        Whether weight decay is kept out of the running means, as in AdamW.
    groups : list of dict
        Parameters that have options of their own. ``params`` of a group are names, which may be patterns such as
        "head.*" or "*bias*", or parameters; its other entries are arguments of this class, ``lr`` included. A parameter
        takes the options of all groups that it belongs to, of the later group where they differ.

    Raises
    ------
    ValueError
        If a number is out of its range, or there are no parameters.
    TypeError
        If an argument has another type.

    References
    ----------
    T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop (2016).

    Examples
    --------
    >>> from rnnfast.params import Parameter
    >>> import numpy as np
    >>> p = Parameter(np.ones(1))
    >>> optimizer = NAdam([p], lr=0.1)
    >>> p.grad[...] = 3.0
    >>> optimizer.step()
    >>> p.value.round(4).tolist()
    [0.8944]
    """

    rule = "nadam"

    @names_arguments
    def __init__(
        self,
        params: GroupedParams | None = None,
        lr: LearningRate = 2e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        groups: Groups = (),
    ) -> None:
        super().__init__(
            params,
            groups,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
        )

    def _read(self, options: Options) -> Options:
        read = {name: options[name] for name in ("lr", "beta1", "beta2", "eps", "weight_decay")}
        m_share, g_share = nesterov_shares(options["beta1"], options["momentum_decay"], int(self._step[0]) + 1)
        return {**read, "decoupled": options["decoupled_weight_decay"], "m_share": m_share, "g_share": g_share}

    def _reach(self, options: Options, largest: float) -> float:
        shares = 1 + 1 / (1 - options["beta1"])
        return options["lr"] * (largest + over(largest * shares, options["eps"]))


def nesterov_shares(beta1: float, decay: float, t: int) -> tuple[float, float]:
    """Return the factors of m and g in NAdam's step t.

    A product of n below 1e-20 is as good as 0, so that few of its factors are needed.
    """

    def n(i: int) -> float:
        return beta1 * (1 - 0.5 * math.pow(0.96, i * decay))

    product = 1.0
    for i in range(1, t + 1):
        product *= n(i)
        if product < 1e-20:
            break
    return n(t + 1) / (1 - product * n(t + 1)), (1 - n(t)) / (1 - product)


DEFAULT_LR = 1e-3  # for an optimiser that fit is given by name

OPTIMIZERS: dict[str, type[SGD] | type[RMSprop] | type[Adam] | type[NAdam]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
    "nadam": NAdam,
}


def optimizer_for(optimizer: str | Optimizer, params: Params, lr: LearningRate | None) -> Optimizer:
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
