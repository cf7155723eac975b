"""The benchmarks of restless machines and of whole epochs measure what they say."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

import rnnfast as rf
from bench import restless
from bench.epochs import __main__ as epochs
from bench.neighbours import Neighbour
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
@pytest.mark.parametrize("case", epochs.PROBLEMS)
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
    line = epochs.parts("dates", 1, 1, 0.02)
    assert _core.forward is before
    shares = [float(share) for share in re.findall(r"([\d.]+)%", line)]
    assert sum(shares) == pytest.approx(100, abs=0.5)
    assert {"recurrence", "linear maps", "attention", "optimiser"} <= set(re.findall(r"[,:] ([a-z ]+) [\d.]+%", line))
