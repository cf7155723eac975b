"""What models that learn from pairs x and y share: reading the user's data, one entry per head, and validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.data import AlignedData, Sequences, VectorData, check_finite, check_steps, hold_out
from rnnfast.models.backbone import Backbone

Array = npt.NDArray[Any]
V = TypeVar("V")
D = TypeVar("D", VectorData, AlignedData)


def read_inputs(backbone: Backbone, x: Any, lengths: npt.ArrayLike | None, *, warns: bool = False) -> Sequences:
    """Check and convert x; numbers that are not finite are an error, or a warning where it ``warns``."""
    found = backbone.input.sequences(x, lengths, "x")
    check_finite("x", found, backbone.dtype, warns=warns)
    check_steps("x", found)
    return found


def by_head(y: Any, heads: Sequence[str]) -> dict[str, tuple[str, Any]]:
    """Return what messages call the targets of each head, and the targets.

    Raises
    ------
    TypeError
        Several heads, and y is no dict.
    ValueError
        Several heads, and y has other keys.
    """
    if list(heads) == [""]:
        return {"": ("y", y)}
    if not isinstance(y, Mapping):
        raise TypeError(f"y: a dict with the keys {', '.join(heads)} is required, got {checks.shown(y)}")
    if set(y) != set(heads):
        raise ValueError(f"y: the keys {', '.join(heads)} are required, got {', '.join(map(str, y)) or 'none'}")
    return {name: (f"y[{name!r}]", y[name]) for name in heads}


def only(values: dict[str, V]) -> V | dict[str, V]:
    """Return the value of a single head, or the dict of several."""
    return values[""] if list(values) == [""] else values


def validation_arguments(given: Any, known: Sequence[str]) -> dict[str, Any]:
    """Return ``validation_data``, a pair or a dict, as arguments of a model's data."""
    if isinstance(given, Mapping):
        checks.known_arguments("validation_data", given, known)
        if not {"x", "y"} <= given.keys():
            raise ValueError(f"validation_data: x and y are required, got {', '.join(given) or 'an empty dict'}")
        return dict(given)
    if not isinstance(given, list | tuple) or len(given) != 2:
        error = ValueError if isinstance(given, list | tuple) else TypeError
        got = f"{len(given)} things" if isinstance(given, list | tuple) else checks.shown(given)
        raise error(f"validation_data: a pair (x, y) or a dict is required, got {got}")
    return {"x": given[0], "y": given[1]}


def training_and_validation(
    read: Callable[..., D],
    x: Any,
    y: Any,
    *,
    batch_size: int,
    validation_data: Any,
    validation_split: float,
    known: Sequence[str],
    tbptt: int | None = None,
    **accompanying: Any,
) -> tuple[D, D | None]:
    """Return the data to train on, and those to validate with.

    Parameters
    ----------
    read : function
        Makes data of x, y, ``batch_size`` and the arguments that accompany them.
    known : sequence of str
        The arguments that ``validation_data`` may have.
    """
    pieces = {} if tbptt is None else {"tbptt": tbptt}
    data = read(x, y, batch_size=batch_size, **pieces, **accompanying)
    data.require_targets("x")
    if validation_data is not None:
        given = {**pieces, **validation_arguments(validation_data, known)}
        validation = read(**given, batch_size=batch_size)
        validation.require_targets("validation_data")
        return data, validation
    if checks.at_least_zero("validation_split", validation_split):
        return hold_out(data, validation_split)
    return data, None


def one_batch(data: D) -> Any:
    """Return all of the data, of which at least one target counts, as one batch."""
    data.require_targets("x")
    return data.whole()


def read_targets(targets: Array, weights: Array | Sequences | None, inputs: Sequences) -> Array:
    """Return the targets of all steps with zeros for numbers of weight 0, which nothing reads."""
    if weights is None or targets.dtype.kind != "f":
        return targets
    each = weights.values if isinstance(weights, Sequences) else np.repeat(weights, inputs.lengths)
    return np.where((each > 0).reshape(-1, *[1] * (targets.ndim - 1)), targets, targets.dtype.type(0))
