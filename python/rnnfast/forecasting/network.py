"""The network of a forecaster: recurrent layers, a head, and a linear map of the window beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnfast.arrays import Array
from rnnfast.data import Sequences
from rnnfast.forecasting.windows import WindowBatch
from rnnfast.layers import BlockTape, Linear, State
from rnnfast.losses import Loss
from rnnfast.models.backbone import Backbone, BackboneTape
from rnnfast.models.base import Heads, HeadsTape, Model
from rnnfast.models.config import HeadConfig
from rnnfast.params import Parameter, write_all
from rnnfast.tasks import as_task


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Numbers of features: C of a step, K known ahead, S static; the window and the horizon H."""

    inputs: int
    ahead: int
    static: int
    window: int
    horizon: int


@dataclass(frozen=True, eq=False)
class _Tape:
    """What ``_backward`` needs."""

    backbones: tuple[BackboneTape, ...]
    heads: HeadsTape
    skip: BlockTape | None


class Network(Model):
    """``outputs = W h + V z``: h of recurrent layers over a window, z what is known of the window and ahead of it.

    ========================  ======================================  =======================================
    strategy                  h                                       outputs
    ========================  ======================================  =======================================
    direct                    the last one of the window              (N, H P): all steps at once
    encoder_decoder           of a second stack, over the horizon     (N H, P): one row for each step
    recursive                 of each step, which reads the one       (N H, P)
                              before it
    ========================  ======================================  =======================================

    Parameters
    ----------
    config : dict
        cell, cell_options, hidden_size, num_layers, dropout, output_dropout, dtype, strategy and linear, checked.
    loss : Loss
        The likelihood or the quantiles, with P outputs for each number.
    sizes : Sizes
    rng : numpy.random.Generator
        Draws the initial values.
    """

    def __init__(self, config: dict[str, Any], loss: Loss, sizes: Sizes, rng: np.random.Generator) -> None:
        self.sizes, self.strategy, self.linear = sizes, config["strategy"], config["linear"]
        self.width = loss.width
        config = {**config, "activity_l2": 0.0}
        dtype = np.dtype(config["dtype"])
        self.encoder = _backbone(config, sizes.inputs, rng)
        parts: dict[str, Any] = {"encoder": self.encoder}
        if self.strategy == "encoder_decoder":
            self.decoder = _backbone(config, sizes.ahead + sizes.static + 1, rng)
            parts["decoder"] = self.decoder
        at_once = self.strategy == "direct"
        head = HeadConfig(task=as_task("likelihood", "regression", loss), size=sizes.horizon if at_once else 1)
        heads = Heads({"": head}, self.encoder.size, dtype, rng, dropout=config["output_dropout"])
        read = self._skip_size()
        outputs = self.width * (1 if self.strategy == "recursive" else sizes.horizon)
        self.skip = Linear(read, outputs, dtype=dtype, seed=rng) if read else None
        if self.skip is not None:
            parts["skip"] = self.skip
        super().__init__(config, parts, heads)

    @property
    def loss_of_numbers(self) -> Loss:
        """The likelihood or the quantiles."""
        found: Loss = self.task.criterion  # type: ignore[attr-defined]
        return found

    def _skip_size(self) -> int:
        sizes = self.sizes
        beside = sizes.ahead * (1 if self.strategy == "recursive" else sizes.horizon) + sizes.static
        if self.linear:
            return sizes.window + beside
        return beside if self.strategy == "direct" else 0

    def beside(self, batch: WindowBatch) -> Array:
        """Return z: the window's values, what is known ahead, and what is static; (N, F), or (N H, F) step by step."""
        N, H, _ = batch.ahead.shape
        if self.strategy == "recursive":
            known = [batch.ahead.reshape(N * H, -1), np.repeat(batch.static, H, axis=0)]
        else:
            known = [batch.ahead.reshape(N, -1), batch.static]
        return np.concatenate([batch.lags, *known] if self.linear else known, axis=1)

    @property
    def bias(self) -> Parameter:
        """What is added to all outputs: of each step where there is such a bias, else of all steps alike."""
        by_step = self.skip is not None and self.strategy != "recursive"
        found: Parameter = self.parameters()["skip.bias" if by_step else "head.bias"]
        return found

    def start_from(self, weight: Array, bias: Array) -> None:
        """Let the outputs be ``weight z + bias`` at first: the recurrent layers add nothing until they learn to."""
        assert self.skip is not None
        parameters = [*self.skip.parameters().values(), *self.head.parameters().values()]
        values = [weight, bias, *(np.zeros(p.shape) for p in self.head.parameters().values())]
        write_all(parameters, [value.astype(self.dtype) for value in values])

    def _outputs(
        self, batch: WindowBatch, state: State | None, *, keep: bool
    ) -> tuple[dict[str, Array], State | None, Any]:
        h, last, tapes = self._hidden(batch, state, keep=keep)
        if not keep:
            return {"": self.of_hidden(h, batch)}, last, None
        outputs, tape = self.heads.forward(h)
        found, skipped = outputs[""], None
        if self.skip is not None:
            skip, skipped = self.skip.forward(self.beside(batch))
            found = found + skip.reshape(found.shape)
        return {"": self._shifted(found, batch)}, last, _Tape(tapes, tape, skipped)

    def of_hidden(self, h: Array, batch: WindowBatch) -> Array:
        """Return the outputs of h, without dropout."""
        found = self.heads.infer(h)[""]
        if self.skip is not None:
            found = found + self.skip(self.beside(batch)).reshape(found.shape)
        return self._shifted(found, batch)

    def _shifted(self, outputs: Array, batch: WindowBatch) -> Array:
        """Return outputs in which means of counts are those of the series, not those in units of its scale."""
        if self.loss_of_numbers.name != "negative_binomial":
            return outputs
        rows = outputs.reshape(len(batch.shift), -1, self.width).copy()
        rows[:, :, 0] += batch.shift[:, None]
        return rows.reshape(outputs.shape)

    def _hidden(
        self, batch: WindowBatch, state: State | None, *, keep: bool
    ) -> tuple[Array, State, tuple[BackboneTape, ...]]:
        """Return what the head reads, the final state of the window's layers, and the tapes."""
        N, H = batch.ahead.shape[:2]
        y, last, *tapes = _run(self.encoder, batch.inputs, state, keep=keep)
        if self.strategy == "direct":
            return self.encoder.last_h(last), last, tuple(tapes)
        if self.strategy == "recursive":
            return y.reshape(N, -1, y.shape[1])[:, -H:].reshape(N * H, -1), last, tuple(tapes)
        y, _, *others = _run(self.decoder, self.decoder_inputs(batch), last, keep=keep)
        return y, last, (*tapes, *others)

    def decoder_inputs(self, batch: WindowBatch) -> Sequences:
        """Return what the decoder reads of each step: what is known ahead, what is static, and its share of H."""
        N, H, _ = batch.ahead.shape
        step = np.broadcast_to(np.arange(1, H + 1) / H, (N, H))[..., None].astype(self.dtype)
        static = np.broadcast_to(batch.static[:, None], (N, H, batch.static.shape[1]))
        values = np.concatenate([batch.ahead, static, step], axis=2).reshape(N * H, -1)
        return Sequences(values, np.arange(N) * H, np.full(N, H, np.int64), ragged=False)

    def _backward(self, tape: _Tape, doutputs: dict[str, Array]) -> None:
        d = doutputs[""]
        if self.skip is not None and tape.skip is not None:
            self.skip.backward(tape.skip, d.reshape(tape.skip.shape))
        dh = self.heads.backward(tape.heads, {"": d})
        if self.strategy == "direct":
            self.encoder.backward(tape.backbones[0], None, self.encoder.dstate_of_last_h(dh))
        elif self.strategy == "recursive":
            H = self.sizes.horizon
            dy = np.zeros((len(dh) // H, self.sizes.window + H - 1, dh.shape[1]), dh.dtype)
            dy[:, -H:] = dh.reshape(-1, H, dh.shape[1])
            self.encoder.backward(tape.backbones[0], dy.reshape(-1, dh.shape[1]))
        else:
            dstate = self.decoder.backward(tape.backbones[1], dh)
            self.encoder.backward(tape.backbones[0], None, dstate)


def _run(backbone: Backbone, inputs: Sequences, state: State | None, *, keep: bool) -> tuple[Any, ...]:
    return backbone.forward(inputs, state) if keep else backbone.infer(inputs, state)


def _backbone(config: dict[str, Any], inputs: int, rng: np.random.Generator) -> Backbone:
    return Backbone(config, inputs, rng, embedding=None, one_hot=False, bidirectional=False)
