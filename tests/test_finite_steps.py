"""An optimiser takes no step with a gradient that is not finite, or to a parameter that is not finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.params import Parameter

every_optimiser = pytest.mark.parametrize("make", [rf.SGD, rf.RMSprop, rf.Adam, rf.AdamW, rf.NAdam])
OPTIONS: dict[Any, list[dict[str, Any]]] = {
    rf.SGD: [{}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}],
    rf.RMSprop: [{}, {"momentum": 0.9, "centered": True}, {"eps": 0.0}],
    rf.Adam: [{}, {"weight_decay": 0.1}, {"eps": 0.0}, {"amsgrad": True}],
    rf.AdamW: [{}, {"groups": [{"params": "second", "eps": 1e-4, "weight_decay": 0.3}]}],
    rf.NAdam: [{}, {"weight_decay": 0.1, "decoupled_weight_decay": True}],
}
every_option = pytest.mark.parametrize(
    ("make", "options"), [(make, options) for make, found in OPTIONS.items() for options in found]
)


def parameters(dtype: str) -> dict[str, Parameter]:
    rng = np.random.default_rng(0)
    named = {name: Parameter(rng.normal(size=(3, 2)).astype(dtype)) for name in ("first", "second")}
    for p in named.values():
        p.grad[...] = rng.normal(size=p.shape)
    return named


def snapshot(params: dict[str, Parameter], optimizer: Any) -> Any:
    return {name: p.value.copy() for name, p in params.items()}, optimizer.state_dict()


@every_option
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite(make: Any, options: Any, value: float, dtype: str) -> None:
    params = parameters(dtype)
    optimizer = make(params, lr=0.1, **options)
    optimizer.step()
    before = snapshot(params, optimizer)
    params["second"].grad[1, 1] = value
    with pytest.raises(FloatingPointError, match="grad: finite numbers are required, got others in that of second"):
        optimizer.step()
    np.testing.assert_equal(snapshot(params, optimizer), before)


@every_option
def test_a_learning_rate_that_overflows_is_named(make: Any, options: Any, dtype: str) -> None:
    params = parameters(dtype)
    optimizer = make(params, lr=0.1, **options)
    optimizer.step()
    before = snapshot(params, optimizer)
    optimizer.lr = 1e308 if dtype == "float64" else 1e38
    params["first"].grad[...] = 1e3
    params["second"].grad[...] = 1e3
    if make is not rf.SGD:
        optimizer.lr = float(np.finfo(dtype).max) * 0.99
    found = None
    for _ in range(40):
        kept = snapshot(params, optimizer)
        try:
            optimizer.step()
        except FloatingPointError as error:
            found = str(error)
            break
    assert found is not None
    assert found.startswith("lr: a learning rate is required with which parameters stay finite, got ")
    np.testing.assert_equal(snapshot(params, optimizer), kept)
    assert all(np.isfinite(p.value).all() for p in params.values())
    optimizer.lr = 0.0
    optimizer.step()
    assert before[1].keys() == optimizer.state_dict().keys()


@every_optimiser
def test_squares_that_overflow(make: Any, dtype: str) -> None:
    """A finite gradient whose square is none would stop training for ever."""
    params = parameters(dtype)
    optimizer = make(params, lr=1e-30)
    before = snapshot(params, optimizer)
    params["first"].grad[...] = np.finfo(dtype).max / 4
    if make is rf.SGD:
        optimizer.step()
        assert all(np.isfinite(p.value).all() for p in params.values())
        return
    with pytest.raises(FloatingPointError, match="grad: numbers are required whose squares are finite"):
        optimizer.step()
    np.testing.assert_equal(snapshot(params, optimizer), before)


def test_a_parameter_that_is_not_finite_is_named(dtype: str) -> None:
    params = parameters(dtype)
    params["second"][0, 0] = np.inf
    with pytest.raises(FloatingPointError, match="second: finite values are required before a step"):
        rf.SGD(params).step()


@every_option
def test_the_guard_takes_the_same_steps(make: Any, options: Any, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded, plain = parameters(dtype), parameters(dtype)
    first, second = make(guarded, lr=0.1, **options), make(plain, lr=0.1, **options)
    monkeypatch.setattr(first, "_limit", lambda *_: 0.0)
    monkeypatch.setattr(second, "_limit", lambda *_: np.inf)
    for _ in range(3):
        first.step()
        second.step()
    monkeypatch.undo()
    np.testing.assert_equal(snapshot(guarded, first), snapshot(plain, second))


@every_option
def test_the_limit_is_safe(make: Any, options: Any, dtype: str) -> None:
    """Just below the limit no step can leave the range, whatever the signs."""
    largest = float(np.finfo(dtype).max)
    for lr in (1e-3, 1.0, 1e10, 1e20, 1e36):
        params = {name: Parameter(np.ones(64, dtype)) for name in ("first", "second")}
        optimizer = make(params, lr=lr, **options)
        own = [optimizer._options_of(part) for part in optimizer._parts]
        limit = optimizer._limit(1.0, params["first"].dtype, own)
        for magnitude in (limit * 0.99 / 40, 1.0, 1e-20):
            if not optimizer._limit(magnitude * 40, params["first"].dtype, own) > magnitude * 40:
                continue
            rng = np.random.default_rng(0)
            for p in params.values():
                p[...] = rng.choice([-1, 1], 64) * magnitude
                p.grad[...] = rng.choice([-1, 1], 64) * magnitude
            every = list(params.values())
            for update in optimizer._updates([p._data for p in every], [p.grad for p in every], own):
                update()
            for p in params.values():
                assert np.isfinite(p.value).all()
                assert abs(p.value).max() < largest
            assert all(np.isfinite(b).all() for buffers in optimizer._buffers.values() for b in buffers)


def test_fit_names_the_place_and_takes_no_step() -> None:
    """A gradient overflows although the loss does not."""
    model = rf.ManyToOne(
        1, 1, cell="rnn", hidden_size=1, task="regression", cell_options={"activation": "identity"}, seed=0
    )
    for name, p in model.parameters().items():
        if name.startswith("rnn"):
            p[...] = 1e12 if name == "rnn.weight_hh_l0" else 0.0
    before = model.state_dict()
    with pytest.raises(FloatingPointError, match=r"fit: .* in epoch 1, after 0 steps; the parameters are those before"):
        model.fit(np.zeros((2, 8, 1)), np.ones((2, 1)), epochs=1, optimizer="sgd", progress=False)
    np.testing.assert_equal(model.state_dict(), before)


def test_clipping_sees_what_the_optimiser_moves() -> None:
    model = rf.ManyToOne(4, 2, seed=0)
    p = model.parameters()
    p["head.weight"][...] = 30 * p["head.weight"].value
    head = {name: p[name] for name in ("head.weight", "head.bias")}
    before = model.state_dict()
    x = np.random.default_rng(0).normal(size=(8, 5, 4))
    model.fit(x, [0, 1] * 4, epochs=1, optimizer=rf.SGD(head, lr=1.0), clip_norm=0.1, progress=False)
    moved = np.sqrt(sum(((p[name].value - before[name]) ** 2).sum() for name in head))
    assert moved == pytest.approx(0.1, rel=1e-4)


class Stop(rf.Callback):
    """Ends training with an exception, after an epoch that has made the model worse."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def on_epoch_end(self, run: Any) -> None:
        run.optimizer.lr = 1.0
        if run.epoch == 4:
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt, FloatingPointError, MemoryError])
@pytest.mark.parametrize("restore", [True, False])
def test_what_an_exception_leaves(error: type[BaseException], restore: bool) -> None:
    """The history so far and, where asked for, the best parameters."""
    x, y = np.random.default_rng(0).normal(size=(40, 8, 2)), np.arange(40) % 2
    model = rf.ManyToOne(2, 2, hidden_size=32, seed=0)
    seen: list[Any] = []

    class Keep(rf.Callback):
        def on_epoch_end(self, run: Any) -> None:
            seen.append(run.model.state_dict())

    stopping = rf.EarlyStopping("loss", restore_best=restore, patience=10)
    with pytest.raises(error):
        model.fit(x, y, epochs=9, progress=False, seed=0, callbacks=[Keep(), stopping, Stop(error)])
    losses = model.history.history["loss"]
    assert len(losses) == 4
    best = int(np.argmin(losses)) if restore else 3
    assert best < 3 or not restore
    np.testing.assert_equal(model.state_dict(), seen[best])
