"""Model files: safetensors with the configuration and a checksum in the metadata."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Tensors = Mapping[str, npt.NDArray[Any]]
FORMAT = "rnnfast 1"


def write(path: str | os.PathLike[str], tensors: Tensors, config: dict[str, Any]) -> None:
    """Write ``tensors`` and ``config`` (anything JSON can hold) to ``path``, completely or not at all.

    The file is written beside ``path`` and takes its place at the end, so that a failure leaves an older file
    whole.
    """
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(a) for name, a in tensors.items()}
    text = json.dumps(config, sort_keys=True)
    metadata = {"format": FORMAT, "config": text, "sha256": _checksum(arrays, text)}
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with open(draft, "xb") as file:
            file.write(save(arrays, metadata))
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def read(path: str | os.PathLike[str]) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return the tensors and the configuration that ``write`` put into a file.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is no model file, or is damaged.
    """
    data = Path(path).read_bytes()
    try:
        return _parse(data)
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"{os.fspath(path)}: an undamaged {FORMAT} model file required, got {error}") from error


def _parse(data: bytes) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    from safetensors.numpy import load

    tensors = load(data)
    size = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + size]).get("__metadata__", {})
    if metadata.get("format") != FORMAT:
        raise ValueError(f"format {metadata.get('format')!r}")
    text = metadata["config"]
    if metadata["sha256"] != _checksum(tensors, text):
        raise ValueError("another checksum than was written")
    config = json.loads(text)
    if not isinstance(config, dict):
        raise ValueError("a configuration that is no object")
    return tensors, config


def _checksum(tensors: Tensors, text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
