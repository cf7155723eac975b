"""Layers and models to PyTorch and back: the same bits, the same function, or an error."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import rnnfast as rf

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from torch import nn  # noqa: E402

from rnnfast.interop import torch as rft  # noqa: E402

pytestmark = [
    pytest.mark.torch,
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:LSTM with projections"),
]

LAYERS: list[tuple[Any, dict[str, Any]]] = [
    (rf.LSTM, {}),
    (rf.LSTM, {"proj_size": 3}),
    (rf.GRU, {}),
    (rf.RNN, {}),
    (rf.RNN, {"activation": "relu"}),
]
IDS = np.array([[1, 0, 4, 2], [3, 3, 0, 0]])
LENGTHS = np.array([4, 2])


def assert_same_state(a: Any, b: Any) -> None:
    first, second = ({name: np.asarray(value) for name, value in each.state_dict().items()} for each in (a, b))
    assert list(first) == list(second)
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name, strict=True)


@pytest.mark.parametrize("flags", list(itertools.product((False, True), repeat=3)), ids=str)
@pytest.mark.parametrize(("cls", "options"), LAYERS, ids=str)
def test_layers(cls: Any, options: dict[str, Any], flags: tuple[bool, ...], dtype: str) -> None:
    bias, both, time_major = flags
    shape = {"bias": bias, "bidirectional": both, "time_major": time_major, "num_layers": 2, "dropout": 0.25}
    layer = cls(4, 6, dtype=dtype, seed=0, **shape, **options)
    module = rft.to_torch(layer)
    back = rft.from_torch(rft.accelerate(module))
    assert_same_state(layer, module)
    assert_same_state(layer, back)
    assert type(back) is cls
    assert (back.dropout, back.time_major, back.dtype) == (layer.dropout, layer.time_major, layer.dtype)
    x = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(dtype)
    rft.restore(module).eval()
    with torch.no_grad():
        expected, _ = module(torch.from_numpy(x))
    np.testing.assert_allclose(back(x)[0], expected.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(back(x)[0], layer(x)[0])


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
@pytest.mark.parametrize("bias", [True, False])
def test_cells(kind: Any, bias: bool) -> None:
    cell = kind(4, 6, bias=bias, dtype=torch.float64)
    layer = rft.from_torch(cell)
    x = torch.randn(3, 4, dtype=torch.float64)
    with torch.no_grad():
        h = cell(x)
    h = h[0] if isinstance(h, tuple) else h
    np.testing.assert_allclose(layer(x[:, None])[0][:, 0], h.numpy(), rtol=1e-12)


REFUSED: list[tuple[str, Any]] = [
    ("reset_after", lambda: rf.GRU(3, 4, reset_after=False)),
    ("activations", lambda: rf.GRU(3, 4, activations=("hard_sigmoid", "tanh"))),
    ("activations", lambda: rf.LSTM(3, 4, activations=("sigmoid", "relu", "tanh"))),
    ("activations", lambda: rf.RNN(3, 4, activation="identity")),
    ("peephole", lambda: rf.LSTM(3, 4, peephole=True)),
    ("coupled", lambda: rf.LSTM(3, 4, coupled=True)),
    ("layer_norm", lambda: rf.LSTM(3, 4, layer_norm=True)),
    ("clip", lambda: rf.LSTM(3, 4, clip=3.0)),
    ("leak", lambda: rf.RNN(3, 4, leak=0.5)),
    ("noise", lambda: rf.RNN(3, 4, noise=0.1)),
    ("zoneout", lambda: rf.GRU(3, 4, zoneout=0.1)),
    ("recurrent_dropout", lambda: rf.GRU(3, 4, recurrent_dropout=0.1)),
    ("input_dropout", lambda: rf.LSTM(3, 4, input_dropout=0.1)),
    ("learn_initial_state", lambda: rf.GRU(3, 4, learn_initial_state=True)),
]


@pytest.mark.parametrize(("option", "make"), REFUSED)
def test_what_torch_has_not_is_refused(option: str, make: Any) -> None:
    with pytest.raises(ValueError, match=f"torch.nn.*{option}"):
        rft.to_torch(make())
    with pytest.raises(ValueError, match=option):
        rft.to_torch(_model_with(make()))


def _model_with(layer: Any) -> Any:
    """A model whose layer is replaced by another one."""
    model = rf.ManyToOne(3, 2, cell=type(layer).__name__.lower(), hidden_size=4)
    object.__setattr__(model.backbone, "rnn", layer)
    return model


def test_what_is_no_layer_is_refused() -> None:
    with pytest.raises(TypeError, match="layer: "):
        rft.to_torch(rf.Linear(3, 4))
    with pytest.raises(TypeError, match="module: a recurrent layer"):
        rft.from_torch(nn.Linear(3, 4))
    with pytest.raises(TypeError, match=r"float32 or float64.*bfloat16"):
        rft.from_torch(nn.LSTM(3, 4, dtype=torch.bfloat16))
    with pytest.raises(TypeError, match="on the CPU"):
        rft.from_torch(nn.LSTM(3, 4, device="meta"))
    with pytest.raises(TypeError, match="model: "):
        rft.from_torch(nn.LSTM(3, 4), rename={"gru": "rnn"})


class Tagger(nn.Module):
    """A model as users write it."""

    def __init__(self, dtype: Any = torch.float64) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3, dtype=dtype)
        self.gru = nn.GRU(3, 6, 2, batch_first=True, bidirectional=True, dtype=dtype)
        self.fc = nn.Linear(12, 4, dtype=dtype)

    def forward(self, ids: Any) -> Any:
        return self.fc(self.gru(self.embedding(ids))[0])


def test_parts_are_renamed() -> None:
    tagger = Tagger()
    model = rft.from_torch(tagger, rename={"gru": "rnn", "fc": "head"}, model=rf.ManyToMany)
    with torch.no_grad():
        expected = torch.softmax(tagger(torch.from_numpy(IDS)), dim=2)
    np.testing.assert_allclose(model.predict_proba(IDS), expected.numpy(), rtol=1e-10)
    assert_same_state(model, rft.to_torch(model))
    with pytest.raises(ValueError, match="rename: names of the module's parts"):
        rft.from_torch(tagger, rename={"lstm": "rnn"}, model=rf.ManyToMany)
    with pytest.raises(ValueError, match="becomes head"):
        rft.from_torch(tagger, rename={"gru": "rnn"}, model=rf.ManyToMany)
    tagger.norm = nn.LayerNorm(12, dtype=torch.float64)
    with pytest.raises(ValueError, match="unexpected: norm"):
        rft.from_torch(tagger, rename={"gru": "rnn", "fc": "head"}, model=rf.ManyToMany)


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("model", [rf.ManyToOne, rf.ManyToMany])
def test_models(model: Any, cell: str, task: str) -> None:
    ours = model(
        5,
        4,
        cell=cell,
        hidden_size=6,
        num_layers=2,
        bidirectional=True,
        embedding=3,
        task=task,
        dtype="float64",
        seed=0,
    )
    theirs = rft.to_torch(ours).eval()
    assert_same_state(ours, theirs)
    assert_same_state(ours, rft.from_torch(theirs))
    assert rft.from_torch(theirs).config == ours.config
    with torch.no_grad():
        outputs = theirs(torch.from_numpy(IDS), torch.from_numpy(LENGTHS))
    wanted = ours.predict_proba if task == "classification" else ours.predict
    expected = wanted(IDS, lengths=LENGTHS)
    outputs = torch.softmax(outputs, dim=-1) if task == "classification" else outputs
    for n, length in enumerate(LENGTHS):
        own = outputs[n] if model is rf.ManyToOne else outputs[n, :length]
        np.testing.assert_allclose(np.asarray(expected[n])[: len(own)], own.numpy(), rtol=1e-10)


def test_several_heads() -> None:
    ours = rf.ManyToOne(3, outputs={"a": 2, "b": 4}, hidden_size=5, dtype="float64", seed=0)
    theirs = rft.to_torch(ours)
    assert_same_state(ours, theirs)
    assert_same_state(ours, rft.from_torch(theirs))
    x = np.random.default_rng(0).normal(size=(2, 6, 3))
    with torch.no_grad():
        outputs = theirs(torch.from_numpy(x))
    for name, proba in ours.predict_proba(x).items():
        np.testing.assert_allclose(proba, torch.softmax(outputs[name], dim=-1).numpy(), rtol=1e-10)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("embedding", [None, 3])
def test_one_to_many(cell: str, embedding: int | None) -> None:
    ours = rf.OneToMany(
        5, cell=cell, hidden_size=6, num_layers=2, embedding=embedding, context_size=2, dtype="float64", seed=0
    )
    theirs = rft.to_torch(ours)
    assert_same_state(ours, theirs)
    assert_same_state(ours, rft.from_torch(theirs))
    context = np.random.default_rng(0).normal(size=(2, 2))
    ids = torch.from_numpy(IDS)
    outputs = theirs(ids[:, :-1], context=torch.from_numpy(context))
    ahead = ids[:, 1:].reshape(-1)
    theirs_loss = nn.functional.cross_entropy(outputs.flatten(0, 1), ahead)
    np.testing.assert_allclose(ours.loss(IDS, context=context), theirs_loss.item(), rtol=1e-10)


@pytest.mark.parametrize("attention", [None, "additive", "dot"])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_encoder_decoder(cell: str, both: bool, attention: str | None) -> None:
    ours = rf.EncoderDecoder(
        7, 6, cell=cell, hidden_size=9, num_layers=2, source_embedding=4, target_embedding=3, bidirectional=both,
        attention=attention, dtype="float64", seed=0,
    )  # fmt: skip
    theirs = rft.to_torch(ours)
    assert_same_state(ours, theirs)
    assert_same_state(ours, rft.from_torch(theirs))
    rng = np.random.default_rng(0)
    x, y = [rng.integers(0, 7, n) for n in (5, 3)], rng.integers(0, 6, (2, 4))
    padded = nn.utils.rnn.pad_sequence([torch.from_numpy(each) for each in x], batch_first=True)
    stop, start = torch.full((2, 1), ours.stop_id), torch.full((2, 1), ours.start_id)
    given, wanted = (torch.cat(each, dim=1) for each in ((start, torch.from_numpy(y)), (torch.from_numpy(y), stop)))
    outputs = theirs(padded, given, torch.tensor([5, 3]))
    theirs_loss = nn.functional.cross_entropy(outputs.flatten(0, 1), wanted.flatten())
    np.testing.assert_allclose(ours.loss(x, list(y)), theirs_loss.item(), rtol=1e-10)


def test_tensors_are_arrays() -> None:
    layer = rf.GRU(3, 5, seed=0)
    x, lengths, resets = torch.randn(2, 7, 3), torch.tensor([7, 4]), torch.zeros(2, 7, dtype=torch.bool)
    resets[0, 3] = True
    state = torch.randn(1, 2, 5)
    given = layer.forward(x, state, lengths=lengths, resets=resets)
    arrays = layer.forward(x.numpy(), state.numpy(), lengths=lengths.numpy(), resets=resets.numpy())
    np.testing.assert_array_equal(given[0], arrays[0])
    dy = torch.randn(2, 7, 5)
    np.testing.assert_array_equal(layer.backward(given[2], dy)[0], layer.backward(arrays[2], dy.numpy())[0])
    np.testing.assert_array_equal(layer([x[0], x[1, :4]])[0], layer(x.numpy(), lengths=lengths)[0])
    np.testing.assert_array_equal(layer.stream().step(x[0, 0]), layer.stream().step(x[0, 0].numpy()))
    layer.parameters()["weight_hh_l0"][...] = torch.zeros(15, 5)
    model = rf.ManyToOne(3, 2, hidden_size=4, seed=0)
    model.fit(x, torch.tensor([0, 1]), epochs=1, batch_size=2, lengths=lengths, progress=False)
    np.testing.assert_array_equal(model.predict(x), model.predict(x.numpy()))
    ids = rf.OneToMany(5, hidden_size=4, seed=0)
    np.testing.assert_array_equal(ids.loss(torch.from_numpy(IDS)), ids.loss(IDS))


def test_tensors_with_a_gradient_are_refused() -> None:
    layer = rf.GRU(3, 5)
    x = torch.randn(2, 7, 3, requires_grad=True)
    for call in (layer, layer.forward, rf.ManyToOne(3, 2, hidden_size=4).predict):
        with pytest.raises(TypeError, match=r"x.detach\(\).*rnnfast.interop.torch"):
            call(x)
    with pytest.raises(TypeError, match=r"detach\(\)"):
        layer(x.detach(), torch.zeros(1, 2, 5, requires_grad=True))
    with pytest.raises(TypeError, match=r"detach\(\)"):
        layer([each for each in x])
