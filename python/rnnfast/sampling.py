"""Options of generation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rnnfast import checks


@dataclass(frozen=True, kw_only=True)
class WritingOptions:
    """How the elements of a sequence are chosen from a head's outputs (R, K).

    Ids are drawn with ``p = softmax(outputs / temperature)``, which is restricted to the ``top_k`` most probable ids,
    then to the smallest set of most probable ids whose probability reaches ``top_p`` (Holtzman et al. 2020), and
    renormalised. Labels are drawn one by one with ``p = sigmoid(outputs / temperature)``. Real vectors are the outputs
    themselves. With ``beams`` nothing is drawn: a beam search returns the hypothesis of n ids with the highest
    ``log p / ((5 + n) / 6)^length_penalty`` (Wu et al. 2016).

    Parameters
    ----------
    length : int
        Number of elements to generate.
    temperature : float
        Divisor of the outputs, above 0: below 1 it sharpens the distribution, above 1 it flattens it.
    top_k : int or None
        Number of most probable ids to draw from.
    top_p : float or None
        Probability, within (0, 1], that the ids to draw from have together.
    greedy : bool
        Whether the most probable element is taken; among equal ones, the id that is lowest.
    beams : int or None
        Number of hypotheses that a beam search keeps at every step.
    length_penalty : float
        Exponent in the score of a beam search that ``stop`` can end: above 0 it favours long sequences, below 0 short
        ones.
    stop : int or None
        The id that ends a sequence.
    num_sequences : int
        Number of sequences from each prompt; with ``beams`` the best ones.
    return_log_probs : bool
        Whether the log-probabilities of the ids are returned.
    seed : int or None
        Seed of the drawing. None takes a new one every time.

    Raises
    ------
    ValueError
        If an option is out of its range, or excludes another one.
    OverflowError
        If a number is too large for the engine.

    References
    ----------
    A. Holtzman et al., "The curious case of neural text degeneration", ICLR (2020);
    Y. Wu et al., "Google's neural machine translation system", arXiv:1609.08144 (2016).

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
        if self.num_sequences > self.beams:
            raise ValueError(f"num_sequences: at most beams = {self.beams} is required, got {self.num_sequences}")
        drawing = {"temperature": 1.0, "top_k": None, "top_p": None, "greedy": False}
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
        """Return a 64-bit key made of ``seed``, a new one at every call without a seed; 0 where nothing is drawn."""
        return 0 if self.greedy else int(np.random.SeedSequence(self.seed).generate_state(1, np.uint64)[0])
