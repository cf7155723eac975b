"""The options of a forecaster: checked once, in the form that a file keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnfast import checks
from rnnfast.arrays import Float64
from rnnfast.forecasting.strategies import Wanted
from rnnfast.forecasting.times import CALENDAR
from rnnfast.forecasting.transforms import TRANSFORMS
from rnnfast.losses import Loss, NegativeBinomial, Quantile, as_loss
from rnnfast.models.config import cell_name, checked_cell_options, plain
from rnnfast.optim import OPTIMIZERS

LIKELIHOODS = ("quantile", "gaussian", "student_t", "negative_binomial")
STRATEGIES = ("direct", "recursive", "encoder_decoder")


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the constructor's arguments, its ``locals()``, checked."""
    known = {name: value for name, value in given.items() if name not in ("self", "__class__")}
    for name in ("hidden_size", "num_layers", "window", "horizon", "ensemble", "batch_size"):
        known[name] = checks.as_size(name, known[name])
    known["difference"] = checks.as_integer("difference", known["difference"], least=0)
    known["epochs"] = checks.as_integer("epochs", known["epochs"], least=0)
    known["strategy"] = checks.as_choice("strategy", known["strategy"], STRATEGIES)
    known["cell"] = cell_name(known["cell"])
    known["cell_options"] = checked_cell_options(known) or None
    for name in ("dropout", "output_dropout", "validation"):
        known[name] = checks.as_probability(name, known[name])
    known["scale"] = as_scale(known["scale"])
    if known["transform"] is not None:
        known["transform"] = checks.as_choice("transform", known["transform"], TRANSFORMS, others=" or None")
    known["calendar"] = tuple(checks.as_choice("calendar", name, CALENDAR) for name in _listed(known["calendar"]))
    for name in ("linear", "calibrate"):
        known[name] = checks.as_flag(name, known[name])
    known["ridge"] = None if known["ridge"] is None else checks.at_least_zero("ridge", known["ridge"])
    known["optimizer"] = checks.as_choice("optimizer", known["optimizer"], OPTIMIZERS)
    known["lr"] = checks.as_number("lr", known["lr"], "a finite number above 0", lambda v: 0 < v < np.inf)
    known["clip_norm"] = None if known["clip_norm"] is None else checks.above_zero("clip_norm", known["clip_norm"])
    known["dtype"] = checks.as_dtype(known["dtype"]).name
    known["seed"] = checks.as_seed(known["seed"])
    if known["patience"] is not None:
        known["patience"] = checks.as_integer("patience", known["patience"], least=0)
    known["likelihood"] = checks.as_choice("likelihood", known["likelihood"], LIKELIHOODS)
    known["quantiles"] = tuple(map(float, Quantile(known["quantiles"]).quantiles))
    if known["likelihood"] == "negative_binomial":
        _check_counts(known)
    return {name: plain(name, value) for name, value in known.items()}


def _check_counts(known: Mapping[str, Any]) -> None:
    if known["difference"]:
        raise ValueError(f"difference: 0 is required with likelihood='negative_binomial', got {known['difference']}")
    if known["transform"] is not None:
        raise ValueError(f"transform: None is required with likelihood='negative_binomial', got {known['transform']!r}")
    if known["scale"] == "window":
        raise ValueError("scale: True, 'mean' or False is required with likelihood='negative_binomial', got 'window'")


def as_scale(given: Any) -> bool | str:
    """Return True, False, "window" or "mean"."""
    if isinstance(given, bool | np.bool_):
        return bool(given)
    return checks.as_choice("scale", given, ("window", "mean"), others=", True or False")


def loss_of(options: Mapping[str, Any]) -> Loss:
    """Return what a forecaster learns by."""
    if options["likelihood"] == "quantile":
        return Quantile(options["quantiles"])
    return as_loss("likelihood", options["likelihood"])


def scale_of(options: Mapping[str, Any]) -> str:
    """Return the name of the scale in use: counts are divided by their mean, so that zero stays zero."""
    if not isinstance(options["scale"], bool):
        return str(options["scale"])
    counts = options["likelihood"] == NegativeBinomial.name
    return "none" if not options["scale"] else "mean" if counts else "series"


def wanted_of(options: Mapping[str, Any], horizon: Any, quantiles: Any = None, num_samples: Any = None) -> Wanted:
    """Return what a user wants of each step, checked."""
    trained = options["horizon"]
    steps = trained if horizon is None else checks.as_size("horizon", horizon)
    if steps > trained and options["strategy"] != "recursive":
        most = f"at most {trained}, the steps that were trained (strategy='recursive' goes on),"
        raise ValueError(f"horizon: {most} is required, got {steps}")
    if quantiles is not None and num_samples is not None:
        raise ValueError("num_samples: None is required beside quantiles, got both")
    paths = None if num_samples is None else checks.as_size("num_samples", num_samples)
    return Wanted(horizon=steps, levels=None if quantiles is None else _levels(quantiles), paths=paths)


def _levels(given: Any) -> Float64:
    levels = np.atleast_1d(checks.as_reals("quantiles", given, np.dtype(np.float64)))
    if levels.ndim != 1 or not len(levels) or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"quantiles: numbers within (0, 1) are required, got {checks.shown(given)}")
    return levels


def _listed(given: Any) -> list[Any]:
    return [given] if isinstance(given, str) else list(checks.as_items("calendar", given))
