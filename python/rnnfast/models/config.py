"""The configuration of a model: the constructor's arguments, checked, in the form that a file can hold."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from rnnfast import checks
from rnnfast.layers import GRU, LSTM, RNN, CustomCell, CustomLayer
from rnnfast.losses import FunctionLoss
from rnnfast.tasks import Task, as_task, task_config
from rnnfast.text import as_vocabulary

Config: TypeAlias = dict[str, Any]

CELLS: dict[str, Any] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
ATTENTION = ("additive", "dot")
SIZES = {"input_size", "source_size", "target_size", "hidden_size", "num_layers"}
OPTIONAL_SIZES = {"output_size", "embedding", "context_size", "source_embedding", "target_embedding"}
# The vocabularies that a model may have, each with the size that it stands for.
VOCABULARIES = {"vocabulary": "input_size", "source_vocabulary": "source_size", "target_vocabulary": "target_size"}
# What JSON holds, with NumPy's forms of it; bool before int, of which it is a kind.
PLAIN: dict[type, tuple[type, ...]] = {bool: (np.bool_,), int: (np.integer,), float: (np.floating,), str: ()}

# Options of a layer that a model chooses, and what stands for them.
OWNED = {
    "input_size": "the model's own argument input_size or embedding",
    **{
        name: f"the model's own argument {name}"
        for name in ("hidden_size", "num_layers", "bidirectional", "dropout", "dtype", "seed")
    },
    "time_major": "a model reads arrays batch-first, (N, T, C)",
}


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """A head: its task, the size of its targets, and the weight of its loss in the sum."""

    task: Task
    size: int
    loss_weight: float = 1.0


def checked(arguments: Mapping[str, Any]) -> Config:
    """Return a constructor's arguments, its ``locals()``, as JSON can hold them, sizes and dtype checked.

    The loss becomes a part of the task, which learns by it.
    """
    known = {name: value for name, value in arguments.items() if name not in ("self", "__class__")}
    for name in VOCABULARIES.keys() & known.keys():
        _describe_vocabulary(known, name)
    for name in sorted(SIZES & known.keys()):
        known[name] = checks.as_size(name, known[name])
    for name in sorted(OPTIONAL_SIZES & known.keys()):
        known[name] = None if known[name] is None else checks.as_size(name, known[name])
    for name in ("start", "stop"):
        if known.get(name) is not None:
            known[name] = checks.as_integer(name, known[name])
    if known.get("attention") is not None:
        known["attention"] = checks.as_choice("attention", known["attention"], ATTENTION, others=" or None")
    known["bidirectional"] = checks.as_flag("bidirectional", known["bidirectional"])
    known["cell"] = cell_name(known["cell"])
    for name in ("dropout", "output_dropout"):
        known[name] = checks.as_probability(name, known[name])
    known["activity_l2"] = checks.at_least_zero("activity_l2", known["activity_l2"])
    _check_heads(known)
    known["dtype"] = checks.as_dtype(known["dtype"]).name
    known["seed"] = checks.as_seed(known["seed"])
    known["cell_options"] = checked_cell_options(known)
    return {name: plain(name, value) for name, value in known.items()}


def heads_of(config: Config) -> dict[str, HeadConfig]:
    """Return the heads that a checked configuration describes; a single one has the name ""."""
    if config.get("outputs") is None:
        return {"": HeadConfig(task=as_task("task", config["task"]), size=config["output_size"])}
    tasks, weights = config["task"], config["loss_weights"] or {}
    return {
        name: HeadConfig(task=as_task("task", tasks[name]), size=size, loss_weight=weights.get(name, 1.0))
        for name, size in config["outputs"].items()
    }


def _describe_vocabulary(known: Config, name: str) -> None:
    """Put what a file keeps in the place of a vocabulary, and its size in that of the argument it stands for."""
    found, size = as_vocabulary(name, known[name]), VOCABULARIES[name]
    if found is None:
        return
    if known[size] is not None and checks.as_size(size, known[size]) != len(found):
        raise ValueError(f"{size}: None, or len({name}) = {len(found)}, is required beside it, got {known[size]}")
    known |= {name: found.config(), size: len(found)}


def _check_heads(known: Config) -> None:
    """Check outputs, task, loss and loss_weights, and give every head a task of its own."""
    outputs, loss = known.get("outputs"), known.pop("loss")
    if outputs is None:
        if known.get("loss_weights") is not None:
            raise ValueError("loss_weights: None is required without outputs, got some")
        if "outputs" in known and known["output_size"] is None:
            raise ValueError("output_size: a size is required, or outputs={name: size, ...}, got None")
        known["task"] = task_config(as_task("task", known["task"], loss))
        return
    if known["output_size"] is not None:
        raise ValueError(f"output_size: None is required beside outputs, got {known['output_size']}")
    names = checks.as_mapping("outputs", outputs)
    for name in names:
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"outputs: names that are identifiers are required, got {checks.shown(name)}")
    if not names:
        raise ValueError("outputs: at least one head is required, got none")
    names = dict(sorted(names.items()))  # the order in which a file gives them back
    known["outputs"] = {name: checks.as_size(f"outputs[{name!r}]", size) for name, size in names.items()}
    known["task"] = _tasks(known["task"], loss, names)
    if known["loss_weights"] is not None:
        given = checks.as_mapping("loss_weights", known["loss_weights"])
        _check_names("loss_weights", given, names, all_of_them=False)
        known["loss_weights"] = {
            name: checks.at_least_zero(f"loss_weights[{name!r}]", weight) for name, weight in given.items()
        }


def _tasks(tasks: Any, losses: Any, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of each head's task, given one task and one loss of all heads, or dicts by head."""
    chosen: dict[str, dict[str, tuple[str, Any]]] = {}
    for argument, given in (("task", tasks), ("loss", losses)):
        chosen[argument] = {name: (argument, given) for name in names}
        if isinstance(given, Mapping) and "name" not in given:
            _check_names(argument, given, names, all_of_them=argument == "task")
            chosen[argument] = {name: (f"{argument}[{name!r}]", given.get(name)) for name in names}
    return {name: task_config(as_task(*chosen["task"][name], chosen["loss"][name][1])) for name in names}


def _check_names(argument: str, given: Mapping[Any, Any], heads: Mapping[str, Any], *, all_of_them: bool) -> None:
    for name in given:
        if name not in heads:
            raise ValueError(f"{argument}: names of heads ({', '.join(heads)}) are required, got {checks.shown(name)}")
    missing = [name for name in heads if name not in given]
    if all_of_them and missing:
        raise ValueError(f"{argument}: an entry for every head is required, got none for {', '.join(missing)}")


def plain(name: str, value: Any) -> Any:
    """Return an option in the form that it has after a model's file, or TypeError where a file cannot hold it.

    NumPy's scalars become Python's, and lists become tuples. A loss that is a function stays: no file can hold it.

    Examples
    --------
    >>> plain("zoneout", [np.float32(0.5), 0])
    (0.5, 0)
    """
    if value is None or isinstance(value, FunctionLoss):
        return value
    for kind, others in PLAIN.items():
        if isinstance(value, (kind, *others)):
            return kind(value)
    if isinstance(value, list | tuple):
        return tuple([plain(f"{name}[{i}]", each) for i, each in enumerate(value)])
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {str(key): plain(f"{name}[{key!r}]", each) for key, each in value.items()}
    kinds = "None, bool, int, float, str, and lists or dicts by str of them"
    raise TypeError(f"{name}: what a model's file can hold is required ({kinds}), got {type(value).__name__}")


def checked_cell_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the cell, of which none may be the model's own and all must be the cell's."""
    given = config["cell_options"]
    if given is None:
        return {}
    given = checks.as_mapping("cell_options", given)
    cls = cell_class(config["cell"])
    accepted = inspect.signature(cls).parameters
    for name in given:
        if cls in CELLS.values() and name in OWNED:
            wanted = f"options of the layer alone are required ({name}: {OWNED[name]})"
            raise ValueError(f"cell_options: {wanted}, got {name!r}")
        if name not in accepted and not any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
            near = checks.suggestion(name, set(accepted) - OWNED.keys())
            raise TypeError(f"cell_options: an option of {cls.__name__} is required, got {name!r}{near}")
    return dict(given)


def cell_name(cell: str | type[CustomCell]) -> str:
    """Return the name under which a model's configuration knows a cell; ValueError where nothing has it."""
    name: Any = cell.name if isinstance(cell, type) and issubclass(cell, CustomCell) else cell
    if isinstance(name, str) and name in CustomCell.known:
        return str(name)
    return checks.as_choice("cell", name, CELLS, others=" or a CustomCell")


def cell_class(name: str) -> type[Any]:
    """Return the layer of a built-in cell, or the class of a custom one: what ``cell_options`` belong to."""
    found: type[Any] = CELLS.get(name) or CustomCell.known[name]
    return found


def make_layer(cell: str, options: Mapping[str, Any], **sizes: Any) -> Any:
    """Return the layer of a cell; ``options`` are those of a built-in layer, or of a custom cell's constructor."""
    if cell in CELLS:
        return CELLS[cell](**sizes, **options)
    return CustomLayer(CustomCell.known[cell](**options), **sizes)
