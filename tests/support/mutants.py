"""Planted faults: wrong recurrent networks that a comparison with the reference must refuse.

A mutant answers a problem as :func:`comparison.run_reference` does, with one mistake in it. It returns None
for problems where the mistake cannot be made (no second gate, no padding, ...).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from rnnfast import reference
from tests.support.comparison import KINDS, Problem, Result, bundle, collect, gates_of, run_reference

Mutant = Callable[[Problem], Result | None]
MUTANTS: dict[str, Mutant] = {}


def mutant(f: Mutant) -> Mutant:
    """Register a mutant under its function's name."""
    MUTANTS[f.__name__] = f
    return f


def with_params(problem: Problem, change: Callable[[str, np.ndarray], np.ndarray]) -> Result:
    """Solve the problem with other parameters."""
    return run_reference(replace(problem, params={n: change(n, p) for n, p in problem.params.items()}))


def solve(problem: Problem, edit: Callable[[reference.Tape], reference.Tape], **options: Any) -> Result:
    """Solve the problem, with the tape changed between forward and backward."""
    kind, choice = KINDS[problem.cell]
    state = None if problem.state is None else bundle(problem.state)
    choice = {"lengths": problem.lengths, "resets": problem.resets, **choice, **options}
    y, last, tape = reference.forward(kind, problem.params, problem.x, state, **choice)
    dx, dfirst, grads = reference.backward(edit(tape), problem.dy, bundle(problem.dstate))
    return collect(y, last, dx, dfirst, grads)


def edit_scans(**changes: Callable[[Any], Any]) -> Callable[[reference.Tape], reference.Tape]:
    """An edit that replaces fields of every scan by functions of the scan."""

    def edit(tape: reference.Tape) -> reference.Tape:
        scans = [replace(s, **{name: f(s) for name, f in changes.items()}) for s in tape.scans]
        return replace(tape, scans=scans)

    return edit


def blocks(problem: Problem, value: np.ndarray) -> list[np.ndarray]:
    """A parameter cut into its gates."""
    return np.split(value.copy(), gates_of(problem.cell))


def swap_gates(problem: Problem, first: int, second: int) -> Result | None:
    """Two gates exchanged in every parameter and every gradient, so that only their meaning is wrong."""
    if max(first, second) >= gates_of(problem.cell):
        return None

    def exchange(_: str, value: np.ndarray) -> np.ndarray:
        parts = blocks(problem, value)
        parts[first], parts[second] = parts[second], parts[first]
        return np.concatenate(parts)

    result = with_params(problem, exchange)
    return result | {name: exchange(name, result[name]) for name in problem.params}


for pair in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]:
    MUTANTS[f"gates_{pair[0]}_and_{pair[1]}_swapped"] = partial(swap_gates, first=pair[0], second=pair[1])


@mutant
def gates_swapped_in_gradients(problem: Problem) -> Result | None:
    if gates_of(problem.cell) == 1:
        return None
    result = run_reference(problem)
    return result | {n: np.concatenate(blocks(problem, result[n])[::-1]) for n in problem.params}


@mutant
def recurrent_weights_transposed(problem: Problem) -> Result | None:
    def transpose(name: str, value: np.ndarray) -> np.ndarray:
        return np.concatenate([b.T for b in blocks(problem, value)]) if "weight_hh" in name else value

    return with_params(problem, transpose)


@mutant
def gradient_of_recurrent_weights_transposed(problem: Problem) -> Result | None:
    result = run_reference(problem)
    names = [name for name in problem.params if "weight_hh" in name]
    return result | {n: np.concatenate([b.T for b in blocks(problem, result[n])]) for n in names}


def drop(problem: Problem, part: str) -> Result | None:
    """The parameters called ``part`` taken as zero."""
    known = any(part in name for name in problem.params)
    return with_params(problem, lambda name, value: value * (part not in name)) if known else None


for part in ["bias_ih", "bias_hh", "bias_ih_l1", "bias_hh_l1", "weight_hh_l1"]:
    MUTANTS[f"{part}_dropped"] = partial(drop, part=part)


@mutant
def candidate_bias_outside_the_reset_gate(problem: Problem) -> Result | None:
    if problem.cell != "gru":
        return None
    params = {name: value.copy() for name, value in problem.params.items()}
    for name in [n for n in params if "bias_hh" in n]:
        params[name.replace("hh", "ih")][-problem.hidden :] += params[name][-problem.hidden :]
        params[name][-problem.hidden :] = 0
    return run_reference(replace(problem, params=params))


@mutant
def recurrent_bias_takes_the_gradient_of_the_input_bias(problem: Problem) -> Result | None:
    if problem.cell != "gru":
        return None
    result = run_reference(problem)
    return result | {n: result[n.replace("hh", "ih")] for n in problem.params if "bias_hh" in n}


@mutant
def reset_gate_on_the_wrong_side(problem: Problem) -> Result | None:
    other = {"gru": "gru-before", "gru-before": "gru"}.get(problem.cell)
    return run_reference(replace(problem, cell=other)) if other else None


@mutant
def activation_taken_for_another(problem: Problem) -> Result | None:
    other = {"rnn-tanh": "rnn-identity", "rnn-relu": "rnn-tanh", "rnn-identity": "rnn-relu"}.get(problem.cell)
    return run_reference(replace(problem, cell=other)) if other else None


@mutant
def forget_gate_opened_by_one(problem: Problem) -> Result | None:
    if problem.cell != "lstm":
        return None
    shift = np.repeat([0.0, 1.0, 0.0, 0.0], problem.hidden)
    return with_params(problem, lambda name, value: value + shift if "bias_ih" in name else value)


def filled(problem: Problem, **changes: Any) -> Problem:
    """The problem with zeros for the NaN of its padding."""
    return replace(problem, x=np.nan_to_num(problem.x), dy=np.nan_to_num(problem.dy), **changes)


def keep_padding_zero(problem: Problem, result: Result) -> Result:
    """The result with zeros past the lengths, as it should be there."""
    valid = ~problem.padding[..., None]
    return result | {"y": result["y"] * valid, "dx": result["dx"] * valid}


def other_lengths(problem: Problem, change: Callable[[np.ndarray], np.ndarray | None]) -> Result | None:
    if problem.lengths is None:
        return None
    result = run_reference(filled(problem, lengths=change(problem.lengths)))
    return keep_padding_zero(problem, result)


@mutant
def lengths_ignored(problem: Problem) -> Result | None:
    return other_lengths(problem, lambda lengths: None)


@mutant
def lengths_one_more(problem: Problem) -> Result | None:
    return other_lengths(problem, lambda lengths: np.minimum(lengths + 1, problem.x.shape[1]))


@mutant
def lengths_one_less(problem: Problem) -> Result | None:
    return other_lengths(problem, lambda lengths: np.maximum(lengths - 1, 0))


@mutant
def lengths_of_other_sequences(problem: Problem) -> Result | None:
    return other_lengths(problem, np.sort)


@mutant
def output_held_past_the_length(problem: Problem) -> Result | None:
    if problem.lengths is None:
        return None
    result = run_reference(problem)
    last = result["h"][-1][:, None]
    y = result["y"].copy()
    y[..., -problem.hidden :] = np.where(problem.padding[..., None], last, y[..., -problem.hidden :])
    return result | {"y": y}


@mutant
def padding_leaks_into_gradients(problem: Problem) -> Result | None:
    if problem.lengths is None:
        return None
    result = run_reference(problem)
    return result | {"weight_ih_l0": result["weight_ih_l0"] + problem.x[problem.padding].sum()}


@mutant
def state_of_an_empty_sequence_zeroed(problem: Problem) -> Result | None:
    if problem.lengths is None or problem.state is None:
        return None
    result = run_reference(problem)
    return result | {"h": np.where((problem.lengths == 0)[None, :, None], 0, result["h"])}


@mutant
def backward_over_the_padding(problem: Problem) -> Result | None:
    if problem.lengths is None:
        return None
    return solve(filled(problem), edit_scans(valid=lambda scan: np.ones_like(scan.valid)))


@mutant
def reverse_direction_over_the_padding(problem: Problem) -> Result | None:
    if problem.lengths is None or not problem.bidirectional:
        return None
    good, bad = run_reference(problem), run_reference(filled(problem, lengths=None))
    y = np.concatenate([good["y"][..., : problem.hidden], bad["y"][..., problem.hidden :]], axis=2)
    return keep_padding_zero(problem, good | {"y": y})


@mutant
def resets_ignored(problem: Problem) -> Result | None:
    return None if problem.resets is None else run_reference(replace(problem, resets=None))


@mutant
def resets_one_step_late(problem: Problem) -> Result | None:
    if problem.resets is None:
        return None
    return run_reference(replace(problem, resets=np.roll(problem.resets, 1, axis=1)))


@mutant
def gradients_across_resets(problem: Problem) -> Result | None:
    if problem.resets is None:
        return None
    return solve(problem, edit_scans(cut=lambda scan: np.zeros_like(scan.cut)))


@mutant
def resets_of_the_first_layer_only(problem: Problem) -> Result | None:
    if problem.resets is None or problem.layers == 1:
        return None
    return run_reference(problem) | {"y": run_reference(replace(problem, resets=None))["y"]}


@mutant
def directions_swapped(problem: Problem) -> Result | None:
    if not problem.bidirectional:
        return None
    result = run_reference(problem)
    return result | {"y": np.roll(result["y"], problem.hidden, axis=2)}


@mutant
def initial_state_ignored(problem: Problem) -> Result | None:
    return run_reference(replace(problem, state=None)) if problem.state else None


@mutant
def initial_cell_state_ignored(problem: Problem) -> Result | None:
    if problem.state is None or len(problem.state) == 1:
        return None
    return run_reference(replace(problem, state=(problem.state[0], np.zeros_like(problem.state[1]))))


@mutant
def states_of_layers_swapped(problem: Problem) -> Result | None:
    if problem.state is None or problem.layers == 1:
        return None
    return run_reference(replace(problem, state=tuple(s[::-1] for s in problem.state)))


@mutant
def states_of_sequences_swapped(problem: Problem) -> Result | None:
    return run_reference(replace(problem, state=tuple(s[:, ::-1] for s in problem.state))) if problem.state else None


@mutant
def final_state_missing_in_gradients(problem: Problem) -> Result | None:
    return run_reference(replace(problem, dstate=tuple(np.zeros_like(d) for d in problem.dstate)))


@mutant
def final_cell_state_missing_in_gradients(problem: Problem) -> Result | None:
    if len(problem.dstate) == 1:
        return None
    return run_reference(replace(problem, dstate=(problem.dstate[0], np.zeros_like(problem.dstate[1]))))


@mutant
def outputs_missing_in_gradients(problem: Problem) -> Result | None:
    return run_reference(replace(problem, dy=np.zeros_like(problem.dy)))


@mutant
def only_the_last_output_in_gradients(problem: Problem) -> Result | None:
    dy = np.where(np.arange(problem.dy.shape[1])[:, None] < problem.dy.shape[1] - 1, 0, problem.dy)
    return run_reference(replace(problem, dy=dy))


@mutant
def time_reversed(problem: Problem) -> Result | None:
    if problem.lengths is not None or problem.bidirectional:
        return None
    return run_reference(replace(problem, x=problem.x[:, ::-1]))


@mutant
def output_one_step_late(problem: Problem) -> Result | None:
    result = run_reference(problem)
    return keep_padding_zero(problem, result | {"y": np.roll(result["y"], 1, axis=1)})


@mutant
def gradient_cut_between_steps(problem: Problem) -> Result | None:
    return solve(problem, edit_scans(cut=lambda scan: np.ones_like(scan.cut)))


def shift_saved(scan: Any) -> dict[int, Any]:
    """The state after each step saved where the one before it belongs."""
    order = list(scan.order)
    shifted = dict(scan.saved)
    for now, after in pairwise(order):
        shifted[now] = (scan.saved[now][0], scan.saved[after][1], *scan.saved[now][2:])
    return shifted


@mutant
def recurrent_gradient_from_the_state_after(problem: Problem) -> Result | None:
    bad = solve(problem, edit_scans(saved=shift_saved))
    return run_reference(problem) | {n: bad[n] for n in problem.params if "weight_hh" in n}


@mutant
def first_step_missing_in_weight_gradients(problem: Problem) -> Result | None:
    def forget(scan: Any) -> dict[int, Any]:
        first = scan.order[0]
        return {**scan.saved, first: (np.zeros_like(scan.saved[first][0]), *scan.saved[first][1:])}

    return solve(problem, edit_scans(saved=forget))


@mutant
def one_sequence_missing_in_weight_gradients(problem: Problem) -> Result | None:
    longest = 0 if problem.lengths is None else int(problem.lengths.argmax())
    keep = [n for n in range(len(problem.x)) if n != longest]
    fewer = replace(
        problem,
        x=problem.x[keep],
        dy=problem.dy[keep],
        lengths=None if problem.lengths is None else problem.lengths[keep],
        resets=None if problem.resets is None else problem.resets[keep],
        state=problem.state and tuple(s[:, keep] for s in problem.state),
        dstate=tuple(d[:, keep] for d in problem.dstate),
    )
    result, partial = run_reference(problem), run_reference(fewer)
    return result | {name: partial[name] for name in problem.params}


@mutant
def gradients_counted_twice(problem: Problem) -> Result | None:
    result = run_reference(problem)
    return result | {name: 2 * result[name] for name in problem.params}


@mutant
def gradient_of_the_second_layer_in_the_first(problem: Problem) -> Result | None:
    if problem.layers == 1:
        return None
    result = run_reference(problem)
    return result | {"weight_hh_l0": result["weight_hh_l1"]}


@mutant
def gradient_of_the_initial_state_missing(problem: Problem) -> Result | None:
    result = run_reference(problem)
    return result | {name: np.zeros_like(result[name]) for name in ("dh", "dc") if name in result}


@mutant
def state_and_cell_state_swapped(problem: Problem) -> Result | None:
    result = run_reference(problem)
    return result | {"h": result["c"], "c": result["h"]} if "c" in result else None


@mutant
def one_unit_left_at_zero(problem: Problem) -> Result | None:
    result = run_reference(problem)
    return result | {"y": result["y"] * (np.arange(result["y"].shape[2]) != problem.hidden - 1)}
