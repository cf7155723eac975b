"""Training steps in NumPy alone: ids -> embedding -> GRU -> head -> loss, back through all of it, clip, Adam."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rnnfast.demo.numpy_layers import F32, GruLayer, Ids, NumpyModel, Packed, cross_entropy

PAUSE = 0.03  # seconds


class NumpyGruModel(NumpyModel):
    """A model with the parameters of ``ManyToOne`` or ``OneToMany`` (GRU, one layer), trained by NumPy alone.

    The head reads every h, or the last one.

    Parameters
    ----------
    parameters : mapping of arrays
        Copied.
    every_step : bool
        Whether there is a target at every step, not only one for each sequence.
    lr, clip_norm : float
    """

    def __init__(self, parameters: Mapping[str, Any], *, every_step: bool, lr: float, clip_norm: float) -> None:
        super().__init__(parameters, lr=lr, clip_norm=clip_norm)
        self.every_step = every_step
        self.rnn = GruLayer(self, "rnn")

    def step(self, sequences: Sequence[Ids] | Ids, targets: Any, weights: F32 | None = None) -> float:
        """Take one step of training.

        Parameters
        ----------
        sequences : N arrays of ids (T_n,)
        targets : N arrays (T_n,) or one array (N,)
        weights : (N,), weights of the sequences, where each has one target

        Returns
        -------
        float
            The loss before it.
        """
        packed = Packed(sequences)
        wanted = packed.aligned(targets) if self.every_step else np.asarray(targets)[packed.order]
        shares = None if weights is None else weights[packed.order]
        saved = self.rnn.forward(packed, self.p["embedding.weight"][packed.ids])
        h = saved["h"] if self.every_step else saved["h"][packed.last]
        loss, dlogits = cross_entropy(self.affine("head", h), wanted, shares)
        dh = self.affine_backward("head", dlogits, h)
        if not self.every_step:
            dh_all = np.zeros_like(saved["h"])
            dh_all[packed.last] = dh
            dh = dh_all
        dx, _ = self.rnn.backward(packed, saved, dh)
        self.table_backward("embedding", packed.ids, dx)
        self.update()
        return loss


class NumpyEncoderDecoder(NumpyModel):
    """A model with the parameters of ``EncoderDecoder`` (GRU, one layer, attention "additive"), trained by NumPy alone.

    With h of the decoder and h_s of the encoder, ``p = softmax(v . tanh(W_query h + b_query + W_key h_s))`` and
    ``context = sum p_s h_s``; the head reads ``tanh(W_combine [context; h] + b_combine)``.

    Parameters
    ----------
    parameters : mapping of arrays
        Copied.
    lr, clip_norm : float
    """

    def __init__(self, parameters: Mapping[str, Any], *, lr: float, clip_norm: float) -> None:
        super().__init__(parameters, lr=lr, clip_norm=clip_norm)
        self.encoder, self.decoder = GruLayer(self, "encoder"), GruLayer(self, "decoder")

    def step(self, sources: Sequence[Ids], inputs: Sequence[Ids], targets: Sequence[Ids]) -> float:
        """Take one step of training; return the loss before it. Inputs and targets (T_n,) have one length."""
        source, written = Packed(sources), Packed(inputs)
        read = self.encoder.forward(source, self.p["source_embedding.weight"][source.ids])
        state = np.empty((len(source.order), read["h"].shape[1]), np.float32)
        state[source.order] = read["h"][source.last]
        wrote = self.decoder.forward(written, self.p["target_embedding.weight"][written.ids], state)
        memory, h, steps = source.spread(read["h"]), wrote["h"], (written.sequence, written.step)
        exists = source.spread(np.ones((len(source.ids), 1), np.float32))[..., 0] > 0
        weights, summed = self._attend(written.spread(self.affine("attention.query", h)), memory, exists)
        joined = np.concatenate([(weights @ memory)[steps], h], axis=1)
        combined = self.affine("attention.combine", joined)
        np.tanh(combined, out=combined)
        loss, dlogits = cross_entropy(self.affine("head", combined), written.aligned(targets), None)
        dcombined = self.affine_backward("head", dlogits, combined)
        dcombined *= 1 - combined * combined
        djoined = self.affine_backward("attention.combine", dcombined, joined)
        size = memory.shape[2]
        dquery, dmemory = self._attend_backward(written.spread(djoined[:, :size]), weights, summed, memory)
        dh = djoined[:, size:] + self.affine_backward("attention.query", dquery[steps], h)
        dx, dstate = self.decoder.backward(written, wrote, dh)
        self.table_backward("target_embedding", written.ids, dx)
        dread = dmemory[source.sequence, source.step]
        dread[source.last] += dstate[source.order]
        dx, _ = self.encoder.backward(source, read, dread)
        self.table_backward("source_embedding", source.ids, dx)
        self.update()
        return loss

    def _attend(self, query: F32, memory: F32, exists: Any) -> tuple[F32, F32]:
        """Return the weights (N, T, S), and the arguments of the score (N, T, S, A)."""
        keys = memory @ self.p["attention.key.weight"].T
        summed = query[:, :, None] + keys[:, None]
        np.tanh(summed, out=summed)
        weights: F32 = summed @ self.p["attention.score.weight"]
        weights += np.where(exists, 0, -np.inf).astype(np.float32)[:, None]
        weights -= weights.max(axis=2, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=2, keepdims=True)
        return weights, summed

    def _attend_backward(self, dcontext: F32, weights: F32, summed: F32, memory: F32) -> tuple[F32, F32]:
        """Set the gradients of the scores and the keys' weight; return those of query and memory."""
        de = dcontext @ memory.transpose(0, 2, 1)
        de -= (weights * de).sum(axis=2, keepdims=True)
        de *= weights
        np.matmul(de.reshape(-1), summed.reshape(-1, summed.shape[3]), out=self.g["attention.score.weight"])
        summed *= summed
        np.subtract(1, summed, out=summed)
        summed *= de[..., None]
        summed *= self.p["attention.score.weight"]
        dkeys = summed.sum(axis=1)
        np.matmul(
            dkeys.reshape(-1, dkeys.shape[2]).T, memory.reshape(-1, memory.shape[2]), out=self.g["attention.key.weight"]
        )
        dmemory: F32 = weights.transpose(0, 2, 1) @ dcontext
        dmemory += dkeys @ self.p["attention.key.weight"]
        return summed.sum(axis=2), dmemory


def time_side_by_side(ours: Callable[[int], object], by_numpy: Callable[[int], object], *, rounds: int) -> float:
    """Return the time of ``by_numpy`` divided by that of ``ours``, over at most five batches.

    The two alternate for ``rounds`` rounds, and the best time of each counts for every batch, so that other load on the
    machine matters little. A pause before each call lets the other's threads fall asleep: those of a BLAS keep a core
    busy for some 20 ms after their last product. Both are called with the number of a batch, from 1; batch 0 comes
    first and is not timed.
    """
    ours(0)
    by_numpy(0)
    batches = min(rounds, 5)
    best = np.full((2, batches), np.inf)
    for k in range(rounds):
        batch = k % batches
        for side, step in enumerate((ours, by_numpy)):
            time.sleep(PAUSE)
            start = time.perf_counter()
            step(1 + batch)
            best[side, batch] = min(best[side, batch], time.perf_counter() - start)
    seconds, seconds_by_numpy = best.sum(axis=1)
    return float(seconds_by_numpy / seconds)
