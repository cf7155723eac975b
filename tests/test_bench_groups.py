"""The benchmark beside its tables: products, variants, structure, restless machines and whole epochs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rnnfast as rf
from bench import alternating, gemm, restless, structure, variants
from bench.epochs import __main__ as epochs
from bench.epochs.problems import PROBLEMS
from bench.neighbours import Neighbour
from bench.rounds import interval
from bench.shapes import cases
from rnnfast import _core


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system does not account for each process")
def test_a_neighbour_runs_only_where_it_is_asked_for() -> None:
    with Neighbour("load", min(os.sched_getaffinity(0)), 1.0, 1e-3) as load:
        with load.running():
            begin = load.seconds()
            while load.seconds() - begin < 0.01:
                pass
        stopped = load.seconds()
        assert stopped > 0.01
    with pytest.raises(RuntimeError, match="load: a neighbour that runs is required, got code"), load.running():
        pass


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not show its processes")
def test_a_neighbour_ends_with_the_process_that_started_it() -> None:
    start = f"Neighbour('load', {min(os.sched_getaffinity(0))}, 1.0, 1e-3)"
    code = f"import os; from bench.neighbours import Neighbour; print({start}.pid, flush=True); os._exit(0)"
    command = [sys.executable, "-c", code]
    pid = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    with suppress(FileNotFoundError, ProcessLookupError):
        while "zombie" not in Path(f"/proc/{pid}/status").read_text():
            pass


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two processors are required")
def test_restless_rows_are_measured_beside_every_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("joblib")
    pytest.importorskip("torch")
    monkeypatch.setattr(restless, "LONG", 0.01)
    monkeypatch.setattr(restless, "BURSTS", (1e-3,))
    case = restless.rows(quick=True)[0]
    with rf.threads(2):
        lines = list(restless.report([case], rounds=1, seconds=1e-3))
    assert [line.split()[0] for line in lines[2:6]] == ["load"] * 4
    assert {"torch,", "openblas,", "joblib,"} <= {line.split()[0] for line in lines[6:9]}
    assert lines[9].startswith("  a constant load")
    assert lines[10].startswith("  a copy of itself")
    assert lines[11].startswith("lowest beside loads: ")


def test_a_case_is_loaded_by_its_name() -> None:
    assert restless.rows(["S22"]) == cases(ids=["S22"])
    with rf.threads(1):
        assert restless.speed(restless.loaded("16x512x1x24 lstm infer", 1), 1, 0.0) > 0


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize("case", PROBLEMS)
def test_epochs_of_both_sides_have_the_same_losses(case: str) -> None:
    """In float64, over two epochs: the same weights at first, the same batches, the same steps."""
    pytest.importorskip("torch")
    try:
        assert epochs.difference(case, epochs=2, share=0.01) < epochs.TOLERANCE
    except subprocess.CalledProcessError:
        if "RNNFAST_DATA" in os.environ:
            raise
        pytest.skip("RNNFAST_DATA: the folder of the data is required")


def test_parts_of_an_epoch_are_shares_of_its_time() -> None:
    before = _core.forward
    line = epochs.parts("dates", 1, epochs=1, rounds=1, share=0.02)
    assert _core.forward is before
    shares = [float(share) for share in re.findall(r"([\d.]+)%", line)]
    assert sum(shares) == pytest.approx(100, abs=0.5)
    assert {"recurrence", "linear maps", "attention", "optimiser"} <= set(re.findall(r"[,:] ([a-z ]+) [\d.]+%", line))


def test_products_are_checked_and_timed() -> None:
    record = gemm.measure((13, 70, 5), threads=2, rounds=2)
    assert record.best >= record.typical > 0.0
    assert record.of_fma > 0.0


@pytest.mark.torch
def test_two_libraries_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(alternating, "REST", 0)
    assert min(map(min, alternating.ratios(2.0, rounds=1).values())) > 0


def test_structure_is_timed_in_both_modes() -> None:
    layer, x = rf.RNN(2, 3), np.zeros((1, 4, 2), np.float32)
    sides = structure.Side(layer, x, 2, {"lengths": np.array([3])}), structure.Side(layer, x, 1, {})
    assert all(structure.ratio(sides, mode, rounds=1, seconds=0) > 0 for mode in ("infer", "train"))
    names = {name for name, *_ in structure.comparisons(2)} - {name for name, *_ in structure.comparisons(1)}
    assert names == {"both directions, 2 threads / 1", "two layers, 2 threads / 1"}


@pytest.mark.parametrize("variant", variants.VARIANTS, ids=lambda v: f"{v.layer} {v.name}")
def test_variants_are_timed_beside_their_plain_cells(variant: variants.Variant) -> None:
    record = variants.measure(variant, (2, 5, 3, 8), threads=1, rounds=1)
    assert min(record.infer, record.train) > 0
    assert variant.name in variants.line(record)
    assert "1 of 1 take" in variants.closing([replace(record, infer=1.0, train=1.5)])
    assert "0 of 1 take" in variants.closing([replace(record, infer=1.0, train=1.6)])


def test_an_interval_holds_the_median_of_what_is_sampled() -> None:
    """Of 15 numbers of one distribution, in at least 95 of 100 samples."""
    samples = np.random.default_rng(0).exponential(size=(2000, 15))
    held = [low <= np.log(2) <= high for low, high in map(interval, samples.tolist())]
    assert 0.95 < np.mean(held) < 0.98
