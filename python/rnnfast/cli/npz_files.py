"""Files of NumPy's arrays (.npz)."""

from __future__ import annotations

import zipfile
from typing import Any

import numpy as np

from rnnfast.arrays import Array
from rnnfast.cli.recipes import Recipe
from rnnfast.data import Dataset
from rnnfast.data.dataset import class_names


def read_npz(path: str, recipe: Recipe, *, labelled: bool) -> Dataset:
    """Read arrays: x (N, T, C) or (N, T), y (N,), (N, K), (N, T) or (N, T, K), and lengths (N,) of the sequences."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name in ("x", "y", "lengths")}
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise ValueError(f"{path}: an .npz file of plain arrays is required, got {error}") from None
    if "x" not in arrays or arrays["x"].ndim not in (2, 3) or arrays["x"].dtype.kind not in "fiub":
        got = f"shape {arrays['x'].shape} of {arrays['x'].dtype}" if "x" in arrays else "none"
        raise ValueError(f"{path}: an array x (N, T, C) of numbers, or of ids (N, T), is required, got {got}")
    x = arrays["x"]
    N, T = x.shape[:2]
    if N == 0:
        raise ValueError(f"{path}: at least one sequence is required, got x of shape {x.shape}")
    lengths = arrays.get("lengths", np.full(N, T))
    if lengths.shape != (N,) or lengths.dtype.kind not in "iu" or (N and not 0 <= lengths.min() <= lengths.max() <= T):
        raise ValueError(f"{path}: lengths (N,) = ({N},) within 0..T = {T} are required, got {lengths.tolist()[:10]}")
    if x.ndim == 2 and x.dtype.kind == "f":
        x = x[..., None]
    items = [one[:end].astype(np.float64 if one.ndim == 2 else np.int64) for one, end in zip(x, lengths, strict=True)]
    features = [str(i) for i in range(x.shape[2])] if x.ndim == 3 else ["id"]
    y, names = None, None
    if labelled and "y" in arrays:
        y, names = _npz_targets(path, arrays["y"], lengths, T, recipe)
    return Dataset(x=items, y=y, ids=[str(n) for n in range(N)], features=features, classes=names)


def _npz_targets(path: str, y: Array, lengths: Array, steps: int, recipe: Recipe) -> tuple[Any, list[str] | None]:
    """Return targets of sequences or steps, and the labels of their classes."""
    several = recipe.task == "multilabel"
    N, aligned = len(lengths), y.ndim > (2 if several else 1) and y.shape[1] == steps > 1
    if y.ndim not in (1, 2, 3) or len(y) != N or (y.ndim == 3 and not aligned):
        raise ValueError(f"{path}: y of shape (N,), (N, K), (N, T) or (N, T, K), N = {N}, is required, got {y.shape}")
    single = y.ndim == (2 if aligned else 1)
    if several and (single or y.dtype.kind not in "fiub"):
        wanted = "numbers 0 and 1, y (N, K) or (N, T, K), are required for a multilabel"
        raise ValueError(f"{path}: {wanted}, got {y.dtype} of shape {y.shape}")
    if several or recipe.task == "regression" or (recipe.task is None and not (single and y.dtype.kind in "iubU")):
        values = (y[..., None] if single else y).astype(np.float64)
        return [one[:end] for one, end in zip(values, lengths, strict=True)] if aligned else values, None
    if not single:
        raise ValueError(f"{path}: y of shape (N,) or (N, T) is required for a classification, got {y.shape}")
    known = recipe.classes or class_names([str(label) for label in np.unique(y)])
    ids = {label: i for i, label in enumerate(known)}
    unknown = [str(label) for label in np.unique(y) if str(label) not in ids]
    if unknown:
        raise ValueError(f"{path}: y: labels {', '.join(known)} are required, got {unknown[0]}")
    each = np.array([ids[str(label)] for label in y.ravel()], np.int64).reshape(y.shape)
    return [one[:end] for one, end in zip(each, lengths, strict=True)] if aligned else each, known
