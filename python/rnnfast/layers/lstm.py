"""The layer with a cell state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast.checks import names_arguments
from rnnfast.describe import changed_options
from rnnfast.layers.options import Activation, Randomness, known_activations, known_clip, plain_norm
from rnnfast.layers.recurrent import Recurrent

_ACTIVATIONS = _ops.FAMILIES["lstm"].activations


class LSTM(Recurrent):
    """Long short-term memory: a stack of ``num_layers`` layers, in one direction or two.

    At each step t, for each sequence, with the rows of a in blocks i, f, g, o::

        a = W_ih x_t + b_ih + W_hh h_(t-1) + b_hh
        i, f, o = sigmoid(a),  g = tanh(a_g)
        c_t = f c_(t-1) + i g
        h_t = o tanh(c_t)

    Layer k has the parameters ``weight_ih_lk`` (4*H, C), above the first layer (4*H, D*H), ``weight_hh_lk`` (4*H, H),
    ``bias_ih_lk`` and ``bias_hh_lk`` (4*H,), all drawn from U(-1/sqrt(H), 1/sqrt(H)), where D is the number of
    directions. The state is the tuple (h, c) of arrays (L*D, N, H) for N sequences.

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
    proj_size : int
        P, below H: the size of the projected h, ``h_t = W_hr (o tanh(c_t))``, which y, the state, the next layer and
        ``weight_hh_lk`` (4*H, P) then see (Sak et al. 2014). y is (N, T, D*P), h is (L*D, N, P), c is (L*D, N, H);
        further parameters are ``weight_hr_lk`` (P, H). 0 projects nothing.
    peephole : bool
        Whether the gates see the cell state: the rows of ``weight_ph_lk`` (3, H) add ``P_i c_(t-1)`` to a_i,
        ``P_f c_(t-1)`` to a_f and ``P_o c_t`` to a_o, unit by unit (Gers and Schmidhuber 2000). ONNX orders the rows i,
        o, f. With ``coupled`` there is no P_f: (2, H).
    forget_bias : float or None
        First value of the forget gate's ``bias_ih``; that of ``bias_hh`` is then 0 (Gers et al. 2000). None draws both
        like the other biases.
    coupled : bool
        Whether ``f = 1 - i`` (Greff et al. 2017): three gates i, g, o, with ``weight_ih_lk`` (3*H, C) and so on.
    activations : sequence of three
        The activations of the gates i, f, o, of the candidate g, and of c on its way to h; by default sigmoid, tanh and
        tanh. Each is a name, alone or with its numbers: ``"relu"``, ``("elu", 0.5)``.
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
    zoneout : float or tuple of two floats
        Probability p, within [0, 1), that a unit keeps its previous h, drawn anew at every step in training; or two,
        for h and for c. Outside training the state is the expectation, ``p h_(t-1) + (1 - p) h`` and ``p c_(t-1) +
        (1 - p) c`` with the h and c of the equations above; h is made of the new c (Krueger et al. 2017). It excludes a
        projection; for c it excludes peepholes.
    layer_norm : bool
        Whether the sums of the gates, and c on its way to h, are normalised (Ba et al. 2016): ``a = LN(W_ih x_t;
        gamma_ih) + b_ih + LN(W_hh h_(t-1); gamma_hh) + b_hh`` and ``h_t = o tanh(LN(c_t; gamma_c) + beta_c)``, where
        ``LN(a; gamma) = gamma (a - mean a) / sqrt(var a + 1e-5)`` over the 4 H numbers of a step, or the H numbers of
        c. Parameters ``gamma_ih_lk`` and ``gamma_hh_lk`` (4*H,) and ``gamma_c_lk`` (H,) are 1 at first; ``beta_c_lk``
        (H,) and the biases, which are betas too, are 0 at first. It excludes a projection, peepholes and zoneout.
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
    S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997);
    F. A. Gers, J. Schmidhuber, F. Cummins, "Learning to forget", Neural Computation 12 (2000);
    F. A. Gers, J. Schmidhuber, "Recurrent nets that time and count", IJCNN (2000);
    K. Greff et al., "LSTM: a search space odyssey", IEEE Trans. Neural Networks and Learning Systems 28 (2017);
    H. Sak, A. Senior, F. Beaufays, "Long short-term memory recurrent neural network architectures for large scale
    acoustic modeling", Interspeech (2014);
    J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", arXiv:1607.06450 (2016);
    Y. Gal, Z. Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", NIPS (2016);
    D. Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", ICLR (2017);
    M. Schuster, K. K. Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing 45
    (1997).

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> layer = rf.LSTM(3, 5, forget_bias=1.0, seed=0)
    >>> y, (h, c) = layer(np.zeros((2, 7, 3), np.float32))
    >>> bool((y[:, -1] == h[-1]).all()), c.shape
    (True, (1, 2, 5))
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
        proj_size: int = 0,
        peephole: bool = False,
        forget_bias: float | None = None,
        coupled: bool = False,
        activations: Sequence[Activation] = _ACTIVATIONS,
        clip: float | None = None,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, float] = 0.0,
        layer_norm: bool = False,
        learn_initial_state: bool = False,
    ) -> None:
        self.peephole, self.coupled = checks.as_flag("peephole", peephole), checks.as_flag("coupled", coupled)
        self.proj_size = _projection(proj_size, hidden_size)
        zones = _zones(zoneout, projected=self.proj_size > 0, peephole=self.peephole)
        random = Randomness(dropout=dropout, input=input_dropout, recurrent=recurrent_dropout, zoneout=zones)
        self.layer_norm = plain_norm(layer_norm, proj_size=proj_size, peephole=peephole, zoneout=any(zones) and zoneout)
        name = "coupled_lstm" if coupled else "lstm"
        super().__init__(
            _cell(name, activations, clip, recurrent_dropout=recurrent_dropout, zones=zones),
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
            proj_size=self.proj_size,
            layer_norm=self.layer_norm,
            peephole=self.peephole,
        )
        self._open_forget_gates(forget_bias)
        self.options = changed_options(LSTM, locals())

    def _open_forget_gates(self, bias: float | None) -> None:
        if bias is None:
            return
        first = checks.as_number("forget_bias", bias)
        if "bias_ih_l0" not in self._parameters:
            raise ValueError(f"forget_bias: bias=True is required, got forget_bias={bias} without biases")
        if self.coupled:
            raise ValueError(f"forget_bias: a forget gate, coupled=False, is required, got {bias} without one")
        forget = np.s_[self.hidden_size : 2 * self.hidden_size]
        for name, p in self._parameters.items():
            if name.startswith("bias_"):
                p[forget] = first if name.startswith("bias_ih") else 0.0


def _cell(
    name: str,
    activations: Sequence[Activation],
    clip: float | None,
    *,
    recurrent_dropout: float,
    zones: tuple[float, float],
) -> _ops.Cell:
    return _ops.Cell(
        name=name,
        activations=known_activations(activations, _ACTIVATIONS),
        clip=known_clip(clip),
        recurrent_dropout=recurrent_dropout > 0,
        zoneout=zones if any(zones) else (),
    )


def _projection(size: int, hidden_size: int) -> int:
    outputs, units = checks.as_integer("proj_size", size, least=0), checks.as_size("hidden_size", hidden_size)
    if outputs >= units:
        raise ValueError(f"proj_size: a size below hidden_size = {units}, or 0, is required, got {outputs}")
    return outputs


def _zones(given: float | tuple[float, float], *, projected: bool, peephole: bool) -> tuple[float, float]:
    pair = given if isinstance(given, tuple) else (given, 0.0)
    if len(pair) != 2:
        raise ValueError(f"zoneout: a probability, or two, of h and of c, is required, got {given}")
    of_h, of_c = (checks.as_probability("zoneout", p) for p in pair)
    if projected and (of_h or of_c):
        raise ValueError(f"zoneout: proj_size=0 is required, got zoneout={given} beside a projection")
    if peephole and of_c:
        raise ValueError(f"zoneout: peephole=False is required where c has one, got zoneout={given}")
    return of_h, of_c
