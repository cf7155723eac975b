"""Batches that the user brings give the bits of arrays in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.large_data import (
    FIT,
    IDS,
    PROBLEMS,
    C,
    Data,
    N,
    T,
    assert_same,
    model,
    read,
    writer,
)


class Batches:
    """Batches by number, as keras.utils.Sequence has them."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, i: int) -> Any:
        self.read.append(i)
        return self.batches[i]


class Iterable:
    """What begins again with every iterator, as a loader of PyTorch does."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def forever(batches: list[Any]) -> Iterator[Any]:
    while True:
        yield from batches


FORMS: dict[str, Callable[[list[Any]], tuple[Any, int | None]]] = {
    "object with items": lambda batches: (Batches(batches), None),
    "some of its items": lambda batches: (Batches([*batches, "never read"]), len(batches)),
    "callable": lambda batches: (lambda: iter(batches), None),
    "callable that never ends": lambda batches: (lambda: forever(batches), len(batches)),
    "iterable": lambda batches: (Iterable(batches), None),
    "iterator": lambda batches: (forever(batches), len(batches)),
}


def cut(value: Any, index: slice) -> Any:
    return {name: cut(item, index) for name, item in value.items()} if isinstance(value, dict) else value[index]


def in_batches(data: Data, own: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The data as batches, each with what accompanies its sequences, and the other options."""
    each = {**data, **read(own, ("lengths", "sample_weight", "resets"))}
    rest = {name: value for name, value in own.items() if name not in each}
    size = FIT["batch_size"]
    batches: list[Any] = [cut(each, slice(i, i + size)) for i in range(0, N, size)]
    if each.keys() == {"x", "y"}:
        batches = [(batch["x"], batch["y"]) for batch in batches]
    if each.keys() == {"x", "y", "sample_weight"}:
        batches = [[batch["x"], batch["y"], batch["sample_weight"]] for batch in batches]
    return batches, rest


@pytest.mark.parametrize("problem", [name for name in PROBLEMS if "text" not in name])
@pytest.mark.parametrize("form", FORMS)
def test_batches_give_the_same_bits(problem: str, form: str) -> None:
    """In the order of the data, and as validation data."""
    make, data, own = PROBLEMS[problem]
    batches, rest = in_batches(data, own)
    source, steps = FORMS[form](batches)
    if "sequences" in data and form in ("object with items", "iterable"):
        steps = len(batches)  # else they are read as sequences
    judged, validation = {}, {}
    if not rest:
        size = {"batch_size": FIT["batch_size"]} if "sequences" in data else {}
        judged, validation = {"validation_data": {**data, **own, **size}}, {"validation_data": lambda: iter(batches)}
    whole, batchwise = make(), make()
    whole.fit(**data, **FIT, **own, shuffle=False, **judged)
    batchwise.fit(source, **FIT, **rest, shuffle=False, steps_per_epoch=steps, **validation)
    assert_same(whole, batchwise)


def test_objects_with_items_are_shuffled() -> None:
    """Every batch once in an epoch, in the order of the seed."""
    make, data, own = PROBLEMS["many to one"]
    orders = []
    for seed in (0, 0, 1):
        source = Batches(in_batches(data, own)[0])
        make().fit(source, **{**FIT, "seed": seed, "epochs": 3})
        epochs = np.reshape(source.read, (3, len(source)))
        assert all(sorted(epoch) == list(range(len(source))) for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) == 3
        orders.append(source.read)
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("form", ["object with items", "callable that never ends", "iterable"])
@pytest.mark.parametrize("step", [1, 3, 5, 7])
def test_batches_go_on_from_a_state(form: str, step: int, tmp_path: Path) -> None:
    make, data, own = PROBLEMS["many to one"]
    batches, _ = in_batches(data, own)
    source, steps = FORMS[form](batches)
    whole, again = make(), make()
    fit = {**FIT, "epochs": 3, "steps_per_epoch": steps}
    whole.fit(source, **fit, callbacks=rf.Checkpoint(tmp_path / "{step}", every_steps=1))
    again.fit(source, **fit, callbacks=rf.Checkpoint(tmp_path / "{step}"), resume=tmp_path / str(step))
    assert_same(whole, again)
    with pytest.raises(ValueError, match=r"^resume: data that can be read again .* got an iterator, which cannot be"):
        make().fit(iter(batches), **{**fit, "steps_per_epoch": 5}, resume=tmp_path / "1")


GOOD = (np.ones((2, T, C)), [0, 1])
BAD = [
    ((np.ones((2, T, C + 1)), [0, 1]), ValueError, r"batch 1 of x: x: last axis C = input_size = 3 is required, got"),
    ((np.ones((2, T, C)), [0, 1, 1]), ValueError, r"batch 1 of x: y: one target per sequence is required \(N = 2\)"),
    ((np.ones((2, T, C)), [0, 2]), ValueError, r"batch 1 of x: y: "),
    ((np.full((2, T, C), np.nan), [0, 1]), ValueError, r"batch 1 of x: x: finite numbers are required, got nan in seq"),
    ((np.ones((2, T, C), complex), [0, 1]), TypeError, r"batch 1 of x: x: real numbers are required"),
    ((np.ones((0, T, C)), []), ValueError, r"batch 1 of x: x: at least one sequence is required, got none"),
    (np.ones((2, T, C)), TypeError, r"batch 1 of x: batch: a pair \(x, y\), \(x, y, sample_weight\) or a dict is req"),
    ((1, 2, 3, 4), ValueError, r"batch 1 of x: batch: a pair .* got 4 things"),
    ({"x": GOOD[0]}, ValueError, r"batch 1 of x: batch: x and y are required, got x"),
    ({"x": GOOD[0], "y": [0, 1], "tbptt": 2}, TypeError, r"batch 1 of x: batch: unknown argument 'tbptt'"),
]


@pytest.mark.parametrize(("batch", "error", "message"), BAD, ids=range(len(BAD)))
def test_an_error_names_the_batch(batch: Any, error: type[Exception], message: str) -> None:
    for source in (Batches([GOOD, batch]), lambda: iter([GOOD, batch])):
        with pytest.raises(error, match="^" + message):
            model().fit(source, epochs=1, shuffle=False, progress=False)
    with pytest.raises(error, match="^" + message.replace("of x", "of validation_data")):
        model().fit(Batches([GOOD]), epochs=1, validation_data=Batches([GOOD, batch]), progress=False)


REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: model().fit(np.ones((2, T, C)), epochs=1),
        TypeError,
        r"y: targets are required, or batches in place of x",
    ),
    (lambda: model().fit([GOOD], epochs=1), TypeError, r"y: targets are required, or batches"),
    (
        lambda: model().fit(*GOOD, epochs=1, steps_per_epoch=1),
        ValueError,
        r"steps_per_epoch: None is required",
    ),
    (
        lambda: model().fit(iter([GOOD]), epochs=1),
        ValueError,
        r"steps_per_epoch: a number is required for an iter",
    ),
    (
        lambda: model().fit(iter([GOOD]), epochs=1, steps_per_epoch=2, progress=False),
        ValueError,
        r"x: 2 batches are required in every epoch, got 1",
    ),
    (
        lambda: model().fit(lambda: iter([]), epochs=1, progress=False),
        ValueError,
        r"x: 1 batches are required in every epoch, got 0",
    ),
    (lambda: model().fit(Batches([]), epochs=1), ValueError, r"x: at least 1 batches are required, got 0"),
    (lambda: model().fit(Batches([GOOD]), epochs=1, steps_per_epoch=2), ValueError, r"x: at least 2 batches are requ"),
    (lambda: model().fit(Batches([GOOD]), epochs=1, lengths=[1, 2]), ValueError, r"lengths: None is required beside b"),
    (
        lambda: model().fit(Batches([GOOD]), epochs=1, validation_split=0.5),
        ValueError,
        r"validation_split: 0 is req",
    ),
    (
        lambda: model().fit(Batches([GOOD]), epochs=1, validation_data=iter([GOOD])),
        ValueError,
        r"validation_data: batches that can be had again are required",
    ),
    (lambda: writer().fit(3, epochs=1, steps_per_epoch=2), TypeError, r"sequences: batches, an object with a length"),
    (
        lambda: writer().fit(lambda: iter([IDS]), epochs=1, validation_split=0.5),
        ValueError,
        r"validation_split: 0 is required beside batches",
    ),
    (
        lambda: writer().fit(lambda: iter([IDS, IDS + 1]), epochs=1, progress=False),
        ValueError,
        r"batch 1 of sequences: sequences: ids 0..4 \(input_size = 5\) are required, got 5",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_source_of_batches_is_refused(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match="^" + message):
        call()


@pytest.mark.parametrize(("form", "count"), [("object with items", 5), ("iterator", 5), ("callable", 0)])
@pytest.mark.parametrize("tbptt", [None, 3])
def test_the_number_of_batches_is_known_or_zero(form: str, count: int, tbptt: int | None) -> None:
    """Nobody knows how many pieces a batch will have."""

    class Note(rf.Callback):
        def on_train_end(self, run: rf.Run) -> None:
            seen.append((run.batches, run.step))

    seen: list[tuple[int, int]] = []
    source, steps = FORMS[form](in_batches(*PROBLEMS["many to one"][1:])[0])
    model().fit(source, **FIT, tbptt=tbptt, steps_per_epoch=steps, callbacks=Note())
    pieces = 1 if tbptt is None else -(-T // tbptt)
    assert seen == [(count if tbptt is None else 0, FIT["epochs"] * 5 * pieces)]


def test_evaluation_of_batches() -> None:
    make, data, own = PROBLEMS["many to one"]
    batches, _ = in_batches(data, own)
    found = make().evaluate(Batches(batches))
    assert found == make().evaluate(**data, batch_size=FIT["batch_size"])
    text = writer().evaluate(lambda: iter([IDS[:5], IDS[5:]]))
    assert text["loss"] == pytest.approx(writer().evaluate(IDS)["loss"], rel=1e-6)
