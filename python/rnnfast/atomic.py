"""Files that are written completely or not at all."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

StrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_KINDS = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
_CANNOT_SYNC = (errno.EACCES, errno.EINVAL, errno.ENOTSUP)  # of folders: no right to read them, or no such operation


def require_regular(status: os.stat_result, path: StrPath) -> None:
    """Raise OSError unless ``status`` is that of a regular file."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(errno.EINVAL, f"a regular file is required, got {kind}", path)


@contextmanager
def replacing(path: StrPath) -> Iterator[BinaryIO]:
    """Yield a draft to write to, which takes the place of ``path`` at the end.

    The draft stands in the same folder. It replaces a link's target, not the link. An existing file keeps its
    permissions, and a new one gets those of the umask. After an exception the old file is as it was and the draft is
    gone. A process that was killed leaves its draft, which the next call for the same file removes.

    Raises
    ------
    OSError
        The file cannot be written, or ``path`` is a folder, a device or a FIFO.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(os.path.join(folder, "a")) as file:
    ...         count = file.write(b"text")
    ...     os.listdir(folder)
    ['a']
    """
    target, old = _target_of(path)
    folder, name = os.path.split(target)
    prefix = b".rnnfast-%s-" % hashlib.blake2b(name, digest_size=8).hexdigest().encode()
    _remove_stale(folder, prefix)
    try:
        draft, descriptor = _new_draft(os.path.join(folder, prefix), 0o666 if old is None else 0o600)
    except OSError as error:
        error.filename = path
        raise
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            if old is not None:
                _copy_permissions(target, old, descriptor)
            os.fsync(descriptor)
            os.replace(draft, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise
    _sync_folder(folder)


def _target_of(path: StrPath) -> tuple[bytes, os.stat_result | None]:
    """Return the file that ``path`` names, links followed, and its status; None where there is none yet."""
    given = os.fsencode(path)
    if not given:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    try:
        status = os.stat(given)
    except FileNotFoundError:
        if given.endswith(b"/"):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path) from None
        return os.path.realpath(given), None
    require_regular(status, path)
    return os.path.realpath(given), status


def _new_draft(prefix: bytes, mode: int) -> tuple[bytes, int]:
    """Return the path and the descriptor of a new draft, which is locked as long as it is open."""
    while True:
        draft = prefix + secrets.token_hex(4).encode()
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with suppress(OSError):  # a file system without locks: stale drafts stay there
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return draft, descriptor
        os.close(descriptor)  # another process took it for a stale one before it was locked


def _remove_stale(folder: bytes, prefix: bytes) -> None:
    """Remove drafts that nobody has locked: their writers are dead."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(prefix):
                with suppress(OSError):
                    _remove_unlocked(os.path.join(folder, name))


def _remove_unlocked(draft: bytes) -> None:
    descriptor = os.open(draft, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(draft)
    finally:
        os.close(descriptor)


def _copy_permissions(source: bytes, old: os.stat_result, descriptor: int) -> None:
    """Give an open file the owner, the extended attributes (access control lists) and the mode of ``source``."""
    for owner, group in ((old.st_uid, -1), (-1, old.st_gid)):
        with suppress(OSError):
            os.fchown(descriptor, owner, group)
    mode = stat.S_IMODE(old.st_mode)
    if os.fstat(descriptor).st_gid != old.st_gid:  # another group must not get the rights of the old one
        mode = mode & ~0o070 | (mode & 0o007) << 3
    os.fchmod(descriptor, mode)
    with suppress(OSError, AttributeError):  # not every system has them
        for name in os.listxattr(source):
            with suppress(OSError):
                os.setxattr(descriptor, name, os.getxattr(source, name))


def _sync_folder(folder: bytes) -> None:
    """Make a replaced name last through a loss of power."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
