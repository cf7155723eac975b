"""An ONNX graph in the making."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast._ops import __version__
from rnnfast.atomic import StrPath, replacing

Array = npt.NDArray[Any]

# The first with every operator that is used here: runtimes of many years read such files.
OPSET, IR_VERSION = 17, 8


class Graph:
    """Nodes, arrays, inputs and outputs under their names.

    Parameters
    ----------
    name : str
        The graph's.
    dtype : numpy dtype
        Of its real numbers.
    """

    def __init__(self, name: str, dtype: np.dtype[Any]) -> None:
        self.name = name
        self.dtype = dtype
        self._nodes: list[Any] = []
        self._arrays: dict[str, Any] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(self, name: str, shape: Sequence[str | int], dtype: npt.DTypeLike | None = None) -> str:
        """Add an input, of the graph's dtype by default, and return its name."""
        self._inputs.append(self._value(name, shape, dtype))
        return name

    def output(self, name: str, value: str, shape: Sequence[str | int], dtype: npt.DTypeLike | None = None) -> None:
        """Make a value an output under this name."""
        from onnx import helper

        self._nodes.append(helper.make_node("Identity", [value], [name], name=f"output {name}"))
        self._outputs.append(self._value(name, shape, dtype))

    def array(self, name: str, values: npt.ArrayLike) -> str:
        """Store an array and return its name; real numbers get the graph's dtype."""
        from onnx import numpy_helper

        array = np.asarray(values)
        array = array.astype(self.dtype) if array.dtype.kind == "f" else array
        if name not in self._arrays:
            self._arrays[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def integers(self, *values: int) -> str:
        """Store integers as an int64 array and return its name."""
        return self.array(f"integers {' '.join(map(str, values))}", np.array(values, np.int64))

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its only output."""
        return self.nodes(op, inputs, 1, **attributes)[0]

    def nodes(self, op: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """Add a node and return the names of its ``outputs``."""
        from onnx import helper

        name = f"{op} {len(self._nodes)}"
        names = [f"{name} out {k}" if outputs > 1 else f"{name} out" for k in range(outputs)]
        self._nodes.append(helper.make_node(op, list(inputs), names, name=name, **attributes))
        return names

    def save(self, path: StrPath, metadata: Mapping[str, str]) -> str:
        """Check the graph, write it to a file, completely or not at all, and return the path.

        Raises
        ------
        OSError
            The file cannot be written.
        ValueError
            The model has more than the 2 GB that a file can hold.
        """
        import onnx
        from onnx import helper

        stored = list(self._arrays.values())
        graph = helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, initializer=stored)
        model = helper.make_model(
            graph,
            producer_name="rnnfast",
            producer_version=__version__,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        if metadata:
            helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        with replacing(path) as file:
            file.write(model.SerializeToString())
        return os.fsdecode(path)

    def _value(self, name: str, shape: Sequence[str | int], dtype: npt.DTypeLike | None) -> Any:
        from onnx import helper

        kind = helper.np_dtype_to_tensor_dtype(self.dtype if dtype is None else np.dtype(dtype))
        return helper.make_tensor_value_info(name, kind, list(shape))
