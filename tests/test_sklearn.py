"""Estimators: what they compute is what a model driven by hand computes; data, labels, weights, random numbers."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from tests.support.labelled import as_objects, dense, directions, peaks, ragged
from tests.support.processes import output
from tests.support.state import numpy_random, set_numpy_random

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed")
from scipy.special import expit, softmax  # noqa: E402
from sklearn.metrics import accuracy_score, r2_score  # noqa: E402
from sklearn.model_selection import cross_val_score, train_test_split  # noqa: E402

from rnnfast.sklearn import SequenceClassifier, SequenceRegressor, SequenceTagger  # noqa: E402

Make = Callable[..., Any]
SMALL: dict[str, Any] = {"cell": "gru", "hidden_size": 5, "epochs": 3, "random_state": 0}
X = ragged(60)
CLASSES: dict[str, Make] = {"classifier": SequenceClassifier, "regressor": SequenceRegressor, "tagger": SequenceTagger}


def targets(kind: str, x: Any) -> Any:
    if kind == "regressor":
        return np.array([walk.mean() for walk in x])
    return directions(x) if kind == "classifier" else peaks(x)


Y: dict[str, Any] = {kind: targets(kind, X) for kind in CLASSES}
every_kind = pytest.mark.parametrize("kind", CLASSES)


def make(kind: str, **options: Any) -> Any:
    return CLASSES[kind](**SMALL | options)


def fitted(kind: str, **options: Any) -> Any:
    return make(kind, **options).fit(X, Y[kind])


def by_hand(kind: str, x: Any, y: Any, *, cell: str = "gru", **options: Any) -> Any:
    """The model itself."""
    own: dict[str, Any] = {"cell": cell, "hidden_size": 5, "seed": 0}
    training: dict[str, Any] = {"epochs": 3, "lr": 0.01, "clip_norm": 1.0, "progress": False, "seed": 0, **options}
    if kind == "regressor":
        model: Any = rf.ManyToOne(1, 1, task="regression", **own)
    else:
        model = {"classifier": rf.ManyToOne, "tagger": rf.ManyToMany}[kind](1, 2, **own)
    model.fit(x, numbered(kind, y), **training)
    return model


def numbered(kind: str, y: Any) -> Any:
    """The places of labels in alphabetical order."""
    if kind == "tagger":
        return [(each == "peak").astype(int) for each in y]
    return (y == "up").astype(int) if kind == "classifier" else y


def assert_same(one: Any, other: Any) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@every_kind
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_an_estimator_is_its_model(kind: str, cell: str) -> None:
    """The same bits as by hand, with the seed in place of ``random_state``."""
    model, estimator = by_hand(kind, X, Y[kind], cell=cell), fitted(kind, cell=cell)
    np.testing.assert_equal(estimator.model_.state_dict(), model.state_dict())
    assert estimator.loss_curve_ == model.history["loss"]
    assert estimator.n_iter_ == 3
    found, expected = estimator.predict(X), model.predict(X)
    if kind == "regressor":
        assert_same(found, expected[:, 0])
        return
    assert_same(found, [estimator.classes_[each] for each in expected])
    assert_same(estimator.predict_proba(X), model.predict_proba(X))


@every_kind
def test_problems_are_solved(kind: str) -> None:
    x = ragged(240, seed=1)
    y = targets(kind, x)
    estimator = CLASSES[kind](cell="gru", hidden_size=16, epochs=30, random_state=0).fit(x[:200], y[:200])
    assert estimator.score(x[200:], y[200:]) > 0.9


def test_scores_are_those_of_scikit_learn() -> None:
    weights = np.arange(60) % 3
    steps = [np.arange(len(walk)) % 2 for walk in X]
    classifier, regressor, tagger = (fitted(kind) for kind in CLASSES)
    expected = accuracy_score(Y["classifier"], classifier.predict(X), sample_weight=weights)
    assert classifier.score(X, Y["classifier"], weights) == expected
    assert regressor.score(X, Y["regressor"], weights) == r2_score(
        Y["regressor"], regressor.predict(X), sample_weight=weights
    )
    right = [np.mean(a == b) for a, b in zip(tagger.predict(X), Y["tagger"], strict=True)]
    lengths = [len(walk) for walk in X]
    assert tagger.score(X, Y["tagger"]) == pytest.approx(np.average(right, weights=lengths))
    assert tagger.score(X, Y["tagger"], weights) == pytest.approx(np.average(right, weights=weights * lengths))
    hits = np.concatenate([a == b for a, b in zip(tagger.predict(X), Y["tagger"], strict=True)])
    expected = pytest.approx(np.average(hits, weights=np.concatenate(steps)))
    assert tagger.score(X, Y["tagger"], steps) == expected


@pytest.mark.parametrize("features", [1, 2])
@every_kind
def test_the_same_sequences_in_every_form(kind: str, features: int) -> None:
    x = dense(20, features)
    y = targets(kind, x)
    forms: dict[str, Any] = {"array": x, "list": list(x), "tuple": tuple(x), "objects": as_objects(x)}
    forms |= {"nested list": x.tolist(), "float32": x.astype("f"), "reversed memory": np.asfortranarray(x)}
    if features == 1:
        forms |= {"columns": x[..., 0], "1-D items": list(x[..., 0]), "rows": x[..., 0].tolist()}
    expected = make(kind).fit(x, y).predict(x)
    for name, form in forms.items():
        estimator = make(kind).fit(form, y)
        assert_same(estimator.predict(form), expected)
        assert_same(estimator.predict(x), expected)
        assert estimator.n_features_in_ == (7 if name in ("columns", "rows") else features)
        assert type(estimator.predict(as_objects(x))) is np.ndarray


@every_kind
def test_ragged_sequences_in_every_form(kind: str) -> None:
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    expected = fitted(kind).predict(X)
    for form in (tuple(X), as_objects(X), pd.Series(X), [walk.tolist() for walk in X], [w[:, None] for w in X]):
        assert_same(make(kind).fit(form, Y[kind]).predict(form), expected)


def test_frames() -> None:
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    x = ragged(30, 2)
    y = directions(x)
    estimator = make("classifier").fit(x, y)
    assert not hasattr(estimator, "feature_names_in_")
    nested = pd.DataFrame({name: [walk[:, c] for walk in x] for c, name in enumerate("uv")})
    pairs = [(n, t) for n, walk in enumerate(x) for t in range(len(walk))]
    long = pd.DataFrame(np.concatenate(x), index=pd.MultiIndex.from_tuples(pairs), columns=["u", "v"])
    for frame in (nested, long):
        named = make("classifier").fit(frame, pd.Series(y))
        assert named.feature_names_in_.tolist() == ["u", "v"]
        assert named.n_features_in_ == 2
        for form in (x, nested, long):
            np.testing.assert_array_equal(named.predict_proba(form), estimator.predict_proba(x))
        with pytest.raises(ValueError, match="feature names should match"):
            named.predict(frame.rename(columns={"u": "w"}))
        assert not hasattr(named.fit(x, y), "feature_names_in_")
    columns = pd.DataFrame(dense(30, 1)[..., 0], columns=[f"t{t}" for t in range(7)])
    assert make("classifier").fit(columns, y).feature_names_in_.tolist() == list(columns.columns)


@every_kind
def test_features_are_those_of_fit(kind: str) -> None:
    estimator = fitted(kind)
    assert estimator.n_features_in_ == 1
    for wrong in (dense(4, 2), ragged(4, 2)):
        with pytest.raises(ValueError, match=r"^X has 2 features, but Sequence\w+ is expecting 1 features as input"):
            estimator.predict(wrong)
    assert len(estimator.predict(dense(4, 1)[..., 0])) == 4


@every_kind
def test_data_that_are_refused(kind: str) -> None:
    y = Y[kind]
    cases: dict[str, tuple[Any, Any, str]] = {
        "nan": ([*X[:-1], np.array([0.0, np.nan])], y, "^X: finite numbers are required, got nan in sequence 59"),
        "nan in an array": (np.full((60, 3, 2), np.nan), y, "^Input X contains NaN"),
        "none": ([], y, "^X: at least one sequence is required, got none"),
        "no features": (np.zeros((60, 3, 0)), y, "^X: features C: at least 1 is required"),
        "widths": ([np.zeros((2, 2)), np.zeros((2, 3))], y[:2], r"^X\[1\]: last axis C = n_features_in_ = 2"),
        "axes": (np.zeros((60, 2, 2, 2)), y, "dim 4|4 dimensions|array with dim"),
        "one": (np.zeros(60), y, "Expected 2D array, got 1D array"),
        "fewer": (X[:-1], y, "inconsistent numbers of samples|y: labels of every sequence are required"),
        "no y": (X, None, "requires y to be passed"),
        "weights": (X, y, "^sample_weight: shape"),
        "zero weights": (X, y, "^sample_weight: at least one weight above zero is required"),
    }
    weights = {"weights": np.ones(3), "zero weights": np.zeros(60)}
    for name, (x, target, message) in cases.items():
        with pytest.raises(ValueError, match=message):
            make(kind).fit(x, target, sample_weight=weights.get(name))


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("cell", "elman", ValueError),
        ("hidden_size", 0, ValueError),
        ("epochs", -1, ValueError),
        ("batch_size", 0, ValueError),
        ("learning_rate", -1.0, ValueError),
        ("learning_rate", "fast", TypeError),
        ("optimizer", "newton", ValueError),
        ("dropout", 1.5, ValueError),
        ("dtype", "float16", TypeError),
        ("callbacks", 3, TypeError),
        ("threads", 0, ValueError),
        ("threads", 1.5, TypeError),
        ("patience", -1, ValueError),
        ("validation_fraction", 1.0, ValueError),
    ],
)
@every_kind
def test_parameters_are_checked_when_they_are_used(kind: str, option: str, value: Any, error: type[Exception]) -> None:
    """The constructor only stores them, as ``clone`` and ``set_params`` want it."""
    estimator = make(kind, early_stopping=True).set_params(**{option: value})
    assert estimator.get_params()[option] == value
    with pytest.raises(error, match=f"^{option}: .*required"):
        estimator.fit(X, Y[kind])


def test_probabilities_and_decisions() -> None:
    x = ragged(300)
    three = np.where(directions(x) == "up", "up", np.where(np.arange(300) % 2, "down", "aside"))
    for y, K in ((directions(x), 2), (three, 3)):
        estimator = make("classifier", dtype="float64").fit(x, y)
        p, decided = estimator.predict_proba(x), estimator.decision_function(x)
        assert p.shape == (300, K)
        np.testing.assert_allclose(np.exp(estimator.predict_log_proba(x)), p, rtol=1e-12)
        np.testing.assert_allclose(expit(decided) if K == 2 else softmax(decided, axis=1), p[:, 1] if K == 2 else p)
        np.testing.assert_array_equal(estimator.classes_[p.argmax(axis=1)], estimator.predict(x))
    estimator.model_.parameters()["head.bias"][...] = [0.0, 500.0, 1000.0]
    assert estimator.predict_proba(x)[0, 0] == 0
    assert estimator.predict_log_proba(x)[0, 0] == pytest.approx(-1000, abs=5)


@pytest.mark.parametrize("given", ["balanced", {"up": 2.0, "down": 0.5}], ids=["balanced", "dict"])
def test_class_weights_are_weights_of_samples(given: Any) -> None:
    y = np.where(np.arange(60) < 45, "down", "up")
    chosen = {"down": 60 / (2 * 45), "up": 60 / (2 * 15)} if given == "balanced" else given
    weights = np.arange(60) % 3 + 0.5
    of_label = np.array([chosen[label] for label in y])
    one = make("classifier", class_weight=given).fit(X, y, sample_weight=weights)
    other = make("classifier").fit(X, y, sample_weight=weights * of_label)
    np.testing.assert_equal(one.model_.state_dict(), other.model_.state_dict())
    plain = make("classifier").fit(X, y, sample_weight=weights)
    assert not np.array_equal(one.predict_proba(X), plain.predict_proba(X))


def test_class_weights_of_a_tagger_are_weights_of_steps() -> None:
    y = Y["tagger"]
    one = make("tagger", class_weight={"peak": 3.0, "below": 1.0}).fit(X, y)
    other = make("tagger").fit(X, y, sample_weight=[np.where(each == "peak", 3.0, 1.0) for each in y])
    np.testing.assert_equal(one.model_.state_dict(), other.model_.state_dict())
    balanced = make("tagger", class_weight="balanced").fit(X, y)
    every = np.concatenate(y)
    counts = {label: len(every) / (2 * np.sum(every == label)) for label in ("peak", "below")}
    expected = make("tagger", class_weight=counts).fit(X, y)
    np.testing.assert_equal(balanced.model_.state_dict(), expected.model_.state_dict())


@every_kind
def test_a_weight_of_two_is_two_sequences(kind: str) -> None:
    """In one batch; the sequences of a mini-batch are others when there are more of them."""
    weights = np.arange(60) % 3
    twice = np.repeat(np.arange(60), weights)
    options = {"batch_size": 200, "dtype": "float64"}
    one = make(kind, **options).fit(X, Y[kind], sample_weight=weights)
    other = make(kind, **options).fit([X[i] for i in twice], [Y[kind][i] for i in twice])
    for name, value in one.model_.state_dict().items():
        np.testing.assert_allclose(value, other.model_.state_dict()[name], rtol=1e-9)


def test_several_outputs() -> None:
    y = np.stack([Y["regressor"], -Y["regressor"], [len(walk) for walk in X]], axis=1)
    assert make("regressor").fit(X, y).predict(X).shape == (60, 3)
    assert make("regressor").fit(X, y[:, :1]).predict(X).shape == (60, 1)
    assert make("regressor").fit(X, y[:, 0]).predict(X).shape == (60,)


@every_kind
def test_partial_fit_goes_on(kind: str) -> None:
    """Each call is an epoch of the same model and optimiser."""
    classes: dict[str, Any] = {"classifier": {"classes": ["up", "down"]}, "tagger": {"classes": ["peak", "below"]}}
    classes = classes.get(kind, {})
    estimator = make(kind)
    model, optimizer = by_hand(kind, X, Y[kind], epochs=0), rf.Adam(lr=0.01)
    ids = numbered(kind, Y[kind])
    for start in (0, 30, 0):
        part = slice(start, start + 30)
        estimator.partial_fit(X[part], Y[kind][part], **classes)
        classes = {}
        model.fit(X[part], ids[part], epochs=1, optimizer=optimizer, clip_norm=1.0, progress=False, seed=0)
    np.testing.assert_equal(estimator.model_.state_dict(), model.state_dict())
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 3
    with pytest.raises(ValueError, match=r"^partial_fit: early_stopping=False is required"):
        estimator.set_params(early_stopping=True).partial_fit(X, Y[kind])


def test_classes_of_partial_fit() -> None:
    estimator = make("classifier")
    with pytest.raises(ValueError, match=r"^classes: all labels are required at the first call"):
        estimator.partial_fit(X, Y["classifier"])
    with pytest.raises(ValueError, match="inconsistent"):
        estimator.partial_fit(X[:5], ["up"] * 4, classes=["up", "down"])
    estimator.partial_fit(X[:5], ["up"] * 5, classes=["up", "down", "aside"])
    assert estimator.predict_proba(X).shape == (60, 3)
    with pytest.raises(ValueError, match=r"^classes: those of the first call"):
        estimator.partial_fit(X, Y["classifier"], classes=["up"])
    with pytest.raises(ValueError, match=r"^y: labels of classes_ .* are required, got .*yonder"):
        estimator.partial_fit(X[:2], ["up", "yonder"])


@every_kind
def test_early_stopping_holds_out_and_keeps_the_best_epoch(kind: str) -> None:
    """Of a classifier each label alike, although one is rare."""
    y = np.where(np.arange(60) < 56, "down", "up") if kind == "classifier" else Y[kind]
    estimator = make(kind, epochs=100, early_stopping=True, validation_fraction=0.25, patience=2).fit(X, y)
    stratify = y if kind == "classifier" else None
    learned, held = train_test_split(np.arange(60), test_size=0.25, random_state=0, stratify=stratify)
    ids = numbered(kind, y)
    parts = [([X[i] for i in part], [ids[i] for i in part]) for part in (learned, held)]
    model = by_hand(kind, X, y, epochs=0)
    model.fit(
        *parts[0],
        epochs=100,
        optimizer=rf.Adam(lr=0.01),
        clip_norm=1.0,
        validation_data=parts[1],
        callbacks=rf.EarlyStopping("val_loss", patience=2),
        progress=False,
        seed=0,
    )
    np.testing.assert_equal(estimator.model_.state_dict(), model.state_dict())
    losses = estimator.model_.history["val_loss"]
    assert len(losses) == estimator.n_iter_ == min(int(np.argmin(losses)) + 3, 100)


@every_kind
def test_optimisers_and_callbacks_are_copied(kind: str) -> None:
    class Note(rf.Callback):
        def __init__(self) -> None:
            self.epochs = 0

        def on_epoch_end(self, run: Any) -> None:
            self.epochs += 1
            run.stop = self.epochs == 2

    optimizer, note = rf.SGD(lr=0.1, momentum=0.9), Note()
    estimator = make(kind, optimizer=optimizer, callbacks=note)
    first, second = estimator.fit(X, Y[kind]).model_.state_dict(), estimator.fit(X, Y[kind]).model_.state_dict()
    np.testing.assert_equal(first, second)
    assert (note.epochs, optimizer.params, estimator.n_iter_) == (0, None, 2)
    assert isinstance(estimator.optimizer_, rf.SGD)


@every_kind
def test_random_state(kind: str) -> None:
    def weights(state: Any) -> Any:
        return make(kind, random_state=state, epochs=1, output_dropout=0.2).fit(X, Y[kind]).model_.state_dict()

    np.testing.assert_equal(weights(3), weights(3))
    np.testing.assert_equal(weights(np.random.RandomState(3)), weights(np.random.RandomState(3)))
    state = np.random.RandomState(3)
    assert not np.array_equal(weights(state)["head.weight"], weights(state)["head.weight"])
    before = numpy_random()
    one = weights(None)
    set_numpy_random(before)
    other, third = weights(None), weights(None)
    set_numpy_random(before)
    np.testing.assert_equal(one, other)
    assert not np.array_equal(one["head.weight"], third["head.weight"])


@every_kind
@pytest.mark.parametrize("way", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))], ids=["deepcopy", "pickle"])
def test_copies_train_on_alike(kind: str, way: Make) -> None:
    estimator = fitted(kind)
    twin = way(estimator)
    assert_same(twin.predict(X), estimator.predict(X))
    estimator.partial_fit(X, Y[kind])
    assert not np.array_equal(twin.model_.state_dict()["head.weight"], estimator.model_.state_dict()["head.weight"])
    np.testing.assert_equal(twin.partial_fit(X, Y[kind]).model_.state_dict(), estimator.model_.state_dict())
    unfitted = sklearn.clone(estimator)
    assert not hasattr(unfitted, "model_")
    assert unfitted.get_params() == estimator.get_params()


def test_a_model_is_no_estimator() -> None:
    """Scikit-learn says so itself; the guide names the estimators."""
    for scoring in (None, "accuracy"):
        with pytest.raises((TypeError, AttributeError), match="ManyToOne"):
            cross_val_score(rf.ManyToOne(1, 2, hidden_size=2), X, Y["classifier"], scoring=scoring)


def test_the_package_does_not_import_scikit_learn() -> None:
    code = "import sys, rnnfast; print({'sklearn', 'pandas', 'scipy', 'threadpoolctl'} & set(sys.modules))"
    assert output(code) == "set()"
