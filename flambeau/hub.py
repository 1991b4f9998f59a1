"""torch.hub: models and weights that others publish."""

from __future__ import annotations

import builtins
import hashlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

__all__ = [
    "download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url",
    "set_dir",
]  # fmt: skip

# A file name of published weights ends in the first digits of its SHA-256: resnet18-5c106cde.pth.
HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")
CHUNK = 1 << 17
MODULE_FILE = "hubconf.py"


class _Place:
    chosen: str | None = None


def get_dir() -> str:
    """Where downloads go: $TORCH_HOME/hub, by default ~/.cache/torch/hub."""
    if _Place.chosen is not None:
        return _Place.chosen
    return os.path.join(_get_torch_home(), "hub")


def _get_torch_home() -> str:
    """$TORCH_HOME, by default ~/.cache/torch."""
    cache = os.path.join(os.getenv("XDG_CACHE_HOME", "~/.cache"), "torch")
    return os.path.expanduser(os.getenv("TORCH_HOME", cache))


def set_dir(d: str | os.PathLike[str]) -> None:
    """Chooses where downloads go."""
    _Place.chosen = os.path.expanduser(d)


def download_url_to_file(
    url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Downloads to a file. RuntimeError where its SHA-256 does not begin as told.

    `progress` is accepted and shows nothing unless standard error is a terminal.
    """
    target = Path(dst).expanduser()
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        try:
            request = urllib.request.Request(url, headers={"User-Agent": "flambeau.hub"})
            with urllib.request.urlopen(request) as answer:
                size = int(answer.headers.get("Content-Length") or 0)
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
                    digest.update(chunk)
                    if progress and sys.stderr.isatty():
                        sys.stderr.write(f"\r{file.tell()} of {size} bytes")
            found = digest.hexdigest()
            if hash_prefix is not None and not found.startswith(hash_prefix):
                raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{found}")')
            file.close()
            shutil.move(file.name, target)
        finally:
            Path(file.name).unlink(missing_ok=True)


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> Any:
    """The saved object at an address, from the directory of downloads if it is there already."""
    from flambeau.serialization import load as load_file

    directory = model_dir if model_dir is not None else os.path.join(get_dir(), "checkpoints")
    os.makedirs(directory, exist_ok=True)
    name = file_name if file_name is not None else os.path.basename(urlparse(url).path)
    path = os.path.join(directory, name)
    if not os.path.exists(path):
        sys.stderr.write(f'Downloading: "{url}" to {path}\n')
        found = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, path, found.group(1) if found else None, progress=progress)
    return load_file(path, map_location=map_location, weights_only=weights_only)


# ---- repositories --------------------------------------------------------------------------------


def _parts(github: str) -> tuple[str, str, str]:
    """Owner, name and branch (by default main) of "owner/name[:branch]"."""
    whole, _, branch = github.partition(":")
    owner, name = whole.split("/")
    return owner, name, branch or "main"


def _repository(github: str, force_reload: bool, trust_repo: Any, verbose: bool) -> Path:
    """The directory of a repository of GitHub's, downloaded unless it is there."""
    owner, name, branch = _parts(github)
    home = Path(get_dir())
    home.mkdir(parents=True, exist_ok=True)
    place = home / f"{owner}_{name}_{branch.replace('/', '_')}"
    if place.exists() and not force_reload:
        if verbose:
            sys.stderr.write(f"Using cache found in {place}\n")
        return place
    if trust_repo not in (True, "check", None, False):
        raise ValueError(f"trust_repo: {trust_repo!r}")
    if trust_repo is not True and not _confirmed(owner, name):
        raise Exception("Untrusted repository.")
    address = f"https://github.com/{owner}/{name}/zipball/{branch}"
    archive = home / f"{branch.replace('/', '_')}.zip"
    if verbose:
        sys.stderr.write(f'Downloading: "{address}" to {archive}\n')
    download_url_to_file(address, str(archive), progress=False)
    with zipfile.ZipFile(archive) as packed:
        inside = packed.infolist()[0].filename
        packed.extractall(home)
    archive.unlink()
    shutil.rmtree(place, ignore_errors=True)
    shutil.move(home / inside, place)
    return place


def _confirmed(owner: str, name: str) -> bool:
    """Asks before code of a repository runs that was never used: as PyTorch does."""
    question = (
        f"The repository {owner}_{name} does not belong to the list of trusted repositories and as "
        "such cannot be downloaded. Do you trust this repository and wish to add it to the trusted "
        "list of repositories (y/N)?"
    )
    return input(question).lower() in ("y", "yes")


def _module(place: Path) -> ModuleType:
    """Runs a repository's hubconf.py. RuntimeError where packages that it names are missing."""
    sys.path.insert(0, str(place))
    try:
        spec = importlib.util.spec_from_file_location(MODULE_FILE, place / MODULE_FILE)
        if spec is None or spec.loader is None:
            raise FileNotFoundError(str(place / MODULE_FILE))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(place))
    needed = getattr(module, "dependencies", None) or []
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeError(f"Missing dependencies: {', '.join(missing)}")
    return module


def _entry(module: ModuleType, model: str) -> Any:
    if not isinstance(model, str):
        raise ValueError("Invalid input: model should be a string of function name")
    found = getattr(module, model, None)
    if not callable(found):
        raise RuntimeError(f"Cannot find callable {model} in hubconf")
    return found


def load(
    repo_or_dir: str,
    model: str,
    *args: Any,
    source: str = "github",
    trust_repo: Any = "check",
    force_reload: bool = False,
    verbose: bool = True,
    skip_validation: bool = False,
    **kwargs: Any,
) -> Any:
    """What a repository's entry point gives for these arguments.

    `skip_validation` is accepted: whether a branch belongs to a fork is not asked.
    """
    source = source.lower()
    if source not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    if source == "github":
        place = _repository(repo_or_dir, force_reload, trust_repo, verbose)
    else:
        place = Path(os.path.realpath(os.path.expanduser(repo_or_dir)))
    return _entry(_module(place), model)(*args, **kwargs)


def list(
    github: str, force_reload: bool = False, skip_validation: bool = False,
    trust_repo: Any = "check", verbose: bool = True,
) -> builtins.list[str]:  # fmt: skip
    """The names of a repository's entry points."""
    module = _module(_repository(github, force_reload, trust_repo, verbose))
    return [n for n in dir(module) if callable(getattr(module, n)) and not n.startswith("_")]


def help(
    github: str, model: str, force_reload: bool = False, skip_validation: bool = False,
    trust_repo: Any = "check",
) -> Any:  # fmt: skip
    """The docstring of a repository's entry point."""
    return _entry(_module(_repository(github, force_reload, trust_repo, True)), model).__doc__
