"""Pages about models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from rnnfast.atomic import StrPath
from rnnfast.data import Scaler
from rnnfast.text import AnyVocabulary
from rnnfast.train import History


class Reporting:
    """Base of models that write pages about themselves: adds ``report``."""

    def report(
        self,
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
        """Judge the model on data and write a page about it, one HTML file that needs nothing from elsewhere.

        The page has metrics beside those of baselines, what is right and wrong, the worst cases, hidden states over the
        inputs, saliency or attention, learning curves, every option, and versions. The same model and data make the
        same page. Without matplotlib the page has no pictures, and says so.

        Parameters
        ----------
        x, y
            The data, as ``evaluate`` takes them, but no batches. y is None for a ``OneToMany``.
        path : str or path
            The file; an older one is replaced as a whole.
        title : str or None
            None stands for the class of the model.
        names, features : sequence or None
            Names of the N sequences, and of the C numbers of a step.
        classes : sequence, dict of these by head, or None
            Names of the K classes, labels or numbers.
        vocabulary : AnyVocabulary or None
            What makes texts of ids; None for the model's own.
        baselines : dict of str to array, or None
            Answers of your own baselines, like those of ``predict``. The most frequent class, or answers, or the mean
            are there anyway.
        past : list of N arrays (P_i,), or None
            What was known of the number that is forecast, before each forecast. It is drawn before it, and its last
            value is a baseline.
        history : History or None
            Of the training; None for the model's own.
        target_scaler : Scaler or None
            What y was transformed with. Numbers of the page are then in the units before; so are ``baselines`` and
            ``past``.
        **data
            Further arguments of ``evaluate``: lengths, mask, sample_weight, resets, context.

        Raises
        ------
        ValueError, TypeError
            Data that ``evaluate`` refuses, or names that do not fit them.
        OSError
            The file cannot be written.

        Examples
        --------
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> import numpy as np
        >>> import rnnfast as rf
        >>> model, x = rf.ManyToOne(3, 2, hidden_size=4, seed=0), np.ones((6, 5, 3))
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "report.html")
        ...     model.report(x, [0, 1, 1, 0, 1, 1], path, classes=["fell", "rose"])
        ...     page = path.read_text(encoding="utf-8")
        >>> "most frequent class" in page, "<script" in page
        (True, False)
        """
        given: dict[str, Any] = {"title": title, "names": names, "classes": classes, "features": features}
        given |= {"vocabulary": vocabulary, "baselines": baselines, "past": past}
        given |= {"history": history, "target_scaler": target_scaler}
        import_module("rnnfast.report").write(self, x, y, path, **given, **data)
