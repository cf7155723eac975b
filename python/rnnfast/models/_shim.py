import numpy as np

from rnnfast.layers import CustomLayer, Recurrent


def _pad(values, offsets, lengths):
    N, T = len(lengths), int(lengths.max(initial=0))
    ex = np.arange(T) < lengths[:, None]
    x = np.zeros((N, T, *values.shape[1:]), values.dtype)
    pos = np.repeat(offsets - (np.cumsum(lengths) - lengths), lengths) + np.arange(int(lengths.sum()))
    x[ex] = values[pos]
    return x, ex


def _res(resets, ex):
    if resets is None:
        return None
    r = np.zeros(ex.shape, bool)
    r[ex] = resets
    return r


def call_rows(self, values, offsets, lengths, state=None, *, resets=None):
    x, ex = _pad(values, offsets, lengths)
    y, last = self(x, state, lengths=lengths, resets=_res(resets, ex))
    return y[ex], last


def forward_rows(self, values, offsets, lengths, state=None, *, resets=None):
    x, ex = _pad(values, offsets, lengths)
    y, last, tape = self.forward(x, state, lengths=lengths, resets=_res(resets, ex))
    return y[ex], last, (tape, ex)


def wrap(cls):
    old = cls.backward

    def backward(self, tape, dy, dstate=None, **o):
        if not isinstance(tape, tuple):
            return old(self, tape, dy, dstate, **o)
        tape, ex = tape
        if dy is not None:
            d = np.zeros((*ex.shape, dy.shape[1]), dy.dtype)
            d[ex] = dy
            dy = d
        dx, ds = old(self, tape, dy, dstate, **o)
        return (dx[ex] if dx.shape[2] else dx), ds

    cls.backward, cls.call_rows, cls.forward_rows = backward, call_rows, forward_rows


wrap(Recurrent)
wrap(CustomLayer)
