"""torch.hub on local folders and files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import flambeau
from flambeau import hub

HUBCONF = '''
dependencies = ["numpy"]


def small(width, bias=True):
    """A small model."""
    import flambeau

    return flambeau.nn.Linear(width, 2, bias=bias)


_hidden = small
number = 4
'''


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "hubconf.py").write_text(HUBCONF)
    return tmp_path


def test_local_model(repository: Path) -> None:
    model = hub.load(str(repository), "small", 3, source="local", bias=False)
    assert model.weight.shape == (2, 3) and model.bias is None


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        ("absent", RuntimeError, "Cannot find callable absent in hubconf"),
        ("number", RuntimeError, "Cannot find callable number in hubconf"),
        (3, ValueError, "Invalid input: model should be a string of function name"),
    ],
)
def test_wrong_names(repository: Path, model: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        hub.load(str(repository), model, source="local")


def test_missing_dependency(repository: Path) -> None:
    (repository / "hubconf.py").write_text('dependencies = ["no_such_package"]\n')
    with pytest.raises(RuntimeError, match="Missing dependencies: no_such_package"):
        hub.load(str(repository), "small", source="local")
    with pytest.raises(ValueError, match='Unknown source: "gitlab"'):
        hub.load(str(repository), "small", source="gitlab")


def test_weights_from_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    assert hub.get_dir() == str(tmp_path / "home" / "hub")
    flambeau.save({"w": flambeau.arange(3.0)}, tmp_path / "plain.pth")
    data = (tmp_path / "plain.pth").read_bytes()
    named = tmp_path / f"net-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    named.write_bytes(data)
    for _ in range(2):
        state = hub.load_state_dict_from_url(named.as_uri(), check_hash=True)
        assert state["w"].tolist() == [0.0, 1.0, 2.0]
        named.unlink(missing_ok=True)  # the second time it comes from the cache
    wrong = tmp_path / "net-00000000.pth"
    wrong.write_bytes(data)
    with pytest.raises(RuntimeError, match="invalid hash value"):
        hub.load_state_dict_from_url(wrong.as_uri(), check_hash=True)
    assert not list((tmp_path / "home").rglob("*00000000*"))


def test_repository_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    place = Path(hub.get_dir()) / "someone_models_main"
    place.mkdir(parents=True)
    (place / "hubconf.py").write_text(HUBCONF)
    assert hub.list("someone/models", verbose=False) == ["small"]
    assert hub.help("someone/models", "small") == "A small model."
