"""The gated recurrent unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from rnnfast import _ops, checks
from rnnfast.checks import names_arguments
from rnnfast.layers.options import Activation, Randomness, known_activations, known_clip, plain_norm
from rnnfast.layers.recurrent import Recurrent

_ACTIVATIONS = _ops.FAMILIES["gru"].activations


class GRU(Recurrent):
    """Gated recurrent unit.

    With ``u = W_ih x_t + b_ih`` and ``q = W_hh h_(t-1) + b_hh``, in blocks r, z, n: ``r, z = sigmoid(u + q)``;
    ``n = tanh(u_n + r q_n)``; ``h_t = n + z (h_(t-1) - n)``. With ``reset_after=False`` the reset gate acts before the
    product: ``n = tanh(u_n + W_hn (r h_(t-1)) + b_hn)``.

    Parameters
    ----------
    input_size, hidden_size : int
        C and H.
    num_layers, bidirectional, bias, dropout, time_major, dtype, seed
        As of ``RNN``.
    reset_after : bool
        The form of PyTorch, cuDNN and Keras's default; False is that of the paper.
    activations : sequence of two
        f of the gates r and z, in place of the sigmoid above, and g of n, in place of tanh; as RNN's ``activation``.
    clip, input_dropout, recurrent_dropout, zoneout, learn_initial_state
        As of ``RNN``; recurrent dropout with ``reset_after`` only.

    layer_norm : bool
        Whether what enters the gates is normalised (Ba et al. 2016): ``u = LN(W_ih x_t; gamma_ih) + b_ih`` and ``q =
        LN(W_hh h_(t-1); gamma_hh) + b_hh``, with ``LN(a; gamma) = gamma (a - mean a) / sqrt(var a + 1e-5)`` over the
        2 H numbers of r and z, and over the H of n; with ``reset_after=False`` of ``W_hn (r h_(t-1))``. Parameters
        ``gamma_ih_l0`` and ``gamma_hh_l0`` (3*H,), ..., 1 at first; the biases, which are the betas, begin with 0.
        Not beside zoneout.

    References
    ----------
    J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", arXiv:1607.06450 (2016);
    K. Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP (2014).

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
