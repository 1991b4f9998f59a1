"""Packages that keep their names; what packages ask of an installation; names they import."""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import flambeau
from flambeau import compat
from flambeau.utils.data.sampler import draw_seed


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a package that calls itself torchmetrics."""
    (tmp_path / "torchmetrics.py").write_text("import torch\nname = torch.__name__\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).resolve().parents[2]}")
    return tmp_path


@pytest.mark.parametrize("how", ["option", "variable", "argument"])
def test_a_package_is_left(how: str, theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = theirs / "program.py"
    text = "import torchmetrics\nprint(torchmetrics.name, torchmetrics.__file__)\n"
    command = [sys.executable, "-m", "flambeau.cli", "run"]
    if how == "option":
        command += ["--leave", "torchmetrics"]
    elif how == "variable":
        monkeypatch.setenv("FLAMBEAU_LEAVE", "torchmetrics")
    else:
        command = [sys.executable]
        text = f"from flambeau import compat\ncompat.install(leave=['torchmetrics'])\n{text}"
    program.write_text(text, "utf-8")
    answer = subprocess.run([*command, str(program)], capture_output=True, text=True, check=False)
    assert answer.stdout.split() == ["flambeau", str(theirs / "torchmetrics.py")], answer.stderr


def test_only_some_names_can_be_left() -> None:
    with pytest.raises(ValueError, match="got 'torch'"):
        compat.install(leave=["torch"])
    command = [sys.executable, "-m", "flambeau.cli", "run", "--leave", "numpy", "x.py"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "--leave knows torchmetrics and torchvision" in answer.stderr


def test_versions_are_told() -> None:
    compat.install()
    try:
        assert importlib.metadata.version("torch") == flambeau.__version__
        assert importlib.metadata.version("torchvision").count(".") == 2
        assert importlib.metadata.version("numpy") == np.__version__
        for name in ("torch.distributed.fsdp.api", "torch._dynamo.eval_frame", "torch._C"):
            assert importlib.import_module(name) is sys.modules[name]
        shards = importlib.import_module("torch.distributed.fsdp").FullyShardedDataParallel
        assert not isinstance(flambeau.nn.Linear(1, 1), shards)
        with pytest.raises(NotImplementedError, match="one process"):
            shards(flambeau.nn.Linear(1, 1))
    finally:
        compat.uninstall()


FILES = """
nn.modules.rnn RNNCellBase nn.modules.rnn GRUCell nn.modules.rnn LSTM
nn.modules.activation MultiheadAttention nn.modules.transformer _get_clones _tensor Tensor
cuda.amp.autocast_mode autocast cuda.amp.autocast_mode custom_fwd cuda.amp.grad_scaler GradScaler
""".split()


@pytest.mark.parametrize(("file", "name"), list(zip(FILES[::2], FILES[1::2], strict=True)))
def test_names_are_in_pytorchs_files(file: str, name: str) -> None:
    """A file of PyTorch's has the names that Flambeau keeps elsewhere."""
    compat.install()
    try:
        found = getattr(importlib.import_module(f"torch.{file}"), name)
        assert name.startswith("_") or found.__name__ == name
        for place in ("torch.nn", "torch.cuda.amp"):
            assert getattr(importlib.import_module(place), name, found) is found
    finally:
        compat.uninstall()


def test_operators_of_ones_own() -> None:
    @flambeau.library.custom_op("house::cube", mutates_args=())
    def cube(x: flambeau.Tensor) -> flambeau.Tensor:
        return x**3

    x = flambeau.tensor([1.0, 2.0], requires_grad=True)
    cube(x).sum().backward()
    assert x.grad.tolist() == [3.0, 12.0]
    cube.register_autograd(
        lambda ctx, grad: grad * ctx.saved_tensors[0] * 100,
        setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
    )
    x.grad = None
    vars(flambeau.ops)["house"].cube(x).sum().backward()
    assert x.grad.tolist() == [100.0, 200.0]
    with pytest.raises(ValueError, match="namespace::name"):
        flambeau.library.custom_op("cube", mutates_args=())


def test_dtypes_that_are_only_named() -> None:
    kind = flambeau.core.dtypes.NAMED["float8_e4m3fn"]
    assert vars(flambeau)["float8_e4m3fn"] is kind
    assert flambeau.finfo(kind).max == 448
    assert flambeau.ones(2).dtype != kind
    for make in (
        lambda: flambeau.ones(2, dtype=kind),
        lambda: flambeau.ones(2).to(kind),
        lambda: flambeau.ones(2).view(kind),
    ):
        with pytest.raises(NotImplementedError, match="float8_e4m3fn is not supported"):
            make()


def test_storages_over_files(tmp_path: Path) -> None:
    values = np.random.default_rng(2).normal(size=6).astype(np.float32)
    path = tmp_path / "values"
    path.write_bytes(values.tobytes())
    storage = flambeau.UntypedStorage.from_file(str(path), False, 24)
    part = flambeau.asarray(storage[8:24], dtype=flambeau.uint8).view(dtype=flambeau.float32)
    assert part.tolist() == values[2:].tolist()
    with pytest.raises(RuntimeError, match=r"size <24> is smaller than .* size <25>"):
        flambeau.UntypedStorage.from_file(str(path), False, 25)
    flambeau.UntypedStorage.from_file(str(path), True, 24)[0] = 7
    assert path.read_bytes()[0] == 7


@pytest.mark.parity
def test_seeds_of_epochs_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    flambeau.manual_seed(5), torch.manual_seed(5)
    for _ in range(3):
        assert draw_seed() == int(torch.empty((), dtype=torch.int64).random_().item())
        assert flambeau.rand(2).tolist() == torch.rand(2).tolist()


def test_a_wrapper_of_an_optimizer_needs_no_state_of_its_own() -> None:
    class Wrapper(flambeau.optim.Optimizer):
        def __init__(self, inner: flambeau.optim.Optimizer) -> None:
            self.inner = inner

        def step(self, closure: object = None) -> None:
            self.inner.step()

    weight = flambeau.nn.Parameter(flambeau.ones(1))
    weight.grad = flambeau.ones(1)
    Wrapper(flambeau.optim.SGD([weight], lr=0.5)).step()
    assert weight.tolist() == [0.5]
