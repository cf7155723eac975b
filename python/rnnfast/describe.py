"""What a module says of itself: the options that differ from their defaults, and its table for notebooks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

import numpy as np


def changed_options(constructor: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a constructor whose values differ from their defaults, in the order of its signature.

    Arguments without a default (sizes) and the seed are left out, as is whatever is no argument.

    Parameters
    ----------
    constructor : class
        Its signature has the defaults.
    given : mapping of str to object
        Values by name, as ``locals()`` within the constructor has them. NumPy's scalars become Python's, and lists
        become tuples.

    Examples
    --------
    >>> def layer(size, bias=True, zoneout=(0, 0), seed=None): ...
    >>> changed_options(layer, {"size": 3, "bias": np.True_, "zoneout": [0.5, 0], "seed": 1})
    {'zoneout': (0.5, 0)}
    """
    options = {
        name: (p.default, _plain(given[name]))
        for name, p in inspect.signature(constructor).parameters.items()
        if p.default is not p.empty and name != "seed" and name in given
    }
    return {name: value for name, (default, value) in options.items() if value != default}


def required_arguments(constructor: Callable[..., Any]) -> list[str]:
    """Return the names of the arguments that a constructor cannot do without.

    Examples
    --------
    >>> def layer(size, bias=True): ...
    >>> required_arguments(layer)
    ['size']
    """
    found = inspect.signature(constructor).parameters.values()
    return [p.name for p in found if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def option_list(options: Mapping[str, Any]) -> str:
    """Return options as they stand in a call, each after a comma.

    Examples
    --------
    >>> option_list({"clip": 3.0, "cell": "gru"})
    ", clip=3.0, cell='gru'"
    """
    return "".join(f", {name}={value!r}" for name, value in options.items())


def layer_call(layer: Any, *first: object) -> str:
    """Return the call of a recurrent layer with its ``options``, after the arguments that stand ``first``.

    Examples
    --------
    >>> import rnnfast as rf
    >>> layer_call(rf.LSTM(3, 5, peephole=True), 3, 5)
    'LSTM(3, 5, num_layers=1, peephole=True, dtype=float32)'
    """
    others = {name: value for name, value in layer.options.items() if name not in ("num_layers", "dtype")}
    sizes = ", ".join(map(str, first))
    return f"{type(layer).__name__}({sizes}, num_layers={layer.num_layers}{option_list(others)}, dtype={layer.dtype})"


def html_table(caption: str, rows: Iterable[tuple[str, ...]], footer: str) -> str:
    """Return a table in HTML that needs nothing from elsewhere; all texts are escaped.

    Examples
    --------
    >>> html_table("<a>", [("w", "(2,)")], "2 parameters")
    '<table><caption>&lt;a&gt;</caption><tr><td>w</td><td>(2,)</td></tr></table><p>2 parameters</p>'
    """
    cells = ["".join(f"<td>{escape(text)}</td>" for text in row) for row in rows]
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table><caption>{escape(caption)}</caption>{body}</table><p>{escape(footer)}</p>"


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return tuple([_plain(each) for each in value]) if isinstance(value, list | tuple) else value
