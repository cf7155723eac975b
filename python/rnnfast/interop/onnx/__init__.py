"""ONNX: graphs run on rnnfast's layers, become layers and models, and are made of them.

The package ``onnx`` is needed when a function is called, not when this module is imported.
"""

from typing import Any

from rnnfast.interop.onnx.backend import Prepared as Prepared
from rnnfast.interop.onnx.backend import backend_class as _backend_class
from rnnfast.interop.onnx.backend import prepare as prepare
from rnnfast.interop.onnx.backend import run_model as run_model
from rnnfast.interop.onnx.backend import run_node as run_node
from rnnfast.interop.onnx.backend import supports_device as supports_device
from rnnfast.interop.onnx.exporting import to_onnx as to_onnx
from rnnfast.interop.onnx.importing import from_onnx as from_onnx


def __getattr__(name: str) -> Any:
    """Return ``Backend``, an ``onnx.backend.base.Backend``, whose base is imported when it is asked for."""
    if name == "Backend":
        return _backend_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
