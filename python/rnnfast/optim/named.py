"""Parameters by name, from what users give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rnnfast.checks import as_items
from rnnfast.params import Parameter

Params = Mapping[str, Parameter] | Iterable[Parameter]


def named_params(params: Params) -> dict[str, Parameter]:
    """Return ``params`` as a dict; the parameters of an iterable are named "0", "1" and so on."""
    if isinstance(params, Parameter):
        raise TypeError("params: a dict or an iterable of Parameter is required, got a single Parameter")
    if hasattr(params, "parameters"):
        name = type(params).__name__
        raise TypeError(
            f"params: a dict or an iterable of Parameter is required, such as {name}.parameters(), got {name}"
        )
    items = params if isinstance(params, Mapping) else as_items("params", params)
    named = dict(items) if isinstance(items, Mapping) else {str(i): p for i, p in enumerate(items)}
    for name, p in named.items():
        if not isinstance(p, Parameter):
            raise TypeError(f"params[{name!r}]: a Parameter is required, got {type(p).__name__}")
    return named
