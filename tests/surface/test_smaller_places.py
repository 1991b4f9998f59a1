"""Names that PyTorch keeps in smaller modules, and keywords by PyTorch's names."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import flambeau

reference = pytest.importorskip("torch")
pytestmark = pytest.mark.parity


def bundle(torch: Any) -> Any:
    utils = torch._utils
    given = [torch.ones(2, 2), torch.arange(3.0), torch.empty(0, 2)]
    flat = utils._flatten_dense_tensors(given)
    parts = utils._unflatten_dense_tensors(flat, given)
    parts[1].add_(1)
    lists = utils._take_tensors([torch.ones(2)] * 3 + [torch.ones(1).long()], 16)
    return flat.tolist(), [p.shape for p in parts], [len(part) for part in lists]


def rounding(torch: Any) -> Any:
    class Rounded(torch.autograd.function.InplaceFunction):  # type: ignore[misc,name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any, n: int) -> Any:
            return (x * n).round() / n

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return gradient * 2, None

    x = torch.linspace(0, 1, 4, requires_grad=True)
    made = Rounded.apply(x, 8)
    made.sum().backward()
    return made.tolist(), x.grad.tolist(), Rounded(inplace=True).inplace


def scripted(torch: Any) -> Any:
    class Scaled(torch.jit.ScriptModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.w = torch.nn.Parameter(torch.arange(2.0))

        @torch.jit.script_method  # type: ignore[untyped-decorator]
        def forward(self, x):  # type: ignore[no-untyped-def]
            return x * self.w

    return Scaled()(torch.ones(2)).tolist()


def mixture(torch: Any) -> Any:
    d = torch.distributions
    mixed = d.MixtureSameFamily(d.Categorical(torch.ones(2)), d.Normal(torch.arange(2.0), 1.0))
    x = torch.tensor(0.5)
    return mixed.log_prob(x=x).item(), mixed.cdf(x=x).item()


def times(torch: Any, remove_duplicate: bool) -> int:
    layer = torch.nn.Identity()
    network = torch.nn.Sequential(layer, layer)
    return len(list(network.modules(remove_duplicate=remove_duplicate)))


CASES: dict[str, Callable[[Any], Any]] = {
    "bundle": bundle,
    "rounding": rounding,
    "scripted": scripted,
    "mixture": mixture,
    "modules": lambda torch: (times(torch, True), times(torch, False)),
    "half_normal": lambda torch: torch.distributions.HalfNormal(2.0).icdf(prob=torch.tensor(0.3)),
    "half_cauchy": lambda torch: torch.distributions.HalfCauchy(2.0).icdf(prob=torch.tensor(0.3)),
    "rms_norm": lambda torch: torch.nn.RMSNorm(3)(x=torch.arange(3.0)).sum().item(),
    "norm": lambda torch: torch.functional.norm(torch.ones(4)).item(),
    "split": lambda torch: [p.tolist() for p in torch.functional.split(torch.arange(4), 3)],
    "functional": lambda torch: hasattr(torch.functional, "no_such_name"),
    "tracer_warning": lambda torch: warnings.filterwarnings(
        "ignore", category=torch.jit.TracerWarning
    ),
    "nvtx": lambda torch: torch.cuda.nvtx.range_push("a"),
    "mode": lambda torch: torch.compile(abs, mode="fast"),
    "mode_and_options": lambda torch: torch.compile(abs, mode="default", options={"a": 1}),
    "float": lambda torch: float(torch.tensor(2.5 + 0j)),
    "float_of_two": lambda torch: float(torch.tensor(2.5 + 1j)),
    "int": lambda torch: int(torch.tensor(-2.5 + 0j)),
    "int_of_two": lambda torch: int(torch.tensor(2.5 + 1j)),
    "default_device": lambda torch: [
        torch.set_default_device(device=name) for name in ("cpu", None)
    ],
}


def result_of(case: Callable[[Any], Any], torch: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = case(torch)
        except Exception as error:
            return type(error).__name__, str(error)
    return found.item() if hasattr(found, "item") else found


@pytest.mark.parametrize("name", CASES)
def test_as_in_pytorch(name: str) -> None:
    expected = result_of(CASES[name], reference)
    found = result_of(CASES[name], flambeau)
    if isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-6)
    else:
        assert found == expected


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(RuntimeError, match="Invalid backend: 'nope'"):
        flambeau.compile(abs, backend="nope")
    assert flambeau.compile(lambda x: x + 1, backend="eager")(flambeau.ones(1)).item() == 2


IMPORTS = """
from flambeau import compat
compat.install()
from torch._utils import _flatten_dense_tensors
from torch.autograd.variable import Variable
import torch, torch.cuda.memory, torch.cuda.nvtx, torch.cuda.random
import torch._inductor.config as config
config.max_autotune = True
config.triton.cudagraphs = True
torch._inductor.config.anything = 3
torch._logging.set_logs(dynamo=30)
assert torch.cuda.memory.memory_allocated() == 0 and torch._dynamo.list_backends()
assert Variable is torch.autograd.Variable
"""


def test_the_modules_can_be_imported() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", IMPORTS], check=True, timeout=60)
