"""The judged sequences, one by one, as readers of a page know them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnfast.arrays import Array
from rnnfast.data import Sequences, as_resets, step_count
from rnnfast.layers import Trace
from rnnfast.models import EncoderDecoder, ManyToMany, OneToMany
from rnnfast.report.page import Cell, line
from rnnfast.text import AnyVocabulary, ByteVocabulary, WordVocabulary

EXCERPT = 60  # characters
SIGNS = {" ": "\N{OPEN BOX}", "\n": "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}", "\t": "\N{RIGHTWARDS ARROW TO BAR}"}


@dataclass(frozen=True, eq=False, kw_only=True)
class Cases:
    """N sequences.

    Attributes
    ----------
    model : any of the four
    items : list of arrays (T_i, C), or of ids (T_i,)
        Without the steps that do not exist.
    single : bool
        Whether the user gave one sequence, not several.
    names : list of str
        What users call the sequences.
    features : list of str or None
        What they call the C numbers of a step.
    vocabulary : AnyVocabulary or None
        What makes texts of ids.
    options : list of dict
        Further arguments of ``trace`` for each sequence.
    """

    model: Any
    items: list[Array]
    single: bool
    names: list[str]
    features: list[str] | None
    vocabulary: AnyVocabulary | None
    options: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.items)

    @property
    def has_ids(self) -> bool:
        """Whether a step is an id."""
        return self.items[0].ndim == 1

    def labels(self, n: int) -> list[str] | None:
        """Return what is read at each step of a sequence, as short as it can be; None of numbers."""
        return tokens(self.items[n], self.vocabulary) if self.has_ids else None

    def shown(self, n: int) -> Cell:
        """Return a sequence in a cell of a table: the beginning of its text, or a curve of its first number."""
        item = self.items[n]
        if self.has_ids:
            return text_of(item, self.vocabulary)
        values = item[:: max(1, len(item) // 96), 0].astype(np.float64)
        values = values[np.isfinite(values)]
        if not len(values):
            return "-"
        name = self.features[0] if self.features else "the first number"
        low, high = values.min(), values.max()
        return line(values.tolist(), f"{name} over {len(item)} steps, from {low:.3g} to {high:.3g}")

    def trace(self, n: int, written: Any = None) -> dict[str, Trace]:
        """Return the states of a sequence by the part of the model; ``written`` is what a decoder reads."""
        own = [self.items[n]]
        if isinstance(self.model, EncoderDecoder):
            found: dict[str, Trace] = self.model.trace(own, None if written is None else [written])
            return found
        return {"": self.model.trace(own, **self.options[n])}


def read_cases(
    model: Any,
    x: Any,
    data: Mapping[str, Any],
    *,
    names: Sequence[Any] | None,
    features: list[str] | None,
    vocabulary: AnyVocabulary | None,
) -> Cases:
    """Return the sequences that ``evaluate`` reads of x with the arguments ``data``."""
    lengths, mask, single = data.get("lengths"), data.get("mask"), False
    if isinstance(model, EncoderDecoder):
        found, own = model._sources(x, lengths, mask), model.source_vocabulary
    elif isinstance(model, OneToMany):
        (found, single), own = model.reader.read(x, lengths, "x", mask=mask), model.vocabulary
    else:
        found, own = model.backbone.read(x, lengths, mask), model.vocabulary
    given = [f"sequence {n}" for n in range(len(found))] if names is None else [str(each) for each in names]
    if len(given) != len(found):
        raise ValueError(f"names: one for each of N = {len(found)} sequences is required, got {len(given)}")
    return Cases(
        model=model,
        items=split(found),
        single=single,
        names=given,
        features=features,
        vocabulary=own if vocabulary is None else vocabulary,
        options=_options(model, x, found, data),
    )


def split(s: Sequences) -> list[Array]:
    """Return the elements of each sequence."""
    return np.split(s.flat(), np.cumsum(s.lengths)[:-1]) if len(s) else []


def tokens(ids: Array, vocabulary: AnyVocabulary | None) -> list[str]:
    """Return each id as a label: its character or word, visible also where it is a space.

    Examples
    --------
    >>> import numpy as np
    >>> from rnnfast.text import Vocabulary
    >>> tokens(np.array([1, 0]), Vocabulary(" a")), tokens(np.array([7]), None)
    (['a', '␣'], ['7'])
    """
    if vocabulary is None or isinstance(vocabulary, ByteVocabulary):
        return [str(i) for i in ids.tolist()]
    each = {i: vocabulary.decode([i]) if i < len(vocabulary) else "stop" for i in set(ids.tolist())}
    return ["".join(SIGNS.get(c, c) for c in each[i]) or "\N{EMPTY SET}" for i in ids.tolist()]


def text_of(ids: Array, vocabulary: AnyVocabulary | None, most: int = EXCERPT) -> str:
    """Return ids as text, cut at its end where it is long."""
    space = " " if vocabulary is None or isinstance(vocabulary, WordVocabulary) else ""
    if isinstance(vocabulary, ByteVocabulary):
        text = str(vocabulary.decode([i for i in ids[: most + 1].tolist() if i < len(vocabulary)]))
    else:
        text = space.join(tokens(ids[: most + 1], vocabulary))
    text = text if space else text.replace(SIGNS[" "], " ")
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _options(model: Any, x: Any, found: Sequences, data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what belongs to each sequence beside its elements."""
    if isinstance(model, ManyToMany) and data.get("resets") is not None:
        resets = as_resets(data["resets"], found, step_count(x, found))
        assert resets is not None
        return [{"resets": [own]} for own in split(resets)]
    if isinstance(model, OneToMany) and data.get("context") is not None:
        return [{"context": own[None]} for own in np.atleast_2d(np.asarray(data["context"]))]
    return [{} for _ in range(len(found))]
