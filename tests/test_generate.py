"""Writing: greedy and drawn, prompts, contexts, stops, prefixes; what is drawn follows the model's probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf

CYCLE = [0, 1, 2, 3, 4] * 6


@pytest.fixture(scope="module")
def cycle() -> Any:
    """A model that has learned to count to five, over and over."""
    model = rf.OneToMany(5, cell="gru", hidden_size=12, embedding=4, seed=0)
    model.fit([CYCLE[i:] for i in range(5)], epochs=120, lr=0.02, progress=False, seed=0)
    return model


@pytest.fixture(scope="module")
def random_writer() -> Any:
    """A model of random ids that depend on the one before the last: it has to use its state."""
    rng = np.random.default_rng(1)
    chances = np.array([[0.7, 0.2, 0.1], [0.1, 0.7, 0.2], [0.2, 0.1, 0.7]])
    sequences = rng.integers(0, 3, (100, 12))
    for t in range(2, 12):
        for row in sequences:
            row[t] = rng.choice(3, p=chances[row[t - 2]])
    model = rf.OneToMany(3, cell="lstm", hidden_size=12, dtype="float64", seed=1)
    model.fit(sequences, epochs=20, lr=0.03, progress=False, seed=0)
    return model


def test_greedy_goes_on(cycle: Any) -> None:
    written = cycle.generate([0, 1, 2], 9, greedy=True)
    assert written.dtype == np.int64
    assert written.tolist() == [3, 4, 0, 1, 2, 3, 4, 0, 1]
    assert cycle.generate([3], 0, greedy=True).shape == (0,)


def test_shapes_of_results(cycle: Any) -> None:
    many = cycle.generate([[0, 1], [2, 3, 4]], 4, greedy=True)
    np.testing.assert_array_equal(many, [[2, 3, 4, 0], [0, 1, 2, 3]])
    np.testing.assert_array_equal(cycle.generate(np.array([[0, 1], [2, 3]]), 2, greedy=True), [[2, 3], [4, 0]])
    copies = cycle.generate([[0, 1], [2, 3, 4]], 4, num_sequences=3, greedy=True)
    np.testing.assert_array_equal(copies, np.repeat(many, 3, axis=0))
    assert cycle.generate([0], 4, num_sequences=2).shape == (2, 4)


def test_stop_ends_a_sequence(cycle: Any) -> None:
    assert cycle.generate([0, 1], 20, greedy=True, stop=4).tolist() == [2, 3]
    found = cycle.generate([[0, 1], [2, 3], [4]], 3, greedy=True, stop=4)
    assert [f.tolist() for f in found] == [[2, 3], [], [0, 1, 2]]


def test_one_step_at_a_time_is_the_same_as_a_longer_prompt(random_writer: Any) -> None:
    """The state that is carried is that of everything written so far."""
    written = random_writer.generate([0], 12, greedy=True)
    for n in range(12):
        assert random_writer.generate([0, *written[:n]], 1, greedy=True)[0] == written[n]


def test_a_seed_repeats(random_writer: Any) -> None:
    first, again, other = (random_writer.generate([0], 50, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (random_writer.generate([0], 50) != random_writer.generate([0], 50)).any()


# Upper 0.1 % points of chi-square, by degrees of freedom (Abramowitz and Stegun, table 26.8).
CHI_SQUARE = {1: 10.828, 2: 13.816, 3: 16.266, 4: 18.467, 5: 20.515, 15: 37.697, 26: 54.052}


def chi_square(counts: np.ndarray, p: np.ndarray) -> float:
    expected = p * counts.sum()
    return float(((counts - expected) ** 2 / expected).sum())


def test_ten_thousand_samples_follow_the_models_probabilities(random_writer: Any) -> None:
    """All 27 sequences of three ids, each with the product of its conditional probabilities."""
    drawn = random_writer.generate([1], 3, num_sequences=10_000, seed=3)
    counts = np.bincount(drawn @ [9, 3, 1], minlength=27)
    every = np.array(np.unravel_index(np.arange(27), (3, 3, 3))).T
    p = random_writer.predict_proba(np.column_stack([np.ones(27, int), every[:, :2]]))
    chances = np.take_along_axis(p, every[..., None], axis=2)[..., 0].prod(axis=1)
    assert chances.sum() == pytest.approx(1, rel=1e-12)
    assert chances.max() > 4 / 27
    assert (chances * 10_000).min() > 5
    assert chi_square(counts, chances) < CHI_SQUARE[26]
    assert chi_square(counts, np.full(27, 1 / 27)) > CHI_SQUARE[26]


@pytest.fixture(scope="module")
def die() -> Any:
    """A model of six ids with unequal probabilities, none of them small."""
    model = rf.OneToMany(6, cell="gru", hidden_size=5, seed=2)
    model.parameters()["head.bias"][...] = np.log([0.07, 0.3, 0.2, 0.08, 0.25, 0.1])
    return model


def restricted(p: np.ndarray, temperature: float, top_k: int | None, top_p: float | None) -> np.ndarray:
    """The probabilities (K,) that ids are drawn with, by the definition."""
    p = p ** (1 / temperature)
    p /= p.sum()
    ranks = np.argsort(np.argsort(-p))
    if top_k is not None:
        p = np.where(ranks < top_k, p, 0)
        p /= p.sum()
    if top_p is not None:
        more_probable = np.array([p[p > one].sum() for one in p])
        p = np.where(more_probable < top_p, p, 0)
    return np.asarray(p / p.sum())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(
    ("top_k", "top_p", "kept"),
    [(None, None, 6), (3, None, 3), (9, None, 6), (None, 1.0, 6), (None, 0.7, None), (4, 0.6, None), (2, 0.05, 1)],
)
def test_what_is_drawn_follows_the_restricted_probabilities(
    die: Any, temperature: float, top_k: int | None, top_p: float | None, kept: int | None
) -> None:
    p = restricted(die.predict_proba([[4, 2]])[0][-1].astype(float), temperature, top_k, top_p)
    possible = p > 0
    assert kept is None or possible.sum() == kept
    options: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    drawn = die.generate([4, 2], 1, num_sequences=10_000, seed=4, **options)
    counts = np.bincount(drawn[:, 0], minlength=6)
    assert counts[~possible].sum() == 0
    if possible.sum() > 1:
        assert (10_000 * p[possible]).min() > 5
        assert chi_square(counts[possible], p[possible]) < CHI_SQUARE[int(possible.sum()) - 1]


@pytest.mark.parametrize("options", [{"temperature": 1e-9}, {"temperature": 1e-300}, {"top_k": 1}, {"top_p": 1e-9}])
def test_limits_of_the_options_are_greedy(random_writer: Any, die: Any, options: dict[str, Any]) -> None:
    for model in (random_writer, die):
        written = model.generate([1], 30, seed=0, **options)
        np.testing.assert_array_equal(written, model.generate([1], 30, greedy=True))


def test_draws_of_a_sequence_are_independent() -> None:
    """A model without a memory throws a coin; all runs of four throws are equally frequent, along time and rows."""
    model = rf.OneToMany(2, cell="rnn", hidden_size=2, seed=0)
    for p in model.parameters().values():
        p[...] = np.zeros(p.shape)
    coins = model.generate([0], 400, num_sequences=400, seed=7)
    for throws in (coins, coins.T):
        runs = throws.reshape(-1, 4) @ [8, 4, 2, 1]
        assert chi_square(np.bincount(runs, minlength=16), np.full(16, 1 / 16)) < CHI_SQUARE[15]


def test_a_prefix_is_forced(random_writer: Any) -> None:
    """A prefix continues as it would as part of the prompt; one of several sequences may be shorter."""
    forced = random_writer.generate([0, 1], 8, prefix=[2, 2, 0], greedy=True)
    expected = random_writer.generate([0, 1, 2, 2, 0], 5, greedy=True)
    np.testing.assert_array_equal(forced, [2, 2, 0, *expected])
    both = random_writer.generate([[0, 1], [1]], 6, prefix=[[2], [0, 1, 1]], num_sequences=2, seed=1)
    np.testing.assert_array_equal(both[:2, :1], [[2], [2]])
    np.testing.assert_array_equal(both[2:, :3], [[0, 1, 1], [0, 1, 1]])
    shared = random_writer.generate([[0, 1], [1]], 6, prefix=np.array([2, 1]), seed=1)
    np.testing.assert_array_equal(shared[:, :2], [[2, 1], [2, 1]])
    free = random_writer.generate([0, 1], 6, seed=3)
    prefixes: list[Any] = [[], np.zeros(0, np.int64), free[:4]]
    for empty in prefixes:
        np.testing.assert_array_equal(random_writer.generate([0, 1], 6, seed=3, prefix=empty), free)
    np.testing.assert_array_equal(random_writer.generate([0, 1], 6, prefix=free), free)


def test_log_probabilities_are_those_of_predict_proba(random_writer: Any) -> None:
    """Log-probabilities ignore temperature and restrictions; forced ids have theirs, too."""
    for options in ({"seed": 1}, {"greedy": True}, {"seed": 2, "temperature": 3.0, "top_k": 2}, {"beams": 3}):
        ids, log_p = random_writer.generate([[0, 2], [1]], 6, return_log_probs=True, prefix=[2, 0], **options)
        assert log_p.shape == ids.shape == (2, 6)
        for prompt, row, found in zip([[0, 2], [1]], ids, log_p, strict=True):
            p = random_writer.predict_proba([[*prompt, *row]])[0][len(prompt) - 1 : -1]
            np.testing.assert_allclose(found, np.log(p[np.arange(6), row]), rtol=1e-13)
    ids, log_p = random_writer.generate([0], 9, stop=2, seed=1, num_sequences=20, return_log_probs=True)
    assert [len(i) for i in ids] == [len(p) for p in log_p]
    one, its = random_writer.generate([0], 5, greedy=True, return_log_probs=True)
    assert one.shape == its.shape == (5,)


def test_two_contexts_give_two_learned_sequences() -> None:
    """The prompt is the same; only the vector that starts the state differs."""
    sequences, contexts = [[0, 1, 2, 3, 4], [0, 4, 3, 2, 1]], np.eye(2)
    model = rf.OneToMany(5, cell="lstm", hidden_size=16, embedding=4, context_size=2, seed=0)
    model.fit(sequences * 4, context=np.tile(contexts, (4, 1)), epochs=150, lr=0.02, progress=False, seed=0)
    for sequence, context in zip(sequences, contexts, strict=True):
        assert model.generate([0], 4, context=context, greedy=True).tolist() == sequence[1:]
    both = model.generate([0], 4, context=contexts, greedy=True)
    np.testing.assert_array_equal(both, [s[1:] for s in sequences])
    assert model.evaluate(sequences, context=contexts)["accuracy"] == 1.0
    assert model.generate([0], 4, context=contexts[:0], greedy=True).shape == (0, 4)
    alike = model.generate([[0], [0]], 4, context=contexts, greedy=True)
    np.testing.assert_array_equal(alike, both)


def test_real_elements_go_on() -> None:
    """A straight line: the identity with a unit weight adds the head's bias at every step."""
    model = rf.OneToMany(1, task="regression", cell="rnn", hidden_size=1, cell_options={"activation": "identity"})
    for name, p in model.parameters().items():
        p[...] = np.full(p.shape, {"rnn.weight_ih_l0": 1.0, "head.weight": 1.0, "head.bias": 0.5}.get(name, 0.0))
    np.testing.assert_array_equal(model.generate([2.0], 3), [[2.5], [3.0], [3.5]])
    both = model.generate(np.array([[[2.0]], [[-1.0]]]), 2)
    np.testing.assert_array_equal(both, [[[2.5], [3.0]], [[-0.5], [0.0]]])


def test_labels_are_drawn_one_by_one() -> None:
    model = rf.OneToMany(2, task="multilabel", hidden_size=3, seed=0)
    model.parameters()["head.bias"][...] = np.array([-3.0, 1.0], np.float32)
    p = model.predict_proba(np.zeros((1, 2)))[0]
    drawn = model.generate(np.zeros((1, 2)), 1, num_sequences=10_000, seed=0)[:, 0]
    assert set(np.unique(drawn)) == {0, 1}
    for k in range(2):
        ones = drawn[:, k].sum()
        assert chi_square(np.array([10_000 - ones, ones]), np.array([1 - p[k], p[k]])) < CHI_SQUARE[2]
    np.testing.assert_array_equal(model.generate(np.zeros((1, 2)), 1, greedy=True), [[0, 1]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, r"temperature: a number > 0, of which greedy=True is the limit 0, is required, got 0"),
        ({"top_k": 0}, r"top_k: at least 1 is required, got 0"),
        ({"top_p": 1.5}, r"top_p: a number in \(0, 1\] is required, got 1.5"),
        ({"length": -1}, r"length: at least 0 is required, got -1"),
        ({"num_sequences": 0}, r"num_sequences: at least 1 is required, got 0"),
        ({"prompt": []}, r"prompt: at least one element each is required"),
        ({"prompt": [[0], []]}, r"prompt: at least one element each is required"),
        ({"prompt": [5]}, r"prompt: ids 0..4 .* got 5"),
        ({"stop": 5}, r"stop: an id 0..4 is required, got 5"),
        ({"context": [1.0]}, r"context: None is required"),
        ({"seed": -1}, r"seed: at least 0 is required, got -1"),
        ({"prefix": [5]}, r"prefix: ids 0..4 .* are required, got 5"),
        ({"prefix": [-1]}, r"prefix: ids 0..4 .* are required, got -1"),
        ({"prefix": [1] * 6}, r"prefix: at most length = 5 ids are required, got 6"),
        ({"prefix": [[1], [2]]}, r"prefix: one sequence of ids or N = 1 of them is required, got 2"),
        ({"prefix": [0, 2], "stop": 2}, r"prefix: ids other than stop = 2 are required, got it"),
        ({"prompt": [[0], [1]], "prefix": [[1], [2, 3]], "beams": 2}, r"prefix: ids of one length .* got 1 and 2"),
        ({"beams": 0}, r"beams: at least 1 is required, got 0"),
        ({"length_penalty": 0.6}, r"length_penalty: 0.0 is required without beams, got 0.6"),
        ({"beams": 2, "length_penalty": np.nan}, r"length_penalty: a finite number is required, got nan"),
        ({"beams": 2, "temperature": 0.5}, r"temperature: 1.0 is required with beams, got 0.5"),
        ({"beams": 2, "top_k": 2}, r"top_k: None is required with beams, got 2"),
        ({"beams": 2, "top_p": 0.5}, r"top_p: None is required with beams, got 0.5"),
        ({"beams": 2, "greedy": True}, r"greedy: False is required with beams, got True"),
        ({"beams": 2, "num_sequences": 3}, r"num_sequences: at most beams = 2 is required, got 3"),
    ],
)
def test_messages(cycle: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cycle.generate(**{"prompt": [0], "length": 5, **options})


@pytest.mark.parametrize("option", ["length", "num_sequences", "top_k", "beams"])
def test_numbers_beyond_the_engines_are_refused(cycle: Any, option: str) -> None:
    with pytest.raises(OverflowError, match=option):
        cycle.generate(**{"prompt": [0], "length": 5, option: 2**63})
    assert cycle.generate([0], 5, seed=2**100).shape == (5,)


def test_a_prefix_holds_ids_that_are_written() -> None:
    model = rf.OneToMany(4, 3, hidden_size=3)
    with pytest.raises(ValueError, match=r"prefix: ids 0..2 \(output_size = 3\) are required, got 3"):
        model.generate([3], 5, prefix=[1, 3])


@pytest.mark.parametrize("task", ["regression", "multilabel"])
@pytest.mark.parametrize(
    ("option", "value"),
    [("top_k", 3), ("top_p", 0.5), ("beams", 3), ("stop", 3), ("prefix", [1]), ("return_log_probs", True)],
)
def test_options_of_other_tasks_are_refused(task: str, option: str, value: Any) -> None:
    model = rf.OneToMany(2, task=task, hidden_size=3)
    with pytest.raises(ValueError, match=rf"{option}: (None|False) is required for task='{task}', got "):
        model.generate(np.zeros((1, 2)), 1, **{option: value})
    with pytest.raises(ValueError, match=r"prompt: shape \(N, T, C\) with C = 2 is required"):
        model.generate(np.zeros((1, 3)), 1)
