"""The cache of compiled kernels on disk: object files, keyed by content.

An entry is a file `<key>.kernel` in a directory that belongs to the user. Whatever cannot be
trusted (damaged, cut short, another key's, writable by others) counts as absent and is built again;
whatever cannot be written is done without. How much there is says a file beside them (`Tally`), so
that nobody looks at all entries before they may be too many.

The environment (see core/settings.py) is asked when the default cache is first used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

from flambeau.core import settings
from flambeau.execute.cpu.target import Target, llvm_version

if sys.platform != "win32":
    import fcntl

FORMAT = (
    b"3"  # Change it when equal text may give other code: pass list, attributes, names, layout.
)
MAGIC = b"FLAMBO1\n"
ENTRY = ".kernel"
UNFINISHED = ".kernel-part"
DIGEST_BYTES = 32
HEADER_BYTES = len(MAGIC) + 2 * DIGEST_BYTES
DEFAULT_LIMIT = 512 << 20
LARGEST_ENTRY = 64 << 20  # no kernel comes near it
TOUCH_AFTER_SECONDS = 3600.0
TALLY_MAGIC, TALLY_HEAD = b"FLAMSUM1", struct.Struct("<8sq")  # and when it was begun
TALLY_UNIT, TALLY_DAYS, TALLY_TRIES = 1024, 7, 8


def object_key(text: str, target: Target) -> bytes:
    """The 32 bytes that name the object code of `text` for `target` with this LLVM and format."""
    machine = (target.triple, target.cpu, target.features, str(target.vector_bits), llvm_version())
    head = b"\0".join([FORMAT, *(part.encode() for part in machine)])
    return hashlib.sha256(head + b"\0" + text.encode()).digest()


class ObjectCache:
    """Object files in one directory, bounded in size, shared safely by several processes.

    `directory` must be usable (see `private_directory`); `limit` is in bytes.
    """

    def __init__(self, directory: Path, limit: int = DEFAULT_LIMIT) -> None:
        self.directory = directory
        self.limit = limit
        self.tally = Tally(directory / "tally")

    def path(self, key: bytes) -> Path:
        return self.directory / f"{key.hex()}{ENTRY}"

    def get(self, key: bytes) -> bytes | None:
        """The payload stored under `key`, or None; an entry that fails its checks is removed."""
        path = self.path(key)
        try:
            data = _read_own_file(path)
        except OSError:
            return None
        payload = None if data is None else _verified(data, key)
        if payload is None:
            with contextlib.suppress(OSError):
                path.unlink()
        return payload

    def put(self, key: bytes, payload: bytes) -> bool:
        """Stores `payload`: readers see the old entry or the whole new one.

        False if it cannot be written.
        """
        digest = hashlib.sha256(key + payload).digest()
        temporary = self.directory / f".{key.hex()[:16]}-{_token()}{UNFINISHED}"
        size = HEADER_BYTES + len(payload)
        stored = self.tally.add(size)  # first: processes may be killed
        if stored is None:
            self.tally.start(self.limit + TALLY_UNIT)  # whoever adds to it looks at all entries
            stored = self.tally.add(size)
        try:
            with _new_file(temporary) as file:
                file.write(b"".join([MAGIC, digest, key, payload]))
            os.replace(temporary, self.path(key))
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            return False
        if stored is None or stored > self.limit:
            self.sweep()
        return True

    def sweep(self) -> None:
        """Removes the entries unused for longest until the rest fits, and killed writers' files."""
        self.tally.start(self.limit + TALLY_UNIT)
        with self.tally.opened() as tally:
            before = 0 if tally is None else _tallied(tally)
            total = self._without_the_oldest()
            if tally is not None:
                self.tally.begin(total, tally, before)

    def _without_the_oldest(self) -> int:
        """Removes what `sweep` removes; the bytes of all entries that are left."""
        entries = []
        now = time.time()
        with contextlib.suppress(OSError), os.scandir(self.directory) as scan:
            for item in scan:
                with contextlib.suppress(OSError):
                    status = item.stat(follow_symlinks=False)
                    if item.name.endswith(ENTRY):
                        entries.append((status.st_mtime, status.st_size, item.path))
                    elif (
                        item.name.endswith(UNFINISHED)
                        and now - status.st_mtime > TOUCH_AFTER_SECONDS
                    ):
                        os.unlink(item.path)
        total = sum(size for _, size, _ in entries)
        if total > self.limit:
            for _, size, path in sorted(entries):
                try:
                    os.unlink(path)
                except FileNotFoundError:  # another process did
                    pass
                except OSError:
                    continue
                total -= size
                if total <= self.limit * 3 // 4:
                    break
        return total


class Tally:
    """How much is stored, at most: a file as long as that, in units, and a head.

    To add is to append, which processes can do at once. Too long a tally (of processes that were
    killed, of entries written twice) costs a look at all entries, which makes it right. One that
    is too short would be believed until it is TALLY_DAYS old, so nothing that is added while a new
    tally takes the place of the old one may be lost: who has appended looks whether the file is
    still in its place, and who has replaced it looks what the old one has got meanwhile. (What
    both see counts twice. It is lost only where the second is killed between the two.)
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> int | None:
        """Bytes; None where there is no tally that counts."""
        return self.add(0)

    def add(self, size: int) -> int | None:
        """Adds so many bytes, and reads."""
        units = -(-size // TALLY_UNIT)
        with contextlib.suppress(OSError):
            for _ in range(TALLY_TRIES):
                with self.opened() as file:
                    if file is None or os.write(file, bytes(units)) != units:
                        return None
                    if self._in_place(file):
                        return _tallied(file)
        return None

    @contextlib.contextmanager
    def opened(self) -> Iterator[int | None]:
        """The descriptor of a tally that counts, to append and read; None where there is none."""
        flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        try:
            file = os.open(self.path, flags | getattr(os, "O_NONBLOCK", 0))
        except OSError:
            yield None
            return
        try:
            yield file if _counts(file) else None
        finally:
            os.close(file)

    def start(self, total: int) -> None:
        """A tally of `total` bytes where there is none that counts."""
        with self.opened() as file:
            if file is None:
                self._put(total, os.replace if os.path.lexists(self.path) else _link)

    def begin(self, total: int, old: int, before: int) -> None:
        """A new tally, of `total` bytes and of what `old` got since it read `before`.

        Where another process has made a new one since then, or is about to, that one stays: it has
        all that was added, and at most what was removed is too much.
        """
        with contextlib.suppress(OSError):
            if sys.platform == "win32":  # where no file is replaced that is open
                total += _tallied(old) - before
                os.ftruncate(old, TALLY_HEAD.size + -(-total // TALLY_UNIT))
                return
            fcntl.flock(old, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process
            if self._in_place(old):
                seen = _tallied(old)
                if self._put(total + seen - before, os.replace):
                    self.add(_tallied(old) - seen)

    def _in_place(self, file: int) -> bool:
        """Whether the open file is the one that others find."""
        with contextlib.suppress(OSError):
            here, found = os.fstat(file), os.stat(self.path, follow_symlinks=False)
            return (here.st_dev, here.st_ino) == (found.st_dev, found.st_ino)
        return False

    def _put(self, total: int, place: Callable[[Path, Path], None]) -> bool:
        """Whether a new tally could be put into its place, whole."""
        temporary = self.path.with_name(f".{self.path.name}-{_token()}{UNFINISHED}")
        try:
            with _new_file(temporary) as file:
                file.write(TALLY_HEAD.pack(TALLY_MAGIC, int(time.time())))
                file.truncate(TALLY_HEAD.size + -(-total // TALLY_UNIT))
            place(temporary, self.path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            return False
        return True


def _counts(file: int) -> bool:
    """Whether this is a tally, the user's own, and not too old."""
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or not _is_private(status):
            return False
        magic, since = TALLY_HEAD.unpack(os.read(file, TALLY_HEAD.size))
    except (OSError, struct.error):
        return False
    return bool(magic == TALLY_MAGIC and 0 <= time.time() - since < TALLY_DAYS * 86400)


def _tallied(file: int) -> int:
    """The bytes that a tally says."""
    return (os.fstat(file).st_size - TALLY_HEAD.size) * TALLY_UNIT


def _link(source: Path, target: Path) -> None:
    """Renames a file where there is none of that name; FileExistsError where there is."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        os.replace(source, target)
    else:
        source.unlink()


def _token() -> str:
    """What no other writer's file has in its name."""
    return f"{os.getpid()}-{threading.get_ident()}-{time.monotonic_ns()}"


def _new_file(path: Path) -> BinaryIO:
    """A file that is not there yet, opened to write."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def _read_own_file(path: Path) -> bytes | None:
    """The bytes of a regular file that only this user can write; None for any other file."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    # Opening a FIFO would otherwise wait for its writer.
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not _is_private(status):
            return None
        if status.st_size > LARGEST_ENTRY:
            return None
        data = b"".join(iter(lambda: os.read(descriptor, 1 << 20), b""))
        now = time.time()
        if now - status.st_mtime > TOUCH_AFTER_SECONDS and os.utime in os.supports_fd:
            with contextlib.suppress(OSError):
                os.utime(descriptor, (now, now))
        return data
    finally:
        os.close(descriptor)


def _verified(data: bytes, key: bytes) -> bytes | None:
    """The payload of an entry's bytes if they are whole and belong to `key`."""
    start = len(MAGIC) + DIGEST_BYTES
    if len(data) < HEADER_BYTES or data[: len(MAGIC)] != MAGIC:
        return None
    if data[start:HEADER_BYTES] != key:
        return None
    if hashlib.sha256(data[start:]).digest() != data[len(MAGIC) : start]:
        return None
    return data[HEADER_BYTES:]


def _is_private(status: os.stat_result) -> bool:
    """Whether only this user may write a file of theirs (true where files have no owners)."""
    if not hasattr(os, "geteuid"):
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def private_directory(path: Path) -> Path | None:
    """`path`, created with mode 0700 if absent; None unless it is the user's own and writable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        status = path.stat()
    except OSError:
        return None
    usable = stat.S_ISDIR(status.st_mode) and _is_private(status)
    return path if usable and os.access(path, os.W_OK | os.X_OK) else None


def _candidate_directories() -> Iterator[Path]:
    named = settings.cache_directory()
    if named:
        yield Path(named)
        return
    base = settings.cache_home()
    if base is not None:
        yield Path(base) / "flambeau"
    else:
        with contextlib.suppress(RuntimeError):
            yield Path.home() / ".cache" / "flambeau"
    import tempfile  # (it imports what reads archives of all kinds)

    owner = os.geteuid() if hasattr(os, "geteuid") else "user"
    yield Path(tempfile.gettempdir()) / f"flambeau-{owner}"


@cache
def default_cache() -> ObjectCache | None:
    """The process's cache on disk, or None if switched off or no directory can be used."""
    if not settings.cache_wanted():
        return None
    limit = settings.cache_limit()
    if limit is None:
        limit = DEFAULT_LIMIT
    for candidate in _candidate_directories():
        directory = private_directory(candidate)
        if directory is not None:
            return ObjectCache(directory, limit)
    return None
