"""Model files: safetensors with the configuration and a checksum in the metadata."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.arrays import Array, DType
from rnnfast.atomic import StrPath, replacing, require_regular

Tensors = Mapping[str, Array]
FORMAT = "rnnfast 1"

# The names that safetensors has for NumPy's types.
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_NAMES = {np.dtype(code): name for name, code in DTYPES.items()}
# What a header may cost: text of 16 MB, and so many brackets, commas and colons, each of which may stand for an object
# of some 100 bytes.
LARGEST_HEADER = 1 << 24
MOST_MARKS = 1 << 18
MOST_AXES = 32
_ALIGNMENT = 8


def write(path: StrPath, tensors: Tensors, config: dict[str, Any]) -> None:
    """Write ``tensors`` and ``config`` (anything JSON can hold) to ``path``, completely or not at all.

    See ``rnnfast.atomic.replacing`` for permissions, links and what a failure leaves.

    Raises
    ------
    OSError
        The file cannot be written.
    ValueError
        ``config`` has more than 16 MB of text, which ``read`` refuses.
    TypeError
        A tensor's dtype has no name in safetensors, or JSON cannot hold ``config``.
    """
    parts = _parts(tensors, config)
    checks.as_path("path", path)
    with replacing(path) as file:
        for part in parts:
            file.write(part)


def to_bytes(tensors: Tensors, config: dict[str, Any]) -> bytes:
    """Return what ``write`` writes to a file; ``from_bytes`` reads it."""
    return b"".join(_parts(tensors, config))


def _parts(tensors: Tensors, config: dict[str, Any]) -> list[bytes | memoryview]:
    """Return the header of a file and what follows it."""
    text = json.dumps(config, sort_keys=True)
    _loads("configuration", text)
    arrays = {name: _plain(name, array) for name, array in tensors.items()}
    # Larger elements first, so that each tensor is aligned.
    arrays = dict(sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0])))
    header = _header(arrays, {"format": FORMAT, "config": text, "sha256": _checksum(arrays, text)})
    return [header, *map(_bytes, arrays.values())]


def _plain(name: str, array: Array) -> Array:
    dtype = np.asarray(array).dtype.newbyteorder("<")
    if dtype not in _NAMES:
        raise TypeError(f"{name}: one of the dtypes {', '.join(d.name for d in _NAMES)} is required, got {dtype}")
    return np.require(array, dtype, "C")


def _header(arrays: Tensors, metadata: dict[str, str]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        entries[name] = {"dtype": _NAMES[array.dtype], "shape": array.shape, "data_offsets": (start, end)}
    text = json.dumps(entries, separators=(",", ":"))
    text += " " * (-len(text) % _ALIGNMENT)
    _loads("header", text)
    return len(text).to_bytes(8, "little") + text.encode()


def read(path: StrPath) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the tensors and the configuration that ``write`` put into a file.

    Raises
    ------
    OSError
        The file cannot be read, or is no regular file.
    ValueError
        It is no model file, or is damaged.
    """
    with open(checks.as_path("path", path), "rb", buffering=0, opener=_open) as file:
        status = os.fstat(file.fileno())
        require_regular(status, path)
        return _read_all(file, status.st_size, os.fsdecode(path))


def from_bytes(name: str, data: bytes) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the tensors and the configuration of which ``to_bytes`` made bytes.

    Raises
    ------
    ValueError
        The bytes are no model file, or are damaged; ``name`` says which they are.
    """
    return _read_all(io.BytesIO(data), len(data), name)


def _read_all(file: Any, size: int, name: str) -> tuple[dict[str, Array], dict[str, Any]]:
    try:
        return _parse(file, size)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        got = f"{error!s:.500}"
        raise ValueError(f"{name}: an undamaged {FORMAT} model file required, got {got}") from error


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a FIFO is refused, not waited for


def _parse(file: Any, size: int) -> tuple[dict[str, Array], dict[str, Any]]:
    length = int.from_bytes(_read(file, min(size, 8)), "little")
    if not 8 <= 8 + length <= size:
        raise ValueError(f"a header of {length} bytes in a file of {size}")
    if length > LARGEST_HEADER:
        raise ValueError(f"a header of {length} bytes, more than {LARGEST_HEADER}")
    entries = _loads("header", bytes(_read(file, length)))
    metadata = entries.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ValueError("another format")
    text = metadata["config"]
    layout = _layout(entries, size - 8 - length)
    config = _loads("configuration", text)
    data = _read(file, size - 8 - length)
    tensors = {name: data[start:end].view(dtype).reshape(shape) for name, (dtype, shape, start, end) in layout.items()}
    if metadata["sha256"] != _checksum(tensors, text):
        raise ValueError("another checksum than was written")
    return tensors, config


def _read(file: Any, count: int) -> npt.NDArray[np.uint8]:
    """Return the next ``count`` bytes."""
    data = np.empty(count, np.uint8)
    view, done = data.data, 0
    while done < count:
        got = file.readinto(view[done:])
        if not got:
            raise ValueError(f"{count - done} bytes less than its size")
        done += got
    return data


def _loads(name: str, text: str | bytes) -> dict[str, Any]:
    """Return the object in a JSON text, once that is sure not to cost more than the limits above allow."""
    size = len(text) * (1 if text.isascii() else 4)  # one larger character makes each of a string take four bytes
    if size > LARGEST_HEADER:
        raise ValueError(f"a {name} of {size} bytes, more than {LARGEST_HEADER}")
    text = text.decode() if isinstance(text, bytes) else text
    if _marks(text) > MOST_MARKS:
        raise ValueError(f"a {name} of more than {MOST_MARKS} elements")
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"a {name} that is no object")
    return found


def _marks(text: str) -> int:
    """Return the number of quotes, or if that is allowed, of brackets, commas and colons outside strings."""
    plain = text.replace("\\\\", "").replace('\\"', "") if "\\" in text else text
    quotes = plain.count('"')
    if quotes > 2 * MOST_MARKS:
        return quotes
    outside = "".join(plain.split('"')[::2])
    return sum(outside.count(mark) for mark in "[{,:")


def _layout(entries: dict[str, Any], size: int) -> dict[str, tuple[DType, tuple[int, ...], int, int]]:
    """Return dtype, shape, start and end of every tensor, once they are sure to fill ``size`` bytes without a gap."""
    layout = {name: _entry(name, entry) for name, entry in entries.items()}
    end = 0
    for name, (_, _, start, stop) in sorted(layout.items(), key=lambda item: item[1][2]):
        if start != end:
            raise ValueError(f"{name} at byte {start} where {end} is next")
        end = stop
    if end != size:
        raise ValueError(f"tensors of {end} bytes in {size}")
    return layout


def _entry(name: str, entry: Any) -> tuple[DType, tuple[int, ...], int, int]:
    dtype, shape, (start, end) = np.dtype(DTYPES[entry["dtype"]]), entry["shape"], entry["data_offsets"]
    if not isinstance(shape, list) or len(shape) > MOST_AXES:
        raise ValueError(f"{name} of shape {str(shape)[:80]}")
    if any(type(number) is not int or not 0 <= number < 1 << 62 for number in (*shape, start, end)):
        raise ValueError(f"{name} with other numbers than sizes")
    if 0 in shape:
        raise ValueError(f"{name} without elements")
    if math.prod(shape) * dtype.itemsize != end - start:
        raise ValueError(f"{name} of shape {tuple(shape)} in {end - start} bytes")
    return dtype, tuple(shape), start, end


def _checksum(tensors: Tensors, text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(_bytes(array))
    return digest.hexdigest()


def _bytes(array: Array) -> memoryview:
    """Return the memory of a contiguous array."""
    return array.reshape(-1).view(np.uint8).data
