"""Write the files of other libraries that the tests of ``rnnfast.interop`` read: weights, inputs and outputs.

``python tests/data/make_interop.py keras flax equinox torch`` writes those of the libraries named, which must be
installed; the tests need none of them. Keras runs on JAX. ``RNNFAST_INTEROP_FILES`` names another folder, for this
script and for the tests.
"""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(os.environ.get("RNNFAST_INTEROP_FILES", Path(__file__).parent / "interop"))
X = np.random.default_rng(0).normal(size=(2, 4, 2)).astype(np.float32)
IDS = np.random.default_rng(0).integers(0, 5, (2, 4))


def random_like(arrays: Any) -> list[np.ndarray]:
    """Return random arrays in the shapes of others, so that every bias counts."""
    rng = np.random.default_rng(1)
    return [rng.normal(scale=0.5, size=np.shape(a)).astype(np.float32) for a in arrays]


def keras_models(layers: Any) -> dict[str, list[Any]]:
    """Return the layers of each Keras model."""
    return {
        "rnn": [layers.SimpleRNN(3, activation="relu", return_sequences=True)],
        "lstm": [
            layers.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True),
            layers.Dropout(0.25),
            layers.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True),
        ],
        "gru": [layers.GRU(3, activation="leaky_relu", return_sequences=True, dropout=0.125, recurrent_dropout=0.5)],
        "gru_before": [layers.GRU(3, reset_after=False, return_sequences=True)],
        "no_bias": [layers.GRU(3, use_bias=False, return_sequences=True)],
        "both": [layers.Bidirectional(layers.LSTM(2, return_sequences=True)) for _ in range(2)],
        "classifier": [
            layers.Embedding(5, 2),
            layers.Bidirectional(layers.GRU(2)),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ],
        "tagger": [
            layers.SimpleRNN(3, use_bias=False, return_sequences=True),
            layers.TimeDistributed(layers.Dense(2, activation="sigmoid")),
        ],
    }


def write_keras() -> None:
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    outputs: dict[str, Any] = {"x": X, "ids": IDS}
    for name, parts in keras_models(keras.layers).items():
        shape, dtype = ((None,), "int32") if name == "classifier" else ((None, 2), "float32")
        model = keras.Sequential([keras.Input(shape, dtype=dtype), *parts])
        model.set_weights(random_like(model.get_weights()))
        outputs[name] = np.asarray(model(IDS if name == "classifier" else X))
        model.save(FOLDER / f"keras_{name}.keras")
        deflate(FOLDER / f"keras_{name}.keras")
    given = keras.Input((None, 2))
    y = keras.layers.Dense(1)(keras.layers.LSTM(3, name="reader")(given))
    model = keras.Model(given, y)
    model.set_weights(random_like(model.get_weights()))
    outputs["functional"] = np.asarray(model(X))
    model.save(FOLDER / "keras_functional.keras")
    deflate(FOLDER / "keras_functional.keras")
    model.save(FOLDER / "keras_functional.h5")
    model.save_weights(FOLDER / "keras_functional.weights.h5")
    np.savez_compressed(FOLDER / "keras_outputs.npz", **outputs)


def deflate(path: Path) -> None:
    """Compress the parts of an archive, which Keras only stores; they stay as they are."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


def flat(tree: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """Return nested dictionaries of arrays as one, names joined by slashes."""
    found: dict[str, np.ndarray] = {}
    for name, value in tree.items():
        found |= flat(value, f"{prefix}{name}/") if hasattr(value, "items") else {prefix + str(name): np.asarray(value)}
    return found


def write_flax() -> None:
    import jax
    import jax.numpy as jnp
    from flax import linen, nnx

    found: dict[str, Any] = {"x": X}
    linen_cells = {"linen_lstm": linen.OptimizedLSTMCell, "linen_gru": linen.GRUCell, "linen_rnn": linen.SimpleCell}
    for name, cls in linen_cells.items():
        layer = linen.RNN(cls(3))
        variables = layer.init(jax.random.PRNGKey(0), X)
        leaves, tree = jax.tree.flatten(variables)
        variables = jax.tree.unflatten(tree, [jnp.asarray(a) for a in random_like(leaves)])
        found |= flat(variables["params"], f"{name}/")
        found[f"{name}/y"] = np.asarray(layer.apply(variables, X))
    nnx_cells = {
        "nnx_lstm": nnx.OptimizedLSTMCell,
        "nnx_gru": nnx.GRUCell,
        "nnx_rnn": nnx.SimpleCell,
        "nnx_lstm_8": nnx.LSTMCell,
    }
    for name, cls in nnx_cells.items():
        cell = cls(2, 3, rngs=nnx.Rngs(0))
        state = nnx.state(cell, nnx.Param)
        leaves, tree = jax.tree.flatten(state)
        nnx.update(cell, jax.tree.unflatten(tree, [jnp.asarray(a) for a in random_like(leaves)]))
        found |= flat(nnx.to_pure_dict(nnx.state(cell, nnx.Param)), f"{name}/")
        found[f"{name}/y"] = np.asarray(nnx.RNN(cell)(jnp.asarray(X)))
    np.savez_compressed(FOLDER / "flax.npz", **found)


def write_equinox() -> None:
    import equinox
    import jax
    import jax.numpy as jnp

    found: dict[str, Any] = {"x": X}
    for name, cls in {"lstm": equinox.nn.LSTMCell, "gru": equinox.nn.GRUCell}.items():
        for use_bias in (True, False):
            cell = cls(2, 3, use_bias=use_bias, key=jax.random.PRNGKey(0))
            leaves, tree = jax.tree.flatten(cell)
            cell = jax.tree.unflatten(tree, [jnp.asarray(a) for a in random_like(leaves)])
            key = f"{name}/{'bias' if use_bias else 'plain'}"
            for part in ("weight_ih", "weight_hh", "bias", "bias_n"):
                if getattr(cell, part, None) is not None:
                    found[f"{key}/{part}"] = np.asarray(getattr(cell, part))
            found[f"{key}/y"] = np.stack([run_equinox(cell, jnp.asarray(x), name) for x in X])
    np.savez_compressed(FOLDER / "equinox.npz", **found)


def run_equinox(cell: Any, x: Any, name: str) -> np.ndarray:
    import jax.numpy as jnp

    h = jnp.zeros(3)
    state = (h, h) if name == "lstm" else h
    steps = []
    for x_t in x:
        state = cell(x_t, state)
        steps.append(state[0] if name == "lstm" else state)
    return np.stack(steps)


def write_torch() -> None:
    import torch
    from safetensors.torch import save_file

    class Classifier(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(5, 2)
            self.encoder = torch.nn.GRU(2, 3, bidirectional=True, batch_first=True)
            self.fc = torch.nn.Linear(6, 4)

        def forward(self, ids: Any) -> Any:
            _, h = self.encoder(self.table(ids))
            return torch.softmax(self.fc(torch.cat([h[0], h[1]], -1)), -1)

    torch.manual_seed(0)
    layer = torch.nn.LSTM(2, 4, num_layers=2, proj_size=3, batch_first=True)
    model = Classifier()
    save_file(layer.state_dict(), FOLDER / "torch_lstm.safetensors")
    save_file(model.state_dict(), FOLDER / "torch_classifier.safetensors")
    torch.save(model.state_dict(), FOLDER / "torch_classifier.pt")
    with torch.no_grad():
        y, p = layer(torch.tensor(X))[0], model(torch.tensor(IDS))
    np.savez_compressed(FOLDER / "torch_outputs.npz", x=X, ids=IDS, lstm=y.numpy(), classifier=p.numpy())


if __name__ == "__main__":
    for library in sys.argv[1:]:
        {"keras": write_keras, "flax": write_flax, "equinox": write_equinox, "torch": write_torch}[library]()
