"""PackedSequence of PyTorch as x and y: the sequences that are packed in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.examples import SMALL_LAYERS

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pack_sequence = torch.nn.utils.rnn.pack_sequence

pytestmark = pytest.mark.torch
LENGTHS = [3, 7, 1, 7, 5]
equal = np.testing.assert_array_equal


def packed(items: list[Any], *, in_order: bool) -> Any:
    tensors = [torch.from_numpy(item) for item in items]
    return pack_sequence(tensors, enforce_sorted=in_order)


def parts(state: Any) -> tuple[Any, ...]:
    return state if isinstance(state, tuple) else (state,)


every_order = pytest.mark.parametrize("in_order", [False, True])


def lengths(in_order: bool) -> list[int]:
    return sorted(LENGTHS, reverse=True) if in_order else LENGTHS


@every_order
@pytest.mark.parametrize("make", SMALL_LAYERS.values(), ids=SMALL_LAYERS.keys())
def test_layers(make: Any, in_order: bool, rng: np.random.Generator) -> None:
    layer = make()
    x = [rng.normal(size=(length, 3)).astype(layer.dtype) for length in lengths(in_order)]
    y, state = layer(packed(x, in_order=in_order))
    expected, own = layer(x)
    equal(y, expected)
    for found, wanted in zip(parts(state), parts(own), strict=True):
        equal(found, wanted)
    forward = layer.forward(packed(x, in_order=in_order), training=False)[0]
    equal(forward, expected)


@every_order
def test_models(in_order: bool, rng: np.random.Generator) -> None:
    x = [rng.normal(size=(length, 3)).astype(np.float32) for length in lengths(in_order)]
    y = [rng.integers(0, 4, length) for length in lengths(in_order)]
    model = rf.ManyToMany(3, 4, hidden_size=5, seed=0)
    for found, expected in zip(model.predict(packed(x, in_order=in_order)), model.predict(x), strict=True):
        equal(found, expected)
    assert model.loss(packed(x, in_order=in_order), packed(y, in_order=in_order)) == model.loss(x, y)
    writer = rf.OneToMany(4, hidden_size=5, seed=0)
    ids = [np.concatenate([item, item]) for item in y]
    assert writer.loss(packed(ids, in_order=in_order)) == writer.loss(ids)
    equal(writer.generate(packed(ids, in_order=in_order), 4, greedy=True), writer.generate(ids, 4, greedy=True))
    translator = rf.EncoderDecoder(3, 4, hidden_size=5, seed=0)
    found, expected = translator.predict(packed(x, in_order=in_order)), translator.predict(x)
    for one, other in zip(found, expected, strict=True):
        equal(one, other)


def test_a_mask_beside_it(rng: np.random.Generator) -> None:
    x = [rng.normal(size=(length, 3)).astype(np.float32) for length in LENGTHS]
    mask = [rng.random(length) < 0.6 for length in LENGTHS]
    model = rf.ManyToOne(3, 4, hidden_size=5, seed=0)
    equal(model.predict_proba(packed(x, in_order=False), mask=mask), model.predict_proba(x, mask=mask))


def test_lengths_beside_it_are_refused(rng: np.random.Generator) -> None:
    x = packed([rng.normal(size=(length, 3)).astype(np.float32) for length in LENGTHS], in_order=False)
    for call in (rf.LSTM(3, 5, seed=0), rf.ManyToOne(3, 2, hidden_size=5, seed=0).predict):
        with pytest.raises(ValueError, match="lengths"):
            call(x, lengths=LENGTHS)


def test_tensors_with_a_gradient_are_refused(rng: np.random.Generator) -> None:
    x = pack_sequence([torch.ones(3, 3, requires_grad=True)])
    with pytest.raises(TypeError, match=r"x\.data: .*interop\.torch"):
        rf.ManyToOne(3, 2, hidden_size=5, seed=0).predict(x)
