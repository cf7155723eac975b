"""Recurrent modules of an existing model, put on the engine where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch.nn.utils.parametrize import is_parametrized

from rnnfast.interop.torch.forwards import bound_to_engine
from rnnfast.interop.torch.inference import with_shorter_way

_LAYERS = (torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN, torch.nn.LSTMCell, torch.nn.GRUCell, torch.nn.RNNCell)


def accelerate(model: torch.nn.Module) -> torch.nn.Module:
    """Let every RNN, GRU, LSTM and cell of a model compute on the engine, in place.

    The modules stay what they are: their parameters, state_dict, hooks, parametrisations and the optimisers that hold
    the parameters do not change, and ``isinstance`` holds. Their class becomes a subclass of the same name, with a
    ``forward`` of PyTorch's own code in which the computation is the engine's. A subclass of the user's is accelerated
    where its ``forward`` calls ``super().forward``.

    Parameters
    ----------
    model : torch.nn.Module
        A model, or a single layer. What is accelerated already stays so.

    Returns
    -------
    torch.nn.Module
        The model itself.

    Raises
    ------
    TypeError
        If the model is not a ``torch.nn.Module``, or is compiled by ``torch.jit``.
    RuntimeError
        If the code of this version of PyTorch is not as expected.

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.Embedding(9, 3), torch.nn.GRU(3, 5, batch_first=True))
    >>> y, h = accelerate(model)(torch.zeros(2, 7, dtype=torch.int64))
    >>> y.shape, isinstance(model[1], torch.nn.GRU)
    (torch.Size([2, 7, 5]), True)
    """
    for module in _recurrent("accelerate", model):
        _change_class(module, _on_engine)
    return model


def restore(model: torch.nn.Module) -> torch.nn.Module:
    """Undo ``accelerate``, in place.

    Parameters
    ----------
    model : torch.nn.Module
        A model; what is not accelerated stays as it is.

    Returns
    -------
    torch.nn.Module
        The model itself.

    Examples
    --------
    >>> type(restore(accelerate(torch.nn.GRU(3, 5)))) is torch.nn.GRU
    True
    """
    for module in _recurrent("restore", model):
        _change_class(module, _original)
    return model


@contextmanager
def accelerated(model: torch.nn.Module | None = None) -> Iterator[torch.nn.Module | None]:
    """Accelerate a model, or every recurrent module of the process, inside a ``with`` block.

    Parameters
    ----------
    model : torch.nn.Module or None
        Modules that were accelerated before stay so after the block. None changes the ``forward`` of the classes of
        ``torch.nn`` for the length of the block, for all threads.

    Yields
    ------
    torch.nn.Module or None
        The model itself.

    Examples
    --------
    >>> gru = torch.nn.GRU(3, 5)
    >>> with accelerated(gru):
    ...     y, h = gru(torch.zeros(7, 2, 3))
    >>> type(gru) is torch.nn.GRU
    True
    >>> with accelerated():
    ...     y, h = gru(torch.zeros(7, 2, 3))
    """
    if model is None:
        own = {cls: cls.forward for cls in _LAYERS}
        try:
            for cls in own:
                cls.forward = _forward_on_engine(cls)
            yield None
        finally:
            for cls, forward in own.items():
                cls.forward = forward
        return
    changed = [module for module in _recurrent("accelerated", model) if not is_accelerated(module)]
    try:
        yield accelerate(model)
    finally:
        for module in changed:
            _change_class(module, _original)


def is_accelerated(module: torch.nn.Module) -> bool:
    """Return whether a module itself computes on the engine."""
    return hasattr(type(module), "_rnnfast_original")


def _recurrent(name: str, model: torch.nn.Module) -> list[torch.nn.Module]:
    if not isinstance(model, torch.nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise TypeError(f"{name}: a torch.nn.Module that is not compiled is required, got {type(model).__name__}")
    return [module for module in model.modules() if isinstance(module, _LAYERS)]


def _change_class(module: torch.nn.Module, change: Callable[[type], type]) -> None:
    """Change a module's class; of a parametrised module, whose class PyTorch made for it alone, the class below."""
    own: Any = type(module)
    if is_parametrized(module):
        own.__bases__ = (change(own.__bases__[0]),)
    else:
        module.__class__ = change(own)


def _original(cls: Any) -> type:
    original: type = getattr(cls, "_rnnfast_original", cls)
    return original


def _forward_on_engine(layer: Any) -> Callable[..., Any]:
    """Return the forward of a class of ``torch.nn`` with the engine's computation."""
    own = getattr(layer.forward, "__wrapped__", layer.forward)
    return with_shorter_way(bound_to_engine(own), layer)


@cache
def _on_engine(cls: Any) -> type:
    """Return the accelerated subclass of a class."""
    if hasattr(cls, "_rnnfast_original"):
        same: type = cls
        return same
    layer = next(each for each in _LAYERS if issubclass(cls, each))
    members: dict[str, Any] = {"_rnnfast_original": cls, "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    if cls is not layer:
        return type(cls.__name__, (cls, _on_engine(layer)), members)
    members |= {
        "forward": _forward_on_engine(layer),
        "__reduce_ex__": _reduce,
        "__prepare_scriptable__": _not_scriptable,
    }
    return type(cls.__name__, (cls,), members)


def _reduce(module: Any, protocol: Any) -> tuple[Any, ...]:
    """Say how a module is copied and pickled: by its original class, since the accelerated one has no name."""
    state = module.__getstate__() if hasattr(module, "__getstate__") else module.__dict__
    return _new, (_original(type(module)),), state


def _new(cls: type) -> Any:
    accelerated_class: Any = _on_engine(cls)
    return accelerated_class.__new__(accelerated_class)


def _not_scriptable(module: Any) -> Any:
    raise TypeError("torch.jit.script: PyTorch's own modules are required, got an accelerated one; call restore first")
