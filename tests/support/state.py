"""Global state of the process: chosen for the length of a block, and the same after a test as before it."""

from __future__ import annotations

import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import rnnfast as rf
from rnnfast import _core
from rnnfast._core import testing


@contextmanager
def using_isa(name: str) -> Iterator[None]:
    """Compute with this instruction set."""
    before = testing.get_isa()
    testing.set_isa(name)
    try:
        yield
    finally:
        testing.set_isa(before)


@contextmanager
def forced_split(units: bool) -> Iterator[None]:
    """Share every layer among the threads by hidden units, else by sequences, whatever it costs."""
    before = testing.forced_split()
    testing.force_split(units)
    try:
        yield
    finally:
        testing.force_split(before)


@contextmanager
def forced_lanes(lanes: bool) -> Iterator[None]:
    """Take sequences in the lanes of vectors in every layer that can, or in none, whatever it costs."""
    before = testing.forced_lanes()
    testing.force_lanes(lanes)
    try:
        yield
    finally:
        testing.force_lanes(before)


@contextmanager
def one_way_panels() -> Iterator[None]:
    """Read the panels of the weights in the same order at every step."""
    before = testing.one_way_panels()
    testing.set_one_way_panels(True)
    try:
        yield
    finally:
        testing.set_one_way_panels(before)


def numpy_random() -> tuple[Any, ...]:
    name, key, *rest = np.random.get_state(legacy=True)  # noqa: NPY002
    return (name, np.asarray(key).tobytes(), *rest)


def set_numpy_random(value: tuple[Any, ...]) -> None:
    name, key, *rest = value
    np.random.set_state((name, np.frombuffer(key, np.uint32), *rest))  # noqa: NPY002


def environment() -> dict[str, str]:
    """Without the variable in which pytest tells the phase of a test."""
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


def set_environment(values: dict[str, str]) -> None:
    for name in environment().keys() - values.keys():
        del os.environ[name]
    os.environ.update(values)


def set_filters(values: list[Any]) -> None:
    warnings.filters[:] = values  # type: ignore[index]


# How each part is read and written. The legacy generator of NumPy is here because a test must not touch it.
STATE: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "threads": (rf.get_num_threads, rf.set_num_threads),
    "source of threads": (_core.thread_source, _core.set_thread_source),
    "instruction set": (testing.get_isa, testing.set_isa),
    "forced split": (testing.forced_split, testing.force_split),
    "forced lanes": (testing.forced_lanes, testing.force_lanes),
    "one-way panels": (testing.one_way_panels, testing.set_one_way_panels),
    "random numbers of NumPy": (numpy_random, set_numpy_random),
    "random numbers of Python": (random.getstate, random.setstate),
    "floating-point errors": (np.geterr, lambda value: np.seterr(**value)),
    "print options": (np.get_printoptions, lambda value: np.set_printoptions(**value)),
    "environment": (environment, set_environment),
    "working directory": (os.getcwd, os.chdir),
    "import path": (sys.path.copy, lambda value: sys.path.__setitem__(slice(None), value)),
    "warning filters": (lambda: list(warnings.filters), set_filters),
    "switch interval": (sys.getswitchinterval, sys.setswitchinterval),
    "handler of SIGINT": (lambda: signal.getsignal(signal.SIGINT), lambda value: signal.signal(signal.SIGINT, value)),
}


@contextmanager
def unchanged(*, excused: Callable[[], Collection[str]] = tuple) -> Iterator[None]:
    """Restore :data:`STATE` after the block, and fail where it has left any of it changed that is not excused then."""
    before = {name: read() for name, (read, _) in STATE.items()}
    yield
    changed = []
    for name, (read, write) in STATE.items():
        if read() != before[name]:
            changed.append(name)
            write(before[name])
    changed = [name for name in changed if name not in excused()]
    assert not changed, f"global state is left changed: {', '.join(changed)}"
