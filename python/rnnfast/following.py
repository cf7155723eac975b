"""Process 0 acts for all: it alone has callbacks, bars and files, and the others follow what these change."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from rnnfast.optim import Optimizer
from rnnfast.params import Parameter, write_all
from rnnfast.processes import Processes

_GRADIENT = "on_gradient"


class Running(Protocol):
    """What is alike in all processes of a training; see ``Run``."""

    model: Any
    optimizer: Optimizer
    callbacks: Any
    rng: np.random.Generator | None
    logs: dict[str, float]
    stop: bool
    shows_lr: bool


def begin_alike(processes: Processes, run: Running) -> None:
    """Give all processes the parameters and the random numbers of process 0.

    Raises
    ------
    ValueError
        A process has another model or other options.
    """
    if processes.size == 1:
        return
    params = _parameters(run)
    wanted: dict[str, Any] = {
        name: getattr(run, name) for name in ("epochs", "batches", "steps", "shards", "validated")
    }
    wanted["callbacks"] = len(run.callbacks)
    wanted.update({name: p.shape for name, p in params.items()})
    for rank, own in enumerate(processes.gather(wanted)):
        if own != wanted:
            name = next(name for name in {**own, **wanted} if own.get(name) != wanted.get(name))
            raise ValueError(
                f"communicator: the same call in all processes is required, got {name} = {wanted.get(name)} here and "
                f"{own.get(name)} in process {rank}"
            )
    first: Any = processes.broadcast(
        (
            [p.value for p in params.values()],
            None if run.rng is None else run.rng.bit_generator.state,
            int(np.random.default_rng().integers(2**63)),
        )
    )
    values, order, seed = first
    write_all(params.values(), values)
    if run.rng is not None:
        run.rng.bit_generator.state = order
    if getattr(run.model, "config", {}).get("seed") is None:
        run.model.reseed(np.random.default_rng(seed))


def tell(processes: Processes, run: Running, event: str, act: Callable[[], None]) -> None:
    """Let process 0 ``act`` on an event; the others take over what that changes."""
    if processes.size == 1:
        return act()
    params = _parameters(run)
    before, numbers = [p.version for p in params.values()], _numbers(run.optimizer)
    if processes.leads:
        act()
    written = {name: p.value for (name, p), old in zip(params.items(), before, strict=True) if p.version != old}
    changed: Any = processes.broadcast(
        {
            "run": {"stop": run.stop, "shows_lr": run.shows_lr, "logs": run.logs},
            "parameters": written,
            "optimizer": run.optimizer.state_dict() if _numbers(run.optimizer) != numbers else None,
            "gradients": [p.grad for p in params.values()] if event == _GRADIENT else [],
        }
    )
    if not processes.leads:
        vars(run).update(changed["run"])
        write_all([params[name] for name in changed["parameters"]], changed["parameters"].values())
        if changed["optimizer"] is not None:
            run.optimizer.load_state_dict(changed["optimizer"])
        for p, grad in zip(params.values(), changed["gradients"], strict=False):
            p.grad[...] = grad
    return None


def require_alike(processes: Processes, run: Running) -> None:
    """Raise RuntimeError unless all processes have the same parameters, as they should."""
    if processes.size == 1:
        return
    own = 0
    for p in _parameters(run).values():
        own = zlib.crc32(p.value.tobytes(), own)
    for rank, other in enumerate(processes.gather(own)):
        if other != own:
            raise RuntimeError(
                f"communicator: processes of the same bits are required, got other parameters in process {rank} than "
                f"in {processes.rank} (do their machines have the same data and versions of NumPy?)"
            )


def _numbers(optimizer: Optimizer) -> list[dict[str, float]]:
    """Return what may be changed between steps."""
    groups = [dict(group.numbers()) for group in optimizer.groups]
    return [{"lr": optimizer.lr, **optimizer.options}, *groups]


def _parameters(run: Running) -> dict[str, Parameter]:
    found: dict[str, Parameter] = run.model.parameters()
    return found
