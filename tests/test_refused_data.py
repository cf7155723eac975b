"""Data that would be misread: masks, missing values, NaN, numbers out of range, single steps, nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnfast as rf

X = np.ones((4, 3, 2))
IDS = np.array([[0, 1, 0, 1]] * 4)


def masked(array: Any) -> Any:
    return np.ma.masked_array(array, mask=np.zeros(np.shape(array), bool))


def matrix(array: Any) -> Any:
    """One without the warning that NumPy gives at its construction."""
    return np.atleast_2d(array).view(np.matrix)


def model(kind: str, **options: Any) -> Any:
    sizes = {"OneToMany": (2,)}.get(kind, (2, 2))
    return getattr(rf, kind)(*sizes, **{"hidden_size": 3, "task": "regression", "seed": 0, **options})


def data(kind: str) -> dict[str, Any]:
    """Arguments of ``loss``, all of real numbers."""
    if kind == "OneToMany":
        return {"sequences": X.copy()}
    return {"x": X.copy(), "y": np.ones((4, 2) if kind == "ManyToOne" else (4, 3, 2))}


KINDS = ["ManyToOne", "ManyToMany", "EncoderDecoder", "OneToMany"]
READ = [(kind, argument) for kind in KINDS for argument in data(kind)]


def calls(kind: str) -> dict[str, Callable[..., Any]]:
    own = model(kind)
    return {
        "fit": lambda **given: own.fit(**given, epochs=1, progress=False),
        "evaluate": own.evaluate,
        "loss": own.loss,
        "loss_and_grad": own.loss_and_grad,
    }


@pytest.mark.parametrize("form", [masked, list, matrix], ids=["array", "list", "matrix"])
@pytest.mark.parametrize(("kind", "argument"), [*READ, *((kind, "sample_weight") for kind in KINDS)])
def test_models_refuse_masks(kind: str, argument: str, form: Callable[[Any], Any]) -> None:
    given = {**data(kind), "sample_weight": np.ones(4)}
    array = given[argument]
    if form is matrix:
        given[argument] = [matrix(array[0])] * 4 if array.ndim == 3 else matrix(array)
    else:
        given[argument] = masked(array) if form is masked else [masked(row) for row in array]
    for call in calls(kind).values():
        with pytest.raises(TypeError, match=rf"^{argument}(\[0\])*: an (ndarray|array without a mask) is required"):
            call(**given)


def test_layers_streams_and_parameters_refuse_masks() -> None:
    layer, x = rf.GRU(2, 3, seed=0), np.ones((1, 3, 2), np.float32)
    _, h, tape = layer.forward(x)
    s = layer.stream()
    p = layer.parameters()["weight_hh_l0"]
    refused: dict[str, Callable[[], Any]] = {
        "x": lambda: layer(masked(x)),
        r"x\[0\]": lambda: layer([masked(x[0])]),
        "state": lambda: layer(x, masked(h)),
        "lengths": lambda: layer(x, lengths=masked([3])),
        "resets": lambda: layer(x, resets=masked(np.zeros((1, 3), bool))),
        "dy": lambda: layer.backward(tape, masked(np.ones((1, 3, 3), np.float32))),
        "block": lambda: s.process(masked(x)),
        "mask": lambda: s.reset(masked([True])),
        "array": lambda: p.assign(masked(p.value)),
        "weight_hh_l0": lambda: layer.load_state_dict({**layer.state_dict(), "weight_hh_l0": masked(p.value)}),
        "value": lambda: rf.Parameter(masked([1.0])),
    }
    for name, call in refused.items():
        with pytest.raises(TypeError, match=rf"^{name}: an array without a mask is required"):
            call()
    with pytest.raises(TypeError, match=r"^array: an array without a mask is required"):
        p[0, 0] = np.ma.masked


def test_steps_of_streams_refuse_masks() -> None:
    ids = rf.ManyToMany(3, 2, embedding=2, hidden_size=3).stream(2)
    for stream, x in ((rf.GRU(2, 3).stream(), np.ones((1, 2), np.float32)), (ids, np.array([1, 2]))):
        stream.step(x)
        with pytest.raises(TypeError, match=r"^x: an array without a mask is required"):
            stream.step(masked(x))


def test_a_subclass_without_another_meaning_is_an_array(tmp_path: Any) -> None:
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(1, 3, 2))
    x[...] = np.arange(6).reshape(x.shape)
    layer = rf.GRU(2, 3, seed=0)
    np.testing.assert_array_equal(layer(x)[0], layer(np.array(x))[0])
    s = layer.stream()
    np.testing.assert_array_equal([s.step(x[0, t]) for t in range(3)], layer(x)[0][0])


def test_columns_of_pandas() -> None:
    pd = pytest.importorskip("pandas")
    own = rf.ManyToOne(2, 1, task="regression", hidden_size=3, seed=0)
    frame = pd.DataFrame({"price": [1.5, 2.0], "holiday": [True, False]})
    expected = own.predict([np.array([[1.5, 1], [2, 0]])])
    np.testing.assert_array_equal(own.predict([frame]), expected)
    np.testing.assert_array_equal(own.predict([frame.astype({"price": "Float64", "holiday": "boolean"})]), expected)
    gaps = frame.astype("Float64")
    gaps.loc[0, "holiday"] = pd.NA
    with pytest.raises(TypeError, match=r"^x\[0\]\['holiday'\]: values without gaps are required .* in dtype Float64"):
        own.predict([gaps])
    with pytest.raises(TypeError, match=r"^x\[0\]\['day'\]: real numbers are required, got a column of dtype"):
        own.predict([pd.DataFrame({"price": [1.0], "day": ["Monday"]})])
    with pytest.raises(TypeError, match=r"^y: values without gaps are required"):
        own.loss([frame, frame], pd.Series([1, None], dtype="Int64"))
    assert own.loss([frame, frame], pd.Series([1, 2], dtype="Int64")) == own.loss([frame, frame], [1, 2])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("kind", "argument"), READ)
def test_training_refuses_what_is_not_finite(kind: str, argument: str, value: float) -> None:
    """But for NaN among targets, which is a missing value."""
    if argument == "y" and np.isnan(value):
        return
    given = data(kind)
    given[argument][2, ..., 1] = value
    place = "sequence 2" if given[argument].ndim == 2 else "sequence 2 at step 0"
    for call in calls(kind).values():
        with pytest.raises(ValueError, match=rf"^{argument}: finite numbers are required, got {value} in {place}, num"):
            call(**given)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_warn_of_what_is_not_finite(kind: str) -> None:
    own, x = model(kind), X.copy()
    x[2, 1, 0] = np.nan
    options = {"max_length": 3} if kind == "EncoderDecoder" else {}
    with pytest.warns(UserWarning, match=r"^x: finite numbers are required, got nan in sequence 2 at step 1") as found:
        values = own.predict(x, **options)
    assert [w.filename for w in found] == [__file__]
    np.testing.assert_array_equal(values[:2], own.predict(X[:2], **options))


@pytest.mark.parametrize("kind", KINDS)
def test_padding_is_not_read(kind: str) -> None:
    """NaN or a number beyond float32 is accepted past a sequence's length."""
    given, own = data(kind), model(kind)
    name = "sequences" if kind == "OneToMany" else "x"
    expected = own.loss(**given, lengths=[3, 2, 2, 3])
    given[name][1:3, 2] = [[np.nan, 1e300], [np.inf, -1e300]]
    if kind == "ManyToMany":
        given["y"][1:3, 2] = np.nan
    assert own.loss(**given, lengths=[3, 2, 2, 3]) == expected


@pytest.mark.parametrize("kind", ["ManyToOne", "ManyToMany", "EncoderDecoder"])
def test_targets_of_weight_zero_are_not_read(kind: str) -> None:
    given, own = data(kind), model(kind)
    expected = own.loss(given["x"][:3], given["y"][:3])
    given["y"][3] = np.nan
    assert own.loss(**given, sample_weight=[1, 1, 1, 0]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("kind", "argument"), [*READ, ("ManyToOne", "sample_weight"), ("OneToMany", "context")])
def test_numbers_beyond_the_models_type_are_named(kind: str, argument: str) -> None:
    own = model(kind, **({"context_size": 2} if argument == "context" else {}))
    given = data(kind)
    given.setdefault(argument, np.ones((4, 2)) if argument == "context" else np.ones(4))
    given[argument][(2, *[1] * (given[argument].ndim - 1))] = 1e39
    with pytest.raises(
        ValueError, match=rf"^{argument}: (finite )?numbers .*are required, got 1e\+39 (at index \(2,|in seq)"
    ):
        own.loss(**given)
    wide = model(kind, dtype="float64", **({"context_size": 2} if argument == "context" else {}))
    wide.loss(**given)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_has_no_loss(kind: str) -> None:
    given: dict[str, Any] = {name: [] for name in data(kind)}
    for call in calls(kind).values():
        with pytest.raises(ValueError, match=r"^(x|sequences): at least one sequence is required, got none"):
            call(**given)
    full = data(kind)
    options = {"sequences": []} if kind == "OneToMany" else ([], [])
    with pytest.raises(ValueError, match="at least one sequence is required, got none"):
        model(kind).fit(**full, validation_data=options, epochs=1, progress=False)


def test_steps_without_targets_have_no_loss() -> None:
    own, empty = model("ManyToMany"), [np.zeros((0, 2))] * 2
    with pytest.raises(ValueError, match=r"^x: at least one step with a target is required, got none"):
        own.fit(empty, empty, epochs=1, progress=False)
    with pytest.raises(ValueError, match=r"^x: at least one step with a target is required \(burn_in = 3\), got none"):
        own.evaluate(X, X, burn_in=3)


@pytest.mark.parametrize("kind", ["ManyToOne", "ManyToMany"])
def test_single_steps_are_a_warning(kind: str) -> None:
    own, given = model(kind), data(kind)
    single = {"x": given["x"][:, :1], "y": given["y"] if kind == "ManyToOne" else given["y"][:, :1]}
    words = r"^x: sequences of more than one step .* read as N = 4 sequences of T = 1 step of C = 2 numbers"
    calls: list[Callable[[], object]] = [
        lambda: own.loss(**single),
        lambda: own.predict(single["x"]),
        lambda: own.predict(list(single["x"])),
    ]
    for call in calls:
        with pytest.warns(UserWarning, match=words) as found:
            call()
        assert [w.filename for w in found] == [__file__]
    own.predict(single["x"][:1])
    model(kind, embedding=2, task="classification").predict(IDS[:, :1])


@pytest.mark.parametrize("kind", KINDS)
def test_options_of_a_model_are_none_of_its_cell(kind: str) -> None:
    own = {"hidden_size": 3, "num_layers": 2, "bidirectional": True, "dropout": 0.1, "dtype": "float64", "seed": 1}
    for name, value in {**own, "input_size": 3, "time_major": True}.items():
        with pytest.raises(ValueError, match=rf"^cell_options: options of the layer alone are required \({name}: "):
            model(kind, cell_options={name: value})
    with pytest.raises(TypeError, match=r"^cell_options: an option of LSTM is required, got 'peepholes'; did you mean"):
        model(kind, cell_options={"peepholes": True})
    model(kind, cell_options={"forget_bias": 1.0})


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_of_one_layer_is_a_warning(kind: str) -> None:
    with pytest.warns(UserWarning, match=r"^dropout: two or more layers are required") as found:
        model(kind, dropout=0.4)
    assert {w.filename for w in found} == {__file__}
    model(kind, dropout=0.4, num_layers=2)


@pytest.mark.parametrize("kind", KINDS)
def test_an_optimizer_has_its_own_learning_rate(kind: str) -> None:
    own = model(kind)
    with pytest.raises(
        ValueError, match=r"^lr: None is required beside an optimizer object \(which has lr = 0.5\), got"
    ):
        own.fit(**data(kind), epochs=1, progress=False, optimizer=rf.SGD(lr=0.5), lr=0.1)
    own.fit(**data(kind), epochs=1, progress=False, optimizer=rf.SGD(lr=0.5))
    given, plain = model(kind), model(kind)
    given.fit(**data(kind), epochs=2, lr=1e-3, progress=False, seed=0)
    plain.fit(**data(kind), epochs=2, progress=False, seed=0)
    for name, value in plain.state_dict().items():
        np.testing.assert_array_equal(value, given.state_dict()[name])


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_callback_is_enough(kind: str) -> None:
    class Count(rf.Callback):
        epochs = 0

        def on_epoch_end(self, run: Any) -> None:
            self.epochs += 1

    count = Count()
    model(kind).fit(**data(kind), epochs=2, progress=False, callbacks=count)
    assert count.epochs == 2
    with pytest.raises(
        TypeError, match=r"^callbacks: a Callback, or several, is required \(an object, not its class\)"
    ):
        model(kind).fit(**data(kind), epochs=1, progress=False, callbacks=[Count])


UNKNOWN: list[tuple[Callable[[], Any], str]] = [
    (lambda: rf.LSTM(2, 3, batch_first=True), r"LSTM: unknown argument 'batch_first' \(.* see time_major\)"),
    (lambda: rf.RNN(2, 3, nonlinearity="relu"), r"RNN: unknown argument 'nonlinearity' \(see activation\)"),
    (lambda: rf.GRU(2, 3, layers=2), r"GRU: unknown argument 'layers'"),
    (lambda: rf.ManyToOne(2, 3, hiddensize=2), "ManyToOne: unknown argument 'hiddensize'; did you mean 'hidden_size'"),
    (lambda: rf.Adam(learning_rate=0.1), r"Adam: unknown argument 'learning_rate' \(see lr\)"),
    (lambda: rf.EarlyStopping(patients=2), "EarlyStopping: unknown argument 'patients'; did you mean 'patience'"),
    (lambda: rf.OneToMany(2).generate([0], 3, tempratur=1), "generate: unknown argument 'tempratur'; did you mean"),
    *(
        (lambda kind=kind, option=option: model(kind).fit(**data(kind), epochs=1, **{option: 2}), words)
        for kind in KINDS
        for option, words in {
            "verbose": r"fit: unknown argument 'verbose' \(see progress\)",
            "batchsize": "fit: unknown argument 'batchsize'; did you mean 'batch_size'",
        }.items()
    ),
    *(
        (
            lambda kind=kind, method=method: getattr(model(kind), method)(X, n=2),
            rf"{method}: unknown argument 'n' \(.*see generate\)",
        )
        for kind in KINDS
        for method in ("predict", "predict_proba")
    ),
    *(
        (
            lambda kind=kind, method=method: getattr(model(kind), method)(**data(kind), sampleweight=1),
            f"{method}: unknown argument 'sampleweight'; did you mean 'sample_weight'",
        )
        for kind in KINDS
        for method in ("loss", "loss_and_grad", "evaluate")
    ),
    (
        lambda: model("ManyToOne").fit(X, X[:, 0], epochs=1, validation_data={"x": X, "z": X}),
        "validation_data: unknown argument 'z'",
    ),
]


@pytest.mark.parametrize(("call", "message"), UNKNOWN, ids=range(len(UNKNOWN)))
def test_unknown_arguments(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message}"):
        call()


class NoArray:
    def __array__(self, *_: Any) -> np.ndarray:
        raise RuntimeError("there is none")


def test_what_numpy_makes_no_array_of_is_named() -> None:
    layer, x = rf.GRU(2, 3), np.ones((2, 3, 2), np.float32)
    with pytest.raises(ValueError, match=r"^lengths: an array, or lists of equal lengths, is required, got others"):
        layer(x, lengths=[[1], [1, 2]])
    with pytest.raises(TypeError, match=r"^lengths: an array is required, got NoArray: there is none"):
        layer(x, lengths=NoArray())


def test_a_number_beyond_all_floats_is_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"^dropout: a probability within \[0, 1\) is required, got 1000"):
        rf.GRU(2, 3, dropout=10**400)


def test_validation_data_of_nothing() -> None:
    with pytest.raises(ValueError, match=r"^validation_data: x and y are required, got an empty dict"):
        model("ManyToOne").fit(**data("ManyToOne"), epochs=1, progress=False, validation_data={})
    with pytest.raises(ValueError, match=r"^validation_data: sequences are required, got an empty dict"):
        rf.OneToMany(4, hidden_size=2).fit(IDS % 4, epochs=1, progress=False, validation_data={})
