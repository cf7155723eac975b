"""Memory maps give the bits of arrays in memory, in little memory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support import processes
from tests.support.large_data import (
    FIT,
    IDS,
    LABELS,
    LENGTHS,
    PROBLEMS,
    RAGGED,
    C,
    N,
    T,
    assert_same,
    model,
    read,
    vectors,
    writer,
)
from tests.support.processes import not_sanitized


def mapped(folder: Path, array: Any) -> Any:
    """The array in a file that is mapped; of a list each array in one of its own."""
    if isinstance(array, list):
        return [mapped(folder, item) for item in array]
    if isinstance(array, dict):
        return {name: mapped(folder, item) for name, item in array.items()}
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


every_problem = pytest.mark.parametrize("problem", PROBLEMS)


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
    targets = mapped(tmp_path, spoiled(vectors("float64"), (4, 6, 2), np.inf))
    numbers = rf.ManyToMany(C, C, task="regression", hidden_size=4)
    with pytest.raises(ValueError, match=r"^y: finite numbers are required, got inf in sequence 4 at step 6, number 2"):
        numbers.fit(vectors(), targets, **fit)


def with_gaps(y: np.ndarray) -> np.ndarray:
    """Targets of which some are missing: all of a sequence, all of most batches, or single numbers."""
    missing = np.random.default_rng(4).random(y.shape) < 0.3
    missing[6] = missing[8:] = True
    return np.where(missing, np.nan, y)


HOLES = with_gaps(vectors("float64"))
MISSING: dict[str, tuple[dict[str, Any], Any, Any, dict[str, Any]]] = {
    "array": ({"output_size": C}, vectors(), HOLES, {}),
    "pieces": ({"output_size": C}, vectors(), HOLES, {"lengths": LENGTHS, "tbptt": 3, "burn_in": 1}),
    "list": ({"output_size": C}, RAGGED, [y[:n] for y, n in zip(HOLES, LENGTHS, strict=True)], {}),
    "heads": ({"outputs": {"a": C, "b": 1}}, vectors(), {"a": HOLES, "b": vectors()[..., 0]}, {}),
    "labels": ({"output_size": C, "task": "multilabel"}, vectors(), with_gaps(vectors("float64") > 0), {}),
}


@pytest.mark.parametrize("case", MISSING)
@pytest.mark.parametrize("accumulate", [1, 3])
def test_missing_targets_of_memory_maps_do_not_count(case: str, accumulate: int, tmp_path: Path) -> None:
    made, x, y, own = MISSING[case]

    def make() -> Any:
        return rf.ManyToMany(C, **{"task": "regression", "hidden_size": 4, "seed": 0, **made})

    whole, batchwise, stored = make(), make(), mapped(tmp_path, y)
    whole.fit(x, y, **FIT, **own, accumulate=accumulate)
    batchwise.fit(x, stored, **FIT, **own, accumulate=accumulate)
    assert np.isfinite(whole.history["loss"]).all()
    assert_same(whole, batchwise)
    assert batchwise.evaluate(x, stored, **own) == whole.evaluate(x, y, **own)
    at_once = read(own, ("lengths", "burn_in"))
    assert batchwise.loss_and_grad(x, stored, **at_once) == whole.loss_and_grad(x, y, **at_once)
    with pytest.raises(ValueError, match=r"^y(\['a'\])?: finite numbers are required, got nan"):
        rf.ManyToMany(C, **{**made, "task": "regression"}, loss=lambda outputs, y: (0.0, outputs)).fit(x, stored, **FIT)


def test_targets_in_memory_maps_have_the_gaps_of_the_inputs(tmp_path: Path) -> None:
    mask = np.random.default_rng(3).random((N, T)) < 0.6
    whole, batchwise = (rf.ManyToMany(C, 5, hidden_size=4, seed=0) for _ in range(2))
    whole.fit(vectors(), IDS, mask=mask, **FIT)
    batchwise.fit(vectors(), mapped(tmp_path, IDS), mask=mask, **FIT)
    assert_same(whole, batchwise)


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
