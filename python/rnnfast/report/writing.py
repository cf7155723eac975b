"""The report of a model: what it answers to data, on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Array
from rnnfast.atomic import StrPath, replacing
from rnnfast.data import Scaler
from rnnfast.metrics import edit_distance
from rnnfast.models import EncoderDecoder, ManyToMany, ManyToOne, OneToMany
from rnnfast.models.config import CELLS
from rnnfast.report import about
from rnnfast.report.answers import Judged, Namer, chosen, metrics, mistakes, shown, spans, worst
from rnnfast.report.baselines import constant, given
from rnnfast.report.cases import Cases, read_cases, text_of, tokens
from rnnfast.report.inside import inside
from rnnfast.report.outcomes import Outcome, outcomes
from rnnfast.report.page import Cell, Html, Section, document, paragraph, table, terms
from rnnfast.text import AnyVocabulary, as_vocabulary
from rnnfast.train import History

DATA = ("lengths", "mask", "sample_weight", "resets", "context")
KINDS: dict[type[Any], str] = {
    ManyToOne: "reads a sequence and gives one answer",
    ManyToMany: "reads a sequence and answers at every step",
    OneToMany: "reads a sequence and says at every step what comes next",
    EncoderDecoder: "reads a sequence and writes another one",
}
FREE = (
    "Here the model writes alone, each element after its own. In the metrics above it is told the true elements before "
    "each target, as in training."
)
WRITTEN_ROWS = 8


def write(
    model: Any,
    x: Any,
    y: Any,
    path: StrPath,
    *,
    title: str | None = None,
    names: Sequence[Any] | None = None,
    classes: Any = None,
    features: Sequence[str] | None = None,
    vocabulary: AnyVocabulary | None = None,
    baselines: Mapping[str, Any] | None = None,
    past: Sequence[Any] | None = None,
    history: History | None = None,
    target_scaler: Scaler | None = None,
    **data: Any,
) -> None:
    """Judge a model on data and write a page about it; see ``Model.report``."""
    checks.known_arguments("report", data, DATA)
    if not isinstance(target_scaler, Scaler | None):
        raise TypeError(f"target_scaler: a Scaler or None is required, got {checks.shown(target_scaler)}")
    if not isinstance(history, History | None):
        raise TypeError(f"history: a History or None is required, got {checks.shown(history)}")
    if isinstance(model, OneToMany) and y is not None:
        raise ValueError(f"y: None is required of a OneToMany, whose targets are x, got {checks.shown(y)}")
    page = _page(
        model,
        x,
        y,
        title=f"{type(model).__name__}: report" if title is None else checks.as_text("title", title),
        names=None if names is None else list(checks.as_items("names", names)),
        classes=classes,
        features=_features(model, features),
        vocabulary=as_vocabulary("vocabulary", vocabulary),
        baselines={} if baselines is None else baselines,
        past=None if past is None else _numbers("past", past),
        history=model.history if history is None else history,
        target_scaler=target_scaler,
        data={name: value for name, value in data.items() if value is not None},
    )
    with replacing(path) as file:
        file.write(page.encode())


def _page(
    model: Any,
    x: Any,
    y: Any,
    *,
    title: str,
    names: list[Any] | None,
    classes: Any,
    features: list[str] | None,
    vocabulary: AnyVocabulary | None,
    baselines: Mapping[str, Any],
    past: list[Array] | None,
    history: History,
    target_scaler: Scaler | None,
    data: dict[str, Any],
) -> str:
    heads = list(model.tasks)
    if heads != [""] and (baselines or past or target_scaler is not None):
        raise ValueError("report: no baselines, past or target_scaler are required for a model with several heads")
    cases = read_cases(model, x, data, names=names, features=features, vocabulary=vocabulary)
    if past is not None and len(past) != len(cases):
        raise ValueError(f"past: one for each of N = {len(cases)} sequences is required, got {len(past)}")
    found = outcomes(model, x, y, data, single=cases.single, scaler=target_scaler)
    sections = []
    for head, outcome in found.items():
        named = _namer(model, head, classes, cases, past, outcome)
        answers = constant(outcome) | _last_values(outcome, cases, past) | given("baselines", baselines, outcome)
        judged = Judged(outcome=outcome, baselines=answers, named=named, past=past)
        sections += _of_head(judged, cases, head)
    first = found[heads[0]]
    written = None
    if isinstance(model, EncoderDecoder):
        written = _written(model, x, data, first)
        if model.task.ids:
            sections.append(Section("What it writes alone", _writing(model, cases, first, written)))
    sections.append(Section("What goes on inside", inside(cases, found, chosen(first), written)))
    sections.append(Section("How it learned", about.learning(history)))
    sections.append(Section("Configuration", about.configuration(model)))
    sections.append(Section("Versions", about.versions(_facts(model, cases))))
    return document(title, _lead(model, cases), sections)


def _of_head(judged: Judged, cases: Cases, head: str) -> list[Section]:
    """Return the sections about the answers of a head."""
    behind = f": {head}" if head else ""
    criterion = getattr(judged.outcome.task, "criterion", None)
    loss = str(getattr(criterion, "name", "a function of your own")).replace("_", " ")
    return [
        Section(f"How good it is{behind}", metrics(judged, loss=loss)),
        Section(f"What is right and wrong{behind}", mistakes(judged)),
        Section(f"Worst cases{behind}", worst(judged, cases)),
    ]


def _lead(model: Any, cases: Cases) -> list[Html]:
    """Say in two sentences what the model is and what it was judged on."""
    kind = next(said for cls, said in KINDS.items() if isinstance(model, cls))
    config, count = model.config, sum(p.value.size for p in model.parameters().values())
    cell = config["cell"].upper() if config["cell"] in CELLS else f"“{config['cell']}”"
    layers = f"{config['num_layers']} layer" + ("s" if config["num_layers"] > 1 else "")
    both = ", in both directions" if config.get("bidirectional") else ""
    size = f"{layers} of {config['hidden_size']} {cell} units{both}, {count:,} parameters in {model.dtype}"
    lengths = np.array([len(item) for item in cases.items])
    judged = "one sequence" if len(cases) == 1 else f"{len(cases):,} sequences"
    return [
        paragraph(f"This model {kind}. It has {size}."),
        paragraph(f"It was judged on {judged} of {spans(lengths)}. All figures of this page are of these data."),
    ]


def _facts(model: Any, cases: Cases) -> dict[str, Any]:
    steps = sum(len(item) for item in cases.items)
    return {
        "sequences judged": f"{len(cases):,}",
        "steps read": f"{steps:,}",
        "parameters": f"{sum(p.value.size for p in model.parameters().values()):,}",
        "dtype": model.dtype,
    }


def _numbers(name: str, given: Any) -> list[Array]:
    """Return the numbers (P_i,) of each sequence."""
    found = [checks.as_reals(name, each, np.dtype(np.float64)) for each in checks.as_items(name, given)]
    if any(each.ndim != 1 for each in found):
        raise ValueError(f"{name}: N arrays (P_i,) are required, got {checks.shown(given)}")
    return found


def _features(model: Any, given: Sequence[str] | None) -> list[str] | None:
    if given is None:
        return None
    found = [str(each) for each in checks.as_items("features", given)]
    size = model.config.get("source_size", model.config.get("input_size"))
    if len(found) != size:
        raise ValueError(f"features: one name for each of C = {size} numbers is required, got {len(found)}")
    return found


def _namer(model: Any, head: str, classes: Any, cases: Cases, past: Any, outcome: Outcome) -> Namer:
    """Return what names the classes, labels or numbers of a head."""
    own = classes.get(head) if isinstance(classes, Mapping) else classes
    if own is not None:
        names = [str(each) for each in checks.as_items("classes", own)]
        size = model.config["target_size"] if isinstance(model, EncoderDecoder) else model.heads.configs[head].size
        if len(names) != size:
            raise ValueError(f"classes: one name for each of K = {size} is required, got {len(names)}")
        return lambda ids: [names[i] if i < size else "stop" for i in ids.tolist()]
    if isinstance(model, EncoderDecoder) and outcome.task.element == "id":
        stop = model.stop_id
        return lambda ids: [_or_stop(i, stop, model.target_vocabulary) for i in ids.tolist()]
    if isinstance(model, OneToMany) and outcome.task.element == "id":
        return partial(tokens, vocabulary=cases.vocabulary)
    kind = {"id": "class", "labels": "label", "vector": "number"}[outcome.task.element]
    if outcome.task.element == "vector" and outcome.size == 1:
        return lambda ids: [head or "value"]
    if past is not None:
        return lambda ids: [f"{i + 1} ahead" for i in ids.tolist()]
    return lambda ids: [f"{kind} {i}" for i in ids.tolist()]


def _or_stop(i: int, stop: int | None, vocabulary: AnyVocabulary | None) -> str:
    return "stop" if i == stop else tokens(np.array([i]), vocabulary)[0]


def _last_values(outcome: Outcome, cases: Cases, past: list[Array] | None) -> dict[str, Array]:
    """Return the last true value before each target, of numbers where it is known."""
    if outcome.task.element != "vector":
        return {}
    found = np.zeros(outcome.targets.shape)
    for n, item in enumerate(cases.items):
        part = outcome.part(n)
        if past is not None:
            found[part] = past[n][-1] if len(past[n]) else np.nan
        elif isinstance(cases.model, OneToMany):
            found[part] = item[:-1]
        else:
            return {}
    return {"last value": found}


def _written(model: EncoderDecoder, x: Any, data: Mapping[str, Any], outcome: Outcome) -> list[Array]:
    """Return what the model writes alone of each source."""
    limit = None if model.task.ids else int(outcome.lengths.max())
    return model._written(model._sources(x, data.get("lengths"), data.get("mask")), limit, 256)[0]


def _writing(model: EncoderDecoder, cases: Cases, outcome: Outcome, written: list[Array]) -> list[Html]:
    """Return how good ids are that the model writes alone."""
    true = [ids[ids != model.stop_id] for ids in (outcome.targets[outcome.part(n)] for n in range(len(cases)))]
    distances = np.array([edit_distance(a, b) for a, b in zip(written, true, strict=True)])
    exact, total = float((distances == 0).mean()), max(sum(map(len, true)), 1)
    counted: dict[str, int] = {}
    for ids in true:
        counted[str(ids.tolist())] = counted.get(str(ids.tolist()), 0) + 1
    often = max(counted.values()) / len(true)
    caption = f"What is written of {len(true):,} sources, each element after the model's own"
    rows = [
        ["exact matches", shown(exact), shown(often)],
        ["edit distance", shown(float(distances.sum()) / total), shown(1.0)],
    ]
    words = {
        "exact matches": "Share of the sources of which everything is right; higher is better. Baseline: always the "
        "most frequent target.",
        "edit distance": "Insertions, deletions and changes that make the written of the true elements, for each true "
        "element; lower is better. Baseline: writing nothing.",
    }
    shares = distances / np.maximum([len(ids) for ids in true], 1)
    order = np.argsort(-shares, kind="stable")[:WRITTEN_ROWS].tolist()
    wrong: list[list[Cell]] = [
        [cases.names[n], cases.shown(n), *(text_of(ids, model.target_vocabulary) for ids in (true[n], written[n]))]
        for n in order
        if distances[n]
    ]
    blocks = [paragraph(FREE), table(caption, ["metric", "model", "baseline"], rows, numbers=[1, 2]), terms(words)]
    if wrong:
        blocks.append(
            table("The sources of which most is wrong", ["source", "what was read", "true", "written"], wrong)
        )
    return blocks
