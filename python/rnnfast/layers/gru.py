"""The gated recurrent unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast.checks import names_arguments
from rnnfast.describe import changed_options
from rnnfast.layers.options import Activation, Randomness, known_activations, known_clip, plain_norm
from rnnfast.layers.recurrent import Recurrent

_ACTIVATIONS = _ops.FAMILIES["gru"].activations


class GRU(Recurrent):
    """Gated recurrent unit: a stack of ``num_layers`` layers, in one direction or two.

    At each step t, for each sequence, with the rows of u and q in blocks r, z, n::

        u = W_ih x_t + b_ih,  q = W_hh h_(t-1) + b_hh
        r, z = sigmoid(u + q)
        n = tanh(u_n + r q_n)
        h_t = n + z (h_(t-1) - n)

    With ``reset_after=False`` the reset gate acts before the product: ``n = tanh(u_n + W_hn (r h_(t-1)) + b_hn)``.

    Layer k has the parameters ``weight_ih_lk`` (3*H, C), above the first layer (3*H, D*H), ``weight_hh_lk`` (3*H, H),
    ``bias_ih_lk`` and ``bias_hh_lk`` (3*H,), all drawn from U(-1/sqrt(H), 1/sqrt(H)), where D is the number of
    directions. The state is an array h (L*D, N, H) for N sequences.

    Parameters
    ----------
    input_size : int
        C, the number of features of x at a step.
    hidden_size : int
        H, the number of units in a layer and direction.
    num_layers : int
        L, the number of layers. Each layer above the first reads the outputs of the layer below.
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
    reset_after : bool
        Whether the reset gate acts after the product, the form of PyTorch, cuDNN and Keras's default. False is the form
        of the paper (Cho et al. 2014), which excludes ``recurrent_dropout``.
    activations : sequence of two
        The activations of the gates r and z, and of n; by default sigmoid and tanh. Each is a name, alone or with its
        numbers: ``"relu"``, ``("elu", 0.5)``.
        Names: "tanh", "relu", "identity", "sigmoid", "hard_tanh", "softsign", "softplus"; with their default numbers
        alpha and beta, which are ONNX's: ("hard_sigmoid", 0.2, 0.5), ("elu", 1), ("leaky_relu", 0.01),
        ("thresholded_relu", 1), ("scaled_tanh", 1, 1), ("affine", 1, 0).
    clip : float or None
        Bound of the pre-activations: the sums of input and recurrent terms are clipped to [-clip, clip] before their
        activation. None clips nothing.
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
    layer_norm : bool
        Whether u and q are normalised (Ba et al. 2016): ``u = LN(W_ih x_t; gamma_ih) + b_ih`` and ``q =
        LN(W_hh h_(t-1); gamma_hh) + b_hh``, where ``LN(a; gamma) = gamma (a - mean a) / sqrt(var a + 1e-5)`` over the
        2 H numbers of r and z, and over the H numbers of n; with ``reset_after=False`` it normalises
        ``W_hn (r h_(t-1))``. Parameters ``gamma_ih_lk`` and ``gamma_hh_lk`` (3*H,) are 1 at first; the biases, which
        are the betas, are 0 at first. It excludes zoneout.
    learn_initial_state : bool
        Whether the initial state is learned: a parameter ``h0`` (L*D, 1, H) and, for an LSTM, ``c0``, zeros at first.
        Sequences start from it where no state is given, and again after every reset.

    Raises
    ------
    ValueError
        If a number is out of its range, an activation is unknown, or two options exclude each other.
    TypeError
        If an argument has another type, or the dtype is neither float32 nor float64.

    References
    ----------
    K. Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP (2014);
    J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", arXiv:1607.06450 (2016);
    Y. Gal, Z. Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", NIPS (2016);
    D. Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", ICLR (2017);
    M. Schuster, K. K. Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing 45
    (1997).

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> y, h = rf.GRU(3, 5, num_layers=2, seed=0)(np.zeros((2, 7, 3), np.float32))
    >>> y.shape, h.shape
    ((2, 7, 5), (2, 2, 5))
    """

    @names_arguments
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
        time_major: bool = False,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
        reset_after: bool = True,
        activations: Sequence[Activation] = _ACTIVATIONS,
        clip: float | None = None,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        layer_norm: bool = False,
        learn_initial_state: bool = False,
    ) -> None:
        self.reset_after = checks.as_flag("reset_after", reset_after)
        random = Randomness(dropout=dropout, input=input_dropout, recurrent=recurrent_dropout, zoneout=(zoneout, 0.0))
        self.layer_norm = plain_norm(layer_norm, zoneout=zoneout)
        known = known_activations(activations, _ACTIVATIONS)
        if recurrent_dropout and not reset_after:
            raise ValueError(f"recurrent_dropout: reset_after=True is required, got {recurrent_dropout} without it")
        cell = _ops.Cell(
            name="gru" if reset_after else "gru_before",
            activations=known,
            clip=known_clip(clip),
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
            layer_norm=self.layer_norm,
        )
        self.options = changed_options(GRU, locals())
