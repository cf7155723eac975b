"""The layer with a cell state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast.checks import names_arguments
from rnnfast.layers.options import Activation, Randomness, known_activations, known_clip, plain_norm
from rnnfast.layers.recurrent import Recurrent

_ACTIVATIONS = _ops.FAMILIES["lstm"].activations


class LSTM(Recurrent):
    """Long short-term memory.

    ``i, f, o = sigmoid(.)``, ``g = tanh(.)`` of ``W_ih x_t + b_ih + W_hh h_(t-1) + b_hh``, in blocks i, f, g, o;
    ``c_t = f c_(t-1) + i g``; ``h_t = o tanh(c_t)``. The state is the tuple ``(h, c)``.

    Parameters
    ----------
    input_size, hidden_size : int
        C and H.
    num_layers, bidirectional, bias, dropout, time_major, dtype, seed
        As of ``RNN``.
    proj_size : int
        P, where h is a projection: ``h_t = W_hr (o tanh(c_t))`` of P numbers, P < H, which is what y, the state, the
        next layer and ``weight_hh_l0`` (4*H, P) see; parameters ``weight_hr_l0`` (P, H), ... (Sak et al. 2014). y is
        then (N, T, D*P), h (L*D, N, P) and c (L*D, N, H). 0: no projection.
    peephole : bool
        Whether the gates see the cell state: the rows of ``weight_ph_l0`` (3, H), ... add ``P_i c_(t-1)`` and ``P_f
        c_(t-1)`` to what enters i and f, and ``P_o c_t`` to what enters o, unit by unit (ONNX has them in the order i,
        o, f). Coupled: (2, H), without P_f.
    forget_bias : float, optional
        First value of the forget gate's ``bias_ih``; that of ``bias_hh`` is then 0.
    coupled : bool
        Whether ``f = 1 - i``: three gates i, g, o, parameters ``weight_ih_l0`` (3*H, C), ...
    activations : sequence of three
        f of the gates i, f, o, in place of the sigmoid above, g of the candidate, and h of the cell state on its way
        out, in place of tanh; as RNN's ``activation``.
    clip : float, optional
        What enters f and g is bounded to [-clip, clip].
    input_dropout : float
        Probability of a feature of a layer's input being dropped, in training, in every layer and both directions
        alike; one mask for all steps of a sequence (Gal and Ghahramani 2016), the others scaled by 1 / (1 - p).
    recurrent_dropout : float
        As of ``RNN``: of h, not of c.
    zoneout : float or tuple of two
        As of ``RNN``: of h alone, or probabilities of h and of c, ``c_t = p c_(t-1) + (1 - p) c``; h is made of the new
        c (Krueger et al. 2017). Not beside a projection, that of c not beside peepholes.
    layer_norm : bool
        Whether what enters the gates, and c on its way to h, is normalised (Ba et al. 2016): ``LN(W_ih x_t; gamma_ih) +
        b_ih + LN(W_hh h_(t-1); gamma_hh) + b_hh`` and ``h_t = o tanh(LN(c_t; gamma_c) + beta_c)`` with ``LN(a; gamma) =
        gamma (a - mean a) / sqrt(var a + 1e-5)`` over all 4 H numbers of a step, of c its H. Parameters ``gamma_ih_l0``
        and ``gamma_hh_l0`` (4*H,), ``gamma_c_l0`` and ``beta_c_l0`` (H,), ...; gammas begin with 1, ``beta_c`` and the
        biases, which are betas, too, with 0. Not beside projection, peepholes and zoneout.
    learn_initial_state : bool
        Whether sequences without a given state, and all of them after a reset, start from parameters ``h0`` and ``c0``
        (L*D, 1, H), zeros at first, instead of zeros.

    Raises
    ------
    ValueError
        On an unknown activation, or options that exclude each other.
    TypeError
        On another dtype.

    References
    ----------
    J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", arXiv:1607.06450 (2016);
    S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997);
    F. A. Gers, J. Schmidhuber, F. Cummins, "Learning to forget", Neural Computation 12 (2000);
    F. A. Gers, J. Schmidhuber, "Recurrent nets that time and count", IJCNN (2000);
    K. Greff et al., "LSTM: a search space odyssey", IEEE Trans. Neural Networks and Learning Systems 28 (2017);
    D. Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", ICLR (2017);
    H. Sak, A. Senior, F. Beaufays, "Long short-term memory recurrent neural network architectures for large scale
    acoustic modeling", Interspeech (2014).

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
        known = known_activations(activations, _ACTIVATIONS)
        cell = _ops.Cell(
            name="coupled_lstm" if coupled else "lstm",
            activations=known,
            clip=known_clip(clip),
            recurrent_dropout=recurrent_dropout > 0,
            zoneout=zones if any(zones) else (),
        )
        super().__init__(
            cell, input_size, hidden_size, num_layers=num_layers, bidirectional=bidirectional, bias=bias,
            random=random, learn_initial_state=learn_initial_state, time_major=time_major, dtype=dtype, seed=seed,
            proj_size=self.proj_size, layer_norm=self.layer_norm, peephole=self.peephole,
        )  # fmt: skip
        self._open_forget_gates(forget_bias)

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
