"""Random recurrent ONNX nodes, and what ONNX Runtime and the reference answer to them.

Cases are drawn over all attributes of the specification. The reference is reached by a way of its own: one direction at
a time, gates by their names.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rnnfast import reference

OPSET = 17
STATES = {"RNN": ("initial_h",), "GRU": ("initial_h",), "LSTM": ("initial_h", "initial_c")}
ORDER = {
    "RNN": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
    "GRU": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
    "LSTM": ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"),
}
OUTPUTS = {"RNN": ("Y", "Y_h"), "GRU": ("Y", "Y_h"), "LSTM": ("Y", "Y_h", "Y_c")}
# The gates of a node in their order, and those of a layer.
GATES = {"RNN": "a", "GRU": "zrh", "LSTM": "iofc"}
LAYER_GATES = {"RNN": "a", "GRU": "rzh", "LSTM": "ifco"}
PEEPHOLES, LAYER_PEEPHOLES = "iof", "ifo"
DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}

# The reference's name, the default numbers of the specification, and numbers to draw from.
ACTIVATIONS: dict[str, tuple[str, tuple[float, ...]]] = {
    "Tanh": ("tanh", ()),
    "Relu": ("relu", ()),
    "Sigmoid": ("sigmoid", ()),
    "Softsign": ("softsign", ()),
    "Softplus": ("softplus", ()),
    "HardSigmoid": ("hard_sigmoid", (0.3, 0.4)),
    "Elu": ("elu", (0.7,)),
    "LeakyRelu": ("leaky_relu", (0.05,)),
    "ThresholdedRelu": ("thresholded_relu", (0.2,)),
    "ScaledTanh": ("scaled_tanh", (0.9, 1.2)),
    "Affine": ("affine", (0.5, 0.1)),
}


@dataclass(frozen=True, eq=False)
class Case:
    """A node with its attributes and the arrays it is given, X always ``layout=0``, and what ``layout`` it has."""

    op: str
    attributes: dict[str, Any]
    feeds: dict[str, np.ndarray]
    layout: int = 0
    directions: tuple[str, ...] = ("forward",)
    specs: tuple[tuple[Any, ...], ...] = field(default=())

    def model(self, *, layout: int | None = None, weights_stored: bool = False) -> Any:
        """The model of this one node; weights are inputs of the graph unless they are ``weights_stored``."""
        from onnx import helper, numpy_helper

        feeds = self.arranged(layout)
        names = [name if name in feeds else "" for name in ORDER[self.op]]
        while not names[-1]:
            names.pop()
        attributes = dict(self.attributes)
        if (self.layout if layout is None else layout) == 1:
            attributes["layout"] = 1
        node = helper.make_node(self.op, names, list(OUTPUTS[self.op]), **attributes)
        kind = helper.np_dtype_to_tensor_dtype
        stored = [name for name in feeds if weights_stored and name in ("W", "R", "B", "P")]
        inputs = [
            helper.make_tensor_value_info(name, kind(feeds[name].dtype), feeds[name].shape)
            for name in names
            if name and name not in stored
        ]
        ranks = {"Y": 4, "Y_h": 3, "Y_c": 3}
        outputs = [
            helper.make_tensor_value_info(name, kind(feeds["X"].dtype), [None] * ranks[name])
            for name in OUTPUTS[self.op]
        ]
        arrays = [numpy_helper.from_array(feeds[name], name) for name in stored]
        graph = helper.make_graph([node], "one_node", inputs, outputs, initializer=arrays)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)

    def arranged(self, layout: int | None = None) -> dict[str, np.ndarray]:
        """The arrays as the node's layout wants them."""
        if (self.layout if layout is None else layout) == 0:
            return self.feeds
        turned = ("X", "initial_h", "initial_c")
        return {name: np.ascontiguousarray(v.swapaxes(0, 1)) if name in turned else v for name, v in self.feeds.items()}

    def batch_first(self, outputs: tuple[np.ndarray, ...]) -> list[np.ndarray]:
        """Outputs of ``layout=0`` as the node's own layout has them."""
        if self.layout == 0:
            return list(outputs)
        Y, *states = outputs
        return [Y.transpose(2, 0, 1, 3), *(s.transpose(1, 0, 2) for s in states)]


def draw(seed: int, dtype: str = "float32", *, op: str | None = None) -> Case:
    """A random case; every attribute and optional input is there in about half of them."""
    rng = np.random.default_rng([seed, 811])
    op = op or str(rng.choice(["RNN", "GRU", "LSTM"]))
    direction = str(rng.choice(["forward", "reverse", "bidirectional"]))
    directions = ("forward", "reverse") if direction == "bidirectional" else (direction,)
    T, N, C, H = (int(n) for n in rng.integers([1, 1, 1, 1], [8, 6, 6, 8]))
    D, G = len(directions), len(GATES[op])

    def values(*shape: int, scale: float = 1.0) -> np.ndarray:
        return (scale * rng.normal(size=shape)).astype("float32").astype(dtype)

    feeds = {"X": values(T, N, C), "W": values(D, G * H, C, scale=0.5), "R": values(D, G * H, H, scale=0.3)}
    if rng.random() < 0.7:
        feeds["B"] = values(D, 2 * G * H, scale=0.3)
    if rng.random() < 0.5:
        feeds["sequence_lens"] = rng.integers(0, T + 1, N).astype(np.int32)
    for name in STATES[op]:
        if rng.random() < 0.6:
            feeds[name] = values(D, N, H)
    if op == "LSTM" and rng.random() < 0.5:
        feeds["P"] = values(D, 3 * H, scale=0.3)
    attributes: dict[str, Any] = {"hidden_size": H}
    if direction != "forward" or rng.random() < 0.5:
        attributes["direction"] = direction
    if rng.random() < 0.4:
        attributes["clip"] = float(rng.choice([0.3, 1.0, 4.0]))
    if op == "GRU" and rng.random() < 0.5:
        attributes["linear_before_reset"] = 1
    if op == "LSTM" and rng.random() < 0.4:
        attributes["input_forget"] = 1
    specs = _activations(rng, op, D, attributes)
    return Case(op, attributes, feeds, int(rng.random() < 0.4), directions, specs)


def _activations(rng: np.random.Generator, op: str, D: int, attributes: dict[str, Any]) -> tuple[tuple[Any, ...], ...]:
    """Put activations among the attributes, or leave them to the defaults; return the reference's, by direction."""
    count = len(DEFAULTS[op])
    if rng.random() < 0.4:
        return tuple(tuple(ACTIVATIONS[name][0] for name in DEFAULTS[op]) for _ in range(D))
    one = [str(name) for name in rng.choice(list(ACTIVATIONS), count)]
    names = one * D if rng.random() < 0.5 else [str(name) for name in rng.choice(list(ACTIVATIONS), count * D)]
    specs: list[Any] = []
    numbers: tuple[list[float], list[float]] = ([], [])
    for name in names:
        own, defaults = ACTIVATIONS[name]
        drawn = [round(float(default * rng.choice([0.5, 1.0, 1.5])), 6) for default in defaults]
        for place, value in zip(numbers, drawn, strict=False):
            place.append(value)
        specs.append((own, *drawn) if drawn else own)
    attributes["activations"] = names
    for key, values in zip(("activation_alpha", "activation_beta"), numbers, strict=True):
        if values:
            attributes[key] = values
    return tuple(tuple(specs[d * count : (d + 1) * count]) for d in range(D))


def runtime_answer(case: Case) -> list[np.ndarray]:
    """What ONNX Runtime answers, which knows ``layout=0`` only and gives sequences of length 0 states of zero."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = case.model(layout=0).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    Y, *states = session.run(None, case.feeds)
    if "sequence_lens" in case.feeds:
        none = case.feeds["sequence_lens"] == 0
        for state, name in zip(states, STATES[case.op], strict=True):
            state[:, none] = case.feeds[name][:, none] if name in case.feeds else 0
    return case.batch_first((Y, *states))


def reference_answer(case: Case) -> list[np.ndarray]:
    """What the equations say, in float64."""
    found = [_one_direction(case, d) for d in range(len(case.directions))]
    Y = np.stack([y for y, _ in found], axis=1)
    states = [np.stack(each) for each in zip(*(states for _, states in found), strict=True)]
    return case.batch_first((Y, *states))


def _one_direction(case: Case, d: int) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Y (T, N, H) and the states (N, H)."""
    feeds = {name: v.astype(float) for name, v in case.feeds.items() if name != "sequence_lens"}
    coupled = bool(case.attributes.get("input_forget", 0))
    wanted = LAYER_GATES[case.op].replace("f", "") if coupled else LAYER_GATES[case.op]

    def rows(array: np.ndarray, have: str, want: str) -> np.ndarray:
        blocks = dict(zip(have, np.split(array, len(have)), strict=True))
        return np.concatenate([blocks[gate] for gate in want])

    have = GATES[case.op]
    params = {f"weight_{kind}_l0": rows(feeds[name][d], have, wanted) for name, kind in (("W", "ih"), ("R", "hh"))}
    if "B" in feeds:
        pair = zip(("ih", "hh"), np.split(feeds["B"][d], 2), strict=True)
        params |= {f"bias_{kind}_l0": rows(b, have, wanted) for kind, b in pair}
    if "P" in feeds:
        want = LAYER_PEEPHOLES.replace("f", "") if coupled else LAYER_PEEPHOLES
        params["weight_ph_l0"] = rows(feeds["P"][d], PEEPHOLES, want).reshape(len(want), -1)
    options: dict[str, Any] = {"clip": case.attributes.get("clip"), "activations": case.specs[d], "coupled": coupled}
    if case.op == "RNN":
        options = {"clip": options["clip"], "activation": case.specs[d][0]}
    if case.op == "GRU":
        options["reset_after"] = bool(case.attributes.get("linear_before_reset", 0))
    T, N, _ = feeds["X"].shape
    H = feeds["R"].shape[2]
    lengths = case.feeds.get("sequence_lens", np.full(N, T))
    state = tuple(feeds[name][d : d + 1] if name in feeds else np.zeros((1, N, H)) for name in STATES[case.op])
    x = feeds["X"].transpose(1, 0, 2).copy()
    if case.directions[d] == "reverse":
        x = _turned(x, lengths)
    first: Any = state if case.op == "LSTM" else state[0]
    y, last, _ = reference.forward(case.op.lower(), params, x, first, lengths=lengths, **options)
    if case.directions[d] == "reverse":
        y = _turned(y, lengths)
    return y.transpose(1, 0, 2), tuple(part[0] for part in (last if isinstance(last, tuple) else (last,)))


def _turned(x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    x = x.copy()
    for n, length in enumerate(lengths):
        x[n, :length] = x[n, :length][::-1]
    return x


def error(found: Any, wanted: Any) -> float:
    """The largest difference of all outputs, relative to the largest output."""
    largest = max([1e-3, *(float(np.abs(w).max(initial=0)) for w in wanted)])
    assert len(found) == len(wanted)
    assert [f.shape for f in found] == [w.shape for w in wanted]
    return max(float(np.abs(f - w).max(initial=0)) for f, w in zip(found, wanted, strict=True)) / largest


def with_float64(case: Case) -> Case:
    """The same case in float64."""
    feeds = {name: v if name == "sequence_lens" else v.astype(np.float64) for name, v in case.feeds.items()}
    return replace(case, feeds=feeds)
