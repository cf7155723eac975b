"""What users keep in a model's file."""

from __future__ import annotations

from typing import Any


class Metadata(dict[str, str]):
    """A dict of text; TypeError for another key or value, so that ``save`` does not meet one hours later.

    Examples
    --------
    >>> metadata = Metadata(letters="abc")
    >>> metadata["classes"] = 3
    Traceback (most recent call last):
        ...
    TypeError: metadata['classes']: text (str) is required, got int; json.dumps makes text of it
    """

    def __init__(self, items: Any = (), /, **named: str) -> None:
        super().__init__()
        self.update(items, **named)

    def __setitem__(self, key: str, value: str) -> None:
        """Keep a text under a key."""
        super().__setitem__(*_checked(key, value))

    def setdefault(self, key: str, default: str = "", /) -> str:
        """Return the text under a key, which is ``default`` from now on if there was none."""
        return super().setdefault(*_checked(key, default))

    def update(self, items: Any = (), /, **named: str) -> None:
        """Keep all of the texts, or none if one of them is no text."""
        super().update([_checked(key, value) for key, value in dict(items, **named).items()])

    def __ior__(self, items: Any) -> Metadata:  # type: ignore[override,misc]
        """Keep all of the texts."""
        self.update(items)
        return self


def _checked(key: Any, value: Any) -> tuple[str, str]:
    if not isinstance(key, str):
        raise TypeError(f"metadata: keys that are text (str) are required, got {key!r}")
    if not isinstance(value, str):
        raise TypeError(
            f"metadata[{key!r}]: text (str) is required, got {type(value).__name__}; json.dumps makes text of it"
        )
    return str(key), str(value)
