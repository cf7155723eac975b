"""Groups: parameters that an optimiser updates with options of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from rnnfast.checks import as_flag, as_items, as_mapping, as_number, at_least_zero, known_arguments, shown
from rnnfast.copies import CopiedWhole
from rnnfast.optim.named import named_params
from rnnfast.params import Parameter
from rnnfast.schedules import Rate

FLAGS = ("nesterov", "centered", "decoupled_weight_decay")


class Group(CopiedWhole):
    """The parameters of a group, and the options in which it differs from the optimiser's own.

    Parameters
    ----------
    place : str
        What messages call the group.
    given : mapping
        As the user gives it: ``params`` and options.
    known : collection of str
        The options that the optimiser's constructor takes, ``lr`` included.

    Attributes
    ----------
    params : list of str or of Parameter
        Patterns; or parameters, which become names when the optimiser is bound.
    options : dict of str to float
        Those that differ, as the update rule names them, but the learning rate.
    rate : Rate or None
        The learning rate, where it differs.
    """

    def __init__(self, place: str, given: Any, known: Iterable[str]) -> None:
        options = dict(as_mapping(place, given))
        if "params" not in options:
            raise ValueError(f"{place}: an entry 'params' is required, got {', '.join(map(str, options)) or 'none'}")
        self.place = place
        self.params = _members(f"{place}['params']", options.pop("params"))
        known_arguments(place, options, known)
        self.rate = Rate(f"{place}['lr']", options.pop("lr")) if "lr" in options else None
        self.options = as_options(options, place)

    @property
    def lr(self) -> float | None:
        """The learning rate of the latest step, or None: the optimiser's."""
        return None if self.rate is None else self.rate.value

    @lr.setter
    def lr(self, value: Any) -> None:
        self.rate = Rate(f"{self.place}['lr']", value)

    def numbers(self) -> dict[str, float]:
        """Return the options that differ, the learning rate included."""
        return self.options if self.rate is None else {"lr": self.rate.value, **self.options}

    def take(self, numbers: Mapping[str, float]) -> None:
        """Replace the options that differ; a schedule of the learning rate stays."""
        if self.rate is not None:
            self.rate.value = numbers["lr"]
        self.options = {name: numbers[name] for name in self.options}

    def name_members(self, named: Mapping[str, Parameter]) -> None:
        """Keep the names of the group's parameters instead of themselves; ValueError where ``named`` lacks one."""
        names, found = {id(p): name for name, p in named.items()}, list[str]()
        for member in self.params:
            if isinstance(member, str):
                if not any(fnmatchcase(name, member) for name in named):
                    wanted = f"the name of a parameter, or a pattern of names, is required ({', '.join(named)})"
                    raise ValueError(f"{self.place}['params']: {wanted}, got {member!r}")
                found.append(member)
            elif id(member) in names:
                found.append(names[id(member)])
            else:
                raise ValueError(f"{self.place}['params']: parameters of the optimizer are required, got another")
        self.params = found

    def holds(self, name: str) -> bool:
        """Return whether the parameter of that name belongs to the group."""
        return any(name == member or fnmatchcase(name, member) for member in self.params)


class Part(NamedTuple):
    """Parameters that are updated with equal options, by their places, and the groups that they belong to."""

    places: list[int]
    groups: tuple[int, ...]


def parts_of(named: Mapping[str, Parameter], groups: Sequence[Group]) -> list[Part]:
    """Return the parts in which parameters are updated: those of the same groups together."""
    for group in groups:
        group.name_members(named)
    found: dict[tuple[int, ...], list[int]] = {}
    for place, name in enumerate(named):
        found.setdefault(tuple(i for i, group in enumerate(groups) if group.holds(name)), []).append(place)
    return [Part(places, of) for of, places in found.items()]


def listed_groups(params: Any) -> tuple[dict[str, Parameter], list[dict[str, Any]]] | None:
    """Return the parameters and groups of PyTorch's form, a list of dicts with ``params``; None for any other form.

    Parameters are named by the number of their group and by their own name, or their number, in it.
    """
    if not isinstance(params, list | tuple) or not params or not all(isinstance(group, Mapping) for group in params):
        return None
    named: dict[str, Parameter] = {}
    groups = [dict(group) for group in params]
    for i, group in enumerate(groups):
        given = group.get("params")
        own = named_params([given] if isinstance(given, Parameter) else given)  # type: ignore[arg-type]
        if {id(p) for p in own.values()} & {id(p) for p in named.values()}:
            raise ValueError("params: every parameter in one group only is required, got one in several")
        named |= {f"{i}.{name}": p for name, p in own.items()}
        group["params"] = own
    return named, groups


def as_groups(groups: Any, known: Iterable[str]) -> list[Group]:
    """Return what the user gives as ``groups``, after checking it."""
    if isinstance(groups, Mapping | str):
        raise TypeError(f"groups: a list of dicts is required, got {shown(groups)}")
    return [Group(f"groups[{i}]", group, known) for i, group in enumerate(as_items("groups", groups))]


def as_options(given: Mapping[str, Any], place: str = "") -> dict[str, float]:
    """Return the options of a constructor or of a group, but ``lr``, as the numbers that the update rule reads."""
    found: dict[str, float] = {}
    for name, value in given.items():
        called = f"{place}[{name!r}]" if place else name
        if name == "betas":
            found["beta1"], found["beta2"] = _betas(called, value)
        elif name in FLAGS:
            found[name] = float(as_flag(called, value))
        else:
            found[name] = as_number(called, value) if name == "dampening" else at_least_zero(called, value)
    return found


def _betas(name: str, value: Any) -> tuple[float, float]:
    both = tuple(as_items(name, value))
    if len(both) != 2:
        raise ValueError(f"{name}: a pair of numbers in [0, 1) is required, got {value}")
    beta1, beta2 = (as_number(name, b, "a pair of numbers in [0, 1)", lambda v: 0 <= v < 1) for b in both)
    return beta1, beta2


def _members(name: str, given: Any) -> list[Any]:
    """Return patterns of names, one or several, or parameters, one or several, as a list."""
    one = isinstance(given, str | Parameter)
    members = [given] if one else list(given.values() if isinstance(given, Mapping) else as_items(name, given))
    if not members or not any(all(isinstance(m, kind) for m in members) for kind in (str, Parameter)):
        raise TypeError(f"{name}: patterns of names, or parameters, are required, got {shown(given)}")
    return members
