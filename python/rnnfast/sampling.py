"""What may be asked of a model that writes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rnnfast import checks


@dataclass(frozen=True, kw_only=True)
class WritingOptions:
    """How elements are chosen from a head's outputs (R, K).

    Ids are drawn with ``p = softmax(outputs / temperature)``, restricted to the ``top_k`` most probable ids, then to
    the smallest set of most probable ids whose probability reaches ``top_p`` (Holtzman et al. 2020), and
    renormalised; labels one by one with ``p = sigmoid(outputs / temperature)``; real vectors are the outputs
    themselves. With ``beams`` nothing is drawn: of the hypotheses of n ids that a beam search reaches, the best is
    that of the highest ``log p / ((5 + n) / 6)^length_penalty`` (Wu et al. 2016).

    Parameters
    ----------
    length : int
        Elements to write.
    temperature : float
        Below 1 sharpens, above 1 flattens.
    top_k : int or None
    top_p : float or None
        In (0, 1].
    greedy : bool
        Take the most probable element; of equal ids the lowest.
    beams : int or None
        Hypotheses kept at every step of a search.
    length_penalty : float
        Of a search that ``stop`` can end: above 0 favours long sequences, below 0 short ones.
    stop : int or None
        The id that ends a sequence.
    num_sequences : int
        Sequences from each prompt.
    return_log_probs : bool
    seed : int or None
        Of the drawing; None draws a fresh one.

    Raises
    ------
    ValueError
        An option out of its range, or beside another that leaves it no meaning.
    OverflowError
        A number that the engine cannot hold.

    Examples
    --------
    >>> WritingOptions(length=5, top_p=1.5)
    Traceback (most recent call last):
    ValueError: top_p: a number in (0, 1] is required, got 1.5
    """

    length: int
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    greedy: bool = False
    beams: int | None = None
    length_penalty: float = 0.0
    stop: int | None = None
    num_sequences: int = 1
    return_log_probs: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        checks.as_integer("length", self.length, least=0)
        checks.as_size("num_sequences", self.num_sequences)
        wanted = "a number > 0, of which greedy=True is the limit 0,"
        checks.as_number("temperature", self.temperature, wanted, lambda t: 0 < t < math.inf)
        for name in ("top_k", "beams"):
            if getattr(self, name) is not None:
                checks.as_size(name, getattr(self, name))
        if self.top_p is not None:
            checks.as_number("top_p", self.top_p, "a number in (0, 1]", lambda p: 0 < p <= 1)
        if self.stop is not None:
            checks.as_integer("stop", self.stop)
        for name in ("greedy", "return_log_probs"):
            checks.as_flag(name, getattr(self, name))
        checks.as_number("length_penalty", self.length_penalty)
        checks.as_seed(self.seed)
        self._check_search()

    def _check_search(self) -> None:
        if self.beams is None:
            if self.length_penalty != 0:
                raise ValueError(f"length_penalty: 0.0 is required without beams, got {self.length_penalty}")
            return
        drawing = {"temperature": 1.0, "top_k": None, "top_p": None, "greedy": False, "num_sequences": 1}
        for name, unset in drawing.items():
            if getattr(self, name) != unset:
                raise ValueError(f"{name}: {unset} is required with beams, got {getattr(self, name)}")

    def check_task(self, task: str, size: int, *, ids: bool) -> None:
        """Check what depends on the model: its task, whether that writes ids, and the number of its outputs."""
        if not ids:
            for name in ("top_k", "top_p", "beams", "stop"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name}: None is required for task={task!r}, got {getattr(self, name)}")
            if self.return_log_probs:
                raise ValueError(f"return_log_probs: False is required for task={task!r}, got True")
        if self.stop is not None and not 0 <= self.stop < size:
            raise ValueError(f"stop: an id 0..{size - 1} is required, got {self.stop}")

    def key(self) -> int:
        """Return 64 bits made of ``seed``, other ones at every call where it is None."""
        return int(np.random.SeedSequence(self.seed).generate_state(1, np.uint64)[0])
