"""Files of data sets: found, fetched (resumed, checked), unpacked."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import http.client
import lzma
import os
import shutil
import sys
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20
_AGENT = {"User-Agent": "flambeau"}
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
_TAR_ENDS = {".tgz": "gz", ".tbz2": "bz2", ".tbz": "bz2", ".txz": "xz"}


def verify_str_arg(
    value: Any, arg: str | None = None, valid_values: Iterable[str] | None = None
) -> str:
    """`value`, if it is one of the valid ones. ValueError says which there are."""
    if not isinstance(value, str):
        known = "" if arg is None else f" for argument {arg}"
        raise ValueError(f"Expected type str{known}, but got type {type(value)}.")
    if valid_values is not None and value not in valid_values:
        names = "', '".join(valid_values)
        raise ValueError(
            f"Unknown value '{value}' for argument {arg}. Valid values are {{'{names}'}}."
        )
    return value


# ---- checksums -----------------------------------------------------------------------------------


def calculate_md5(fpath: Any, chunk_size: int = _BLOCK) -> str:
    """The MD5 sum of a file, in hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)
    with Path(fpath).open("rb") as file:
        while block := file.read(chunk_size):
            digest.update(block)
    return digest.hexdigest()


def check_md5(fpath: Any, md5: str) -> bool:
    """Whether the file has that sum."""
    return md5 == calculate_md5(fpath)


def check_integrity(fpath: Any, md5: str | None = None) -> bool:
    """Whether the file is there and has that sum (None: any)."""
    return Path(fpath).is_file() and (md5 is None or check_md5(fpath, md5))


# ---- fetching ------------------------------------------------------------------------------------


class _Progress:
    """One line on a terminal: how much is there, how fast it comes."""

    def __init__(self, name: str, done: int, total: int | None) -> None:
        self.name, self.done, self.total = name, done, total
        self.first, self.start, self.shown = done, time.monotonic(), 0.0
        self.visible = sys.stderr.isatty()

    def add(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        if self.visible and now - self.shown > 0.1:
            self.shown = now
            share = f" of {self.total / 1e6:.1f}" if self.total else ""
            speed = (self.done - self.first) / 1e6 / max(now - self.start, 1e-3)
            text = f"{self.name}: {self.done / 1e6:.1f}{share} MB, {speed:.1f} MB/s"
            print(f"\r{text:<70}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.visible and self.shown:
            print(file=sys.stderr)


def _fetch(url: str, part: Path) -> None:
    """The file behind a URL, into `part`; goes on where an earlier attempt was cut off."""
    have = part.stat().st_size if part.exists() else 0
    headers = dict(_AGENT)
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if have and error.code == 416:  # nothing is missing
            return
        raise
    with response:
        resumed = have > 0 and response.status == 206
        length = response.headers.get("Content-Length")
        start = have if resumed else 0
        total = None if length is None else start + int(length)
        progress = _Progress(part.name.removesuffix(".part"), start, total)
        with part.open("ab" if resumed else "wb") as file:
            while block := response.read(_BLOCK):
                file.write(block)
                progress.add(len(block))
        progress.close()
        if total is not None and progress.done < total:
            raise RuntimeError(f"only {progress.done} of {total} bytes of {url} arrived")


def download_url(
    url: str, root: Any, filename: Any = None, md5: str | None = None, max_redirect_hops: int = 3
) -> None:
    """The file behind `url` as root/filename; nothing is done if it is there with that checksum.

    An interrupted download is resumed. Raises RuntimeError if the checksum is another, URLError or
    OSError if the file cannot be had. `max_redirect_hops` is at least what urllib follows.
    """
    root = Path(root).expanduser()
    target = root / (filename or url.rpartition("/")[2])
    root.mkdir(parents=True, exist_ok=True)
    if check_integrity(target, md5):
        return
    part = target.with_name(target.name + ".part")
    _fetch(url, part)
    if md5 is not None and not check_md5(part, md5):
        part.unlink()
        raise RuntimeError(f"File not found or corrupted: {url} has another checksum than {md5}.")
    part.replace(target)


def download_from(mirrors: Iterable[str], filename: str, root: Any, md5: str | None = None) -> None:
    """`download_url` from the first mirror that has the file. RuntimeError lists all failures."""
    failures = []
    for mirror in mirrors:
        url = mirror if mirror.endswith(filename) else mirror.rstrip("/") + "/" + filename
        try:
            download_url(url, root, filename, md5)
            return
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            failures.append(f"Tried {url}, got:\n{error}")
    lines = "\n".join(failures)
    raise RuntimeError(
        f"Error downloading {filename}:\n{lines}\n"
        f"Without a network, put the file there yourself: {Path(root) / filename}"
    )


# ---- unpacking -----------------------------------------------------------------------------------


def _inside(root: Path, name: str) -> Path:
    """The place of an archive's member; ValueError if it lies elsewhere."""
    place = (root / name).resolve()
    if not place.is_relative_to(root.resolve()):
        raise ValueError(f"the archive's member {name!r} would be written outside of {root}")
    return place


def _unpack_tar(source: Path, root: Path, mode: str) -> None:
    with tarfile.open(source, mode) as archive:  # type: ignore[call-overload]
        for member in archive:
            place = _inside(root, member.name)
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True)
            elif member.isfile():
                place.parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(member)
                assert content is not None
                with content, place.open("wb") as file:
                    shutil.copyfileobj(content, file, _BLOCK)


def extract_archive(from_path: Any, to_path: Any = None, remove_finished: bool = False) -> str:
    """Unpacks a .zip, a .tar (.gz, .bz2, .xz) or one packed file, by its ending; where it went.

    Members that would land outside of `to_path` are refused (ValueError); links are left out.
    """
    source = Path(from_path)
    root = source.parent if to_path is None else Path(to_path)
    *before, last = ["", *source.suffixes][-2:]
    if last == ".zip":
        with zipfile.ZipFile(source) as archive:
            for name in archive.namelist():
                _inside(root, name)
            archive.extractall(root)
    elif last in _TAR_ENDS or last == ".tar" or ".tar" in before:
        _unpack_tar(source, root, "r:" + _TAR_ENDS.get(last, last[1:] if last != ".tar" else ""))
    elif last in _OPENERS:
        if to_path is None or root.is_dir():
            root = (source.parent if to_path is None else root) / source.stem
        part = root.with_name(root.name + ".part")
        with _OPENERS[last](source, "rb") as packed, part.open("wb") as file:
            shutil.copyfileobj(packed, file, _BLOCK)
        part.replace(root)
    else:
        raise RuntimeError(f"Unknown compression or archive type: '{last}'.")
    if remove_finished:
        source.unlink()
    return str(root)


def download_and_extract_archive(
    url: str,
    download_root: Any,
    extract_root: Any = None,
    filename: Any = None,
    md5: str | None = None,
    remove_finished: bool = False,
) -> None:
    """`download_url`, then `extract_archive` into `extract_root`."""
    root = Path(download_root).expanduser()
    name = filename or url.rpartition("/")[2]
    download_url(url, root, name, md5)
    extract_archive(root / name, root if extract_root is None else extract_root, remove_finished)


def open_packed(path: Path) -> Any:
    """A file for reading bytes, unpacked on the way if it ends in .gz, .xz or .bz2."""
    return _OPENERS.get(path.suffix, open)(path, "rb")


# ---- finding -------------------------------------------------------------------------------------


def list_dir(root: Any, prefix: bool = False) -> list[str]:
    """The folders in a folder, sorted."""
    root = os.path.expanduser(root)
    names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    return [os.path.join(root, name) for name in names] if prefix else names


def list_files(root: Any, suffix: Any, prefix: bool = False) -> list[str]:
    """The files in a folder with an ending (or one of several), sorted."""
    root = os.path.expanduser(root)
    found = (entry.name for entry in os.scandir(root) if entry.is_file())
    names = sorted(name for name in found if name.endswith(suffix))
    return [os.path.join(root, name) for name in names] if prefix else names


def find_file(folders: Iterable[Path], names: Iterable[str]) -> Path | None:
    """The first of the names in the first folder that has one."""
    names = list(names)
    return next((f / n for f in folders for n in names if (f / n).is_file()), None)


def not_found(
    folders: Iterable[Any], names: Iterable[str], text: str = "Dataset not found."
) -> str:
    """The text of the error: what was looked for, and where."""
    places = "\n".join(f"    {folder}" for folder in folders)
    return (
        f"{text} You can use download=True to download it\n"
        f"looked for {', '.join(names)}\nin\n{places}"
    )
