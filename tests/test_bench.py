"""The benchmark compares equals: the NumPy twin computes what the specification says, and disagreement is an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import report
from bench.__main__ import parser, settings_of
from bench.blas import Products
from bench.problem import Problem, Results, make_problem
from bench.process import THREAD_VARIABLES, Worker, WorkerError, thread_environment
from bench.run import Record, difference, tolerance
from bench.shapes import CELLS, MODES, ROWS, Case, Row, cases
from bench.twin import Twin, chunk_bounds
from bench.twin_layer import ORDERS
from rnnfast import reference

ROOT = Path(__file__).parents[1]
SMALL = [
    Row("one", tuple(CELLS), 1, 1, 1, 1, 1, "the least of everything"),
    Row("stack", tuple(CELLS), 3, 2, 7, 3, 5, "layers, a carried state", carried=True),
    Row("last", tuple(CELLS), 2, 3, 5, 4, 6, "a gradient of the last state only", target="last"),
    Row("wide", tuple(CELLS), 1, 33, 6, 1, 17, "more sequences than units"),
    Row("long", tuple(CELLS), 1, 1, 40, 8, 9, "one sequence", carried=True),
]


def expected_results(problem: Problem) -> Results:
    """What the specification gives for a problem, in float64."""
    cell = CELLS[problem.case.cell]
    name, options = cell.layer.lower(), {} if cell.reset_after is None else {"reset_after": cell.reset_after}
    weights = {key: value.astype(np.float64) for key, value in problem.weights.items()}
    state = problem.h0 if problem.c0 is None else (problem.h0, problem.c0)
    y, last, tape = reference.forward(name, weights, problem.x.astype(np.float64), state, **options)
    results = {"y": y} | dict(zip("hc", last if name == "lstm" else (last,), strict=False))
    if problem.case.mode == "train":
        dstate = (problem.dh, None) if name == "lstm" else problem.dh
        dx, start, gradients = reference.backward(tape, problem.dy, dstate)
        results |= {"dx": dx} | dict(zip(("dh", "dc"), start if name == "lstm" else (start,), strict=False))
        results |= gradients
    return results


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("case", cases(rows=SMALL), ids=lambda case: case.name)
def test_twin_agrees_with_the_specification(case: Case, order: str) -> None:
    problem = make_problem(case)
    expected = expected_results(problem)
    for bounds in (None, [(t, t + 1) for t in range(case.row.T)], chunk_bounds(case.row.T, 1 << 15, 256)):
        twin = Twin(problem, order, bounds=bounds)
        twin.run()
        twin.run()
        assert difference(twin.results(), expected, limit=tolerance(case), label=case.name) <= tolerance(case)


@pytest.mark.torch
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_twin_agrees_with_torch(cell: str) -> None:
    torch = pytest.importorskip("torch")
    case = Case(SMALL[1], cell, "train")
    row, problem = case.row, make_problem(case)
    module = getattr(torch.nn, CELLS[cell].layer)(row.I, row.H, num_layers=row.L, batch_first=True).double()
    module.load_state_dict({name: torch.tensor(w) for name, w in problem.weights.items()})
    x, *start = (
        torch.tensor(a).double().requires_grad_() for a in (problem.x, problem.h0, problem.c0) if a is not None
    )
    y, last = module(x, tuple(start) if cell == "lstm" else start[0])
    (y * torch.tensor(problem.dy)).sum().backward()
    tensors = {"y": y, "dx": x.grad, **dict(zip("hc", last if cell == "lstm" else (last,), strict=False))}
    tensors |= {f"d{name}": s.grad for name, s in zip("hc", start, strict=False)}
    tensors |= {name: parameter.grad for name, parameter in module.named_parameters()}
    twin = Twin(problem, "features")
    twin.run()
    expected = {name: tensor.detach().numpy() for name, tensor in tensors.items()}
    assert difference(twin.results(), expected, limit=tolerance(case), label=case.name) <= tolerance(case)


@pytest.mark.parametrize("name", ["y", "c", "dx", "dh", "weight_hh_l1", "bias_ih_l0"])
def test_disagreement_is_an_error_that_names_the_array(name: str) -> None:
    case = Case(SMALL[1], "lstm", "train")
    expected = expected_results(make_problem(case))
    wrong = expected | {name: expected[name] * 1.001}
    with pytest.raises(AssertionError, match=f"stack: {name} must agree within"):
        difference(wrong, expected, limit=tolerance(case), label="stack")
    with pytest.raises(AssertionError, match=f"{name} must agree within .* got nan"):
        difference(expected | {name: expected[name] * np.nan}, expected, limit=tolerance(case), label="stack")
    with pytest.raises(AssertionError, match=f"{name} must have shape"):
        difference(expected | {name: expected[name][..., :-1]}, expected, limit=1.0, label="stack")
    del wrong[name]
    with pytest.raises(AssertionError, match="results must be"):
        difference(wrong, expected, limit=1.0, label="stack")


def test_a_problem_is_the_same_in_every_process_and_mode() -> None:
    forward, train = (make_problem(Case(SMALL[1], "lstm", mode)) for mode in MODES)
    np.testing.assert_array_equal(forward.x, train.x)
    np.testing.assert_array_equal(forward.c0, train.c0)
    assert all(np.array_equal(forward.weights[name], train.weights[name]) for name in train.weights)


def test_registry() -> None:
    names = [case.name for case in cases()]
    assert len(names) == len(set(names))
    assert {cell for row in ROWS for cell in row.cells} == set(CELLS)
    wanted = {"S4", "S5", "S7", "S8", "S9", "S10", "S11", "S22", "S23", "S25", "S26", "S29"}
    assert {row.id.split("-")[0] for row in ROWS} == wanted
    assert all(min(row.L, row.B, row.T, row.I, row.H) >= 1 and row.use for row in ROWS)
    assert [case.name for case in cases(ids=["S9"])] == ["S9 lstm forward", "S9 lstm train", "S9-step lstm forward"]
    assert {case.cell for case in cases(ids=["S5"], cells=["rnn", "gru"])} == {"rnn", "gru"}
    with pytest.raises(ValueError, match=r"shapes: each must be one of S4, .*, got S99"):
        cases(ids=["S4", "S99"])
    with pytest.raises(ValueError, match=r"cells: each must be one of rnn, .*, got elman"):
        cases(cells=["elman"])


@pytest.mark.parametrize("case", cases(ids=["S5", "S23", "S26"]), ids=lambda case: case.name)
@pytest.mark.parametrize("order", ORDERS)
def test_bare_products_are_the_flops_of_the_case(case: Case, order: str) -> None:
    """They exceed the formula only by the row of ones that carries the bias."""
    calls = Products(case, order).calls
    total = sum(2 * a.shape[0] * a.shape[1] * b.shape[1] for a, b, _ in calls)
    assert case.flops <= total <= 1.1 * case.flops


@pytest.mark.parametrize(("steps", "rows", "batch"), [(1, 4, 1), (999, 504, 256), (100, 2048, 64), (7, 10**6, 1000)])
def test_chunks_cover_time(steps: int, rows: int, batch: int) -> None:
    bounds = chunk_bounds(steps, rows, batch)
    sizes = [stop - start for start, stop in bounds]
    assert [t for start, stop in bounds for t in range(start, stop)] == list(range(steps))
    assert max(sizes) - min(sizes) <= 1


def test_report() -> None:
    records = []
    for case, seconds in zip(cases(ids=["S4"], cells=["rnn", "gru"]), (1.0, 2.0, 4.0, 0.5), strict=True):
        records.append(Record(case, {"rnnfast": [1.0, 1.0], "numpy": [seconds] * 3, "blas": [0.1]}))
        records[-1].notes = {name: {} for name in records[-1].times}
    facts = report.summary(records, ["numpy"])["numpy"]
    assert facts["forward"]["geometric_mean"] == pytest.approx(2.0)
    assert facts["train"]["slower"] == ["S4 gru train"]
    assert "slower in 1\n  slower: S4 gru train" in report.closing(records, ["numpy"])
    assert len({len(text) for text in (report.header(["numpy"]), *(report.line(r, ["numpy"]) for r in records))}) == 1
    document = report.document(records, ["numpy"], settings_of(parser().parse_args(["numpy"])), {})
    assert json.loads(json.dumps(document))["rows"][3]["ratio"] == {"numpy": 0.5}


def test_quick_is_short_and_rounds_are_what_was_asked() -> None:
    quick, plain = (settings_of(parser().parse_args(["numpy", *flag])) for flag in (["--quick", "--rounds", "2"], []))
    assert quick.rounds == 2
    assert quick.seconds < plain.seconds


def test_a_failing_peer_is_reported_with_its_traceback() -> None:
    with Worker("nobody", threads=1) as worker, pytest.raises(WorkerError, match=r"(?s)nobody: load failed.*KeyError"):
        worker.load(Case(SMALL[0], "rnn", "forward"))


def test_thread_counts_reach_the_peers_only() -> None:
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    with thread_environment(3):
        assert {os.environ[name] for name in THREAD_VARIABLES} == {"3"}
    assert {name: os.environ.get(name) for name in THREAD_VARIABLES} == before


def test_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "numpy", "--quick", "--rounds", "1", "--threads", "1", "--json"]
    options = [str(tmp_path / "bench.json"), "--shapes", "S4", "--cells", "lstm"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "forward+backward: geometric mean" in done.stdout
    document = json.loads((tmp_path / "bench.json").read_text())
    assert [row["mode"] for row in document["rows"]] == list(MODES)
    assert set(document["rows"][0]["peers"]) == {"rnnfast", "numpy", "blas"}
    assert document["machine"]["isa"]
    unknown = subprocess.run(
        [*command, *options, "--shapes", "S99"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert unknown.returncode == 2
    assert "got S99" in unknown.stderr
