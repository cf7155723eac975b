"""Custom cells, written in NumPy."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.init import uniform

States = tuple[Array, ...]
Shapes = dict[str, tuple[int, ...]]

BUILT_IN = ("rnn", "lstm", "gru")


class CustomCell(ABC):
    """Base of custom cells: one time step of a recurrence, and its derivative.

    ``state(t) = f(x(t), state(t-1); p)``, where the first state is h, the output of the layer. Layers, directions,
    ragged batches, resets, back-propagation through time, models, training and files work as for the built-in cells, at
    the speed of NumPy.

    A subclass has a name, ``class Mine(CustomCell, name="mine")``, which models and their files use:
    ``rf.ManyToOne(..., cell="mine")`` or ``cell=Mine``, with ``cell_options`` for its constructor. The class must be
    defined before ``rf.load`` reads a file with its name; a later class of the same name replaces it. A cell with
    several states gives their number beside its name, ``states=2``. Models of a custom cell have no ``stream`` and no
    search with ``beams``.

    References
    ----------
    J. Collins, J. Sohl-Dickstein, D. Sussillo, "Capacity and trainability in recurrent neural networks", ICLR (2017):
    the update-gate cell below.

    Examples
    --------
    ``g = sigmoid(W_g x + R_g h_prev + b_g)``, ``n = tanh(W_n x + R_n h_prev + b_n)``, ``h = g h_prev + (1 - g) n``:

    >>> import numpy as np
    >>> import rnnfast as rf
    >>> class UpdateGate(rf.CustomCell, name="update_gate"):
    ...     def shapes(self, inputs, hidden):
    ...         return {"W": (2 * hidden, inputs), "R": (2 * hidden, hidden), "b": (2 * hidden,)}
    ...
    ...     def forward(self, p, x, state):
    ...         (h_prev,) = state
    ...         a, b = np.split(x @ p["W"].T + h_prev @ p["R"].T + p["b"], 2, axis=1)
    ...         g, n = 1 / (1 + np.exp(-a)), np.tanh(b)
    ...         return (g * h_prev + (1 - g) * n,), (x, h_prev, g, n)
    ...
    ...     def backward(self, p, saved, dstate):
    ...         (x, h_prev, g, n), (dh,) = saved, dstate
    ...         dg, dn = dh * (h_prev - n) * g * (1 - g), dh * (1 - g) * (1 - n**2)
    ...         da = np.concatenate([dg, dn], axis=1)
    ...         dp = {"W": da.T @ x, "R": da.T @ h_prev, "b": da.sum(axis=0)}
    ...         return da @ p["W"], (dh * g + da @ p["R"],), dp
    >>> UpdateGate().gradient_error() < 1e-7
    True
    >>> layer = rf.CustomLayer(UpdateGate(), 3, 5, num_layers=2, bidirectional=True, seed=0)
    >>> y, h = layer(np.zeros((4, 7, 3), np.float32), lengths=[7, 2, 0, 5])
    >>> y.shape, h.shape, sorted(layer.parameters())[:3]
    ((4, 7, 10), (4, 4, 5), ['R_l0', 'R_l0_reverse', 'R_l1'])

    Is the sum of a sequence positive?

    >>> rng = np.random.default_rng(0)
    >>> x = [rng.normal(size=(length, 1)) for length in rng.integers(1, 9, 200)]
    >>> positive = np.array([int(s.sum() > 0) for s in x])
    >>> model = rf.ManyToOne(1, 2, cell=UpdateGate, hidden_size=8, seed=0)
    >>> history = model.fit(x, positive, epochs=20, lr=0.03, progress=False, seed=0)
    >>> model.evaluate(x, positive)["accuracy"] > 0.9
    True
    """

    name: ClassVar[str]
    states: ClassVar[int]
    known: ClassVar[dict[str, type[CustomCell]]] = {}

    def __init_subclass__(cls, *, name: str, states: int = 1, **options: Any) -> None:
        """Register the class under its name; ValueError for the name of a built-in cell."""
        super().__init_subclass__(**options)
        if checks.as_text("name", name) in BUILT_IN:
            raise ValueError(f"name: another one than {', '.join(BUILT_IN)} is required, got {name!r}")
        cls.name, cls.states = name, checks.as_size("states", states)
        CustomCell.known[name] = cls

    @abstractmethod
    def shapes(self, inputs: int, hidden: int) -> Shapes:
        """Return the names and shapes of the parameters.

        Parameters
        ----------
        inputs : int
            C, the number of features that the layer reads.
        hidden : int
            H, the number of units.

        Returns
        -------
        dict of str to tuple of int
        """

    def first_value(self, shape: tuple[int, ...], hidden: int, rng: np.random.Generator, *, name: str) -> Array:
        """Return the first value of a parameter, by default from U(-1/sqrt(H), 1/sqrt(H)).

        Parameters
        ----------
        shape : tuple of int
            Its shape.
        hidden : int
            H, the number of units.
        rng : numpy.random.Generator
            The layer's source of random numbers.
        name : str
            Its name.

        Returns
        -------
        array
            The value, of that shape.
        """
        return uniform(shape, 1 / math.sqrt(hidden), rng=rng, dtype="float64")

    @abstractmethod
    def forward(self, p: Mapping[str, Array], x: Array, state: States) -> tuple[States, Any]:
        """Compute one step of N sequences.

        Parameters
        ----------
        p : dict of str to array
            The parameters' values.
        x : array (N, C)
            The input.
        state : tuple of arrays (N, H)
            The previous state; it must not be modified.

        Returns
        -------
        state : tuple of arrays (N, H)
            The new state, first h.
        saved : object
            What ``backward`` needs.
        """

    @abstractmethod
    def backward(self, p: Mapping[str, Array], saved: Any, dstate: States) -> tuple[Array, States, dict[str, Array]]:
        """Compute the gradients of one step of N sequences.

        Parameters
        ----------
        p : dict of str to array
            The parameters' values.
        saved : object
            What ``forward`` saved.
        dstate : tuple of arrays (N, H)
            dL/d(new state); that of h includes dL/dy.

        Returns
        -------
        dx : array (N, C)
            dL/dx.
        dstate : tuple of arrays (N, H)
            dL/d(previous state).
        dp : dict of str to array
            dL/dp of every parameter, summed over the sequences.
        """

    def gradient_error(self, inputs: int = 3, hidden: int = 4, *, sequences: int = 2, seed: int = 0) -> float:
        """Compare ``backward`` with central differences of ``forward``, in float64 and with random numbers.

        Parameters
        ----------
        inputs : int
            C.
        hidden : int
            H.
        sequences : int
            N.
        seed : int or None
            Seed of the random numbers.

        Returns
        -------
        float
            The largest difference, divided by the largest gradient of the same array or by 1, whichever is more: about
            1e-9 where ``backward`` is right.
        """
        inputs, hidden = checks.as_size("inputs", inputs), checks.as_size("hidden", hidden)
        sequences, rng = checks.as_size("sequences", sequences), np.random.default_rng(checks.as_seed(seed))
        p = {name: rng.normal(size=shape) for name, shape in self.shapes(inputs, hidden).items()}
        x = rng.normal(size=(sequences, inputs))
        state, dstate = (
            tuple(rng.normal(size=(sequences, hidden)) for _ in range(self.states)) for _ in ("state", "dstate")
        )

        def loss() -> float:
            return float(sum((new * d).sum() for new, d in zip(self.forward(p, x, state)[0], dstate, strict=True)))

        dx, dbefore, dp = self.backward(p, self.forward(p, x, state)[1], dstate)
        pairs = [(x, dx), *zip(state, dbefore, strict=True), *((p[name], dp[name]) for name in p)]
        return max(_distance(array, np.asarray(gradient), loss) for array, gradient in pairs)


def _distance(array: Array, gradient: Array, loss: Callable[[], float]) -> float:
    step, expected = 1e-5, np.zeros_like(array)
    for index in np.ndindex(array.shape):
        value = array[index]
        for sign in (1, -1):
            array[index] = value + sign * step
            expected[index] += sign * loss() / (2 * step)
        array[index] = value
    return float(np.abs(gradient - expected).max(initial=0) / max(1.0, np.abs(expected).max(initial=0)))
