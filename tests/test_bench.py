"""The benchmark compares equals: the NumPy model computes what the specification says, and disagreement is an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from bench import chart, gemm, markdown, report
from bench.__main__ import PYTHON_VARIABLE, available, parser, settings_of
from bench.blas import Products
from bench.limits import TAPE, Constants, bound, least_seconds, measure_constants, ports, typical
from bench.machine import cache_bytes
from bench.numpy_layer import ORDERS, Order
from bench.peer_numpy import NumpyModel, chunk_bounds
from bench.peers import BASELINE, EVERYTHING, PEERS, RIVALS
from bench.problem import Problem, Results, make_problem
from bench.process import THREAD_VARIABLES, Worker, WorkerError, thread_environment
from bench.run import Record, Settings, difference, run, tolerance
from bench.shapes import CELLS, GROUPS, MODES, ROWS, STREAM_STEPS, Case, Row, cases
from rnnfast import _core, reference
from tests.support.matrix import LAYERS

ROOT = Path(__file__).parents[1]
SMALL = [
    Row("one", tuple(CELLS), 1, 1, 1, 1, 1, "the least of everything"),
    Row("stack", tuple(CELLS), 3, 2, 7, 3, 5, "layers, a carried state", carried=True),
    Row("last", tuple(CELLS), 2, 3, 5, 4, 6, "a gradient of the last state only", target="last"),
    Row("wide", tuple(CELLS), 1, 33, 6, 1, 17, "more sequences than units"),
    Row("long", tuple(CELLS), 1, 1, 40, 8, 9, "one sequence", carried=True),
]
SHAPED = [
    Row("both", tuple(CELLS), 2, 3, 7, 4, 5, "both directions", D=2, carried=True),
    Row("ragged", tuple(CELLS), 1, 4, 9, 4, 5, "sequences of unequal length", shortest=2),
    Row("both-ragged", tuple(CELLS), 2, 3, 8, 4, 5, "all of it, the last state", D=2, shortest=1, target="last"),
]
STEPS = [
    Row("step", ("rnn", "lstm", "gru"), 1, 1, 1, 3, 5, "one sequence, step by step", ("stream",)),
    Row("steps", ("rnn", "lstm", "gru"), 2, 3, 1, 3, 5, "layers and sequences, step by step", ("stream",)),
]


def expected_results(problem: Problem) -> Results:
    """The reference's results for a problem, in float64."""
    cell = CELLS[problem.case.cell]
    name = cell.layer.lower()
    options: dict[str, Any] = {} if cell.reset_after is None else {"reset_after": cell.reset_after}
    weights = {key: value.astype(np.float64) for key, value in problem.weights.items()}
    state: Any = problem.h0 if problem.c0 is None else (problem.h0, problem.c0)
    y, last, tape = reference.forward(name, weights, problem.x.astype(np.float64), state, **options)
    results = {"y": y} | dict(zip("hc", last if name == "lstm" else (last,), strict=False))
    if problem.case.mode == "train":
        dstate = (problem.dh, None) if name == "lstm" else problem.dh
        dx, start, gradients = reference.backward(tape, problem.dy, dstate)
        results |= {"dx": dx} | dict(zip(("dh", "dc"), start if name == "lstm" else (start,), strict=False)) | gradients
    return results


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("case", cases(rows=SMALL), ids=lambda case: case.name)
def test_the_numpy_model_agrees_with_the_specification(case: Case, order: Order) -> None:
    problem = make_problem(case)
    expected = expected_results(problem)
    for bounds in (None, [(t, t + 1) for t in range(case.row.T)], chunk_bounds(case.row.T, 1 << 15, 256)):
        model = NumpyModel(problem, order, bounds=bounds)
        model.run()
        model.run()
        assert difference(model.results(), expected, limit=tolerance(case), label=case.name) <= tolerance(case)


@pytest.mark.torch
@pytest.mark.parametrize("cell", LAYERS)
def test_the_numpy_model_agrees_with_torch(cell: str) -> None:
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
    model = NumpyModel(problem, "features")
    model.run()
    expected = {name: tensor.detach().numpy() for name, tensor in tensors.items()}
    assert difference(model.results(), expected, limit=tolerance(case), label=case.name) <= tolerance(case)


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
    infer, train = (make_problem(Case(SMALL[1], "lstm", mode)) for mode in ("infer", "train"))
    np.testing.assert_array_equal(infer.x, train.x)
    np.testing.assert_array_equal(infer.c0, train.c0)
    assert all(np.array_equal(infer.weights[name], train.weights[name]) for name in train.weights)
    stream = make_problem(Case(SMALL[0], "lstm", "stream"))
    assert stream.x.shape == (1, STREAM_STEPS, 1)
    assert stream.h0 is not None
    assert stream.c0 is not None


def test_registry() -> None:
    names = [case.name for case in cases()]
    assert len(names) == len(set(names))
    assert {cell for row in ROWS for cell in row.cells} == set(CELLS)
    assert {case.row.group for case in cases(quick=True)} == set(GROUPS)
    assert {case.mode for case in cases(quick=True)} == set(MODES)
    assert all(min(row.L, row.B, row.T, row.I, row.H) >= 1 and row.use for row in ROWS)
    assert all(row.T == 1 for row in ROWS if "stream" in row.modes)
    wanted = ["S9 lstm infer", "S9 lstm train", "S9-step lstm stream"]
    assert [case.name for case in cases(ids=["S9"])] == wanted
    assert {case.cell for case in cases(groups=["table"], cells=["rnn", "gru"], modes=["train"])} == {"rnn", "gru"}
    assert {case.mode for case in cases(modes=["stream"])} == {"stream"}
    with pytest.raises(ValueError, match=r"shapes: each must be one of .*S4, .*, got S99"):
        cases(ids=["S4", "S99"])


def test_the_sweep_has_each_size_once_for_each_cell() -> None:
    counts = {cell: len(cases(groups=["table"], cells=[cell], modes=["train"])) for cell in ("lstm", "gru", "rnn")}
    assert counts == {"lstm": 13, "gru": 9, "rnn": 9}


def test_flops_of_a_step_a_pass_and_training() -> None:
    row = Row("two", ("lstm",), 2, 3, 7, 5, 11, "by hand")
    forward = 2 * 4 * 11 * (5 + 11 + 11 + 11) * 3
    flops = {mode: Case(row, "lstm", mode).flops for mode in MODES}
    assert flops == {"infer": 7 * forward, "train": 21 * forward, "stream": forward}


@pytest.mark.parametrize("case", cases(ids=["S5", "S23", "S26"]), ids=lambda case: case.name)
@pytest.mark.parametrize("order", ORDERS)
def test_bare_products_are_the_flops_of_the_case(case: Case, order: Order) -> None:
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


MACHINE = Constants(
    clock=3e9, issue=1e10, fma_one=2e11, fma=1e11, l1=2e11, l2=1e11, l3=2e10, sigmoid=8e9, tanh=5e9, barrier=1e-7
)


def make_records() -> list[Record]:
    records = []
    chosen = cases(ids=["S4"], cells=["rnn", "gru"], modes=["infer", "train"])
    for case, seconds in zip(chosen, (1.0, 2.0, 4.0, 0.5), strict=True):
        times = {"rnnfast": [[1.0, 1.0], [1.0]], "numpy": [[seconds] * 3, [seconds]], "blas": [[0.1], [0.1]]}
        records.append(Record(case, 2, times, [MACHINE] * 2))
    return records


def test_report() -> None:
    records = make_records()
    assert {record.best for record in records} == {"numpy"}
    facts = report.summary(map(report.entry, records))
    assert facts["users", "gru", "infer", 2]["best"] == pytest.approx(4.0)
    assert facts["users", "gru", "train", 2]["slower"] == {"S4 gru train": 0.5}
    assert "slower: S4 gru train 0.50" in report.closing(records)
    lengths = {text.index("best peer" if "best" in text else "numpy") for text in (report.header(["blas"]),)}
    assert lengths == {report.line(record, ["blas"]).index("numpy") for record in records}
    settings = settings_of(parser().parse_args(["numpy"]))
    document = report.document(records, [gemm.GemmRecord(1, 2, 3, 1, 4.0, 2.0, 0.25)], settings, {})
    assert document["rows"][3]["ratio"] == {"numpy": 0.5, "blas": 0.1}
    assert json.loads(json.dumps(document))["gemm"][0]["of_fma"] == 0.25
    text = markdown.render([document])
    assert "| users, gru, train | 2 | 1 | 0.50 | 0.50 | 0.50 | S4 0.50 |" in text
    assert "| 0.50 [0.50, 0.50] | 0.50 |" in text
    assert "| 1 x 2 x 3 | 1 | 0 | 0 | 25% |" in text


def test_chart(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    document = report.document(make_records(), [], Settings(), {})
    chart.draw(document, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="at least one row with a peer is required"):
        chart.draw(document | {"rows": []}, tmp_path / "empty.png")


def test_more_threads_are_compared_with_one() -> None:
    case = cases(ids=["S22"])[0]
    records = [Record(case, n, {"rnnfast": [[seconds]]}, [MACHINE]) for n, seconds in ((1, 2.0), (2, 3.0))]
    assert report.scaling(records) == [(case.name, 2, 1.5)]


def test_a_fraction_compares_with_the_machine_of_the_same_round() -> None:
    """A machine that runs at half its rate in one round does not change the fraction."""
    case = cases(ids=["S22"])[0]
    slow = Constants(**{name: value / 2 for name, value in vars(MACHINE).items()} | {"barrier": 2e-7})
    record = Record(case, 2, {"rnnfast": [[1.0], [2.0], [1.0]]}, [MACHINE, slow, MACHINE])
    assert record.of_fma() == pytest.approx(case.flops / 2e11)
    assert record.of_limit() == pytest.approx(least_seconds(case, MACHINE, 2))


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_limit_is_never_below_the_products(case: Case) -> None:
    one, two = (least_seconds(case, MACHINE, threads) for threads in (1, 2))
    assert case.flops / MACHINE.fma <= one * (1 + 1e-9)
    assert case.flops / (2 * MACHINE.fma) <= two * (1 + 1e-9)
    assert two <= one


def test_the_limit_by_hand() -> None:
    """Each port of a large batch of small layers, of weights that no cache near the core holds, and their largest."""
    row = Row("hand", ("lstm",), 1, 64, 100, 8, 16, "by hand")
    seconds = ports(Case(row, "lstm", "infer"), MACHINE, 2)
    assert seconds["products"] == pytest.approx(2 * 4 * 16 * 24 * 6400 / 2e11)
    assert seconds["cells"] == pytest.approx(6400 * 16 * (3 / 8e9 + 2 / 5e9) / 2)
    first = 0.75 * cache_bytes()["L1d"]
    assert seconds["l2"] == pytest.approx((4 * 3200 * 24 - first) / 1e11)
    train = ports(Case(row, "lstm", "train"), MACHINE, 2)
    assert train["cells"] == pytest.approx(6400 * 16 * (3 / 8e9 + 2 / 5e9 + max(1 / 5e9, 4 * 10 / 2e11)) / 2)
    assert train["l2"] == pytest.approx(2 * (4 * 3200 * (8 + 16 * 6) - first) / 1e11)
    large = Case(Row("large", ("rnn",), 1, 1, 10, 1, 8192, "by hand"), "rnn", "infer")
    beyond = 4 * 8192**2 - 0.8 * cache_bytes()["L2"]
    assert ports(large, MACHINE, 1)["l3"] == pytest.approx(10 * beyond / 2e10)
    assert bound(large, MACHINE, 1) == "l3"
    assert least_seconds(large, MACHINE, 1) == max(ports(large, MACHINE, 1).values())


@pytest.mark.parametrize("cell", LAYERS)
def test_a_tape_keeps_what_the_limit_counts(cell: str) -> None:
    layer = getattr(rf, CELLS[cell].layer)(1, 16, seed=0)
    tape = layer.forward(np.zeros((32, 20, 1), np.float32))[2]
    assert tape.nbytes == 4 * 32 * 20 * 16 * TAPE[cell]


def test_the_ratio_is_that_of_rounds() -> None:
    """A machine that is slower for whole rounds changes no ratio, though it changes the medians of all times."""
    case = cases(ids=["S22"])[0]
    times = {"rnnfast": [[1.0], [3.0], [3.0]], "numpy": [[2.0], [2.0], [6.0]]}
    found = Record(case, 1, times, [MACHINE] * 3).ratio("numpy")
    assert (found.middle, found.low, found.high) == (2.0, 2.0 / 3.0, 2.0)


@pytest.mark.parametrize("threads", [1, 2])
def test_every_constant_is_measured(threads: int) -> None:
    found = vars(measure_constants(threads))
    assert set(found) == set(vars(MACHINE))
    assert all(value > 0.0 for name, value in found.items() if name != "barrier")
    assert (found["barrier"] > 0.0) == (threads > 1)


def test_typical_constants_are_medians() -> None:
    slow = Constants(**dict.fromkeys(vars(MACHINE), 1.0))
    assert typical([slow, MACHINE, MACHINE]) == MACHINE


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.fma_rate(0, 0.1), "threads: a positive number is required, got 0"),
        (lambda t: t.issue_rate(-1, 0.1), "threads: a positive number is required, got -1"),
        (lambda t: t.read_rate(1, -4, 0.1), "bytes: a positive number is required, got -4"),
        (lambda t: t.clock_rate(0.0), "seconds: a positive number is required, got 0"),
        (lambda t: t.barrier_time(2, 0), "waits: a positive number is required, got 0"),
        (lambda t: t.gemm_times(np.ones((2, 3)), *[np.ones((3, 4), "f4")] * 2, 1, 1), "a: dtype float32 is required"),
    ],
)
def test_probes_refuse_nonsense(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call(_core.testing)


def test_quick_is_short_and_rounds_are_what_was_asked() -> None:
    quick, plain = (settings_of(parser().parse_args(["numpy", *flag])) for flag in (["--quick", "--rounds", "2"], []))
    assert quick.rounds == 2
    assert quick.seconds < plain.seconds


def test_interpreters_come_from_the_variable_and_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, "torch=/a jax=/b")
    settings = settings_of(parser().parse_args(["torch", "--python", "torch=/c"]))
    assert [settings.interpreter(name) for name in ("torch", "jax", "numpy")] == ["/c", "/b", sys.executable]
    with pytest.raises(SystemExit):
        parser().parse_args(["--python", "nobody=/c"])


def test_a_failing_peer_is_reported_with_its_traceback() -> None:
    with Worker("nobody", threads=1) as worker, pytest.raises(WorkerError, match=r"(?s)nobody: load failed.*KeyError"):
        worker.load(Case(SMALL[0], "rnn", "infer"))


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    """An interpreter without NumPy can run no peer; one that does not exist neither."""
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "$@"\n')
    bare.chmod(0o755)
    settings = Settings(python={"numpy": str(bare), "torch": str(tmp_path / "absent")})
    found, reasons = available(["numpy", "torch"], settings)
    assert found == []
    assert reasons[0].startswith(f"numpy: {bare} ")
    assert reasons[1].startswith(f"torch: {tmp_path / 'absent'} cannot be run; ")
    assert "--python PEER=PATH" in reasons[1]


def test_every_peer_is_registered_with_what_it_can_do() -> None:
    for name, entry in PEERS.items():
        module, _, attribute = entry.location.partition(":")
        source = (ROOT / Path(*module.split("."))).with_suffix(".py").read_text()
        assert f"class {attribute}" in source, name
        assert set(entry.cells) <= set(CELLS)
        assert set(entry.modes) <= set(EVERYTHING) == set(MODES)
    assert PEERS[BASELINE].can(Case(SMALL[0], "gru_before", "train"))
    assert not PEERS["torch"].can(Case(SMALL[0], "gru_before", "train"))
    assert not PEERS["onnxruntime"].can(Case(SMALL[0], "lstm", "train"))
    both, ragged = (Case(row, "lstm", "infer") for row in SHAPED[:2])
    for name, entry in PEERS.items():
        assert entry.can(both) == entry.can(ragged) == (name not in ("numpy", "numpy-plain", "blas")), name


def test_lengths_of_a_ragged_row() -> None:
    case = Case(Row("by hand", ("gru",), 2, 4, 10, 3, 5, "", D=2, shortest=1), "gru", "infer")
    assert case.lengths == [1, 4, 7, 10]
    assert case.products == [(3, 5), (3, 5), (10, 5), (10, 5)]
    assert case.flops == 2 * 3 * 22 * 5 * (8 + 8 + 15 + 15)
    problem = make_problem(Case(case.row, "gru", "train"))
    assert problem.lengths is not None
    assert problem.dy is not None
    assert sorted(problem.lengths) == case.lengths
    np.testing.assert_array_equal(problem.dy.any(axis=2).sum(axis=1), problem.lengths)


@pytest.mark.parametrize("name", [name for name in RIVALS if name not in ("blas", "numpy-plain")])
def test_a_peer_agrees_on_everything_it_can_run(name: str) -> None:
    """The comparison that precedes the timing, over layers, carried states, last-state losses and all modes."""
    settings = Settings(rounds=1, seconds=1e-4, python=settings_of(parser().parse_args([])).python)
    if not available([name], settings)[0]:
        pytest.skip(f"{name} is not installed")
    chosen = [case for case in cases(rows=[*SMALL, *SHAPED, *STEPS]) if PEERS[name].can(case)]
    records = list(run(chosen, [name], settings, threads=1))
    assert [record.case for record in records] == chosen
    best = None if PEERS[name].yardstick else name
    assert all(record.best == best and 0.0 <= record.differences[name] <= tolerance(record.case) for record in records)


def test_thread_counts_reach_the_peers_only() -> None:
    before = dict(os.environ)
    assert {thread_environment(3)[name] for name in THREAD_VARIABLES} == {"3"}
    assert dict(os.environ) == before


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_command_line(tmp_path: Path) -> None:
    command = ["numpy", "--quick", "--rounds", "1", "--threads", "1", "--json"]
    options = [str(tmp_path / "bench.json"), "--shapes", "S4", "--cells", "lstm"]
    done = bench(*command, *options)
    assert done.returncode == 0, done.stderr
    assert "geometric means" in done.stdout
    document = json.loads((tmp_path / "bench.json").read_text())
    assert [row["mode"] for row in document["rows"]] == ["infer", "train"]
    assert set(document["rows"][0]["peers"]) == {"rnnfast", "numpy"}
    assert document["machine"]["isa"]
    absent = bench(*command, *options, "--python", f"numpy={tmp_path / 'absent'}")
    assert absent.returncode == 2
    assert "absent cannot be run" in absent.stderr
    unknown = bench(*command, *options, "--shapes", "S99")
    assert unknown.returncode == 2
    assert "got S99" in unknown.stderr
