"""What a sub-command is, and the kinds of values that options take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A sub-command: its line of help, its arguments, and what it does.

    ``run`` returns the exit code. The options that it gets have a function ``refuse``, which ends the command as wrong
    arguments do: with a message, the usage, and the exit code 2.
    """

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def at_least_0(text: str) -> int:
    """Return an integer of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a number >= 0 required, got {text!r}")
    return int(text)


def at_least_1(text: str) -> int:
    """Return an integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number >= 1 required, got {text!r}")
    return int(text)


def above_0(text: str) -> float:
    """Return a number above 0."""
    return _within(text, "a number above 0", 0, float("inf"))


def share(text: str) -> float:
    """Return 0, or a share below 1."""
    return 0.0 if text == "0" else _within(text, "a share within [0, 1)", 0, 1)


def character(text: str) -> str:
    """Return one character, which may be called "tab"."""
    found = {"tab": "\t"}.get(text, text)
    if len(found) != 1:
        raise argparse.ArgumentTypeError(f"one character, or tab, required, got {text!r}")
    return found


def names(text: str) -> list[str]:
    """Return names that commas separate."""
    return [name.strip() for name in text.split(",")]


def _within(text: str, wanted: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low < value < high:
        raise argparse.ArgumentTypeError(f"{wanted} required, got {text!r}")
    return value
