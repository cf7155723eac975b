"""Pictures: what the artists hold are the arrays that were given, and nothing of matplotlib's state changes."""

from __future__ import annotations

import builtins
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.analysis import FixedPoints, fixed_points

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
from matplotlib.figure import Figure  # noqa: E402

from rnnfast import plot  # noqa: E402
from rnnfast.plot.axes import STYLES  # noqa: E402
from rnnfast.plot.maps import COLOURS  # noqa: E402

RNG = np.random.default_rng(3)
TRACE = rf.LSTM(3, 4, num_layers=2, seed=0).trace(RNG.normal(size=(2, 5, 3)).astype(np.float32), lengths=[5, 3])
HISTORY = rf.History({"loss": [3.0, 2.0], "val_loss": [4.0, 3.0], "val_accuracy": [0.1, 0.2]}, initial_epoch=4)
NORMS = np.abs(RNG.normal(size=(2, 3, 6)))
TRUE, PREDICTED = RNG.integers(0, 3, 50), RNG.integers(0, 3, 50)
FAN = np.sort(RNG.normal(size=(4, 5)), axis=1)
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
RING = rf.RNN(1, 2, dtype="float64", seed=0)
PATHS = RING.trace(np.zeros((3, 6, 1)), RNG.uniform(-1, 1, (1, 3, 2))).h[-1]

PICTURES: dict[str, Callable[..., Any]] = {
    "learning curves": lambda ax: plot.learning_curves(HISTORY, ax=ax),
    "history": lambda ax: HISTORY.plot(ax=ax),
    "gradient norms": lambda ax: plot.gradient_norms(NORMS, ax=ax),
    "forecast": lambda ax: plot.forecast(np.ones(7), FAN, LEVELS, actual=np.ones(4), ax=ax),
    "forecast without quantiles": lambda ax: plot.forecast(None, np.ones(4), actual=np.ones(4), ax=ax),
    "predicted against true": lambda ax: plot.predicted_against_true(FAN[0], FAN[1], ax=ax),
    "heat map": lambda ax: plot.heat_map(FAN, ax=ax),
    "hidden states": lambda ax: plot.hidden_states(TRACE, ax=ax),
    "gates": lambda ax: plot.gates(TRACE, "f", ax=ax),
    "attention": lambda ax: plot.attention(np.ones((2, 3)), ax=ax),
    "saliency": lambda ax: plot.saliency(FAN, ax=ax),
    "shares": lambda ax: plot.saliency(FAN[0], ax=ax),
    "confusion matrix": lambda ax: plot.confusion_matrix(TRUE, PREDICTED, ax=ax),
    "phase portrait": lambda ax: plot.phase_portrait(PATHS, fixed_points(RING, seed=0), layer=RING, ax=ax),
}
every_picture = pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES.keys())


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Neither settings change, nor does pyplot keep a figure."""
    before = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


@every_picture
def test_pictures_have_labelled_axes_and_can_be_drawn(draw: Any) -> None:
    ax = draw(None)
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert not ax.get_title()
    ax.figure.draw_without_rendering()


@every_picture
def test_given_axes_are_used(draw: Any) -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert draw(right) is right
    assert right.has_data()
    assert not left.has_data()


def image(ax: Any) -> np.ndarray:
    return np.asarray(ax.images[0].get_array())


def labels(axis: Any) -> list[str]:
    return [text.get_text() for text in axis.get_ticklabels()]


@pytest.mark.parametrize(
    ("names", "drawn", "ylabel"),
    [
        (None, ["loss", "val_loss"], "loss"),
        ("val_accuracy", ["val_accuracy"], "val_accuracy"),
        (["loss", "val_accuracy"], ["loss", "val_accuracy"], "value"),
    ],
)
def test_learning_curves(names: Any, drawn: list[str], ylabel: str) -> None:
    ax = HISTORY.plot(names)
    assert [line.get_label() for line in ax.lines] == drawn
    for name, line in zip(drawn, ax.lines, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.stack([[5, 6], HISTORY[name]], axis=1))
    assert ax.get_ylabel() == ylabel
    assert (ax.get_legend() is None) == (len(drawn) == 1)


def test_gradient_norms() -> None:
    norms = NORMS.copy()
    norms[:, 1, 4:] = 0  # past a length
    ax = plot.gradient_norms(norms)
    present = np.where(norms > 0, norms, np.nan)
    for scan, line in enumerate(ax.lines):
        np.testing.assert_array_equal(line.get_ydata(), np.nanmedian(present[scan], axis=0))
    one = plot.gradient_norms(norms, sequence=1, bidirectional=True)
    np.testing.assert_array_equal(one.lines[1].get_ydata(), present[1, 1])
    assert [line.get_label() for line in one.lines] == ["layer 0", "layer 0, reverse"]
    assert ax.get_yscale() == one.get_yscale() == "log"


def test_steps_without_any_gradient_are_left_out_without_a_warning() -> None:
    norms = NORMS.copy()
    norms[0, :, 2] = 0
    assert np.isnan(plot.gradient_norms(norms).lines[0].get_ydata()).tolist() == [False, False, True] + [False] * 3


def test_forecasts() -> None:
    past, actual, times = np.arange(3.0), np.arange(4.0), np.arange(7) * 0.5
    ax = plot.forecast(past, FAN, LEVELS, actual=actual, times=times, label="load (MW)")
    for line, x, y in zip(ax.lines, (times[:3], times[3:], times[3:]), (past, FAN[:, 2], actual), strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.stack([x, y], axis=1))
    assert [band.get_label() for band in ax.collections] == ["5 % to 95 %", "25 % to 75 %"]
    for band, (low, high) in zip(ax.collections, ((0, 4), (1, 3)), strict=True):
        corners = {(x, y) for x, y in band.get_paths()[0].vertices}
        expected = {(t, v) for column in (low, high) for t, v in zip(times[3:], FAN[:, column], strict=True)}
        assert corners == expected
    assert ax.collections[0].get_alpha() < ax.collections[1].get_alpha()
    assert ax.get_ylabel() == "load (MW)"


def test_a_forecast_of_bands_alone_has_no_median() -> None:
    ax = plot.forecast([1.0], FAN[:, :2], (0.1, 0.9))
    assert [line.get_label() for line in ax.lines] == ["past"]


@pytest.mark.parametrize("cell_state", [False, True])
def test_states_of_every_layer_and_sequence(cell_state: bool) -> None:
    for layer in (0, 1, -1):
        for sequence in (0, 1):
            ax = plot.hidden_states(TRACE, layer=layer, sequence=sequence, cell_state=cell_state)
            values = (TRACE.c if cell_state else TRACE.h)[layer][sequence]
            np.testing.assert_array_equal(image(ax), values.T)
            low, high = ax.images[0].get_clim()
            assert -low == high == pytest.approx(np.abs(values).max())


@pytest.mark.parametrize("gate", ["i", "f", "g", "o"])
def test_gates(gate: str) -> None:
    ax = plot.gates(TRACE, gate, layer=0, sequence=1, labels=["one", "two", "three"])
    np.testing.assert_array_equal(image(ax), TRACE.gates[gate][0][1, :3].T)
    low, high = ax.images[0].get_clim()
    assert (low, high) == (0.0, 1.0) if gate != "g" else low == -high < 0
    assert labels(ax.xaxis) == ["one", "two", "three"]


def test_attention_and_its_labels() -> None:
    model = rf.EncoderDecoder(6, 6, hidden_size=4, source_embedding=3, attention="dot", seed=0)
    written, weights = model.predict([[0, 1, 2]], return_attention=True, max_length=4)
    ax = plot.attention(weights[0], source="abc", written=written[0])
    np.testing.assert_array_equal(image(ax), weights[0])
    assert labels(ax.xaxis) == list("abc")
    assert labels(ax.yaxis) == [str(i) for i in written[0]]


def test_saliency_as_a_map_and_as_bars() -> None:
    ax = plot.saliency(FAN, features="abcde", labels="wxy")
    np.testing.assert_array_equal(image(ax), FAN[:3].T)
    assert labels(ax.yaxis) == list("abcde")
    assert labels(ax.xaxis) == list("wxy")
    bars = plot.saliency(FAN[0], label="share")
    np.testing.assert_array_equal([bar.get_height() for bar in bars.patches], FAN[0])
    assert bars.get_ylabel() == "share"


@pytest.mark.parametrize("normalize", [False, True])
def test_confusion_matrices_are_those_of_scikit_learn(normalize: bool) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    ax = plot.confusion_matrix(TRUE, PREDICTED, classes=4, normalize=normalize)
    expected = metrics.confusion_matrix(TRUE, PREDICTED, labels=[0, 1, 2, 3], normalize="true" if normalize else None)
    np.testing.assert_allclose(image(ax), expected)
    shown = [text.get_text() for text in ax.texts]
    assert shown == [f"{v:.2f}" if normalize else str(v) for v in expected.ravel()]
    assert labels(plot.confusion_matrix(TRUE, PREDICTED, classes="xyz").yaxis) == list("xyz")


def test_phase_portraits() -> None:
    states = np.array([[-0.5, 0.5], [0.0, 0.0], [0.5, -0.5]])
    eigenvalues = np.array([[0.5, 0.5], [1.5, 0.5], [0.5 + 0.5j, 0.5 - 0.5j]])
    points = FixedPoints(states, np.zeros(3), np.zeros((3, 2, 2)), eigenvalues, np.array([0.25]))
    ax = plot.phase_portrait(PATHS, points, units=(1, 0), layer=RING)
    for path, line in zip(PATHS, ax.lines[:3], strict=True):
        np.testing.assert_allclose(line.get_xydata(), path[:, ::-1], atol=1e-15)
    stable, unstable = ax.lines[3:]
    np.testing.assert_array_equal(stable.get_xydata(), states[[0, 2]][:, ::-1])
    np.testing.assert_array_equal(unstable.get_xydata(), states[1:2])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("unit 1", "unit 0")
    arrows: Any = ax.collections[0]
    for k in (0, 100):
        place = np.array([arrows.X[k], arrows.Y[k]])[::-1]
        after: Any = RING(np.full((1, 1, 1), 0.25), place[None, None].copy())[1]
        np.testing.assert_allclose([arrows.V[k], arrows.U[k]], after[0, 0] - place, atol=1e-14)


def test_many_units_are_shown_by_their_principal_components() -> None:
    basis = np.linalg.qr(RNG.normal(size=(6, 6)))[0]
    paths = RNG.normal(size=(4, 9, 6)) * [9, 3, 0.1, 0.1, 0.1, 0.1] @ basis.T + 5
    ax = plot.phase_portrait(paths)
    drawn = np.concatenate([line.get_xydata() for line in ax.lines])
    rows = paths.reshape(-1, 6)
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    scores = (rows - rows.mean(axis=0)) @ vectors[:, [-1, -2]]
    np.testing.assert_allclose(np.abs(drawn), np.abs(scores), atol=1e-10)
    assert f"({100 * values[-1] / values.sum():.0f} % of variance)" in ax.get_xlabel()


def test_many_labels_are_thinned() -> None:
    ax = plot.heat_map(np.zeros((1, 250)), columns=range(250))
    assert labels(ax.xaxis) == [str(i) for i in range(0, 250, 3)]


def lightness(colour: Any) -> float:
    red, green, blue = matplotlib.colors.to_rgb(colour)
    return float(0.299 * red + 0.587 * green + 0.114 * blue)


def test_pictures_can_be_read_in_grey() -> None:
    """Heat maps grow lighter all the way, and lines differ in dashes and markers."""
    steps = [lightness(matplotlib.colormaps[COLOURS](v)) for v in np.linspace(0, 1, 30)]
    assert (np.diff(steps) > 0).all()
    assert len({str(dashes) for _, dashes, _ in STYLES}) == len({marker for _, _, marker in STYLES}) == len(STYLES)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot.learning_curves({}), "^history: at least one epoch is required"),
        (lambda: plot.learning_curves({"loss": []}), "^history: at least one epoch is required"),
        (lambda: plot.forecast([1.0], FAN[:, ::-1], LEVELS), "^quantiles: rows that do not fall are required"),
        (lambda: plot.forecast([1.0], FAN, LEVELS[::-1]), "^levels: Q = 5 that rise"),
        (lambda: plot.gates(TRACE, "z"), "^gate: one of i, f, g, o is required, got 'z'"),
        (lambda: plot.hidden_states(TRACE, layer=2), "^layer: at most 1 is required, got 2"),
        (lambda: plot.hidden_states(TRACE, labels="abcdef"), r"^labels: 1\.\.5 labels are required"),
        (
            lambda: plot.hidden_states(rf.GRU(3, 2).trace(np.ones((1, 2, 3), np.float32)), cell_state=True),
            "^trace: one with c is required",
        ),
        (lambda: plot.confusion_matrix([0, 3], [0, 1], classes="ab"), "^classes: as many as there are ids"),
        (lambda: plot.heat_map(FAN, low=2.0, high=1.0), "^low: at most high = 1 is required, got 2"),
        (lambda: plot.phase_portrait(np.ones((1, 2, 3)), layer=RING), "^layer: one whose state is 2 numbers"),
    ],
)
def test_errors_name_the_argument(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_without_matplotlib_an_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **options: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"matplotlib is required \(pip install 'rnnfast\[plot\]'\)"):
        HISTORY.plot()


def test_matplotlib_is_imported_when_something_is_drawn() -> None:
    code = "import sys, rnnfast.plot; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_forecasts_need_neither_quantiles_nor_a_past() -> None:
    ax = plot.forecast(None, [1.0, 3.0], actual=[1.5, 2.5])
    assert [line.get_label() for line in ax.lines] == ["forecast", "actual"]
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0, 1], [1, 3]])
    with pytest.raises(ValueError, match=r"^levels: one for each column of quantiles \(2, 1\) is required, got None"):
        plot.forecast(None, [[1.0], [3.0]])


def test_predictions_without_a_true_number_are_left_out() -> None:
    ax = plot.predicted_against_true([1.0, np.nan, 3.0], [2.0, 5.0, np.nan])
    np.testing.assert_array_equal(ax.lines[-1].get_xydata(), [[1, 2]])
    for wrong, message in (
        (([1.0], [1.0, 2.0]), "predicted: shape"),
        (([np.nan], [1.0]), "true: at least one pair of finite numbers is required"),
    ):
        with pytest.raises(ValueError, match=message):
            plot.predicted_against_true(*wrong)


def test_labels_are_texts_and_stand_upright_where_room_is_short() -> None:
    ax = plot.heat_map(np.zeros((1, 2)), columns=["$a", "b$"])
    assert not any(text.get_parse_math() for text in ax.get_xticklabels())
    assert {text.get_rotation() for text in ax.get_xticklabels()} == {0.0}
    crowded = plot.heat_map(np.zeros((1, 20)), columns=[f"word {i}" for i in range(20)])
    assert {text.get_rotation() for text in crowded.get_xticklabels()} == {90.0}


def test_many_classes_have_no_zeros_written() -> None:
    ids = np.arange(12)
    assert [text.get_text() for text in plot.confusion_matrix(ids, ids).texts] == ["1"] * 12
