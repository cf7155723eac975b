"""Data larger than memory: memory maps and batches of the user's give the bits of arrays in memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support import processes
from tests.support.processes import not_sanitized

N, T, C = 23, 7, 3
FIT: dict[str, Any] = {"epochs": 2, "batch_size": 5, "seed": 1, "lr": 0.05, "progress": False}
Data = dict[str, Any]
Make = Callable[[], Any]


def mapped(folder: Path, array: Any) -> Any:
    """The array in a file that is mapped; of a list each array in one of its own."""
    if isinstance(array, list):
        return [mapped(folder, item) for item in array]
    if isinstance(array, dict):
        return {name: mapped(folder, item) for name, item in array.items()}
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def options(**more: Any) -> dict[str, Any]:
    return {"hidden_size": 4, "seed": 0, "num_layers": 2, "dropout": 0.2, **more}


def vectors(dtype: str = "float16") -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, T, C)).astype(dtype)


RNG = np.random.default_rng(2)
LENGTHS = RNG.integers(1, T + 1, N)
IDS = RNG.integers(0, 5, (N, T))
LABELS = RNG.integers(0, 2, N)
RAGGED = [x[:n] for x, n in zip(vectors(), LENGTHS, strict=True)]


# Models, their data in memory, and options of fit.
PROBLEMS: dict[str, tuple[Make, Data, dict[str, Any]]] = {
    "many to one": (lambda: rf.ManyToOne(C, 2, **options()), {"x": vectors(), "y": LABELS}, {}),
    "many to one, float64 file": (
        lambda: rf.ManyToOne(C, 2, **options()),
        {"x": vectors("float64"), "y": LABELS},
        {"lengths": LENGTHS, "tbptt": 3},
    ),
    "many to one, big-endian and Fortran": (
        lambda: rf.ManyToOne(C, 2, **options(dtype="float64")),
        {"x": np.asfortranarray(vectors(">f4")), "y": LABELS},
        {"sample_weight": RNG.uniform(size=N)},
    ),
    "many to one, list": (lambda: rf.ManyToOne(C, 2, **options()), {"x": RAGGED, "y": LABELS}, {}),
    "many to one, list of C = 1": (
        lambda: rf.ManyToOne(1, 1, **options(task="regression")),
        {"x": [x[:, 0] for x in RAGGED], "y": RNG.normal(size=(N, 1))},
        {},
    ),
    "many to one, ids": (
        lambda: rf.ManyToOne(5, 2, embedding=3, **options()),
        {"x": IDS.astype("u2"), "y": LABELS},
        {"lengths": LENGTHS},
    ),
    "many to many, ids": (
        lambda: rf.ManyToMany(C, 2, **options()),
        {"x": vectors(), "y": (IDS % 2).astype("i1")},
        {"lengths": LENGTHS, "tbptt": 3, "burn_in": 1},
    ),
    "many to many, numbers": (
        lambda: rf.ManyToMany(C, outputs={"a": 2, "b": 1}, task="regression", **options()),
        {"x": vectors(), "y": {"a": vectors()[..., :2], "b": vectors()[..., 0]}},
        {"resets": IDS == 4},
    ),
    "many to many, list": (
        lambda: rf.ManyToMany(C, 5, **options()),
        {"x": RAGGED, "y": [y[:n] for y, n in zip(IDS, LENGTHS, strict=True)]},
        {"sample_weight": RNG.uniform(size=N)},
    ),
    "one to many": (lambda: rf.OneToMany(5, embedding=3, **options()), {"sequences": IDS.astype("u1")}, {}),
    "one to many, text": (
        lambda: rf.OneToMany(6, 5, **options()),
        {"sequences": RNG.integers(0, 5, 400).astype("u2")},
        {"tbptt": 9, "burn_in": 2},
    ),
    "one to many, numbers": (
        lambda: rf.OneToMany(C, task="regression", **options()),
        {"sequences": vectors()},
        {"lengths": np.maximum(LENGTHS, 2)},
    ),
    "encoder-decoder": (
        lambda: rf.EncoderDecoder(C, 5, attention="dot", **options()),
        {"x": vectors(), "y": IDS},
        {"lengths": LENGTHS},
    ),
    "encoder-decoder, numbers": (
        lambda: rf.EncoderDecoder(C, C, task="regression", **options()),
        {"x": RAGGED, "y": vectors()},
        {},
    ),
}
every_problem = pytest.mark.parametrize("problem", PROBLEMS)


def assert_same(first: Any, second: Any) -> None:
    assert first.history == second.history
    for name, value in first.state_dict().items():
        np.testing.assert_array_equal(second.state_dict()[name], value)


def read(own: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in own.items() if name in names}


@every_problem
@pytest.mark.parametrize("split", [0, 0.3])
def test_memory_maps_give_the_same_bits(problem: str, split: float, tmp_path: Path) -> None:
    make, data, own = PROBLEMS[problem]
    stored = mapped(tmp_path, data)
    whole, batchwise = make(), make()
    whole.fit(**data, **FIT, **own, validation_split=split)
    batchwise.fit(**stored, **FIT, **own, validation_split=split)
    assert_same(whole, batchwise)
    assert batchwise.evaluate(**stored, **own) == whole.evaluate(**data, **own)
    if "sequences" in data:
        data, stored = {"x": data["sequences"]}, {"x": stored["sequences"]}
    same = read(own, ("lengths", "resets"))
    if isinstance(whole, rf.EncoderDecoder):
        same["max_length"] = 4
    np.testing.assert_equal(
        batchwise.predict(x=stored["x"], batch_size=4, **same), whole.predict(x=data["x"], batch_size=4, **same)
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


def model() -> Any:
    return rf.ManyToOne(C, 2, hidden_size=4, seed=0)


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


def writer() -> Any:
    return rf.OneToMany(5, hidden_size=4, seed=0)


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


def test_evaluation_of_batches() -> None:
    make, data, own = PROBLEMS["many to one"]
    batches, _ = in_batches(data, own)
    found = make().evaluate(Batches(batches))
    assert found == make().evaluate(**data, batch_size=FIT["batch_size"])
    text = writer().evaluate(lambda: iter([IDS[:5], IDS[5:]]))
    assert text["loss"] == pytest.approx(writer().evaluate(IDS)["loss"], rel=1e-6)


def spoiled(array: np.ndarray, index: Any, value: float) -> np.ndarray:
    array = array.copy()
    array[index] = value
    return array


def test_numbers_of_memory_maps_are_checked_when_they_are_read(tmp_path: Path) -> None:
    """An error knows the place in the file; training up to there stays, and predictions of others are given."""
    x = mapped(tmp_path, spoiled(vectors("float64"), (17, 3, 1), np.inf))
    fit = {**FIT, "shuffle": False}
    with pytest.raises(ValueError, match=r"^x: finite numbers are required, got inf in sequence 17 at step 3, numbe"):
        model().fit(x, LABELS, **fit)
    model().fit(x, LABELS, **fit, lengths=[3] * N)
    with pytest.warns(UserWarning, match=r"x: finite numbers are required, got inf in sequence 17 at step 3"):
        found = model().predict_proba(x)
    np.testing.assert_array_equal(np.delete(found, 17, 0), model().predict_proba(np.delete(x, 17, 0)))
    beyond = mapped(tmp_path, spoiled(vectors("float64"), (2, 0, 0), 1e300))
    with pytest.raises(ValueError, match=r"^x: finite numbers are required, got inf in sequence 2 at step 0"):
        model().fit(beyond, LABELS, **fit)
    ids = mapped(tmp_path, spoiled(IDS, (9, 6), 5))
    with pytest.raises(ValueError, match=r"ids 0..4 \(input_size = 5\) are required, got 5"):
        writer().fit(ids, **fit)
    targets = mapped(tmp_path, spoiled(vectors("float64"), (4, 6, 2), np.nan))
    numbers = rf.ManyToMany(C, C, task="regression", hidden_size=4)
    with pytest.raises(ValueError, match=r"^y: finite numbers are required, got nan in sequence 4 at step 6, number 2"):
        numbers.fit(vectors(), targets, **fit)


@pytest.mark.parametrize("shape", [(N, T, C + 1), (N, T), (N, T, C, 1)])
def test_shapes_and_dtypes_of_memory_maps_are_checked_before(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^x: .* is required, got shape"):
        model().fit(mapped(tmp_path, np.zeros(shape)), LABELS, **FIT)
    with pytest.raises(TypeError, match=r"^x: real numbers are required, got dtype complex128"):
        model().fit(mapped(tmp_path, np.zeros((N, T, C), complex)), LABELS, **FIT)
    with pytest.raises(TypeError, match=r"^sequences: integer ids are required, got dtype float64"):
        writer().fit(mapped(tmp_path, np.zeros((N, T))), **FIT)
    many = rf.ManyToMany(C, 2, hidden_size=4)
    with pytest.raises(ValueError, match=r"^y: a value for every step is required, shape"):
        many.fit(vectors(), mapped(tmp_path, np.zeros((N, T - 1), int)), **FIT)


PEAK = """
import re, sys
import numpy as np
import rnnfast as rf

class Stop(rf.Callback):
    def on_step_end(self, run):
        run.stop = True
        if run.step == 4:
            raise KeyboardInterrupt

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])

def work(x, y):
    model = rf.{model}
    try:
        model.fit({data}, epochs=1, batch_size=8, callbacks=Stop(), progress=False, seed=0)
    except KeyboardInterrupt:
        pass
    model.{judge}

x, y = np.load(sys.argv[1], mmap_mode="r"), np.load(sys.argv[2], mmap_mode="r")
work(x[:40], y[:40])
before = peak()
work(x, y)
print(peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the memory's peak from /proc")
@not_sanitized
@pytest.mark.parametrize(
    ("model", "data", "judge", "item"),
    [
        ("ManyToOne(64, 1, task='regression', hidden_size=8)", "x, y[:, 0, :1]", "predict(x[-9:])", 64),
        ("ManyToMany(64, 1, task='regression', hidden_size=8)", "x, y", "evaluate(x[-9:], y[-9:])", 64),
        ("OneToMany(64, task='regression', hidden_size=8)", "x", "predict(x[-9:])", 64),
        ("OneToMany(64, task='regression', hidden_size=8)", "x.reshape(-1, 64)", "predict(x[-9:])", 64),
        ("EncoderDecoder(64, 1, task='regression', hidden_size=8)", "x, y[:, :2]", "predict(x[-9:], max_length=2)", 64),
    ],
)
def test_a_file_of_200_megabytes_trains_in_little_memory(
    model: str, data: str, judge: str, item: int, tmp_path: Path
) -> None:
    """A sparse file in half precision; what is read of it is a batch, of some 0.4 MB in single precision."""
    steps = 200
    count = 200 * 2**20 // (2 * steps * item)
    for name, shape in (("x", (count, steps, item)), ("y", (count, steps, 1))):
        np.lib.format.open_memmap(tmp_path / name, "w+", np.float16, shape).flush()
    assert os.path.getsize(tmp_path / "x") > 199 * 2**20
    code = PEAK.format(model=model, data=data, judge=judge)
    code = f"import sys; sys.argv[1:] = [{str(tmp_path / 'x')!r}, {str(tmp_path / 'y')!r}]\n" + code
    assert int(processes.output(code)) < 16 * 2**10
