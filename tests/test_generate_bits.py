"""One call writes what a loop over the layer writes, to the bit; threads, vectors and neighbours change nothing."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import _ops
from rnnfast.models.rows import as_rows
from tests.support.comparison import CELLS
from tests.support.matrix import SETTINGS
from tests.support.state import using_isa

PROMPTS = [[1], [4, 2, 9, 9, 3], [7, 7], [0, 5, 1], [11], [3, 3, 3], [8, 10]]
WAYS: list[dict[str, Any]] = [
    {"greedy": True},
    {"seed": 5},
    {"seed": 6, "temperature": 0.7, "top_k": 5, "top_p": 0.9, "stop": 4},
    {"beams": 4},
    {"beams": 3, "stop": 4, "length_penalty": 1.0},
]


def writer(cell: str = "lstm", dtype: str = "float32", *, hidden: int = 33, **options: Any) -> Any:
    name, cell_options = CELLS[cell]
    sizes: dict[str, Any] = {"hidden_size": hidden, "num_layers": 2, "seed": 1}
    return rf.OneToMany(12, cell=name, cell_options=cell_options, dtype=dtype, **sizes, **options)


def plain(result: Any) -> Any:
    """Ids and bits of log-probabilities, comparable with ==."""
    ids, log_p = result
    return [np.asarray(i).tolist() for i in ids], [np.asarray(p).tobytes() for p in log_p]


def test_threads_and_vectors_change_nothing(dtype: str) -> None:
    """There is enough work for every thread to get a share."""
    for cell in ("lstm", "gru", "rnn-tanh"):
        model = writer(cell, dtype, embedding=5)
        for options in WAYS:
            found = set()
            for isa, threads in SETTINGS:
                with using_isa(isa), rf.threads(threads):
                    found.add(str(plain(model.generate(PROMPTS, 40, return_log_probs=True, **options))))
            assert len(found) == 1, (cell, options)


@pytest.mark.parametrize("options", [WAYS[0], WAYS[3], WAYS[4]])
def test_a_sequence_alone_is_that_of_the_batch(cell: str, options: dict[str, Any]) -> None:
    model = writer(cell)
    ids, log_p = model.generate(PROMPTS, 25, return_log_probs=True, **options)
    for prompt, row, its in zip(PROMPTS, ids, log_p, strict=True):
        alone, alone_p = model.generate(prompt, 25, return_log_probs=True, **options)
        np.testing.assert_array_equal(alone, row)
        np.testing.assert_array_equal(alone_p, its)


@pytest.mark.parametrize("options", WAYS[1:3])
def test_neighbours_do_not_change_what_is_drawn(options: dict[str, Any]) -> None:
    """A sequence is drawn by its place: alone it is that of a batch's first place."""
    model = writer()
    ids = model.generate(PROMPTS, 25, **options)
    np.testing.assert_array_equal(model.generate(PROMPTS[0], 25, **options), ids[0])
    for place in (1, 4):
        others = [[place]] * place + [PROMPTS[place]] + [[6, 5, 4, 3, 2, 1]] * 5
        np.testing.assert_array_equal(model.generate(others, 25, **options)[place], ids[place])
    copies = model.generate(PROMPTS[2], 25, num_sequences=4, **options)
    same = model.generate([PROMPTS[2]] * 4, 25, **options)
    for one, other in zip(copies, same, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("hidden", [1, 7, 16, 33])
@pytest.mark.parametrize("embedding", [None, 3])
def test_one_call_is_the_loop_over_layer_calls(
    cell: str, dtype: str, isa: str, hidden: int, embedding: int | None
) -> None:
    """Equal log-probabilities imply equal states."""
    model = writer(cell, dtype, hidden=hidden, embedding=embedding)
    ids, log_p = model.generate(PROMPTS, 9, seed=1, return_log_probs=True)
    backbone = model.backbone
    state = backbone.infer(backbone.input.sequences(PROMPTS, None, "prompts"), None)[1]
    for t in range(9):
        every = _ops.log_softmax(model.head(backbone.last_h(state)))
        np.testing.assert_array_equal(every[np.arange(len(PROMPTS)), ids[:, t]], log_p[:, t])
        state = backbone.infer(as_rows(ids[:, t : t + 1]), state)[1]


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_vectors_are_those_of_the_loop_over_layer_calls(task: str, cell: str, dtype: str, isa: str) -> None:
    model = writer(cell, dtype, task=task)
    rng = np.random.default_rng(0)
    prompts = rng.normal(size=(3, 4, 12)) if task == "regression" else rng.integers(0, 2, (3, 4, 12))
    written = model.generate(prompts, 9, greedy=True)
    assert written.dtype == dtype
    x = prompts.astype(dtype)
    state = None
    for t in range(9):
        _, state = model.rnn(x, state)
        expected = model.task.decide(model.head(model.backbone.last_h(state)))
        np.testing.assert_array_equal(written[:, t], expected)
        x = np.ascontiguousarray(written[:, t : t + 1])
    for prompt, row in zip(prompts, written, strict=True):
        np.testing.assert_array_equal(model.generate(prompt, 9, greedy=True), row)
        np.testing.assert_array_equal(model.predict(np.concatenate([prompt, row]))[3:-1], row)


def test_drawn_labels_depend_on_the_seed_only(threads: int) -> None:
    model = writer(task="multilabel")
    prompts = np.zeros((5, 2, 12))
    written = model.generate(prompts, 60, seed=2, temperature=0.8)
    assert 0.2 < written.mean() < 0.8
    with rf.threads(1):
        np.testing.assert_array_equal(model.generate(prompts, 60, seed=2, temperature=0.8), written)
    assert (model.generate(prompts, 60, seed=3, temperature=0.8) != written).any()


def test_of_length_zero() -> None:
    model = writer()
    for options in WAYS:
        ids, log_p = model.generate(PROMPTS, 0, return_log_probs=True, **options)
        if "stop" in options:
            assert [i.tolist() for i in ids] == [p.tolist() for p in log_p] == [[]] * 7
        else:
            assert ids.shape == log_p.shape == (7, 0)
        assert model.generate([1], 0, **options).shape == (0,)
    for task in ("regression", "multilabel"):
        model = writer(task=task)
        assert model.generate(np.zeros((2, 12)), 0).shape == (0, 12)
        assert model.generate(np.zeros((3, 2, 12)), 0).shape == (3, 0, 12)


def test_of_no_contexts() -> None:
    model = writer(context_size=2)
    for options in ({"seed": 0}, {"beams": 2}, {"prefix": [1]}, {"prefix": [1], "beams": 2}):
        assert model.generate([0], 5, context=np.zeros((0, 2)), **options).shape == (0, 5)


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("options", [{"seed": 0}, {"beams": 8}, {"greedy": True, "stop": 2}])
def test_ctrl_c_ends_a_long_text(options: dict[str, Any], threads: int) -> None:
    """The sequences of the calling thread stop at once, the others repeat an id for ever."""
    model = rf.OneToMany(3, cell="rnn", hidden_size=256, cell_options={"activation": "identity"}, seed=0)
    for p in model.parameters().values():
        p[...] = np.eye(p.shape[0], p.shape[1]) * 10 if p.value.ndim == 2 else np.zeros(p.shape)
    model.parameters()["rnn.weight_hh_l0"][...] = np.zeros((256, 256))
    expected = model.generate([[2], [1], [0]], 8, greedy=True)
    np.testing.assert_array_equal(expected, [[2] * 8, [1] * 8, [0] * 8])
    started = time.process_time()
    with pytest.raises(KeyboardInterrupt), interrupted_after(0.2):
        model.generate([[2], [1], [0]], 4_000_000, **options)
    assert time.process_time() - started < 4, "the text was written to its end"
    np.testing.assert_array_equal(model.generate([[2], [1], [0]], 8, greedy=True), expected)
