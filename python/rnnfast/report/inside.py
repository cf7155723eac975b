"""What goes on in a model while it reads: pictures of states, gates, attention and saliency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnfast import analysis, plot
from rnnfast.arrays import Array
from rnnfast.layers import Trace
from rnnfast.models import EncoderDecoder, ManyToMany, ManyToOne
from rnnfast.plot.axes import above, styles, whole_numbers
from rnnfast.report.cases import Cases, tokens
from rnnfast.report.outcomes import Outcome
from rnnfast.report.page import Html, figures, heading, paragraph
from rnnfast.report.pictures import HEIGHT, WIDEST, WIDTH, Picture
from rnnfast.report.units import by_strongest_step, most_varied

UNITS = 40  # in a picture of states
MOST_LABELLED, MOST_STEPS = 60, 400  # steps of ids, which have labels, and of numbers in a picture
MOST_READ = 2000  # steps before those that a picture shows
GATES = {"f": "forget gate", "z": "update gate"}  # c = f * c + ... of an LSTM, h = z * h + ... of a GRU
FEATURES = 6
NODES, TOLERANCE = 128, 1e-2  # of integrated gradients: within what a picture shows
WORDS = (
    "The typical sequence is the one whose answers are neither better nor worse than most. In heat maps of states "
    "light is high and dark is low, and a row is a hidden unit: those that vary most are shown, ordered by the step at "
    "which each is strongest. In heat maps of gates light means that a unit keeps what it held."
)


def inside(cases: Cases, outcomes: Mapping[str, Outcome], chosen: Mapping[str, int], written: Any = None) -> list[Html]:
    """Return pictures of the chosen sequences.

    Parameters
    ----------
    cases : Cases
    outcomes : dict of str to Outcome
        Of each head.
    chosen : dict of str to int
        Numbers of sequences by what they are.
    written : list of arrays or None
        What an ``EncoderDecoder`` wrote of each sequence.
    """
    blocks = [paragraph(WORDS)]
    for kind, n in chosen.items():
        found = _of_sequence(cases, outcomes, n, None if written is None else written[n])
        named = cases.names[n] if len(cases) > 1 else "the only one"
        blocks += [heading(f"{kind.capitalize()} sequence: {named}"), *figures(found)]
    return blocks


def _of_sequence(cases: Cases, outcomes: Mapping[str, Outcome], n: int, written: Any) -> list[Picture]:
    own, part = _read(cases, outcomes, n)
    labels, read = own.labels(0), own.items[0]
    pictures = [] if own.has_ids else [_inputs(read[part], own.features)]
    for name, trace in own.trace(0, written).items():
        if name == "decoder":
            steps = slice(0, MOST_LABELLED if written.ndim == 1 else MOST_STEPS)
            model = cases.model
            said = ["start", *tokens(written, model.target_vocabulary)][steps] if written.ndim == 1 else None
            pictures += _states(trace, steps, said, "the decoder, which writes")
        else:
            said = None if labels is None else labels[part]
            pictures += _states(trace, part, said, "the encoder, which reads" if name else "the last layer")
    if isinstance(cases.model, EncoderDecoder):
        return pictures + _attention(cases.model, own, written)
    if isinstance(cases.model, ManyToOne | ManyToMany) and len(read) <= MOST_READ and not own.options[0]:
        pictures.append(_saliency(own, part, next(iter(outcomes))))
    return pictures


def _read(cases: Cases, outcomes: Mapping[str, Outcome], n: int) -> tuple[Cases, slice]:
    """Return a sequence alone, without what stands long before the steps of its pictures, and where these are."""
    most = MOST_LABELLED if cases.has_ids else MOST_STEPS
    outcome, length = next(iter(outcomes.values())), len(cases.items[n])
    own = outcome.part(n)
    if isinstance(cases.model, ManyToOne):
        stop = length
    elif isinstance(cases.model, EncoderDecoder):
        stop = min(length, most)
    else:
        worst = int(np.where(outcome.rows[own] > 0, outcome.costs[own], -1.0).argmax())
        stop = min(length, max(most, worst + most // 2))
    start = max(0, stop - most)
    first = max(0, start - MOST_READ)
    options = {} if first else cases.options[n]
    whole = cases.items[n] if stop == length and not first else cases.items[n][first:stop]
    if isinstance(cases.model, EncoderDecoder):
        whole = cases.items[n]
    alone = Cases(**{**vars(cases), "items": [whole], "names": [cases.names[n]], "options": [options]})
    if "resets" in options:
        alone.options[0] = {"resets": [options["resets"][0][:stop]]}
    return alone, slice(start - first, stop - first)


def _inputs(values: Array, features: list[str] | None) -> Picture:
    names = features or [f"number {k}" for k in range(values.shape[1])]
    some = min(FEATURES, values.shape[1])

    def draw(ax: Any) -> None:
        for k, look in zip(range(some), styles(), strict=False):
            ax.plot(values[:, k], label=names[k], markevery=max(1, len(values) // 10), **look)
        ax.set(xlabel="step t", ylabel=names[0] if some == 1 else "value")
        whole_numbers(ax.xaxis)
        if some > 1:
            above(ax)

    low, high = np.nanmin(values[:, :some]), np.nanmax(values[:, :some])
    more = f", the first {some} of {values.shape[1]} numbers" if some < values.shape[1] else ""
    alt = f"{', '.join(names[:some])} over {len(values)} steps, from {low:.3g} to {high:.3g}."
    return Picture(title=f"What is read{more}", alt=alt, draw=draw, width=_width(len(values), None))


def _states(trace: Trace, part: slice, labels: list[str] | None, where: str) -> list[Picture]:
    """Return the states of the last layer, and the gate that says what is remembered."""

    def cut(array: Array) -> Array:
        return by_strongest_step(most_varied(array[0, part], UNITS)).T[None]

    small = trace.mapped(cut)
    h = small.h[-1][0]
    size = {"width": _width(len(h), labels), "height": max(HEIGHT, 1.2 + 0.075 * h.shape[1])}
    over = f"over {len(h)} steps of the input" + (f", {''.join(labels[:80])}" if labels else "")
    found = [
        Picture(
            title=f"Hidden states h of {where}",
            alt=f"Heat map of {h.shape[1]} hidden units of {where} {over}; from {h.min():.2f} to {h.max():.2f}.",
            draw=lambda ax: _unnumbered(plot.hidden_states(small, labels=labels, ax=ax), h.shape[1]),
            **size,
        )
    ]
    gate = next((g for g in GATES if small.gates.get(g)), None)
    if gate is not None:
        values = small.gates[gate][-1]
        found.append(
            Picture(
                title=f"The {GATES[gate]} {gate} of {where}",
                alt=f"Heat map of the {GATES[gate]} of {values.shape[2]} units {over}; mean {values.mean():.2f}.",
                draw=lambda ax: _unnumbered(plot.gates(small, gate, labels=labels, ax=ax), values.shape[2]),
                **size,
            )
        )
    return found


def _unnumbered(ax: Any, units: int) -> None:
    """Take the numbers from the rows, which are no longer those of the units."""
    ax.set_yticks([])
    ax.set_ylabel(f"{units} units")


def _attention(model: EncoderDecoder, own: Cases, written: Array) -> list[Picture]:
    """Return what a model with attention looked at while it wrote."""
    if model.network.attention is None or not len(written):
        return []
    item = own.items[0]
    limit: dict[str, Any] = {} if written.ndim == 1 else {"max_length": len(written)}
    weights = model.predict([item], return_attention=True, **limit)[1][0][:MOST_LABELLED, :MOST_LABELLED]
    source = own.labels(0)
    said = tokens(written, model.target_vocabulary)[: len(weights)] if written.ndim == 1 else None
    read = None if source is None else source[: weights.shape[1]]
    most = [str(i) for i in weights.argmax(axis=1)[:20].tolist()]
    return [
        Picture(
            title="Attention: what it looks at while it writes",
            alt=f"Attention weights of {len(weights)} written elements over {weights.shape[1]} steps that were read; "
            f"the largest stand at steps {', '.join(most)}.",
            draw=lambda ax: plot.attention(weights, source=read, written=said, ax=ax),
            width=_width(weights.shape[1], read),
            height=max(HEIGHT, 1.2 + 0.2 * len(weights)),
        )
    ]


def _saliency(own: Cases, part: slice, head: str) -> Picture:
    """Return what each input adds to the largest output, by integrated gradients."""
    options: dict[str, Any] = {"head": head} if head else {}
    shares = analysis.integrated_gradients(
        own.model, [own.items[0]], max_nodes=NODES, tolerance=TOLERANCE, **options
    ).values[0]
    several = not own.has_ids and shares.shape[1] > 1
    values = shares[part] if several else shares[part].sum(axis=1)
    labels = own.labels(0)
    said = None if labels is None else labels[part]
    strongest = int(np.abs(values).reshape(len(values), -1).max(axis=1).argmax())
    at = f"step {strongest}" + (f", {said[strongest]}" if said else "")
    last = " at the last step" if isinstance(own.model, ManyToMany) else ""
    return Picture(
        title=f"Saliency: what each input adds to the largest output{last}",
        alt=f"Shares of {len(values)} inputs in the output, from {values.min():.2g} to {values.max():.2g}; the largest "
        f"stands at {at}.",
        draw=lambda ax: plot.saliency(
            values, labels=said, features=own.features if several else None, label="share of the output", ax=ax
        ),
        width=_width(len(values), said),
    )


def _width(steps: int, labels: list[str] | None) -> float:
    """Return a width that labels have room in."""
    if labels is None:
        return WIDTH if steps <= 100 else 2 * WIDTH
    return float(np.clip(1.6 + 0.16 * steps, WIDTH, WIDEST))
