"""The three layers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rnnfast.init import stack_suffix
from rnnfast.layers.checks import require_later
from rnnfast.layers.recurrent import Recurrent

_ACTIVATIONS = ("tanh", "relu", "identity")


class RNN(Recurrent):
    """Elman's recurrent layer.

    ``h_t = activation(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)``

    Parameters
    ----------
    input_size, hidden_size : int
        C and H.
    num_layers : int
        Layers, each reading the h of the one below.
    activation : {"tanh", "relu", "identity"}
        With "identity" and unit weights the layer sums its input, exactly.
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

    References
    ----------
    J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990);
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

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        activation: str = "tanh",
        bidirectional: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
        time_major: bool = False,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation: one of {', '.join(_ACTIVATIONS)} is required, got {activation!r}")
        self.activation = activation
        super().__init__(
            "rnn",
            input_size,
            hidden_size,
            activation=activation,
            num_layers=num_layers,
            bidirectional=bidirectional,
            bias=bias,
            dropout=dropout,
            time_major=time_major,
            dtype=dtype,
            seed=seed,
        )


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
    proj_size, peephole
        Not available yet.
    forget_bias : float, optional
        First value of the forget gate's ``bias_ih``; that of ``bias_hh`` is then 0.

    References
    ----------
    S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997);
    F. A. Gers, J. Schmidhuber, F. Cummins, "Learning to forget", Neural Computation 12 (2000).

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> layer = rf.LSTM(3, 5, forget_bias=1.0, seed=0)
    >>> y, (h, c) = layer(np.zeros((2, 7, 3), np.float32))
    >>> bool((y[:, -1] == h[-1]).all()), c.shape
    (True, (1, 2, 5))
    """

    gates = 4
    has_cell_state = True

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
    ) -> None:
        require_later(proj_size=proj_size, peephole=peephole)
        if forget_bias is not None and not bias:
            raise ValueError(f"forget_bias: bias=True is required, got forget_bias={forget_bias} without biases")
        super().__init__(
            "lstm",
            input_size,
            hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            bias=bias,
            dropout=dropout,
            time_major=time_major,
            dtype=dtype,
            seed=seed,
        )
        if forget_bias is not None:
            forget = np.s_[self.hidden_size : 2 * self.hidden_size]
            for index in range(self.num_layers * self.directions):
                suffix = stack_suffix(index, self.directions)
                self._parameters["bias_ih" + suffix][forget] = forget_bias
                self._parameters["bias_hh" + suffix][forget] = 0.0


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

    References
    ----------
    K. Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP (2014).

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> y, h = rf.GRU(3, 5, num_layers=2, seed=0)(np.zeros((2, 7, 3), np.float32))
    >>> y.shape, h.shape
    ((2, 7, 5), (2, 2, 5))
    """

    gates = 3

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
    ) -> None:
        self.reset_after = bool(reset_after)
        super().__init__(
            "gru" if reset_after else "gru_before",
            input_size,
            hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            bias=bias,
            dropout=dropout,
            time_major=time_major,
            dtype=dtype,
            seed=seed,
        )
