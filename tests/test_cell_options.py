"""A cell reads an option of its layer or refuses it: no option is accepted and then ignored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnfast import _ops

N, T, C, H = 3, 4, 2, 5
GATES = {"rnn": 1, "lstm": 4, "coupled_lstm": 3, "gru": 3, "gru_before": 3}
STATES = {"lstm": 2, "coupled_lstm": 2}
# Activations of each cell where they are chosen at run time; in these tests, those of the papers.
CHOSEN = {
    "rnn": ("tanh",),
    "generic_rnn": ("tanh",),
    "leaky_rnn": ("tanh",),
    "generic_lstm": ("sigmoid", "tanh", "tanh"),
    "coupled_lstm": ("sigmoid", "tanh", "tanh"),
    "generic_gru": ("sigmoid", "tanh"),
    "generic_gru_before": ("sigmoid", "tanh"),
}
PARTS = ("w", "r", "b_w", "b_r", "peepholes", "projection", "gamma_ih", "gamma_hh", "gamma_c", "beta_c")


def shape_of(cell: str) -> str:
    return cell.removeprefix("generic_").removeprefix("leaky_")


def known(*names: str) -> tuple[tuple[str, float, float], ...]:
    return tuple((name, 1.0, 0.5) for name in names)


def outputs(
    name: str,
    arrays: dict[str, Any] | None = None,
    random: tuple[float, ...] = (0.0,) * 6,
    **options: Any,
) -> bytes:
    """Return the bytes of y and of dx of a layer of one cell."""
    rng = np.random.default_rng(0)
    gates, states = GATES[shape_of(name)], STATES.get(shape_of(name), 1)
    cell = _ops.Cell(name=name, gates=gates, **{"activations": known(*CHOSEN.get(name, ())), **options})
    w, r = rng.normal(size=(gates * H, C)), rng.normal(size=(gates * H, H))
    weights = _ops.pack(cell, w, r, **(arrays or {}))
    x, state = rng.normal(size=(N, T, C)), rng.normal(size=(1, N, H))
    c0 = state if states > 1 else None
    y, _, _, tape = _ops.rnn_forward(
        [weights], x, state, c0, None, directions=1, time_major=False, save="all", random=(random, 1, 2)
    )
    assert tape is not None
    given = {"w": w, "r": r} | (arrays or {})
    gradients = [np.zeros_like(given[part]) if part in given else None for part in PARTS]
    dx, *_ = _ops.rnn_backward(tape, rng.normal(size=y.shape), None, None, [gradients])
    assert dx is not None
    return y.tobytes() + dx.tobytes()


def norm(cell: str) -> dict[str, Any]:
    rows = GATES[shape_of(cell)] * H
    gammas = {"gamma_ih": np.full(rows, 0.5), "gamma_hh": np.full(rows, 0.5)}
    return gammas | ({"gamma_c": np.ones(H), "beta_c": np.zeros(H)} if shape_of(cell) in STATES else {})


# What each option does to a call of `outputs`.
OPTIONS: dict[str, Any] = {
    "activations": lambda cell: {"activations": known("softsign", *CHOSEN.get(cell, ("",))[1:])},
    "clip": lambda _: {"clip": 0.25},
    "leak": lambda _: {"leak": 0.5},
    "peepholes": lambda cell: {"arrays": {"peepholes": np.ones((GATES[shape_of(cell)] - 1, H))}},
    "zoneout": lambda cell: {"zoneout": (0.25,) * STATES.get(shape_of(cell), 1)},
    "norm": lambda cell: {"arrays": norm(cell)},
    "random recurrent_dropout": lambda _: {"random": (0.0, 0.0, 0.5, 0.0, 0.0, 0.0)},
    "random zoneout": lambda _: {"random": (0.0, 0.0, 0.0, 0.0, 0.5, 0.0)},
}
# Cells that must read an option, so that a cell that refuses everything is found.
READ = {
    "activations": set(CHOSEN) - {"rnn"},
    "clip": set(CHOSEN) - {"rnn"},
    "leak": {"leaky_rnn"},
    "peepholes": {"generic_lstm", "coupled_lstm"},
    "zoneout": set(CHOSEN) - {"rnn", "generic_rnn"},
    "norm": set(_ops.cells()) - {"lstm"},
    "random recurrent_dropout": set(CHOSEN) - {"rnn", "generic_gru_before"},
    "random zoneout": set(CHOSEN) - {"rnn", "generic_rnn"},
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", _ops.cells())
def test_an_option_has_an_effect_or_is_refused(name: str, option: str) -> None:
    given = OPTIONS[option](name)
    if name in READ[option]:
        assert outputs(name, **given) != outputs(name)
        return
    with pytest.raises(ValueError, match=f"^{option.removeprefix('random ')}: .* is required by cell '{name}', got "):
        outputs(name, **given)


@pytest.mark.parametrize("name", _ops.cells())
def test_activations_are_as_many_as_the_cell_reads(name: str) -> None:
    own = CHOSEN.get(name, ())
    for count in range(5):
        if count == len(own):
            continue
        with pytest.raises(
            ValueError, match=f"activations: a tuple of {len(own)} is required by cell '{name}', got {count}"
        ):
            outputs(name, activations=known(*["tanh"] * count))


@pytest.mark.parametrize("kind", ["tanh", "relu", "identity"])
def test_a_plain_rnn_has_three_activations(kind: str) -> None:
    assert outputs("rnn", activations=known(kind)) == outputs("generic_rnn", activations=known(kind))
