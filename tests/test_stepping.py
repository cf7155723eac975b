"""How batches become steps: accumulated gradients equal those of the joined batch; clipping by value and norm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf

N, C = 13, 3


def vectors(rng: np.random.Generator) -> list[Any]:
    return [rng.normal(size=(length, C)) for length in rng.integers(2, 9, N)]


def many_to_one(rng: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    model = rf.ManyToOne(C, 2, hidden_size=4, dtype="float64", seed=0)
    return model, {"x": vectors(rng), "y": rng.integers(0, 2, N)}


def many_to_many(rng: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    x = vectors(rng)
    model = rf.ManyToMany(C, 3, cell="gru", hidden_size=4, dtype="float64", seed=0)
    return model, {"x": x, "y": [rng.integers(0, 3, len(s)) for s in x]}


def heads(rng: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    x = vectors(rng)
    outputs, tasks = {"a": 2, "b": 3}, {"a": "regression", "b": "classification"}
    model = rf.ManyToMany(
        C, outputs=outputs, task=tasks, loss_weights={"a": 0.3}, hidden_size=4, dtype="float64", seed=0
    )
    y = {"a": [rng.normal(size=(len(s), 2)) for s in x], "b": [rng.integers(0, 3, len(s)) for s in x]}
    return model, {"x": x, "y": y, "burn_in": 1}


def one_to_many(rng: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    model = rf.OneToMany(5, hidden_size=4, embedding=3, dtype="float64", seed=0)
    return model, {"sequences": [rng.integers(0, 5, length) for length in rng.integers(2, 9, N)]}


def encoder_decoder(rng: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    x = [rng.integers(0, 5, length) for length in rng.integers(1, 6, N)]
    model = rf.EncoderDecoder(
        5, 5, hidden_size=4, source_embedding=3, attention="additive", bidirectional=True, dtype="float64", seed=0
    )
    return model, {"x": x, "y": [s[::-1] for s in x]}


PROBLEMS = {f.__name__: f for f in (many_to_one, many_to_many, heads, one_to_many, encoder_decoder)}


def trained(problem: str, *, weighted: bool = False, **options: Any) -> tuple[Any, rf.History]:
    rng = np.random.default_rng(0)
    model, data = PROBLEMS[problem](rng)
    if weighted:
        data["sample_weight"] = np.where(np.arange(N) % 3 == 1, 0.0, rng.uniform(0.1, 2, N))
    history = model.fit(**data, **{"epochs": 3, "lr": 0.05, "shuffle": False, "progress": False, **options})
    return model, history


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_accumulated_batches_equal_the_joined_one(problem: str, weighted: bool, optimizer: str) -> None:
    """Ragged sequences, so that batches differ in target elements; the last step of an epoch has fewer batches."""
    for size, count in ((2, 3), (1, 4), (3, 5)):
        options: dict[str, Any] = {"optimizer": optimizer, "weighted": weighted, "clip_norm": 0.5, "clip_value": 0.1}
        joined, _ = trained(problem, batch_size=size * count, **options)
        apart, _ = trained(problem, batch_size=size, accumulate=count, **options)
        for name, value in joined.state_dict().items():
            np.testing.assert_allclose(apart.state_dict()[name], value, rtol=1e-11, atol=1e-12)


def test_the_mean_of_means_is_another_gradient() -> None:
    """What the test above would miss if all batches had the same weight."""
    rng = np.random.default_rng(0)
    model, data = many_to_many(rng)
    model.loss_and_grad(**data)
    joined = {name: p.grad.copy() for name, p in model.parameters().items()}
    model.zero_grad()
    for first in range(0, N, 2):
        model.loss_and_grad(x=data["x"][first : first + 2], y=data["y"][first : first + 2])
    means = {name: p.grad / 7 for name, p in model.parameters().items()}
    assert any(abs(means[name] - joined[name]).max() > 1e-3 for name in joined)


class Steps(rf.Callback):
    """Completed steps and batches after each step, and the size of the gradient before it."""

    def __init__(self) -> None:
        self.found: list[tuple[int, int]] = []
        self.norms: list[float] = []

    def on_gradient(self, run: rf.Run) -> None:
        self.norms.append(rf.clip_grad_norm(run.model.parameters(), np.inf))

    def on_step_end(self, run: rf.Run) -> None:
        self.found.append((run.step, run.batch))


def test_steps_and_batches_are_counted() -> None:
    steps = Steps()
    trained("many_to_many", batch_size=2, accumulate=3, epochs=2, callbacks=steps)
    assert steps.found == [(1, 3), (2, 6), (3, 7), (4, 3), (5, 6), (6, 7)]


def test_callbacks_see_the_joined_gradient() -> None:
    joined, apart = Steps(), Steps()
    trained("heads", batch_size=6, callbacks=joined)
    trained("heads", batch_size=2, accumulate=3, callbacks=apart)
    np.testing.assert_allclose(apart.norms, joined.norms, rtol=1e-11)


def test_the_history_is_the_mean_over_elements() -> None:
    cases: list[dict[str, Any]] = [{"batch_size": 6}, {"batch_size": 2, "accumulate": 3}]
    joined, apart = (trained("many_to_many", optimizer=rf.SGD(lr=0.0), lr=None, **options)[1] for options in cases)
    np.testing.assert_allclose(apart["loss"], joined["loss"], rtol=1e-13)


def test_pieces_without_a_target_do_not_count() -> None:
    """The pieces before the last one of each sequence only move the state on."""
    for tbptt in (None, 2):
        steps = Steps()
        trained("many_to_one", batch_size=2, accumulate=3, epochs=1, tbptt=tbptt, callbacks=steps)
        assert len(steps.norms) == 3


def test_pieces_of_sequences_carry_their_states_through_a_step() -> None:
    """With a learning rate of 0 the losses are those of the whole sequences, however the pieces are grouped."""
    cases: list[dict[str, Any]] = [{}, {"tbptt": 2}, {"tbptt": 2, "accumulate": 3}, {"tbptt": 1, "accumulate": 100}]
    losses = [
        trained("many_to_many", batch_size=4, optimizer=rf.SGD(lr=0.0), lr=None, **options)[1]["loss"]
        for options in cases
    ]
    for loss in losses[1:]:
        np.testing.assert_allclose(loss, losses[0], rtol=1e-12)


def test_one_batch_a_step_has_the_same_bits() -> None:
    first = trained("encoder_decoder", batch_size=4)[0]
    second = trained("encoder_decoder", batch_size=4, accumulate=1)[0]
    for name, value in first.state_dict().items():
        np.testing.assert_array_equal(second.state_dict()[name], value)


@pytest.mark.parametrize("value", [0.01, 10.0])
def test_fit_clips_by_value_before_the_norm(value: float) -> None:
    rng = np.random.default_rng(0)
    clipped, options = many_to_one(rng)
    twin = many_to_one(np.random.default_rng(0))[0]
    before = twin.state_dict()
    fit = {"epochs": 1, "batch_size": N, "optimizer": "sgd", "lr": 1.0, "progress": False}
    clipped.fit(**options, **fit, clip_value=value, clip_norm=0.02)
    twin.loss_and_grad(**options)
    rf.clip_grad_value(twin.parameters(), value)
    rf.clip_grad_norm(twin.parameters(), 0.02)
    for name, p in twin.parameters().items():
        np.testing.assert_allclose(clipped.state_dict()[name], before[name] - p.grad, rtol=1e-12)


def test_an_infinite_gradient_is_not_clipped_away() -> None:
    class Spoil(rf.Callback):
        def on_gradient(self, run: rf.Run) -> None:
            run.model.parameters()["head.bias"].grad[0] = np.inf

    with pytest.raises(FloatingPointError, match=r"fit: a finite gradient's norm is required, got inf in epoch 1"):
        trained("many_to_one", clip_value=1.0, callbacks=Spoil())
