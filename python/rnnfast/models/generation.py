"""Sequences written by a model that reads its own elements: one call of the engine for all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from rnnfast import _ops, checks
from rnnfast.arrays import Array, Float64, Int64
from rnnfast.data import as_context, as_one
from rnnfast.layers import Linear, State
from rnnfast.models.backbone import Backbone
from rnnfast.models.rows import as_rows, repeat_state
from rnnfast.models.search import search
from rnnfast.sampling import WritingOptions
from rnnfast.tasks import Task
from rnnfast.text import AnyVocabulary, as_ids, is_text


def generated(model: Any, prompt: Any, context: Any, prefix: Any, options: WritingOptions) -> Any:
    """Return what a ``OneToMany`` model writes on from prompts, in the form that its ``generate`` describes."""
    size, copies = model.config["output_size"], options.num_sequences
    options.check_task(model.task.name, size, ids=model.task.ids)
    state, rows, single = _after_prompts(model, prompt, context)
    forced = as_prefix(prefix, rows, model.backbone, model.task, size, options)
    single = single and copies == 1
    if copies > 1 and options.beams is None:
        state = repeat_state(state, copies)
        forced = None if forced is None else np.repeat(forced, copies, axis=0)
    elements, counts, log_p = write_on(model.backbone, model.head, model.task, state, options, forced)

    def result(values: Array) -> Any:
        if single:
            return values[0, : counts[0]]
        return values if options.stop is None else [v[:n] for v, n in zip(values, counts, strict=True)]

    written = result(elements)
    if model.vocabulary is not None and is_text(prompt):
        written = model.vocabulary.decode(written)
    return (written, result(log_p)) if options.return_log_probs else written


def _after_prompts(model: Any, prompt: Any, context: Any) -> tuple[State, int, bool]:
    """Return the states that N prompts leave, N, and whether the user gave just one."""
    prompts, single = model.reader.read(prompt, None, "prompt", warns=True)
    if len(prompts) == 0 or prompts.lengths.min() < 1:
        raise ValueError("prompt: at least one element each is required, got none")
    start = None if context is None else checks.as_array("context", context)
    if start is not None:
        if single and start.ndim == 2:
            prompts, single = prompts.select(np.zeros(len(start), np.int64)), False
        start = np.atleast_2d(start)
    start = as_context(start, model.config["context_size"], len(prompts), model.dtype, warns=True)
    return model.backbone.infer(prompts, model.first_state(start))[1], len(prompts), single


def write_on(
    backbone: Backbone,
    head: Linear,
    task: Task,
    state: State,
    options: WritingOptions,
    prefix: Int64 | None = None,
    attention: Any = None,
) -> tuple[Array, Int64, Float64]:
    """Let a model run on its own elements from the states that prompts have left.

    Parameters
    ----------
    backbone, head, task
        ``outputs (R, K) = head(last h of the backbone)``, and what they mean.
    state
        Of R sequences.
    options : WritingOptions
    prefix : int64 (R, P) or None
        Ids forced at the start; below 0 they are free.
    attention : WriterAttention, function or None
        What stands between h and the head; of a custom cell a function of h (R, 1, H).

    Returns
    -------
    elements : ndarray (R, length) or (R, length, K)
    counts : int64 (R,)
        Elements of each sequence before its stop.
    log_p : float64 (R, length)
        Of ids: the model's own, before temperature and restrictions.
    """
    if options.beams is not None:
        return _search(backbone, head, task, state, options, prefix, attention)
    if backbone.custom or not task.direct:
        return write_by_steps(backbone, head, task, state, options, prefix, attention)
    return _ops.generate(
        _writer(backbone, head, attention),
        state,
        element=task.element,
        length=options.length,
        stop=options.stop,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        greedy=options.greedy,
        seed=options.key(),
        prefix=prefix,
        log_probs=options.return_log_probs,
    )


def in_steps(backbone: Backbone, task: Task, options: WritingOptions) -> bool:
    """Return whether attention is needed as a function: where elements are written step by step in NumPy."""
    several = options.beams is not None and options.num_sequences > 1
    return backbone.custom or not task.direct or several


def _writer(backbone: Backbone, head: Linear, attention: Any) -> _ops.Writer:
    assert head.bias is not None
    return _ops.Writer(
        layers=backbone.rnn.packed(),
        table=backbone.input.table,
        head=head.weight.value,
        bias=head.bias.value,
        attention=attention,
    )


def _search(
    backbone: Backbone,
    head: Linear,
    task: Task,
    state: State,
    options: WritingOptions,
    prefix: Int64 | None,
    attention: Any,
) -> tuple[Int64, Int64, Float64]:
    """Search behind the prefix, which is read as a part of the prompt; where a sequence ended stands its stop."""
    assert options.beams is not None
    forced = 0 if prefix is None else prefix.shape[1]
    start = state if prefix is None or not forced else backbone.infer(as_rows(prefix), state)[1]
    behind = replace(options, length=options.length - forced)
    reading = replace(options, beams=None, length_penalty=0.0, stop=None, num_sequences=1)
    if in_steps(backbone, task, options):
        ids, counts, log_p = search(backbone, head, start, behind, attention)
    else:
        writer = _writer(backbone, head, attention)
        penalty = options.length_penalty
        ids, counts, _ = _ops.beam_search(
            writer, start, length=behind.length, beams=options.beams, stop=options.stop, length_penalty=penalty
        )
        if options.stop is not None:
            ended = np.flatnonzero(counts < behind.length)
            ids[ended, counts[ended]] = options.stop
        log_p = np.zeros(ids.shape)
        if options.return_log_probs:
            own = replace(reading, length=behind.length)
            log_p = write_on(backbone, head, task, start, own, ids, attention)[2]
    if prefix is not None and forced:
        before = write_on(backbone, head, task, state, replace(reading, length=forced), prefix)[2]
        ids, log_p = (
            np.concatenate([np.repeat(first, options.num_sequences, axis=0), second], axis=1)
            for first, second in ((prefix, ids), (before, log_p))
        )
    return ids, counts + forced, log_p


def as_prefix(
    prefix: Any, rows: int, backbone: Backbone, task: Task, size: int, options: WritingOptions
) -> Int64 | None:
    """Return forced ids (rows, P), -1 behind the end of a short one, after checking them.

    ``prefix`` is one sequence of ids 0..size-1 for all rows, or one for each.
    """
    if prefix is None:
        return None
    if not task.ids:
        raise ValueError(f"prefix: None is required for task={task.name!r}, got one")
    prefix = as_ids(backbone.input.vocabulary, prefix, "prefix")
    one = as_one(prefix, None, "prefix")
    given = backbone.input.sequences(prefix if one is None else one[None], None, "prefix")
    if len(given) == 0:
        return None
    if one is None and len(given) != rows:
        raise ValueError(f"prefix: one sequence of ids or N = {rows} of them is required, got {len(given)}")
    index = np.arange(rows, dtype=np.int64) if one is None else np.zeros(rows, np.int64)
    chosen = given.select(index)
    ids, lengths = chosen.padded(), chosen.lengths
    if ids.max(initial=0) >= size:
        raise ValueError(f"prefix: ids 0..{size - 1} (output_size = {size}) are required, got {ids.max()}")
    if ids.shape[1] > options.length:
        raise ValueError(f"prefix: at most length = {options.length} ids are required, got {ids.shape[1]}")
    if (lengths < ids.shape[1]).any():
        if options.beams is not None:
            raise ValueError(
                f"prefix: ids of one length are required with beams, got {lengths.min()} and {lengths.max()}"
            )
        ids = np.where(np.arange(ids.shape[1]) < lengths[:, None], ids, -1)
    if options.stop is not None and (ids == options.stop).any():
        raise ValueError(f"prefix: ids other than stop = {options.stop} are required, got it")
    return ids


def as_stop(vocabulary: AnyVocabulary | None, stop: Any) -> Any:
    """Return the id of a text that stands for one; anything else as it is."""
    if not isinstance(stop, str):
        return stop
    found = as_ids(vocabulary, stop, "stop")
    if len(found) != 1:
        raise ValueError(f"stop: an id, or the text of one, is required, got {stop!r}, the text of {len(found)}")
    return int(found[0])


def write_by_steps(
    backbone: Backbone,
    head: Linear,
    task: Task,
    state: State,
    options: WritingOptions,
    prefix: Int64 | None,
    attend: Callable[[Array], Array] | None,
) -> tuple[Array, Int64, Float64]:
    """Do what ``write_on`` does, step by step in NumPy, for a cell or a task that the engine does not know.

    ``attend`` turns h (R, H) into what the head reads.
    """
    ids, length = task.ids, options.length
    h = backbone.last_h(state)
    R, width = len(h), task.decide(np.zeros((0, head.output_size), backbone.dtype)).shape[1:]
    key = options.key()
    u = np.stack([np.random.default_rng([key, r]).random((length, *(width or (1,)))) for r in range(R)], axis=1)
    elements = np.zeros((R, length, *width), np.int64 if ids else backbone.dtype)
    counts, log_p = np.full(R, length), np.zeros((R, length if options.return_log_probs else 0))
    for t in range(length):
        outputs = head(h if attend is None else attend(h))
        elements[:, t] = _chosen(task, outputs, options, u[t])
        if prefix is not None and t < prefix.shape[1]:
            elements[:, t] = np.where(prefix[:, t] >= 0, prefix[:, t], elements[:, t])
        if options.return_log_probs:
            log_p[:, t] = np.log(task.probabilities(outputs)[np.arange(R), elements[:, t]])
        if options.stop is not None:
            counts = np.where((counts == length) & (elements[:, t] == options.stop), t, counts)
            if (counts < length).all():
                break
        h, state = backbone.infer(as_rows(elements[:, t : t + 1]), state)
    return elements, counts, log_p


def _chosen(task: Task, outputs: Array, options: WritingOptions, u: Float64) -> Array:
    """Return the next element of every row: ids (R,), or labels or numbers (R, K); u is (R, 1) or (R, K)."""
    if options.greedy:
        return task.decide(outputs)
    if task.element == "vector":
        return task.draw(outputs, u)
    p = task.probabilities(outputs / outputs.dtype.type(options.temperature)).astype(np.float64)
    if task.element == "labels":
        return u < p
    order = np.argsort(-p, axis=1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=1)
    if options.top_k is not None:
        ranked[:, options.top_k :] = 0
    if options.top_p is not None:
        ahead = np.cumsum(ranked, axis=1) - ranked
        ranked[ahead >= options.top_p * ranked.sum(axis=1, keepdims=True)] = 0
    sums = np.cumsum(ranked, axis=1)
    place = np.argmax(sums > u * sums[:, -1:], axis=1)
    return np.take_along_axis(order, place[:, None], axis=1)[:, 0]
