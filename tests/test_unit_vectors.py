"""Ids without an embedding: unit vectors, of which the engine keeps no table."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import _ops
from rnnfast.models.rows import as_rows
from tests.support.processes import needs_limits, not_sanitized, output

OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn": ("rnn", {}),
    "rnn without bias": ("rnn", {"bias": False}),
    "rnn leaky": ("rnn", {"activation": "identity", "leak": 0.5, "zoneout": 0.1}),
    "lstm": ("lstm", {}),
    "lstm projected": ("lstm", {"proj_size": 3, "clip": 1.0}),
    "lstm coupled with peepholes": ("lstm", {"coupled": True, "peephole": True}),
    "lstm normed": ("lstm", {"layer_norm": True, "learn_initial_state": True}),
    "lstm normed without bias": ("lstm", {"layer_norm": True, "bias": False}),
    "gru": ("gru", {}),
    "gru before": ("gru", {"reset_after": False}),
    "gru normed": ("gru", {"layer_norm": True, "reset_after": False}),
}


def build(name: str, dtype: str, size: int = 37, **options: Any) -> rf.OneToMany:
    cell, choice = OPTIONS[name]
    given = {"hidden_size": 19, "num_layers": 2, "context_size": 2} | options
    model = rf.OneToMany(size, cell=cell, cell_options=choice, dtype=dtype, seed=0, **given)
    for parameter in model.parameters().values():  # biases and gains of a normalised layer are constants at first
        parameter[...] = parameter.value + np.random.default_rng(1).normal(size=parameter.shape) / 4
    return model


def dense(model: rf.OneToMany, ids: np.ndarray, state: Any) -> np.ndarray:
    """The outputs (N, T, K) by products with unit vectors."""
    y, _ = model.rnn(np.eye(model.config["input_size"], dtype=model.dtype)[ids], state)
    return np.asarray(model.head(y))


@pytest.mark.parametrize("size", [5, 37, 1500])
@pytest.mark.parametrize("name", OPTIONS)
def test_a_stream_has_the_bits_of_products(
    name: str, dtype: str, isa: str, size: int, rng: np.random.Generator
) -> None:
    model = build(name, dtype, size)
    ids, context = rng.integers(0, size, (3, 5)), rng.normal(size=(3, 2)).astype(dtype)
    assert model.context is not None
    expected = dense(model, ids, model.context(context))
    steps, blocks = model.stream(3, context=context), model.stream(3, context=context)
    np.testing.assert_array_equal(np.stack([steps.step(ids[:, t]) for t in range(5)], axis=1), expected)
    np.testing.assert_array_equal(blocks.process(ids), expected)


@pytest.mark.parametrize("length", [1, 3, 200])
@pytest.mark.parametrize("name", OPTIONS)
def test_generated_ids_are_those_of_products(name: str, dtype: str, length: int) -> None:
    """A short text reads fewer ids than there are, a long one more."""
    model = build(name, dtype, context_size=None)
    written = model.generate([3, 1], length, greedy=True)
    best = dense(model, np.concatenate([[3, 1], written])[None, :-1], None)[0, 1:].argmax(axis=1)
    np.testing.assert_array_equal(written, best)
    np.testing.assert_array_equal(model.generate([3, 1], length, beams=1), written)


def test_changed_weights_are_read(dtype: str) -> None:
    model = build("lstm", dtype, context_size=None)
    model.generate([1], 3)
    weight = model.parameters()["rnn.weight_ih_l0"]
    weight[...] = 2 * weight.value
    assert model.generate([3], 20, greedy=True).tolist() == build_doubled(dtype).generate([3], 20, greedy=True).tolist()


def build_doubled(dtype: str) -> rf.OneToMany:
    model = build("lstm", dtype, context_size=None)
    weight = model.parameters()["rnn.weight_ih_l0"]
    weight[...] = 2 * weight.value
    return model


def test_a_decoder_reads_unit_vectors(dtype: str) -> None:
    model = rf.EncoderDecoder(3, 6, hidden_size=8, source_embedding=4, dtype=dtype, seed=0)
    stream = model.stream(source=[[2, 0, 1]])
    written: list[int] = []
    h = stream.step(model.start_id)
    while len(written) < 16 and h.argmax() != model.stop_id:
        written.append(int(h.argmax()))
        h = stream.step(written[-1])
    assert model.predict([[2, 0, 1]])[0].tolist() == written


def test_a_weight_that_is_not_finite_spoils_its_own_id_only() -> None:
    model = build("rnn", "float32", context_size=None)
    weight = model.parameters()["rnn.weight_ih_l0"]
    weight[:, 4] = np.nan
    stream = model.stream()
    assert np.isfinite(stream.step(3)).all()
    assert np.isnan(stream.step(4)).all()


@pytest.mark.parametrize("embedding", [None, 400])
def test_products_made_beforehand_flush_denormal_numbers(embedding: int | None) -> None:
    """Without an embedding a product is a weight; with one, 400 denormal terms would add up to a normal number."""
    options = {"activation": "identity", "bias": embedding is None}
    model = rf.OneToMany(5, cell="rnn", hidden_size=7, embedding=embedding, cell_options=options, seed=0)
    for name, parameter in model.parameters().items():
        if name == "rnn.bias_ih_l0":
            parameter[...] = np.float32(1.2e-38)
        elif name in ("rnn.weight_ih_l0", "embedding.weight"):
            parameter[...] = np.float32(-9e-39 if embedding is None else 9e-20)
        elif name != "head.weight":
            parameter[...] = 0
    stream, ids = model.stream(), np.array([[1, 4, 2]])
    stepped = np.stack([stream.step(int(i)) for i in ids[0]])
    y, last = model.backbone.infer(as_rows(ids), None)
    np.testing.assert_array_equal(stream.state, last)
    np.testing.assert_array_equal(stepped, model.head(y))


def test_another_number_of_ids_is_refused() -> None:
    model = build("rnn", "float32", context_size=None)
    head, bias = (model.parameters()[f"head.{name}"].value for name in ("weight", "bias"))
    writer = _ops.Writer(layers=model.rnn.packed(), table=36, head=head, bias=bias)
    with pytest.raises(ValueError, match="table: V = C = 37 unit vectors are required, got 36"):
        _ops.generate(writer, np.zeros((2, 1, 19), np.float32), element="id", length=2)


@not_sanitized
@needs_limits
def test_memory_is_that_of_the_parameters() -> None:
    """A table would take 1.6 GB; packed weights, their columns and a stream's copies are some times W each."""
    code = """
        import json, resource, rnnfast as rf
        def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        rf.OneToMany(3, hidden_size=4).generate([1], 2)
        start = peak()
        model = rf.OneToMany(20_000, hidden_size=32)
        built = peak() - start
        model.stream().step(7)
        model.generate([5, 6], 10, num_sequences=2)
        model.generate([5, 6], 10, beams=2)
        size = sum(p.value.nbytes for p in model.parameters().values())
        print(json.dumps([size, built, peak() - start]))
    """
    size, built, used = json.loads(output(code))
    assert built < 3 * size
    assert used < 8 * size
