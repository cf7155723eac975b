"""Writing: greedy and drawn, prompts, contexts, stops; and that what is drawn follows the model's probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.sampling import Sampler, draw

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


# Upper 0.1 % points of chi-square, by degrees of freedom (Abramowitz and Stegun, table 26.8).
CHI_SQUARE = {2: 13.816, 8: 26.124, 26: 54.052}


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


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_scales_the_logits(random_writer: Any, temperature: float) -> None:
    p = random_writer.predict_proba([[1]])[0][0] ** (1 / temperature)
    drawn = random_writer.generate([1], 1, num_sequences=10_000, temperature=temperature, seed=4)
    assert chi_square(np.bincount(drawn[:, 0], minlength=3), p / p.sum()) < CHI_SQUARE[2]


def test_the_probabilities_of_a_sampler() -> None:
    p = np.array([[0.05, 0.4, 0.25, 0.3], [0.1, 0.1, 0.7, 0.1]])
    logits = np.log(p)
    for options, kept in (
        ({}, [[1, 1, 1, 1], [1, 1, 1, 1]]),
        ({"top_k": 2}, [[0, 1, 0, 1], [1, 0, 1, 0]]),
        ({"top_k": 9}, [[1, 1, 1, 1], [1, 1, 1, 1]]),
        ({"top_p": 0.6}, [[0, 1, 0, 1], [0, 0, 1, 0]]),
        ({"top_p": 1.0}, [[1, 1, 1, 1], [1, 1, 1, 1]]),
        ({"top_k": 3, "top_p": 0.5}, [[0, 1, 0, 1], [0, 0, 1, 0]]),
        ({"greedy": True}, [[0, 1, 0, 0], [0, 0, 1, 0]]),
    ):
        expected = p * kept
        expected /= expected.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(Sampler(**options).probabilities(logits), expected, rtol=1e-12)
    cold = Sampler(temperature=1e-9).probabilities(logits)
    np.testing.assert_array_equal(cold, [[0, 1, 0, 0], [0, 0, 1, 0]])
    np.testing.assert_array_equal(Sampler().probabilities(logits * 1e300).argmax(axis=1), [1, 2])


def test_drawing_inverts_the_distribution() -> None:
    class Fixed:
        """A generator with given numbers."""

        def __init__(self, u: list[float]) -> None:
            self.u = np.array(u)

        def random(self, size: int) -> np.ndarray:
            return self.u[:size]

    p = np.array([[0.0, 0.5, 0.0, 0.5, 0.0]] * 5)
    u = [0.0, 0.25, np.nextafter(0.5, 0), 0.5, np.nextafter(1.0, 0)]
    assert draw(p, Fixed(u)).tolist() == [1, 1, 1, 3, 3]  # type: ignore[arg-type]
    assert draw(3 * p, Fixed(u)).tolist() == [1, 1, 1, 3, 3]  # type: ignore[arg-type]


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
        ({"temperature": 0.0}, r"temperature: a number > 0 required \(greedy=True is its limit 0\), got 0"),
        ({"top_k": 0}, r"top_k: at least 1 required, got 0"),
        ({"top_p": 1.5}, r"top_p: a number in \(0, 1\] required, got 1.5"),
        ({"length": -1}, r"length: a number >= 0 .* got -1 and 1"),
        ({"num_sequences": 0}, r"num_sequences: at least 1 required, got 5 and 0"),
        ({"prompt": []}, r"prompt: at least one element each required"),
        ({"prompt": [[0], []]}, r"prompt: at least one element each required"),
        ({"prompt": [5]}, r"prompt: ids 0..4 .* got 5"),
        ({"stop": 5}, r"stop: an id 0..4 required, got 5"),
        ({"context": [1.0]}, r"context: None required"),
    ],
)
def test_messages(cycle: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cycle.generate(**{"prompt": [0], "length": 5, **options})


def test_options_of_other_tasks_are_refused(cycle: Any) -> None:
    with pytest.raises(NotImplementedError, match=r"beams"):
        cycle.generate([0], 5, beams=4)
    model = rf.OneToMany(2, task="regression", hidden_size=3)
    with pytest.raises(ValueError, match=r"top_k: None required for task='regression', got 3"):
        model.generate(np.zeros((1, 2)), 1, top_k=3)
    with pytest.raises(ValueError, match=r"stop: None required for task='regression', got 3"):
        model.generate(np.zeros((1, 2)), 1, stop=3)
    with pytest.raises(ValueError, match=r"prompt: shape \(N, T, C\) with C = 2 required"):
        model.generate(np.zeros((1, 3)), 1)
