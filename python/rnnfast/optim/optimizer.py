"""The base of all optimisers."""

from __future__ import annotations

import copy
import math
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import _ops
from rnnfast.arrays import Array, DType
from rnnfast.checks import as_array, as_mapping, as_number, at_least_zero
from rnnfast.copies import CopiedWhole
from rnnfast.optim.groups import Group, Part, as_groups, as_options, listed_groups, parts_of
from rnnfast.optim.named import Params, named_params
from rnnfast.params import Call, Parameter, write
from rnnfast.schedules import Rate, Schedule

Options = dict[str, float]
Updates = list[Call]

_HIGHEST = {np.dtype(name): float(np.finfo(name).max) / 8 for name in ("float32", "float64")}


class Optimizer(CopiedWhole, ABC):
    """Base of optimisers: parameters, options and buffers. ``step`` updates everything in one call of the engine.

    An interrupt therefore comes before or after a step, never within it. Groups with options of their own take one call
    of the engine each, and nothing comes between these.

    A copy or pickle made together with the model, of the tuple ``(model, optimizer)``, is bound to the copied model. A
    copy of the optimiser alone is unbound; it keeps options, buffers and the number of steps, and continues from them
    when it is bound to parameters of the same names and shapes.

    Parameters
    ----------
    params : dict or iterable of Parameter, list of groups, or None
        What is updated. None leaves the optimiser unbound; ``fit`` and ``bind`` bind it.
    groups : list of dict
        Parameters with options of their own.
    lr : float, Schedule or function of steps
        Learning rate, at least 0. The attribute ``lr`` may be changed between steps.
    options
        Further options of the update rule, which the state keeps.

    Attributes
    ----------
    options : dict of str to float
        The options of parameters that are in no group, as the update rule names them.
    groups : list of Group
        With ``lr`` and ``options`` of each group, which may be changed between steps, too.
    epoch : int
        The number of completed epochs, for schedules that count them; ``fit`` sets it.
    """

    rule: str
    """Name of the update rule in the engine's registry, which names its options and buffers."""

    def __init__(self, params: Any, groups: Iterable[Mapping[str, Any]] = (), *, lr: Any, **options: Any) -> None:
        listed = listed_groups(params)
        if listed is not None:
            if groups:
                raise ValueError("groups: none are required beside the groups in params, got some")
            params, groups = listed
        self._rate = Rate("lr", lr)
        self.options = as_options(options)
        self._check(self.options)
        self.groups: list[Group] = as_groups(groups, ["lr", *options])
        self.epoch = 0
        self._params: dict[str, Parameter] | None = None
        self._copied: dict[str, weakref.ref[Parameter]] | None = None
        self._step = np.zeros(1, np.int64)
        self._names: list[str] = []
        self._parts: list[Part] = []
        self._buffers: dict[str, list[Array]] = {}
        if params is not None:
            self.bind(params)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_params": self.params, "_copied": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Refer to the copied parameters weakly, so that they live only where a model was copied too."""
        params = state["_params"] or {}
        vars(self).update(state, _params=None, _copied={name: weakref.ref(p) for name, p in params.items()})

    @property
    def lr(self) -> float:
        """The learning rate of the latest step; at first that of the next one. Set it to a number or a schedule."""
        return self._rate.value

    @lr.setter
    def lr(self, value: float | Schedule | Callable[[int], float]) -> None:
        self._rate = Rate("lr", value)

    @property
    def scheduled(self) -> bool:
        """Whether the learning rate, or that of a group, follows a schedule."""
        return self._rate.schedule is not None or any(g.rate and g.rate.schedule is not None for g in self.groups)

    def end_with(self, *, steps: int, epochs: int) -> None:
        """Let schedules without a length end with a training of that many steps and epochs; ``fit`` calls it."""
        for rate in self._rates():
            rate.end_with(steps=steps, epochs=epochs)

    def scale_lr(self, factor: float, *, least: float = 0.0) -> None:
        """Multiply the learning rate and those of all groups by ``factor``, down to ``least``.

        Parameters
        ----------
        factor : float
            At least 0.
        least : float
            A learning rate that is no larger stays as it is.

        Raises
        ------
        ValueError
            If a learning rate follows a schedule, or a number is out of its range.
        """
        factor, least = at_least_zero("factor", factor), at_least_zero("least", least)
        if self.scheduled:
            raise ValueError("lr: a number is required, which can be scaled, got a schedule")
        for rate in self._rates():
            rate.value = max(rate.value * factor, min(rate.value, least))

    def _rates(self) -> list[Rate]:
        return [self._rate, *(group.rate for group in self.groups if group.rate is not None)]

    @property
    def params(self) -> dict[str, Parameter] | None:
        """The parameters by name; None while the optimiser is unbound."""
        if self._copied is not None:
            found = {name: p for name, reference in self._copied.items() if (p := reference()) is not None}
            self._params = found if found and len(found) == len(self._copied) else None
            self._copied = None
        return self._params

    def bind(self, params: Params) -> None:
        """Bind the optimiser to ``params``: ``step`` then updates them.

        Buffers are zeros, or those that a copy brought along. An optimiser that is bound already, to all of ``params``
        or to some of them, stays bound to these.

        Parameters
        ----------
        params : dict or iterable of Parameter
            What is updated.

        Raises
        ------
        ValueError
            If there are no parameters, the optimiser is bound to others, or its copied buffers belong to others.
        TypeError
            If something else than a parameter is given.
        """
        named = named_params(params)
        bound = self.params
        if bound is not None:
            given = {id(p) for p in named.values()}
            if not all(id(p) in given for p in bound.values()):
                raise ValueError("optimizer: one bound to this model, or an unbound one, is required, got another's")
            return
        if not named:
            raise ValueError("params: at least one parameter is required, got none")
        if self._names:
            named = self._of_state(named)
        parts = parts_of(named, self.groups)
        for part in parts:
            self._check(self._options_of(part))
        if not self._names:
            self._buffers = {
                name: [np.zeros(p.shape, p.dtype) for p in named.values()]
                for name in _ops.OPTIMIZERS[self.rule].buffers
            }
        self._names, self._params, self._parts = list(named), named, parts

    def _of_state(self, named: dict[str, Parameter]) -> dict[str, Parameter]:
        """Return the parameters that the buffers of a copied optimiser belong to, in the buffers' order."""
        buffers = next(iter(self._buffers.values()))
        known = dict(zip(self._names, buffers, strict=True))
        problems = [
            f"{name} of shape {b.shape} and dtype {b.dtype}"
            for name, b in known.items()
            if name not in named or (named[name].shape, named[name].dtype) != (b.shape, b.dtype)
        ]
        if problems:
            raise ValueError(f"params: those of the optimizer's state are required, got none for {problems[0]}")
        return {name: named[name] for name in known}

    def step(self) -> None:
        """Update every parameter from its ``grad``.

        Raises
        ------
        FloatingPointError
            If a gradient is not finite, or a parameter would not be finite after the step. Nothing is changed then.
        RuntimeError
            If the optimiser is unbound.
        """
        params = self._bound()
        for p in params.values():
            p.drop_held_grad()
        if self.groups or self._rate.schedule is not None:
            for rate in self._rates():
                rate.move(step=int(self._step[0]), epoch=self.epoch)
        values, grads = [p._data for p in params.values()], [p.grad for p in params.values()]
        options = [self._options_of(part) for part in self._parts]
        largest = self._largest(values, grads, options)
        updates = self._updates(values, grads, options)
        if not largest < self._limit(largest, values[0].dtype, options):
            updates = [partial(self._run_or_restore, updates, values)]
        write(params.values(), updates)

    def _updates(self, values: list[Array], grads: list[Array], options: list[Options]) -> Updates:
        """Return the calls of a step, one for each part, which update values, buffers and the number of steps."""
        buffers = [self._buffers[name] for name in _ops.OPTIMIZERS[self.rule].buffers]
        if len(self._parts) == 1:
            return [_ops.update_call(self.rule, values, grads, buffers, self._read(options[0]), self._step)]
        steps = [*(self._step.copy() for _ in self._parts[1:]), self._step]
        updates = []
        for part, own, step in zip(self._parts, options, steps, strict=True):
            chosen = [[arrays[i] for i in part.places] for arrays in (values, grads, *buffers)]
            updates.append(_ops.update_call(self.rule, chosen[0], chosen[1], chosen[2:], self._read(own), step))
        return updates

    def _options_of(self, part: Part) -> Options:
        """Return the options of a part; where groups differ, the later one decides."""
        options = {"lr": self._rate.value, **self.options}
        for i in part.groups:
            options |= self.groups[i].numbers()
        return options

    def _largest(self, values: list[Array], grads: list[Array], options: list[Options]) -> float:
        """Return a bound of gradients (with weight decay), values and buffers; an error unless gradients are finite."""
        gradients = _ops.squared_norm(grads)
        if not math.isfinite(gradients):
            for name, g in zip(self._names, grads, strict=True):
                if not np.isfinite(g).all():
                    raise FloatingPointError(f"grad: finite numbers are required, got others in that of {name}")
        others = _ops.squared_norm([*values, *chain.from_iterable(self._buffers.values())])
        decay = 1 + max([own.get("weight_decay", 0.0) for own in options])
        return decay * math.sqrt(gradients + others)

    def _limit(self, largest: float, dtype: DType, options: list[Options]) -> float:
        """Return a magnitude below which neither a square nor a step can leave the dtype's range."""
        highest = _HIGHEST[dtype]
        reach = max([self._reach(own, largest) for own in options])
        return math.sqrt(highest) if reach < highest else 0.0

    def _run_or_restore(self, updates: Updates, values: list[Array]) -> None:
        """Update; restore everything where a number is not finite afterwards."""
        own = [array for arrays in self._buffers.values() for array in arrays]
        kept = [(array, array.copy()) for array in (*values, *own, self._step)]
        try:
            with np.errstate(all="ignore"):
                for update in updates:
                    update()
            for name, value, (_, before) in zip(self._names, values, kept, strict=False):
                if not np.isfinite(before).all():
                    raise FloatingPointError(f"{name}: finite values are required before a step, got others")
                if not np.isfinite(value).all():
                    raise FloatingPointError(
                        f"lr: a learning rate is required with which parameters stay finite, got {self.lr:g}, "
                        f"which overflows {name}"
                    )
            if not all(np.isfinite(array).all() for array in own):
                raise FloatingPointError("grad: numbers are required whose squares are finite, got larger ones")
        except BaseException:
            for array, before in kept:
                array[...] = before
            raise

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for p in self._bound().values():
            p.grad[...] = 0

    def state_dict(self) -> dict[str, Array]:
        """Return options, number of steps and buffers as a flat dict of arrays.

        Raises
        ------
        RuntimeError
            If the optimiser is unbound.
        """
        params = self._bound()
        state = {name: np.asarray(value) for name, value in self._named_options().items()}
        state["step"] = self._step.copy()
        for name, arrays in self._buffers.items():
            state.update({f"{name}.{key}": a.copy() for key, a in zip(params, arrays, strict=True)})
        return state

    def load_state_dict(self, state: Mapping[str, npt.ArrayLike]) -> None:
        """Replace options, number of steps and buffers by those of another optimiser; schedules stay.

        Parameters
        ----------
        state : mapping of str to array_like
            What ``state_dict`` of an optimiser of the same class and parameters returned.

        Raises
        ------
        ValueError
            If an entry is missing or unexpected, or a shape differs. Nothing is changed then.
        RuntimeError
            If the optimiser is unbound.
        """
        own = self.state_dict()
        new = {name: as_array(str(name), value) for name, value in as_mapping("state", state).items()}
        problems = [f"missing {name}" for name in own if name not in new]
        problems += [f"unexpected {name}" for name in new if name not in own]
        problems += [
            f"{name} of shape {new[name].shape} instead of {own[name].shape}"
            for name in own
            if name in new and new[name].shape != own[name].shape
        ]
        if problems:
            raise ValueError(f"state: the entries of this optimiser are required, got {'; '.join(problems)}")
        options = {
            name: (at_least_zero if name.endswith(".lr") else as_number)(name, new[name])
            for name in self._named_options()
        }
        buffers = {
            name: [new[f"{name}.{key}"].astype(a.dtype) for key, a in zip(self._bound(), arrays, strict=True)]
            for name, arrays in self._buffers.items()
        }
        rate, groups = copy.copy(self._rate), [copy.copy(group) for group in self.groups]
        rate.value = options["option.lr"]
        for i, group in enumerate(groups):
            group.take({name: options[f"group.{i}.{name}"] for name in group.numbers()})
        vars(self).update(
            _step=new["step"].astype(np.int64),
            _rate=rate,
            options={name: options[f"option.{name}"] for name in self.options},
            groups=groups,
            _buffers=buffers,
        )

    def _named_options(self) -> Options:
        """Return the options of the optimiser and of its groups, under their names in the state."""
        own = {f"option.{name}": value for name, value in {"lr": self.lr, **self.options}.items()}
        for i, group in enumerate(self.groups):
            own |= {f"group.{i}.{name}": value for name, value in group.numbers().items()}
        return own

    def _check(self, options: Options) -> None:
        """Raise ValueError where options contradict each other."""

    def _read(self, options: Options) -> Options:
        """Return the numbers that the engine's rule reads."""
        return options

    @abstractmethod
    def _reach(self, options: Options, largest: float) -> float:
        """Return an upper bound of what a step with these options, ``lr`` included, adds to any value.

        ``largest`` is a bound of gradients (with weight decay), values and buffers.
        """

    def _bound(self) -> dict[str, Parameter]:
        params = self.params
        if params is None:
            raise RuntimeError("optimizer: parameters are required (pass params=, or let fit bind it), got none")
        return params
