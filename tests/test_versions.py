"""A write to parameters is done whole or not at all, and the next call sees it."""

from __future__ import annotations

import dis
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.params import Module, Parameter, write
from tests.support.examples import SMALL_LAYERS, SMALL_MODELS, X

every_layer = pytest.mark.parametrize("make", SMALL_LAYERS.values(), ids=SMALL_LAYERS.keys())


# Behind these the interpreter looks for signals.
LOOKS = ("CALL", "RESUME", "JUMP_BACKWARD", "JUMP_ABSOLUTE")


@contextmanager
def interrupt_after(places: int) -> Iterator[list[bool]]:
    """Raise KeyboardInterrupt at the given one of the places in the package's code where a handler may run."""
    done, left, opcodes = [False], places, dict[FrameType, str]()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        frame.f_trace_opcodes = True
        if event != "opcode" or "rnnfast" not in frame.f_code.co_filename or done[0]:
            return trace
        before, opcodes[frame] = opcodes.get(frame, ""), dis.opname[frame.f_code.co_code[frame.f_lasti]]
        if before.startswith(LOOKS):
            left -= 1
            if left < 0:
                done[0] = True
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield done
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)


def interrupted_everywhere(prepare: Callable[[], Callable[[], object]], check: Callable[[], None]) -> int:
    """Run an operation, interrupted at every place; return how many there are."""
    for place in range(10_000):
        operation = prepare()
        with np.errstate(), interrupt_after(place) as done:
            operation()
        check()
        if not done[0]:
            return place
    raise AssertionError("no end")


def test_an_interrupted_load_changes_all_or_nothing() -> None:
    layer = rf.LSTM(2, 3, learn_initial_state=True, seed=0)
    old = layer.state_dict()
    new = {name: value + 1 for name, value in old.items()}
    x = np.ones((1, 2, 2), np.float32)
    expected = {}
    for name, state in (("old", old), ("new", new)):
        twin = rf.LSTM(2, 3, learn_initial_state=True)
        twin.load_state_dict(state)
        expected[name] = twin(x)[0]
    seen = set()

    def prepare() -> Callable[[], object]:
        layer.load_state_dict(old)
        layer(x)
        return lambda: layer.load_state_dict(new)

    def check() -> None:
        found = layer.state_dict()
        which = "new" if (found["bias_ih_l0"] == new["bias_ih_l0"]).all() else "old"
        np.testing.assert_equal(found, new if which == "new" else old)
        np.testing.assert_array_equal(layer(x)[0], expected[which])
        seen.add(which)

    assert interrupted_everywhere(prepare, check) > 20
    assert seen == {"old", "new"}


@pytest.mark.parametrize("lr", [0.5, 1e36], ids=["plain", "guarded"])
@pytest.mark.parametrize("make", [rf.SGD, rf.RMSprop, rf.Adam, rf.AdamW])
def test_an_interrupted_step_is_taken_or_not(make: Any, lr: float) -> None:
    """Values, bounds, buffers and counter agree, and the next call sees what there is."""
    states: list[Any] = []
    current: dict[str, Any] = {}

    def prepare() -> Callable[[], object]:
        layer = rf.RNN(2, 3, activation="relu", seed=0)
        layer.parameters()["weight_hh_l0"].constrain(limit=0.5)
        optimizer = make(layer.parameters(), lr=lr)
        for p in layer.parameters().values():
            p.grad[...] = 1e-3
        layer(np.ones((1, 2, 2), np.float32))
        current.update(layer=layer, optimizer=optimizer)
        step: Callable[[], object] = optimizer.step
        return step

    def check() -> None:
        layer, optimizer = current["layer"], current["optimizer"]
        found = (layer.state_dict(), optimizer.state_dict())
        if not any(_equal(found, state) for state in states):
            states.append(found)
        assert abs(layer.parameters()["weight_hh_l0"].value).max() <= 0.5
        twin = rf.RNN(2, 3, activation="relu")
        twin.load_state_dict(found[0])
        x = np.ones((1, 2, 2), np.float32)
        np.testing.assert_array_equal(layer(x)[0], twin(x)[0])

    assert interrupted_everywhere(prepare, check) > 20
    assert len(states) == 2


def _equal(a: Any, b: Any) -> bool:
    try:
        np.testing.assert_equal(a, b)
    except AssertionError:
        return False
    return True


@every_layer
def test_what_is_packed_beside_a_write_does_not_stay(make: Callable[[], Any]) -> None:
    layer, twin = make(), make()
    x = np.ones((4, 4, 3), layer.dtype)
    p = next(iter(layer.parameters().values()))
    values = np.arange(p.value.size).reshape(p.shape) / p.value.size
    reader = threading.Thread(target=layer, args=(x,))

    def write_slowly() -> None:
        p._data[:1] = values[:1]
        reader.start()
        reader.join(0.05)  # it waits for this write, or packs one half of it
        p._data[1:] = values[1:]

    layer(x)
    write([p], [partial(write_slowly)])
    reader.join()
    next(iter(twin.parameters().values())).assign(values)
    np.testing.assert_array_equal(layer(x)[0], twin(x)[0])


def test_a_stream_and_a_state_are_of_one_moment() -> None:
    """Neither mixes two moments, whatever is written while it is made."""
    model = rf.ManyToMany(3, 2, hidden_size=4, seed=0)
    names = list(model.parameters())
    states = [{name: np.full(p.shape, value, np.float32) for name, p in model.parameters().items()} for value in (0, 1)]
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            for state in states:
                model.load_state_dict(state)

    outputs = []
    for state in states:
        model.load_state_dict(state)
        outputs.append(model.stream().step(np.ones(3)).tolist())
    writer = threading.Thread(target=load)
    writer.start()
    for _ in range(100):
        assert model.stream().step(np.ones(3)).tolist() in outputs
        assert len({float(model.state_dict()[name].flat[0]) for name in names}) >= 1
        found = model.state_dict()
        assert len({float(value.flat[0]) for value in found.values()}) == 1
    stop.set()
    writer.join()


@pytest.mark.parametrize("make", [*SMALL_LAYERS.values(), *(make for make, _ in SMALL_MODELS.values())])
def test_a_parameter_is_not_replaced(make: Callable[[], Any]) -> None:
    tried = 0
    for part in modules_of(make()):
        for name, p in part.parameters().items():
            with pytest.raises(AttributeError):
                p.value = np.zeros(p.shape)
            if isinstance(getattr(part, name, None), rf.Parameter) or name in getattr(part, "_parameters", ()):
                tried += 1
                with pytest.raises(AttributeError, match=f"{name}: a parameter is written with"):
                    setattr(part, name, 0)
    assert tried > 1


def modules_of(module: Any) -> list[Any]:
    """The module and all modules in its attributes."""
    held = [v for value in vars(module).values() for v in (value.values() if isinstance(value, dict) else [value])]
    return [module, *(each for part in held if isinstance(part, Module) for each in modules_of(part))]


def test_a_gradient_is_copied_into() -> None:
    p = Parameter(np.ones(3, np.float32))
    memory, given = p.grad, np.arange(3)
    p.grad = given
    p.grad += 1
    assert p.grad is memory
    assert p.grad.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match=r"grad: the parameter's shape \(3,\) is required, got \(2,\)"):
        p.grad = np.ones(2)
    with pytest.raises(TypeError, match="grad: real numbers are required"):
        p.grad = None  # type: ignore[assignment]


def together(threads: int, f: Callable[[], object]) -> list[Any]:
    """Results or exceptions of a function that ``threads`` threads call at once."""
    start, results = threading.Barrier(threads), []

    def run() -> None:
        start.wait()
        try:
            results.append(f())
        except RuntimeError as error:
            results.append(error)

    workers = [threading.Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return results


@every_layer
def test_gradients_of_several_threads_are_all_added(make: Callable[[], Any]) -> None:
    """Equal gradients, so that their sum does not depend on the order."""
    layer, twin = make(), make()
    x = np.ones((4, 4, 3), layer.dtype)
    for each in (layer, twin):
        each.dropout = 0.0
    ys, tapes = zip(*(layer.forward(x, training=False)[::2] for _ in range(16)), strict=True)
    waiting = list(zip(tapes, ys, strict=True))
    together(4, lambda: [layer.backward(*waiting.pop()) for _ in range(4)])
    for _ in range(16):
        y, _, tape = twin.forward(x, training=False)
        twin.backward(tape, y)
    for name, p in layer.parameters().items():
        np.testing.assert_array_equal(p.grad, twin.parameters()[name].grad, err_msg=name)


@pytest.mark.parametrize(("make", "data"), SMALL_MODELS.values(), ids=SMALL_MODELS.keys())
def test_models_add_the_gradients_of_several_threads(make: Callable[[], Any], data: tuple[Any, ...]) -> None:
    config = {**make().config, "dropout": 0.0}
    kind = type(make())
    model, twin = kind(**config), kind(**config)
    together(4, lambda: [model.loss_and_grad(*data) for _ in range(3)])
    for _ in range(12):
        twin.loss_and_grad(*data)
    for name, p in model.parameters().items():
        np.testing.assert_array_equal(p.grad, twin.parameters()[name].grad, err_msg=name)


@every_layer
def test_a_tape_is_used_once_by_all_threads_together(make: Callable[[], Any]) -> None:
    layer = make()
    for _ in range(10):
        y, _, tape = layer.forward(np.ones((4, 4, 3), layer.dtype))
        assert not tape.used
        results = together(4, lambda tape=tape, y=y: layer.backward(tape, y))  # type: ignore[misc]
        assert sum(isinstance(result, RuntimeError) for result in results) == 3
        assert tape.used


def test_a_refused_call_of_a_stream_changes_nothing() -> None:
    """While one thread steps, another one's calls are refused, each for another reason."""
    make = partial(rf.ManyToMany, 50, 3, embedding=64, hidden_size=128, seed=0)
    ids = np.random.default_rng(0).integers(0, 50, (100, 8))
    alone = make().stream(8)
    expected = [alone.step(i) for i in ids]
    s, stop = make().stream(8), threading.Event()

    def disturb() -> None:
        refused: list[Callable[[], object]] = [
            lambda: s.step(np.full(8, 7), out=np.empty(3, np.float32)),
            lambda: s.step(np.full(8, 50)),
            lambda: s.step(np.full(8, 7.5)),
            lambda: s.step(np.full(9, 7)),
            lambda: s.process(np.full((8, 2), 50)),
        ]
        while not stop.is_set():
            for call in refused:
                with pytest.raises((RuntimeError, ValueError, TypeError)):
                    call()

    other = threading.Thread(target=disturb)
    other.start()
    found = []
    for i in ids:
        while True:
            try:
                found.append(s.step(i))
                break
            except RuntimeError:  # the other call was first
                pass
    stop.set()
    other.join()
    np.testing.assert_array_equal(found, expected)


def test_models_in_threads_of_their_own() -> None:
    """Training one model beside another one's gives what each gives alone."""

    def train(seed: int) -> bytes:
        model = rf.ManyToOne(3, 2, hidden_size=16, seed=seed)
        model.fit(X, np.arange(12) % 2, epochs=3, batch_size=4, progress=False, seed=0)
        return b"".join(value.tobytes() for value in model.state_dict().values())

    alone = [train(seed) for seed in range(4)]
    seeds = list(range(4))
    assert sorted(together(4, lambda: train(seeds.pop()))) == sorted(alone)
