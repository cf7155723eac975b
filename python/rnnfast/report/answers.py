"""Sections about the answers of a head: how good they are, which are wrong, and the worst cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from rnnfast import plot
from rnnfast.arrays import Array, Int64
from rnnfast.report.baselines import MEANINGS, Score, scores
from rnnfast.report.cases import Cases
from rnnfast.report.outcomes import Outcome
from rnnfast.report.page import Cell, Html, figures, paragraph, table, terms
from rnnfast.report.pictures import HEIGHT, WIDEST, WIDTH, Picture

MOST_CLASSES = 30  # in a confusion matrix
ROWS = 10  # of tables of the most frequent or the worst
MOST_NUMBERS = 4  # of the K of a prediction that have a picture of their own
MOST_STEPS = 300

Namer = Callable[[Array], list[str]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Judged:
    """The answers of a head, and what belongs to them.

    Attributes
    ----------
    outcome : Outcome
    baselines : dict of str to array
        Answers without a model, like the targets.
    named : function of ids
        Returns the names of classes or labels.
    past : list of arrays or None
        What was known of the numbers before each forecast.
    """

    outcome: Outcome
    baselines: Mapping[str, Array]
    named: Namer
    past: list[Array] | None = None

    @property
    def numbers(self) -> list[str]:
        """Names of the K numbers or labels."""
        return self.named(np.arange(self.outcome.size))


def shown(value: float | None) -> str:
    """Return a number as tables show it.

    Examples
    --------
    >>> shown(0.123456), shown(None), shown(float("nan"))
    ('0.1235', '-', '-')
    """
    return "-" if value is None or not np.isfinite(value) else f"{value:.4g}"


def metrics(judged: Judged, *, loss: str) -> list[Html]:
    """Return the metrics of the model beside those of the baselines, a verdict, and what the words mean."""
    found = scores(judged.outcome, judged.baselines)
    names = list(judged.baselines)
    rows: list[list[Cell]] = []
    for score in found:
        cells: list[Cell] = [score.name, shown(score.model), *(shown(score.baselines[name]) for name in names)]
        best = _best(score)
        cells[1 + best] = Html(f'<span class="best">{cells[1 + best]}</span>')
        rows.append(cells)
    count = int((judged.outcome.weights > 0).sum())
    caption = f"Model and baselines on {count:,} targets; the best of a row is bold"
    blocks = [_verdict(found[1])] if names else []
    blocks.append(table(caption, ["metric", "model", *names], rows, numbers=range(1, 2 + len(names))))
    words = {"loss": MEANINGS["loss"].format(loss)} | {n: MEANINGS[n] for n in MEANINGS if n != "loss"}
    blocks.append(terms({word: said for word, said in words.items() if word in {s.name for s in found} | set(names)}))
    return blocks


def mistakes(judged: Judged) -> list[Html]:
    """Return pictures and tables of what is right and wrong."""
    element = judged.outcome.task.element
    if element == "id":
        return _confusions(judged)
    return _labels(judged) if element == "labels" else figures(_errors(judged))


def worst(judged: Judged, cases: Cases) -> list[Html]:
    """Return the sequences, or of a single one the steps, with the worst answers."""
    outcome = judged.outcome
    meaning = _cost(outcome)
    if cases.single:
        places = np.argsort(-np.where(outcome.rows > 0, outcome.costs, -1.0), kind="stable")[:ROWS]
        tokens = cases.labels(0)
        rows = [
            [f"step {i + 1}", "".join(tokens[max(0, i - 30) : i + 1]) if tokens else "-", *_answer(judged, int(i))]
            for i in places.tolist()
        ]
        head = ["target", "what was read before", "true", "answer", meaning]
        return [table("The targets with the worst answers", head, rows, numbers=[4])]
    costs = outcome.costs_by_sequence()
    order = np.argsort(np.where(np.isnan(costs), np.inf, -costs), kind="stable")[:ROWS]
    every = bool((outcome.lengths == 1).all())
    found: list[list[Cell]] = []
    for n in order[~np.isnan(costs[order])].tolist():
        part = outcome.part(n)
        i = part.start + int(np.where(outcome.rows[part] > 0, outcome.costs[part], -1.0).argmax())
        where = [] if every else [f"{i - part.start + 1} of {part.stop - part.start}"]
        found.append([cases.names[n], cases.shown(n), *where, *_answer(judged, i)[:2], shown(float(costs[n]))])
    middle = [] if every else ["worst target"]
    head = ["sequence", "what was read", *middle, "true", "answer", meaning if every else f"mean {meaning}"]
    return [table("The sequences with the worst answers", head, found, numbers=[len(head) - 1])]


def _best(score: Score) -> int:
    """Return the column of the best value, 0 for the model."""
    values = [score.model, *score.baselines.values()]
    sign = 1.0 if score.higher_is_better else -1.0
    ranked = [-np.inf if v is None or not np.isfinite(v) else sign * v for v in values]
    return int(np.argmax(ranked))


def _verdict(score: Score) -> Html:
    """Say whether the model is better than all baselines by one metric."""
    sign = 1.0 if score.higher_is_better else -1.0
    known = {name: value for name, value in score.baselines.items() if value is not None}
    best = max(known, key=lambda name: sign * known[name])
    better = sign * score.model > sign * known[best]
    said = "The model is better than every baseline" if better else "The model is not better than every baseline"
    against = f"{score.name} {shown(score.model)}, against {shown(known[best])} of the best one ({best})."
    return paragraph(f"{said}: {against}", "good" if better else "bad")


def confusions(true: Array, found: Array, names: list[str]) -> Picture:
    """Return the confusion matrix of ids (M,), as shares of each true class."""
    K = len(names)
    side = float(np.clip(1.8 + 0.4 * K, WIDTH, WIDEST))
    right = 100 * float((true == found).mean())
    return Picture(
        title="Share of each true class that was answered as each class",
        alt=f"Confusion matrix of {K} classes, {len(true):,} targets: {right:.1f} % lie on the diagonal, right.",
        draw=lambda ax: plot.confusion_matrix(true, found, classes=names, normalize=True, ax=ax),
        width=side,
        height=max(HEIGHT, 0.7 * side),
    )


def _confusions(judged: Judged) -> list[Html]:
    """Return the matrix of true and predicted classes, the most frequent mistakes, and how good each class is found."""
    outcome = judged.outcome
    counts = outcome.weights > 0
    true, found, K = outcome.targets[counts], outcome.predicted[counts], outcome.size
    names = judged.named(np.arange(K))
    blocks = []
    if K <= MOST_CLASSES:
        blocks += figures([confusions(true, found, names)])
    pairs, times = np.unique(np.stack([true, found], 1)[true != found], axis=0, return_counts=True)
    order = np.argsort(-times, kind="stable")[:ROWS]
    rows = [[*judged.named(pairs[i]), f"{times[i]:,}"] for i in order.tolist()]
    if rows:
        blocks.append(table("The most frequent mistakes", ["true", "answer", "times"], rows, numbers=[2]))
    wanted, said, hits = (np.bincount(ids, minlength=K) for ids in (true, found, true[true == found]))
    largest = np.argsort(-wanted, kind="stable")[:MOST_CLASSES]
    each = [
        [names[k], f"{wanted[k]:,}", _share(hits[k], wanted[k]), _share(hits[k], said[k])]
        for k in largest.tolist()
        if wanted[k] or said[k]
    ]
    head = ["class", "targets", "found (recall)", "right when answered (precision)"]
    blocks.append(
        table("Each class" if K <= MOST_CLASSES else "The most frequent classes", head, each, numbers=[1, 2, 3])
    )
    return blocks


def _labels(judged: Judged) -> list[Html]:
    outcome = judged.outcome
    counts, true, found = outcome.weights > 0, outcome.targets > 0.5, outcome.predicted > 0
    rows = []
    for k, name in enumerate(judged.numbers[: 2 * MOST_CLASSES]):
        t, p = true[counts[:, k], k], found[counts[:, k], k]
        hits = int((t & p).sum())
        rows.append([name, f"{t.sum():,}", f"{p.sum():,}", _share(hits, t.sum()), _share(hits, p.sum())])
    head = ["label", "true", "answered", "found (recall)", "right when answered (precision)"]
    return [table(f"Each label, of {len(true):,} targets", head, rows, numbers=[1, 2, 3, 4])]


def _errors(judged: Judged) -> list[Picture]:
    """Return predictions over what was true, and forecasts of a typical and of the worst sequence."""
    outcome, found = judged.outcome, []
    for k, name in enumerate(judged.numbers[:MOST_NUMBERS]):
        own = outcome.weights[:, k] > 0
        if own.any():
            found.append(_against(outcome.targets[own, k], outcome.predicted[own, k], name))
    if (outcome.lengths > 1).any() or (outcome.size > 1 and judged.past is not None):
        for kind, n in chosen(outcome).items():
            found.append(_forecast(judged, n, kind))
    return found


def chosen(outcome: Outcome) -> dict[str, int]:
    """Return the number of a typical sequence, whose cost is the median, and of the worst one."""
    costs = outcome.costs_by_sequence()
    order = np.argsort(costs, kind="stable")[: int(np.isfinite(costs).sum())]
    if not len(order):
        return {}
    typical, last = int(order[(len(order) - 1) // 2]), int(order[-1])
    return {"typical": typical} | ({"worst": last} if last != typical else {})


def _against(true: Array, predicted: Array, name: str) -> Picture:
    r = float(np.corrcoef(true, predicted)[0, 1]) if len(true) > 1 and true.std() > 0 and predicted.std() > 0 else 0.0
    return Picture(
        title=f"Predicted against true: {name}",
        alt=f"{len(true):,} predictions of {name} over what was true, around the line; correlation {r:.3f}.",
        draw=lambda ax: plot.predicted_against_true(true, predicted, label=name, ax=ax),
    )


def _forecast(judged: Judged, n: int, kind: str) -> Picture:
    """Return the numbers of a sequence: over its steps, or over the K numbers of a forecast behind its past."""
    outcome, part = judged.outcome, judged.outcome.part(n)
    steps = outcome.lengths[n] > 1
    where = (slice(part.start, min(part.stop, part.start + MOST_STEPS)), 0) if steps else (part.start, slice(None))
    true = np.where(outcome.weights[where] > 0, outcome.targets[where], np.nan)
    fan = outcome.predicted[where] if outcome.quantiles is None else outcome.quantiles[where]
    levels = None if outcome.quantiles is None else outcome.levels
    past = None if steps or judged.past is None else judged.past[n][-MOST_STEPS:]
    name = judged.numbers[0] if steps else "value"
    what = f"{kind} sequence: {name}, step by step" if steps else f"{kind} forecast"
    bands = "" if levels is None else f", with quantiles {', '.join(f'{q:g}' for q in levels)}"
    error = float(np.nanmean(np.abs(true - outcome.predicted[where])))
    return Picture(
        title=what[0].upper() + what[1:],
        alt=f"{len(true)} predicted values as a line{bands}, and what came as dots: mean distance {error:.3g}.",
        draw=lambda ax: plot.forecast(past, fan, levels, actual=true, label=name, ax=ax),
        width=WIDTH if len(true) <= 60 else 2 * WIDTH,
    )


def _answer(judged: Judged, i: int) -> list[Cell]:
    """Return what is true of a target, the answer, and its cost."""
    outcome = judged.outcome
    cost = shown(float(outcome.costs[i]))
    if outcome.targets.ndim == 1:
        true, said = judged.named(np.array([outcome.targets[i], outcome.predicted[i]]))
        return [true, said if outcome.sure is None else f"{said} ({100 * outcome.sure[i]:.0f} % sure)", cost]
    if outcome.task.element == "labels":
        true, said = (
            ", ".join(judged.named(np.flatnonzero(v[i] > 0.5))) or "none" for v in (outcome.targets, outcome.predicted)
        )
        return [true, said, cost]
    row = [np.where(outcome.weights[i] > 0, v[i], np.nan) for v in (outcome.targets, outcome.predicted)]
    return [*(", ".join(map(shown, v[:MOST_NUMBERS])) + (", ..." if len(v) > MOST_NUMBERS else "") for v in row), cost]


def _cost(outcome: Outcome) -> str:
    if outcome.task.element == "vector":
        return "distance / standard deviation"
    return "surprise / nats" if outcome.task.has_probabilities else "share wrong"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def spans(lengths: Int64) -> str:
    """Return how long sequences are, in words.

    Examples
    --------
    >>> spans(np.array([3, 3])), spans(np.array([3, 5]))
    ('3 steps each', '3 to 5 steps, 4 in the mean')
    """
    least, most = int(lengths.min()), int(lengths.max())
    return f"{least} steps each" if least == most else f"{least} to {most} steps, {lengths.mean():.3g} in the mean"
