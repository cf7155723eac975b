"""Elman's recurrent layer."""

from __future__ import annotations

import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast.checks import names_arguments
from rnnfast.layers.options import Activation, Randomness, known_activation, known_clip
from rnnfast.layers.recurrent import Recurrent


class RNN(Recurrent):
    """Elman's recurrent layer.

    ``h_t = activation(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)``; leaky: ``h_t = (1 - leak) h_(t-1) + leak
    activation(...)``, which is ``tau dh/dt = -h + activation(...)`` in steps of dt, with ``leak = dt / tau``.

    Parameters
    ----------
    input_size, hidden_size : int
        C and H.
    num_layers : int
        Layers, each reading the h of the one below.
    activation : str or tuple
        "tanh", "relu", "identity", "sigmoid", "hard_sigmoid", "hard_tanh", "softsign", "softplus", "elu", "leaky_relu",
        "thresholded_relu", "scaled_tanh" or "affine", alone or with its numbers alpha and beta, ``("elu", 0.5)``; their
        defaults are those of ONNX. With "identity" and unit weights the layer sums its input, exactly.
    bidirectional : bool
        Whether a second set of weights, named ``..._reverse``, reads each sequence from its end. Its h stands beside
        the first one's, so that y and what the next layer reads are (N, T, 2H) (Schuster and Paliwal 1997).
    bias : bool
        Whether there are ``bias_ih`` and ``bias_hh``.
    dropout : float
        Probability of a unit's output being dropped on the way to the next layer, in training.
    time_major : bool
        Whether arrays are (T, N, C) instead of (N, T, C).
    dtype : {"float32", "float64"}
        Of parameters, inputs and outputs.
    seed : int, optional
        Of the first weights, drawn from U(-1/sqrt(H), 1/sqrt(H)), and of the dropout masks.
    clip : float, optional
        What enters the activation is bounded to [-clip, clip].
    leak : float
        dt / tau, within (0, 1].
    noise : float
        Standard deviation of normally distributed noise that enters the activation, in training: independent numbers
        for every sequence, step and unit. For a noise of sigma in continuous time, ``sqrt(2 / leak) * sigma``.
    input_dropout : float
        Probability of a feature of a layer's input being dropped, in training, in every layer and both directions
        alike; one mask for all steps of a sequence (Gal and Ghahramani 2016), the others scaled by 1 / (1 - p).
    recurrent_dropout : float
        Probability of a unit's h being dropped on its way to ``weight_hh``, in training; one mask for all steps of a
        sequence (Gal and Ghahramani 2016), the others scaled by 1 / (1 - p).
    zoneout : float
        Probability of a unit's h staying what it was, in training, anew at every step; elsewhere the expectation,
        ``h_t = p h_(t-1) + (1 - p) h`` with h as above (Krueger et al. 2017).
    learn_initial_state : bool
        Whether sequences without a given state, and all of them after a reset, start from a parameter ``h0`` (L*D, 1,
        H), zeros at first, instead of zeros.

    Raises
    ------
    ValueError
        On an unknown activation or a number out of its range.
    TypeError
        On another dtype.

    References
    ----------
    J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990);
    H. Jaeger et al., "Optimization and applications of echo state networks with leaky-integrator neurons", Neural
    Networks 20 (2007);
    Y. Gal, Z. Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", NIPS (2016);
    D. Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", ICLR (2017);
    M. Schuster, K. K. Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing 45
    (1997).

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> layer = rf.RNN(3, 5, seed=0)
    >>> y, h = layer(np.zeros((2, 7, 3), np.float32))
    >>> y.shape, h.shape
    ((2, 7, 5), (1, 2, 5))
    """

    @names_arguments
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        activation: Activation = "tanh",
        bidirectional: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
        time_major: bool = False,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
        clip: float | None = None,
        leak: float = 1.0,
        noise: float = 0.0,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        learn_initial_state: bool = False,
    ) -> None:
        known = known_activation("activation", activation)
        self.activation = activation
        self.leak = checks.as_number("leak", leak, "dt / tau within (0, 1]", lambda a: 0 < a <= 1)
        random = Randomness(
            dropout=dropout, input=input_dropout, recurrent=recurrent_dropout, noise=noise, zoneout=(zoneout, 0.0)
        )
        cell = _ops.Cell(
            name="rnn",
            activations=(known,),
            clip=known_clip(clip),
            leak=self.leak,
            recurrent_dropout=recurrent_dropout > 0,
            zoneout=random.zoneout[:1] if zoneout else (),
        )
        super().__init__(
            cell,
            input_size,
            hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            bias=bias,
            random=random,
            learn_initial_state=learn_initial_state,
            time_major=time_major,
            dtype=dtype,
            seed=seed,
        )
