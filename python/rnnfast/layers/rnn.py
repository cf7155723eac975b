"""Elman's recurrent layer."""

from __future__ import annotations

import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast.checks import names_arguments
from rnnfast.describe import changed_options
from rnnfast.layers.options import Activation, Randomness, known_activation, known_clip
from rnnfast.layers.recurrent import Recurrent


class RNN(Recurrent):
    """Elman's recurrent layer: a stack of ``num_layers`` layers, in one direction or two.

    At each step t, for each sequence::

        h_t = (1 - leak) h_(t-1) + leak activation(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)

    With the default, ``leak = 1``, the first term vanishes. A smaller leak integrates ``tau dh/dt = -h +
    activation(...)`` in steps of dt, where ``leak = dt / tau`` (Jaeger et al. 2007).

    Layer k has the parameters ``weight_ih_lk`` (H, C), above the first layer (H, D*H), ``weight_hh_lk`` (H, H),
    ``bias_ih_lk`` and ``bias_hh_lk`` (H,), all drawn from U(-1/sqrt(H), 1/sqrt(H)), where D is the number of
    directions. The state is an array h (L*D, N, H) for N sequences.

    Parameters
    ----------
    input_size : int
        C, the number of features of x at a step.
    hidden_size : int
        H, the number of units in a layer and direction.
    num_layers : int
        L, the number of layers. Each layer above the first reads the outputs of the layer below.
    activation : str or tuple
        The activation's name, alone or with its numbers: ``"relu"``, ``("elu", 0.5)``.
        Names: "tanh", "relu", "identity", "sigmoid", "hard_tanh", "softsign", "softplus"; with their default numbers
        alpha and beta, which are ONNX's: ("hard_sigmoid", 0.2, 0.5), ("elu", 1), ("leaky_relu", 0.01),
        ("thresholded_relu", 1), ("scaled_tanh", 1, 1), ("affine", 1, 0).
        With "identity" and weights of 1 the layer sums its input, exactly.
    bidirectional : bool
        Whether a second set of weights, named ``..._reverse``, reads each sequence from its end to its start. The
        outputs of both directions stand side by side: y and the input of the next layer have twice the features
        (Schuster and Paliwal 1997).
    bias : bool
        Whether the layers have ``bias_ih`` and ``bias_hh``.
    dropout : float
        Probability, within [0, 1), of dropping an output on its way to the next layer in training, drawn anew at every
        step; the others are scaled by 1 / (1 - dropout). It does nothing in a single layer.
    time_major : bool
        Whether arrays are (T, N, C) instead of (N, T, C).
    dtype : {"float32", "float64"}
        Dtype of parameters, inputs and outputs.
    seed : int or None
        Seed of the first weights and of everything random in training. None takes a new one every time.
    clip : float or None
        Bound of the pre-activations: the sums of input and recurrent terms are clipped to [-clip, clip] before their
        activation. None clips nothing.
    leak : float
        dt / tau, within (0, 1].
    noise : float
        Standard deviation of the normally distributed noise that is added to the pre-activations in training,
        independent for every sequence, step and unit. For noise of deviation sigma in continuous time it is
        ``sqrt(2 / leak) sigma``.
    input_dropout : float
        Probability, within [0, 1), of dropping a feature of a layer's input in training, in every layer and alike in
        both directions. One mask serves all steps of a sequence; the other features are scaled by 1 / (1 - p) (Gal and
        Ghahramani 2016).
    recurrent_dropout : float
        Probability, within [0, 1), of dropping a unit's h on its way to ``weight_hh`` in training. One mask serves all
        steps of a sequence; the other units are scaled by 1 / (1 - p) (Gal and Ghahramani 2016).
    zoneout : float
        Probability p, within [0, 1), that a unit keeps its previous h, drawn anew at every step in training. Outside
        training h is the expectation, ``p h_(t-1) + (1 - p) h`` with the h of the equations above (Krueger et al.
        2017).
    learn_initial_state : bool
        Whether the initial state is learned: a parameter ``h0`` (L*D, 1, H) and, for an LSTM, ``c0``, zeros at first.
        Sequences start from it where no state is given, and again after every reset.

    Raises
    ------
    ValueError
        If a number is out of its range, or the activation is unknown.
    TypeError
        If an argument has another type, or the dtype is neither float32 nor float64.

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
        self.options = changed_options(RNN, locals())
