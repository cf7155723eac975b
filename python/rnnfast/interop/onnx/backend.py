"""ONNX graphs, run: recurrent nodes on rnnfast's layers, all others by onnx's own evaluator."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import copy
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.interop.onnx.attributes import CELLS, read_attributes
from rnnfast.interop.onnx.nodes import RecurrentNode

Array = npt.NDArray[Any]

OLDEST_OPSET = 7  # recurrent nodes had other attributes before


def load(model: Any) -> Any:
    """Return a ModelProto: itself, or read from its bytes or from a file."""
    import onnx

    if isinstance(model, onnx.ModelProto):
        return model
    if isinstance(model, bytes):
        return onnx.load_from_string(model)
    if isinstance(model, (str, os.PathLike)):
        return onnx.load(os.fspath(model))
    raise TypeError(f"model: a ModelProto, its bytes or a path is required, got {type(model).__name__}")


@cache
def evaluator_class() -> Any:
    """Return onnx's ReferenceEvaluator with our recurrent nodes in the place of its own, in functions too."""
    from onnx.reference import ReferenceEvaluator

    ops = [*(_operator(op_type) for op_type in CELLS), _loop()]

    class Evaluator(ReferenceEvaluator):  # type: ignore[misc]  # Any where types of onnx are not read
        def __init__(self, proto: Any, **options: Any) -> None:
            super().__init__(_with_named_outputs(proto), **{**options, "new_ops": ops})

    return Evaluator


def _operator(op_type: str) -> Any:
    from onnx.reference.op_run import OpRun

    class Operator(OpRun):  # type: ignore[misc]
        op_domain = ""

        def __init__(self, node: Any, run_params: dict[str, Any], schema: Any = None) -> None:
            super().__init__(node, run_params, schema)
            if run_params["opsets"].get("", OLDEST_OPSET) < OLDEST_OPSET:
                opset = run_params["opsets"][""]
                raise ValueError(f"{op_type}: opset {OLDEST_OPSET} or above is required, got {opset}")
            self._recurrent = RecurrentNode()
            self._given = [attribute.name for attribute in node.attribute]
            if not self.has_linked_attribute:
                read_attributes(op_type, {name: getattr(self, name) for name in self._given})

        def _run(self, *inputs: Any, **attributes: Any) -> tuple[Array, ...]:
            given = {name: attributes[name] for name in self._given}  # without defaults of the schema
            return self._recurrent.run(read_attributes(op_type, given), inputs)

    Operator.__name__ = op_type  # what the evaluator looks for
    return Operator


def _loop() -> Any:
    """Return onnx's Loop with what its evaluator, up to 1.23 at least, lacks of the specification.

    Scan outputs have a new first axis, one step behind another: the evaluator puts the rows of all steps in one axis.
    A loop without a condition runs all its steps: the evaluator runs none.
    """
    from onnx.reference.ops.op_loop import Loop as Base

    class Loop(Base):  # type: ignore[misc]
        op_domain = ""

        def _run(self, M: Any, cond: Any, *inputs: Any, **attributes: Any) -> tuple[Array, ...]:
            shapes: list[list[tuple[int, ...]]] = []
            own, run_body = copy(self), self._run_body

            def recorded(*given: Any, **options: Any) -> Any:
                outputs = run_body(*given, **options)
                shapes.append([np.shape(each) for each in outputs[len(outputs) - self.K :]])
                return outputs

            own._run_body = recorded
            cond = np.array(True) if cond is None else cond
            outputs = list(Base._run(own, M, cond, *inputs, **attributes))
            for k, shape in enumerate(shapes[0] if shapes else ()):
                place = self.N + k
                outputs[place] = np.reshape(outputs[place], (len(shapes), *shape))
            return tuple(outputs)

    return Loop


def _with_named_outputs(proto: Any) -> Any:
    """Return the graph with a name for every output: the evaluator would pass unnamed ones to omitted inputs."""
    import onnx

    if isinstance(proto, onnx.NodeProto):
        return proto
    if not any(name == "" for node in _nodes(proto) for name in node.output):
        return proto
    named = type(proto)()
    named.CopyFrom(proto)
    for i, node in enumerate(_nodes(named)):
        node.output[:] = [name or f"unused output {j} of node {i}" for j, name in enumerate(node.output)]
    return named


def _nodes(proto: Any) -> Any:
    return proto.graph.node if hasattr(proto, "graph") else proto.node


class Prepared:
    """A graph that is ready to run.

    Attributes
    ----------
    input_names, output_names : tuple of str
        Inputs that ``run`` needs, and what it returns, in the graph's order.
    """

    def __init__(self, model: Any) -> None:
        self._evaluator = evaluator_class()(model)
        stored = {each.name for each in model.graph.initializer}
        self.input_names = tuple(each.name for each in model.graph.input if each.name not in stored)
        self.output_names = tuple(each.name for each in model.graph.output)

    def run(self, inputs: Any, **options: Any) -> tuple[Any, ...]:
        """Return all outputs of the graph.

        Parameters
        ----------
        inputs : dict of str to array, sequence of arrays, or array
            The inputs by name, in the graph's order, or the only one.
        options
            None are known; onnx's tests pass some.

        Raises
        ------
        ValueError
            An input is missing or unknown, or a shape does not fit.
        """
        return tuple(self._evaluator.run(None, self._named(inputs)))

    def _named(self, inputs: Any) -> dict[str, Any]:
        if isinstance(inputs, Mapping):
            found = dict(inputs)
        else:
            values = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
            if len(values) != len(self.input_names):
                wanted = f"{len(self.input_names)} arrays ({', '.join(self.input_names)})"
                raise ValueError(f"inputs: {wanted} are required, got {len(values)}")
            found = dict(zip(self.input_names, values, strict=True))
        missing = [name for name in self.input_names if name not in found]
        unknown = [name for name in found if name not in self._evaluator.input_names]
        if missing or unknown:
            wanted = ", ".join(self.input_names)
            raise ValueError(f"inputs: {wanted} are required, got {', '.join(found) or 'none'}")
        return found


@cache
def backend_class() -> Any:
    """Return rnnfast's ``onnx.backend.base.Backend``."""
    import onnx
    from onnx.backend.base import Backend, BackendRep

    class RnnfastBackend(Backend):  # type: ignore[misc]
        @classmethod
        def prepare(cls, model: Any, device: str = "CPU", **options: Any) -> Any:
            _require_cpu(device)
            model = load(model)
            onnx.checker.check_model(model)
            return Representation(model)

        @classmethod
        def run_node(
            cls, node: Any, inputs: Any, device: str = "CPU", outputs_info: Any = None, **options: Any
        ) -> tuple[Any, ...]:
            _require_cpu(device)
            super().run_node(node, inputs, device, outputs_info, **options)
            names = [name for name in node.input if name]
            return tuple(evaluator_class()(node).run(None, dict(zip(names, inputs, strict=True))))

        @classmethod
        def supports_device(cls, device: str) -> bool:
            return supports_device(device)

    class Representation(Prepared, BackendRep):  # type: ignore[misc]
        pass

    return RnnfastBackend


def _require_cpu(device: str) -> None:
    if not supports_device(device):
        raise ValueError(f"device: 'CPU' is required, got {device!r}")


def prepare(model: Any, device: str = "CPU", **options: Any) -> Prepared:
    """Return a graph that is ready to run, its recurrent nodes on rnnfast's layers.

    RNN, GRU and LSTM run with every attribute of the specification; all other nodes run by onnx's
    ``ReferenceEvaluator``. A sequence of length 0 keeps its initial state.

    Parameters
    ----------
    model : ModelProto, bytes, or path
        Opset 7 or above. It must not change afterwards.
    device : str
        "CPU".
    options
        None are known; onnx's tests pass some.

    Returns
    -------
    Prepared
        Its ``run(inputs)`` takes a dict of arrays by name, or a list of them in the graph's order, and returns a tuple
        of all outputs.

    Raises
    ------
    ImportError
        onnx is not installed.
    ValueError
        An attribute has a value that the specification does not define.
    onnx.checker.ValidationError
        The model is no valid ONNX.

    Examples
    --------
    >>> from rnnfast.interop.onnx import prepare
    >>> outputs = prepare("model.onnx").run({"x": x})  # doctest: +SKIP
    """
    prepared: Prepared = backend_class().prepare(model, device, **options)
    return prepared


def run_model(model: Any, inputs: Any, device: str = "CPU", **options: Any) -> tuple[Any, ...]:
    """Return the outputs of a graph for ``inputs``; see ``prepare``, whose ``run`` is faster the second time."""
    return prepare(model, device, **options).run(inputs)


def run_node(
    node: Any, inputs: Sequence[Any], device: str = "CPU", outputs_info: Any = None, **options: Any
) -> tuple[Any, ...]:
    """Return the outputs of a single node.

    Parameters
    ----------
    node : NodeProto
        Of any operator.
    inputs : sequence of arrays
        Those that the node names, in its order; none for an input that it leaves out.
    device : str
        "CPU".
    outputs_info, options
        Of onnx's interface; they are not needed.
    """
    found: tuple[Any, ...] = backend_class().run_node(node, inputs, device, outputs_info, **options)
    return found


def supports_device(device: str) -> bool:
    """Return whether graphs run on a device: only on "CPU"."""
    return device.split(":")[0] == "CPU"
