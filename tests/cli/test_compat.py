"""The names torch, torchvision, torchmetrics: same objects, clear refusals, clean removal."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import pickle
import sys
import types
from collections.abc import Iterator

import pytest

from flambeau import compat
from flambeau.compat import names

LOOKED_AT = ("torch", "torchvision", "torchmetrics")


def alias_entries() -> dict[str, types.ModuleType]:
    return {name: mod for name, mod in sys.modules.items() if name.split(".")[0] in LOOKED_AT}


@pytest.fixture
def aliases() -> Iterator[None]:
    before = alias_entries()
    path = list(sys.meta_path)
    compat.install()
    try:
        yield
    finally:
        compat.uninstall()
    assert alias_entries() == before
    assert sys.meta_path == path


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A package flambeau.monitor with a module inside, so that tests depend on no other floor."""
    import flambeau

    package = types.ModuleType("flambeau.monitor")
    package.__path__ = []
    inner = types.ModuleType("flambeau.monitor.inner")
    for module in (package, inner):
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    inner.Thing = type("Thing", (), {"__module__": "torch.monitor.inner"})  # type: ignore[attr-defined]
    monkeypatch.setattr(flambeau, "monitor", package, raising=False)
    monkeypatch.setattr(package, "inner", inner, raising=False)
    return package


def test_same_module_objects(aliases: None) -> None:
    import flambeau
    import flambeau.nn
    import flambeau.utils.data

    torch = importlib.import_module("torch")
    assert torch is flambeau
    assert importlib.import_module("torch.nn") is flambeau.nn
    assert importlib.import_module("torch.utils.data") is flambeau.utils.data
    assert torch.__spec__ is not None
    assert torch.__spec__.name == "flambeau"
    assert torch.__name__ == "flambeau"


def test_statement_forms(aliases: None, room: types.ModuleType) -> None:
    seen: dict[str, object] = {}
    program = (
        "import torch.monitor as a\nfrom torch import monitor as b\n"
        "from torch.monitor import inner as c\n"
        "import torch.monitor.inner as d\nfrom torch.monitor.inner import Thing\nimport torch\n"
        "e = torch.monitor.inner"
    )
    exec(program, seen)
    inner = sys.modules["flambeau.monitor.inner"]
    assert seen["a"] is seen["b"] is room
    assert seen["c"] is seen["d"] is seen["e"] is inner
    assert seen["Thing"] is vars(inner)["Thing"]


def test_install_before_or_after_flambeau_is_the_same(room: types.ModuleType) -> None:
    compat.install()
    compat.install()
    try:
        assert importlib.import_module("torch.monitor") is room
        compat.uninstall()
        assert not compat.installed()
        assert sys.modules.get("torch.monitor") is not room
        compat.install()
        assert (
            importlib.import_module("torch.monitor.inner") is sys.modules["flambeau.monitor.inner"]
        )
    finally:
        compat.uninstall()
        compat.uninstall()


def test_a_torch_imported_before_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    import flambeau

    real = types.ModuleType("torch")
    monkeypatch.setitem(sys.modules, "torch", real)
    compat.install()
    try:
        assert importlib.import_module("torch") is flambeau
    finally:
        compat.uninstall()
    assert sys.modules["torch"] is real


def test_reload_keeps_the_object(aliases: None) -> None:
    import flambeau.utils

    utils = importlib.import_module("torch.utils")
    assert importlib.reload(utils) is flambeau.utils
    assert importlib.import_module("torch.utils") is flambeau.utils


def test_pickles_by_module_path(aliases: None, room: types.ModuleType) -> None:
    importlib.import_module("torch.monitor.inner")
    thing = sys.modules["flambeau.monitor.inner"].Thing
    text = pickle.dumps(thing)
    assert b"torch.monitor.inner" in text
    for name in [name for name in sys.modules if name.split(".")[0] == "torch"]:
        del sys.modules[name]
    assert pickle.loads(text) is thing


def test_file_names_of_pytorch_lead_to_the_room(aliases: None) -> None:

    for name, room in (("torch.nn.modules.linear", "nn"), ("torch.optim.sgd", "optim")):
        own = importlib.util.find_spec("flambeau." + name.partition(".")[2].rpartition(".")[0])
        assert own is not None or name in names.GATHERED
        found = importlib.import_module(name)
        assert found.__name__.startswith(f"flambeau.{room}")


@pytest.mark.parametrize(
    "name", ["torch.mtia", "torch.monitor", "torch.nn.nothing", "torch.mtia.node"]
)
def test_missing_is_said(aliases: None, name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match="flambeau has no torch") as caught:
        importlib.import_module(name)
    assert caught.value.name is not None
    assert name.startswith(caught.value.name)


def test_from_torch_import_missing(aliases: None) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"flambeau has no torch\.mtia yet"):
        exec("from torch import mtia")


def test_asking_for_an_attribute_stays_a_plain_question(aliases: None) -> None:
    torch = importlib.import_module("torch")
    assert not hasattr(torch, "mtia")
    assert getattr(torch, "mtia", None) is None


def test_unknown_everywhere_is_said(aliases: None) -> None:
    with pytest.raises(ModuleNotFoundError, match="neither Flambeau nor PyTorch"):
        importlib.import_module("torch.tenzor")


@pytest.mark.parametrize("internal", sorted(names.INTERNAL))
def test_internal_rooms_are_not_torch(aliases: None, internal: str) -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"torch.{internal}")


@pytest.mark.parametrize(("name", "own"), [("torchvision", "vision"), ("torchmetrics", "metrics")])
def test_companion_packages(aliases: None, name: str, own: str) -> None:
    if importlib.util.find_spec(f"flambeau.{own}") is None:
        if importlib.machinery.PathFinder.find_spec(name) is not None:
            pytest.skip(f"{name} itself is installed")
        with pytest.raises(ModuleNotFoundError, match=rf"it would be flambeau\.{own}"):
            importlib.import_module(name)
        assert importlib.util.find_spec(name) is None
    else:
        assert importlib.import_module(name) is importlib.import_module(f"flambeau.{own}")


def test_probes_get_none_instead_of_an_error(aliases: None) -> None:
    assert importlib.util.find_spec("torch.mtia") is None
    assert importlib.util.find_spec("torch") is not None


def test_failure_inside_a_module_is_not_called_missing(
    aliases: None, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    import flambeau

    (tmp_path / "broken.py").write_text("import no_such_package_at_all")  # type: ignore[operator]
    monkeypatch.setattr(flambeau, "__path__", [*flambeau.__path__, str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="no_such_package_at_all"):
        importlib.import_module("torch.broken")
