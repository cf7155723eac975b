"""``RNN``, ``LSTM`` and ``GRU`` as PyTorch modules, with what ``torch.nn`` has not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

import rnnfast as rf
from rnnfast.init import stack_suffix
from rnnfast.interop.torch.autograd import run
from rnnfast.interop.torch.engine import NOTHING_RANDOM, Call, Stack
from rnnfast.interop.torch.forwards import draw_seed, runs_on_engine
from rnnfast.layers.call import LAYER_PARTS, STATE_NAMES

State = Any  # Tensor, or the tuple (h, c) of an LSTM


class Recurrent(nn.Module):
    """Base of ``RNN``, ``LSTM`` and ``GRU``.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        As for the layers of ``torch.nn``.
    device : torch.device or None
        The CPU.
    dtype : torch.float32, torch.float64 or None
        None takes PyTorch's default.
    **options
        Those of the layer of rnnfast: ``recurrent_dropout``, ``zoneout`` and so on.

    Raises
    ------
    ValueError, TypeError
        As from the layer of rnnfast; also on another device or dtype.
    """

    layer_class: ClassVar[Any]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        device: Any = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if device is not None and torch.device(device).type != "cpu":
            raise ValueError(f"device: the CPU is required, got {device}")
        chosen = torch.get_default_dtype() if dtype is None else dtype
        self.options = {
            "input_size": input_size,
            "hidden_size": hidden_size,
            "num_layers": num_layers,
            "bias": bias,
            "dropout": dropout,
            "bidirectional": bidirectional,
            "time_major": not batch_first,
            **options,
        }
        layer = self.layer_class(**self.options, dtype=str(chosen).removeprefix("torch."), seed=int(draw_seed()))
        self.input_size, self.hidden_size, self.num_layers = layer.input_size, layer.hidden_size, layer.num_layers
        self.batch_first, self.bidirectional, self.dropout = not layer.time_major, layer.bidirectional, layer.dropout
        self.state_sizes: tuple[int, ...] = layer.state_sizes
        for name, value in layer.state_dict().items():
            self.register_parameter(name, nn.Parameter(torch.from_numpy(value)))
        parts = tuple([part for part in LAYER_PARTS if f"{part}_l0" in self._parameters])
        suffixes = [stack_suffix(index, layer.directions) for index in range(layer.num_layers * layer.directions)]
        self._names = tuple([part + suffix for suffix in suffixes for part in parts])
        self._learned_names = tuple([name for name in STATE_NAMES if name in self._parameters])
        self._training = Stack(
            cell=layer._packs._cell,
            directions=layer.directions,
            parts=parts,
            batch_first=self.batch_first,
            random=layer._random,
        )
        self._inference = replace(self._training, random=NOTHING_RANDOM)

    def forward(
        self, input: Any, hx: State = None, *, lengths: Tensor | None = None, resets: Tensor | None = None
    ) -> tuple[Any, State]:
        """Run the layer; random masks are drawn in training, from PyTorch's generator.

        Parameters
        ----------
        input : Tensor (T, N, C), (N, T, C) with ``batch_first``, (T, C) without a batch, or PackedSequence
        hx : Tensor (L*D, N, H), or tuple (h, c) of two for an LSTM, optional
            The initial state; by default the learned one, or zeros. Without a batch it has no axis N.
        lengths : integer Tensor (N,), optional
            Valid steps of every sequence; past them the output is 0. Not beside packed sequences.
        resets : bool Tensor (T, N), (N, T) with ``batch_first``, optional
            True at t lets step t start from the layer's initial state: an episode begins. Not beside packed sequences.

        Returns
        -------
        output : Tensor (T, N, D*H), (N, T, D*H), (T, D*H), or PackedSequence
        state : Tensor (L*D, N, H), or tuple (h, c) of two

        Raises
        ------
        ValueError
            If a shape or a length does not fit.
        TypeError
            If tensors are not of the CPU and the layer's dtype, or under a transform of ``torch.func`` or autocast.
        """
        packed = input if isinstance(input, PackedSequence) else None
        if packed is not None:
            if lengths is not None or resets is not None:
                raise ValueError("lengths, resets: none are accepted beside a PackedSequence, got some")
            input = packed.data
        batched = packed is not None or input.dim() == 3
        axis = 0 if self.batch_first else 1
        x = input if batched else input.unsqueeze(axis)
        self._require(x, packed)
        N = x.shape[axis] if packed is None else int(packed.batch_sizes[0])
        states = self._initial(hx, N, packed, batched)
        weights = [getattr(self, name) for name in self._names]
        if not runs_on_engine((x, *states, *weights)):
            raise TypeError(
                f"input: float tensors of the CPU and the layer's dtype {weights[0].dtype}, outside torch.func and "
                f"autocast, are required, got {x.dtype} on {x.device}"
            )
        random = self.training and any(self._training.random)
        learned = [getattr(self, name) for name in self._learned_names]
        sizes, seed = None if packed is None else packed.batch_sizes, draw_seed() if random else None
        call = Call(x, states, weights, learned, sizes, lengths, resets, seed)
        y, *last = run(self._training if random else self._inference, call)
        if packed is not None:
            order = packed.unsorted_indices
            y = PackedSequence(y, packed.batch_sizes, packed.sorted_indices, order)
            last = last if order is None else [state.index_select(1, order) for state in last]
        elif not batched:
            y, last = y.squeeze(axis), [state.squeeze(1) for state in last]
        return y, tuple(last) if len(last) > 1 else last[0]

    def _require(self, x: Tensor, packed: PackedSequence | None) -> None:
        """Raise ValueError unless x has the axes and the features of the layer."""
        axes = "(R, C)" if packed is not None else "(N, T, C)" if self.batch_first else "(T, N, C)"
        if x.dim() != (3 if packed is None else 2) or x.shape[-1] != self.input_size:
            raise ValueError(f"input: shape {axes} with C = {self.input_size} is required, got {tuple(x.shape)}")

    def _initial(self, hx: State, N: int, packed: PackedSequence | None, batched: bool) -> list[Tensor]:
        """Return the initial states (L*D, N, H): what is given, else what is learned, else zeros."""
        LD, first = self.num_layers * (1 + self.bidirectional), getattr(self, self._names[0])
        if hx is None:
            if self._learned_names:
                return [getattr(self, name).expand(-1, N, -1) for name in self._learned_names]
            return [first.new_zeros(LD, N, size) for size in self.state_sizes]
        states = list(hx) if isinstance(hx, tuple) else [hx]
        states = states if batched else [state.unsqueeze(1) for state in states]
        shapes = [(LD, N, size) for size in self.state_sizes]
        if [tuple(state.shape) for state in states] != shapes:
            raise ValueError(f"hx: shapes {shapes} are required, got {[tuple(state.shape) for state in states]}")
        if packed is not None and packed.sorted_indices is not None:
            states = [state.index_select(1, packed.sorted_indices) for state in states]
        return states

    def extra_repr(self) -> str:
        """Return the options that are not the defaults of ``torch.nn``."""
        plain = {
            "num_layers": 1,
            "bias": True,
            "dropout": 0.0,
            "bidirectional": False,
            "time_major": True,
            "proj_size": 0,
        }
        sizes = f"{self.input_size}, {self.hidden_size}"
        others = {k: v for k, v in self.options.items() if k not in ("input_size", "hidden_size") and plain.get(k) != v}
        if others.pop("time_major", True) is False:
            others["batch_first"] = True
        return ", ".join([sizes, *(f"{name}={value!r}" for name, value in others.items())])


class RNN(Recurrent):
    """``rnnfast.RNN`` as a PyTorch module: that of ``torch.nn``, with ``lengths``, ``resets`` and more options.

    Parameters
    ----------
    input_size, hidden_size, num_layers, nonlinearity, bias, batch_first, dropout, bidirectional
        As for ``torch.nn.RNN``; ``nonlinearity`` may be any activation of ``rnnfast.RNN``.
    **options
        ``leak``, ``noise``, ``clip``, ``input_dropout``, ``recurrent_dropout``, ``zoneout``,
        ``learn_initial_state``, as for ``rnnfast.RNN``; ``device`` and ``dtype``.

    Examples
    --------
    >>> rnn = RNN(3, 5, nonlinearity="relu", leak=0.2)
    >>> y, h = rnn(torch.zeros(7, 2, 3), lengths=torch.tensor([7, 4]))
    >>> y.shape
    torch.Size([7, 2, 5])
    """

    layer_class = rf.RNN

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Any = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            activation=nonlinearity,
            **options,
        )


class LSTM(Recurrent):
    """``rnnfast.LSTM`` as a PyTorch module: that of ``torch.nn``, with ``lengths``, ``resets`` and more options.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size
        As for ``torch.nn.LSTM``.
    **options
        ``peephole``, ``forget_bias``, ``coupled``, ``activations``, ``clip``, ``input_dropout``,
        ``recurrent_dropout``, ``zoneout``, ``layer_norm``, ``learn_initial_state``, as for ``rnnfast.LSTM``;
        ``device`` and ``dtype``.

    Examples
    --------
    >>> lstm = LSTM(3, 5, batch_first=True, layer_norm=True)
    >>> starts = torch.zeros(2, 7, dtype=torch.bool)
    >>> starts[1, 3] = True
    >>> y, (h, c) = lstm(torch.zeros(2, 7, 3), resets=starts)
    >>> bool((y[1, 3:] == y[0, :4]).all())
    True
    """

    layer_class = rf.LSTM

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size=proj_size,
            **options,
        )


class GRU(Recurrent):
    """``rnnfast.GRU`` as a PyTorch module: that of ``torch.nn``, with ``lengths``, ``resets`` and more options.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        As for ``torch.nn.GRU``.
    **options
        ``reset_after``, ``activations``, ``clip``, ``input_dropout``, ``recurrent_dropout``, ``zoneout``,
        ``layer_norm``, ``learn_initial_state``, as for ``rnnfast.GRU``; ``device`` and ``dtype``.

    Examples
    --------
    >>> gru = GRU(3, 5, zoneout=0.1)
    >>> y, h = gru(torch.zeros(7, 2, 3))
    >>> h.shape
    torch.Size([1, 2, 5])
    """

    layer_class = rf.GRU
