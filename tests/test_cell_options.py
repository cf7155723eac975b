"""A layer gets the fastest cell that reads all its options: no option is accepted and then ignored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import _ops

N, T, C, H = 3, 4, 2, 5
PARTS = ("w", "r", "b_w", "b_r", "peepholes", "projection", "gamma_ih", "gamma_hh", "gamma_c", "beta_c")


def known(*names: str) -> tuple[tuple[str, float, float], ...]:
    return tuple((name, 1.0, 0.5) for name in names)


def facts(name: str) -> Any:
    """What is true of the cells called so: of the most general one, where the name is a family's."""
    return _ops.Cell(name=name).facts


def outputs(
    name: str,
    arrays: dict[str, Any] | None = None,
    random: tuple[float, ...] = (0.0,) * 6,
    **options: Any,
) -> bytes:
    """Return the bytes of y and of dx of a layer of one cell."""
    rng = np.random.default_rng(0)
    gates, states = facts(name).gates, facts(name).states
    w, r = rng.normal(size=(gates * H, C)), rng.normal(size=(gates * H, H))
    weights = _ops.pack(_ops.Cell(name=name, **options), w, r, **(arrays or {}))
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
    rows = facts(cell).gates * H
    gammas = {"gamma_ih": np.full(rows, 0.5), "gamma_hh": np.full(rows, 0.5)}
    return gammas | ({"gamma_c": np.ones(H), "beta_c": np.zeros(H)} if facts(cell).states > 1 else {})


# What each option does to a call of `outputs`.
OPTIONS: dict[str, Any] = {
    "activations": lambda cell: {"activations": known("softsign", *facts(cell).activations[1:])},
    "clip": lambda _: {"clip": 0.25},
    "leak": lambda _: {"leak": 0.5},
    "peepholes": lambda cell: {"arrays": {"peepholes": np.ones((facts(cell).gates - 1, H))}},
    "zoneout": lambda cell: {"zoneout": (0.25,) * facts(cell).states},
    "norm": lambda cell: {"arrays": norm(cell)},
    "recurrent_dropout": lambda _: {"recurrent_dropout": True, "random": (0.0, 0.0, 0.5, 0.0, 0.0, 0.0)},
}


def test_the_registry_names_the_options() -> None:
    assert {option for cell in _ops.CELLS.values() for option in cell.options} == set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", _ops.CELLS)
def test_an_option_has_an_effect_or_is_refused(name: str, option: str) -> None:
    given = OPTIONS[option](name)
    if option in facts(name).options:
        assert outputs(name, **given) != outputs(name)
        return
    with pytest.raises(ValueError, match=f"^{option}: .* is required by cell '{facts(name).name}', got "):
        outputs(name, **given)


@pytest.mark.parametrize("name", _ops.CELLS)
@pytest.mark.parametrize("option", ["recurrent_dropout", "zoneout"])
def test_a_mask_that_was_not_announced_is_refused_where_it_has_no_effect(name: str, option: str) -> None:
    random = {"recurrent_dropout": (0.0, 0.0, 0.5, 0.0, 0.0, 0.0), "zoneout": (0.0, 0.0, 0.0, 0.0, 0.5, 0.0)}[option]
    if option in _ops.CELLS[name].options:
        assert outputs(name, random=random) != outputs(name)
        return
    with pytest.raises(ValueError, match=f"^{option}: 0 is required by cell '{name}', got 0.5"):
        outputs(name, random=random)


@pytest.mark.parametrize("name", _ops.CELLS)
def test_activations_are_as_many_as_the_cell_has_or_none(name: str) -> None:
    own = facts(name)
    assert outputs(name, activations=known(*own.activations)) == outputs(name)
    for count in set(range(1, 5)) - {len(own.activations)}:
        wanted = f"activations: a tuple of {len(own.activations)} is required by cell '{own.name}', got {count}"
        with pytest.raises(ValueError, match=wanted):
            outputs(name, activations=known(*["tanh"] * count))


@pytest.mark.parametrize("kind", ["tanh", "relu", "identity"])
def test_a_plain_rnn_has_three_activations(kind: str) -> None:
    assert outputs("rnn", activations=known(kind)) == outputs("generic_rnn", activations=known(kind))


@pytest.mark.parametrize("name", [name for name in _ops.CELLS if f"generic_{name}" in _ops.CELLS])
def test_the_fastest_cell_and_the_generic_one_agree(name: str) -> None:
    assert outputs(name) == outputs(f"generic_{name}")


@pytest.mark.parametrize("name", ["", "LSTM", "generic", "generic_"])
def test_another_name_is_refused(name: str) -> None:
    w = np.ones((4 * H, H))
    with pytest.raises(KeyError):
        _ops.pack(_ops.Cell(name=name), w, w)


# Layers, and the cell that each must get.
CHOSEN: list[tuple[Any, dict[str, Any], str]] = [
    *((rf.RNN, {"activation": kind}, "rnn") for kind in ("tanh", "relu", "identity")),
    (rf.RNN, {"noise": 0.1, "dropout": 0.5, "learn_initial_state": True}, "rnn"),
    (rf.RNN, {"activation": "sigmoid"}, "generic_rnn"),
    (rf.RNN, {"clip": 0.5}, "generic_rnn"),
    (rf.RNN, {"recurrent_dropout": 0.5}, "generic_rnn"),
    (rf.RNN, {"leak": 0.5}, "leaky_rnn"),
    (rf.RNN, {"zoneout": 0.5}, "leaky_rnn"),
    (rf.RNN, {"leak": 0.5, "clip": 0.5, "recurrent_dropout": 0.5}, "leaky_rnn"),
    (rf.LSTM, {}, "lstm"),
    (rf.LSTM, {"proj_size": 2, "dropout": 0.5, "bidirectional": True}, "lstm"),
    (rf.LSTM, {"activations": ("sigmoid", "tanh", "tanh")}, "lstm"),
    (rf.LSTM, {"activations": ("sigmoid", "tanh", "relu")}, "generic_lstm"),
    (rf.LSTM, {"clip": 0.5}, "generic_lstm"),
    (rf.LSTM, {"peephole": True}, "generic_lstm"),
    (rf.LSTM, {"recurrent_dropout": 0.5}, "generic_lstm"),
    (rf.LSTM, {"zoneout": (0.0, 0.5)}, "generic_lstm"),
    (rf.LSTM, {"layer_norm": True}, "generic_lstm"),
    (rf.LSTM, {"coupled": True}, "coupled_lstm"),
    (rf.LSTM, {"coupled": True, "peephole": True}, "coupled_lstm"),
    *(
        (rf.GRU, {"reset_after": after, **options}, cell if plain else f"generic_{cell}")
        for after, cell in ((True, "gru"), (False, "gru_before"))
        for plain, options in (
            (True, {}),
            (True, {"layer_norm": True, "dropout": 0.5}),
            (True, {"activations": ("sigmoid", "tanh")}),
            (False, {"activations": ("tanh", "tanh")}),
            (False, {"clip": 0.5}),
            (False, {"zoneout": 0.5}),
            (False, {"layer_norm": True, "clip": 0.5}),
        )
    ),
    (rf.GRU, {"recurrent_dropout": 0.5}, "generic_gru"),
]


@pytest.mark.parametrize(("make", "options", "cell"), CHOSEN, ids=str)
def test_a_layer_gets_the_fastest_cell_that_reads_its_options(make: Any, options: dict[str, Any], cell: str) -> None:
    assert {weights.cell for weights in make(3, 5, num_layers=2, **options).packed()} == {cell}


def test_every_cell_is_the_choice_of_some_layer() -> None:
    assert {cell for *_, cell in CHOSEN} == set(_ops.CELLS)
