"""How objects of this package are copied and pickled."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, NoReturn, TypeVar

T = TypeVar("T")


class CopiedWhole:
    """What shares nothing with its copies, those of ``copy.copy`` included.

    A shallow copy would share arrays with the original, and training the one would change the other.
    """

    __slots__ = ()

    def __copy__(self: T) -> T:
        """Return what ``copy.deepcopy`` returns."""
        return copy.deepcopy(self)


class NotCopied:
    """What holds memory of the engine and can be neither copied nor pickled; ``instead`` says what to do."""

    __slots__ = ()
    instead: ClassVar[str]

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"{type(self).__name__}: it cannot be copied or pickled; {self.instead}")
