"""How a model's data are read: what its file keeps, so that later data are read alike."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from rnnfast.data import Scaler
from rnnfast.text import Vocabulary

KEY = "data"
FORMATS = ("long", "wide", "ts", "npz", "text")
TASKS = ("classification", "multilabel", "regression")


@dataclass(kw_only=True)
class Recipe:
    """What is known of the data that a model was trained on.

    Attributes
    ----------
    format : "long", "wide", "ts", "npz" or "text"
        Of a table: a row a step, or a row a sequence.
    task : "classification", "multilabel", "regression" or None
        None until the targets have been read, as for ``aligned``.
    id, time, target, delimiter : str or None
    features : list of str or None
        The columns of a table, see ``rnnfast.data.read_long``.
    labels : list of str or None
        Of a multilabel what each label is called; in a table the columns that say whether it holds.
    aligned : bool or None
        Whether there is a target at every step.
    window, horizon : int or None
        Steps that a forecast reads, and steps that it writes; None where the target is a column of its own.
    training : dict
        The options of ``fit``, with which a training goes on.
    classes : list of str or None
    scaler, target_scaler : Scaler or None
    vocabulary : Vocabulary or None
    """

    format: str
    task: str | None = None
    id: str | None = None
    time: str | None = None
    target: str | None = None
    delimiter: str | None = None
    features: list[str] | None = None
    labels: list[str] | None = None
    aligned: bool | None = None
    window: int | None = None
    horizon: int | None = None
    training: dict[str, Any] = field(default_factory=dict)
    classes: list[str] | None = None
    scaler: Scaler | None = None
    target_scaler: Scaler | None = None
    vocabulary: Vocabulary | None = None

    @staticmethod
    def stands_in(model: Any) -> bool:
        """Return whether a model's file says how its data are read."""
        return KEY in model.metadata

    @classmethod
    def of(cls, model: Any, path: str) -> Recipe:
        """Return what the file of a model says; ValueError where ``rnnfast train`` did not write it."""
        kept = model.metadata
        try:
            found = cls(**json.loads(kept[KEY]))
            found.classes = json.loads(kept["classes"]) if "classes" in kept else None
            found.scaler = Scaler.from_json(kept["scaler"]) if "scaler" in kept else None
            found.target_scaler = Scaler.from_json(kept["target_scaler"]) if "target_scaler" in kept else None
            found.vocabulary = Vocabulary(kept["vocabulary"]) if "vocabulary" in kept else None
        except (KeyError, TypeError, ValueError):
            wanted = "a model that rnnfast train wrote is required, whose file says how data are read"
            raise ValueError(f"{path}: {wanted}, got {type(model).__name__}") from None
        return found

    def keep_in(self, model: Any) -> None:
        """Write everything to a model's metadata: plain things under one key, the others under their own."""
        own = {"classes", "scaler", "target_scaler", "vocabulary"}
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in own}
        model.metadata[KEY] = json.dumps(plain)
        if self.classes is not None:
            model.metadata["classes"] = json.dumps(self.classes)
        if self.scaler is not None:
            model.metadata["scaler"] = self.scaler.to_json()
        if self.target_scaler is not None:
            model.metadata["target_scaler"] = self.target_scaler.to_json()
        if self.vocabulary is not None:
            model.metadata["vocabulary"] = self.vocabulary.characters

    def learn_scales(self, x: list[Any], y: Any) -> None:
        """Take mean and standard deviation from the data to train on; a forecast's are those of its series."""
        if x[0].dtype.kind == "f":
            self.scaler = Scaler.fit(x)
        if self.window and self.scaler is not None and self.features is not None:
            k = self.features.index(str(self.target))
            horizon = self.horizon or 1
            self.target_scaler = Scaler(np.repeat(self.scaler.mean[k], horizon), np.repeat(self.scaler.std[k], horizon))
        elif self.task == "regression":
            self.target_scaler = Scaler.fit(y)

    def inputs(self, x: list[Any]) -> list[Any]:
        """Return sequences as the model reads them: standardised, a missing number as its feature's mean."""
        return x if self.scaler is None else [np.where(np.isnan(one), 0, one) for one in self.scaler.transform(x)]

    def targets(self, y: Any) -> Any:
        """Return targets as the model learns them."""
        return y if self.target_scaler is None else self.target_scaler.transform(y)

    def answers(self, predicted: Any) -> Any:
        """Return predictions in the units of the data; labels stay ids."""
        return predicted if self.target_scaler is None else self.target_scaler.inverse_transform(predicted)

    def described(self) -> str:
        """Return what is known of the data, a line for each thing."""
        shown = {name: value for name, value in asdict(self).items() if isinstance(value, str | int) and value}
        lists = ("features", "labels", "classes")
        shown |= {name: ", ".join(value) for name in lists if (value := getattr(self, name))}
        if self.vocabulary is not None:
            shown["vocabulary"] = repr(self.vocabulary.characters)
        return "\n".join(f"{name}: {value}" for name, value in shown.items())
