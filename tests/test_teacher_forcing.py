"""Scheduled sampling: what the decoder reads in training, where it comes from, and what learns from it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.schedules import PiecewiseConstant

N = 12


class Tanh(rf.CustomCell, name="tanh of teacher forcing"):
    def shapes(self, inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
        return {"W": (hidden, inputs), "R": (hidden, hidden)}

    def forward(self, p: Any, x: Any, state: Any) -> Any:
        h = np.tanh(x @ p["W"].T + state[0] @ p["R"].T)
        return (h,), (x, state[0], h)

    def backward(self, p: Any, saved: Any, dstate: Any) -> Any:
        x, before, h = saved
        du = dstate[0] * (1 - h * h)
        return du @ p["W"], (du @ p["R"],), {"W": du.T @ x, "R": du.T @ before}


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dot": {"attention": "dot", "cell": "gru"},
    "additive": {"attention": "additive", "bidirectional": True, "target_embedding": 3},
    "reserved": {"start": 1, "stop": 2, "num_layers": 2},
    "custom": {"cell": Tanh, "attention": "dot"},
    "custom without attention": {"cell": Tanh},
    "vectors": {"task": "regression"},
    "vectors with attention": {"task": "regression", "attention": "additive"},
    "vectors of a custom cell": {"task": "regression", "attention": "dot", "cell": Tanh},
    "labels": {"task": "multilabel", "attention": "dot"},
}
each_variant = pytest.mark.parametrize("variant", VARIANTS)


def problem(variant: str, **options: Any) -> tuple[Any, dict[str, Any]]:
    rng, given = np.random.default_rng(0), VARIANTS[variant]
    x = [rng.normal(size=(length, 3)) for length in rng.integers(1, 6, N)]
    lengths = rng.integers(1, 8, N)
    if "task" in given:
        values = [rng.normal(size=(length, 4)) for length in lengths]
        y: list[Any] = [(v > 0) * 1.0 for v in values] if given["task"] == "multilabel" else values
    else:
        y = [rng.integers(3, 6, length) for length in lengths]
    size = 4 if "task" in given else 6
    model = rf.EncoderDecoder(3, size, **{"hidden_size": 5, "dtype": "float64", "seed": 0, **given, **options})
    for p in model.parameters().values():
        p[...] = 2 * p.value
    return model, {"x": x, "y": y}


def mixed(model: Any, data: dict[str, Any], ratio: float) -> tuple[Any, Any]:
    """A batch, and the same with what the decoder reads at this ratio."""
    batch = model._read_data(**data, batch_size=N).whole()
    model.forcing.ratio = ratio
    found = model.forcing.mixed(model.network, batch)
    model.forcing.ratio = 1.0
    return batch, found


@each_variant
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.7])
def test_every_element_is_the_true_one_or_the_prediction(variant: str, ratio: float) -> None:
    """The prediction is what the pass over the mixed elements says one step earlier; a draw decides between both."""
    model, data = problem(variant)
    generator = copy.deepcopy(model.forcing.rng)
    batch, found = mixed(model, data, ratio)
    outputs = model.network.infer(found)[0][""]
    predicted = model.task.decide(outputs)
    own = generator.random(batch.inputs.count) >= ratio
    own[batch.inputs.starts] = False
    read, true = found.inputs.flat(), batch.inputs.flat()
    np.testing.assert_array_equal(read[~own], true[~own])
    places = np.flatnonzero(own)
    np.testing.assert_allclose(read[places], predicted[places - 1], rtol=1e-9, atol=1e-9)
    assert len(places) > 10
    if ratio < 0.5:
        assert (read != true).any()
    for kept in ("sources", "targets", "count", "weights", "target_rows"):
        assert getattr(found, kept) is getattr(batch, kept)
    np.testing.assert_array_equal(found.inputs.lengths, batch.inputs.lengths)


@pytest.mark.parametrize("variant", ["plain", "vectors"])
def test_the_true_elements_stay(variant: str) -> None:
    """Also those of a single sequence, which no copy has to join."""
    model, data = problem(variant)
    longest = int(np.argmax([len(y) for y in data["y"]]))
    batch, found = mixed(model, {name: each[longest : longest + 1] for name, each in data.items()}, 0.0)
    again = model._read_data(**{name: each[longest : longest + 1] for name, each in data.items()}, batch_size=1)
    np.testing.assert_array_equal(batch.inputs.flat(), again.whole().inputs.flat())
    np.testing.assert_array_equal(batch.targets[""], again.whole().targets[""])
    assert (found.inputs.flat() != batch.inputs.flat()).any()


def test_the_ratio_is_a_probability() -> None:
    model = rf.EncoderDecoder(3, 40, hidden_size=2, seed=0)
    y = np.arange(39)[None].repeat(200, axis=0)
    batch, found = mixed(model, {"x": np.zeros((200, 2, 3)), "y": y}, 0.8)
    changed = found.inputs.flat() != batch.inputs.flat()
    tries = 200 * 39
    assert abs(changed.mean() * 40 / 39 - 0.2) < 5 * np.sqrt(0.2 * 0.8 / tries) + 2 / 40


@each_variant
def test_no_gradient_passes_through_a_prediction(variant: str) -> None:
    """A step uses the gradient of the pass over what was read, as if that were given."""
    model, data = problem(variant)
    twin = problem(variant)[0]
    _, found = mixed(twin, data, 0.4)
    twin.zero_grad()
    twin.batch_loss(found, gradient=True)
    before = model.state_dict()
    model.fit(
        **data, epochs=1, batch_size=N, optimizer="sgd", lr=0.1, teacher_forcing=0.4, shuffle=False, progress=False
    )
    for name, p in twin.parameters().items():
        np.testing.assert_allclose(model.state_dict()[name], before[name] - 0.1 * p.grad, rtol=1e-12, atol=1e-13)
    assert any(p.grad.any() for p in twin.parameters().values())


def test_the_default_keeps_all_bits() -> None:
    """No number is drawn, so that a later training with another ratio is the same, too."""
    states = []
    for options in ({}, {"teacher_forcing": 1.0}, {"teacher_forcing": lambda step: 1}):
        model, data = problem("dot", output_dropout=0.2)
        drawn = copy.deepcopy(model.random_state()["teacher_forcing"])
        model.fit(**data, epochs=2, batch_size=4, seed=0, progress=False, **options)
        assert model.random_state()["teacher_forcing"] == drawn
        states.append(model.state_dict())
    for state in states[1:]:
        for name, value in states[0].items():
            np.testing.assert_array_equal(state[name], value)


class Ratios(rf.Callback):
    def __init__(self, stop: bool = False) -> None:
        self.found: list[float] = []
        self.stop = stop

    def on_gradient(self, run: rf.Run) -> None:
        self.found.append(run.model.forcing.ratio)
        if self.stop:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (0.5, [0.5] * 6),
        (lambda step: 1 - step / 10, [1.0, 0.9, 0.8, 0.7, 0.6, 0.5]),
        (PiecewiseConstant([1.0, 0.25], boundaries=[1], by="epoch"), [1.0, 1.0, 1.0, 0.25, 0.25, 0.25]),
        (rf.schedules.Cosine(1.0), [(1 + np.cos(np.pi * t / 6)) / 2 for t in range(6)]),
    ],
)
def test_the_ratio_follows_steps_or_epochs(given: Any, expected: list[float]) -> None:
    model, data = problem("plain")
    ratios, loss = Ratios(), model.loss(**data)
    model.fit(
        **data, epochs=2, batch_size=4, optimizer="sgd", lr=0.0, teacher_forcing=given, callbacks=ratios, progress=False
    )
    np.testing.assert_allclose(ratios.found, expected, rtol=1e-12)
    assert model.forcing.ratio == 1
    assert model.loss(**data) == loss


def test_an_exception_ends_it() -> None:
    model, data = problem("plain")
    with pytest.raises(KeyboardInterrupt):
        model.fit(**data, epochs=1, teacher_forcing=0.5, callbacks=Ratios(stop=True), progress=False)
    assert model.forcing.ratio == 1


def test_validation_reads_the_true_elements() -> None:
    model, data = problem("plain")
    history = model.fit(**data, epochs=1, teacher_forcing=0.0, validation_data=data, progress=False)
    assert history["val_loss"] == [model.evaluate(**data)["loss"]]


def test_what_is_no_ratio_is_refused() -> None:
    model, data = problem("plain")
    before = model.state_dict()
    for wrong in (-0.1, 1.5, lambda step: 2.0):
        with pytest.raises(ValueError, match=r"teacher_forcing: a probability within \[0, 1\] is required, got"):
            model.fit(**data, epochs=1, teacher_forcing=wrong, progress=False)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_random_state_of_an_earlier_version_is_read() -> None:
    model, _ = problem("plain")
    state = model.random_state()
    del state["teacher_forcing"]
    drawn = copy.deepcopy(model.random_state())
    model.set_random_state(state)
    assert model.random_state() == drawn
