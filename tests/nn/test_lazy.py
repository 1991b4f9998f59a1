"""Lazy modules, DataParallel and what is left of `Module` beside PyTorch's."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, given, identical, same, same_mistake

import flambeau

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

# (class, arguments, shape of the first input)
CASES: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("LazyLinear", {"out_features": 3}, (2, 5)),
    ("LazyLinear", {"out_features": 3, "bias": False}, (2, 4, 5)),
    ("LazyConv1d", {"out_channels": 4, "kernel_size": 3}, (2, 3, 8)),
    ("LazyConv2d", {"out_channels": 4, "kernel_size": 3, "groups": 2}, (2, 6, 5, 5)),
    ("LazyConv2d", {"out_channels": 4, "kernel_size": 3, "bias": False}, (6, 5, 5)),
    ("LazyConv3d", {"out_channels": 2, "kernel_size": 2, "stride": 2}, (1, 3, 4, 4, 4)),
    ("LazyConvTranspose1d", {"out_channels": 4, "kernel_size": 3}, (2, 3, 8)),
    ("LazyConvTranspose2d", {"out_channels": 4, "kernel_size": 3, "groups": 2}, (2, 6, 5, 5)),
    ("LazyConvTranspose3d", {"out_channels": 2, "kernel_size": 2}, (1, 3, 4, 4, 4)),
    ("LazyBatchNorm1d", {}, (4, 3)),
    ("LazyBatchNorm2d", {"momentum": 0.3}, (4, 3, 2, 2)),
    ("LazyBatchNorm3d", {"affine": False}, (4, 3, 2, 2, 2)),
    ("LazyInstanceNorm1d", {}, (4, 3, 5)),
    ("LazyInstanceNorm2d", {"track_running_stats": False}, (4, 3, 5, 5)),
    ("LazyInstanceNorm3d", {"bias": False}, (4, 3, 2, 2, 2)),
]


@pytest.mark.parametrize(("name", "options", "shape"), CASES)
@pytest.mark.parametrize("way", ["call", "load", "copy", "double"])
def test_lazy_module(name: str, options: dict[str, Any], shape: tuple[int, ...], way: str) -> None:
    if way == "load" and "Instance" in name:
        pytest.skip("PyTorch refuses the first call after loading")
    torch.manual_seed(1)
    x = torch.randn(shape)
    results: list[list[Any]] = []
    for library in LIBRARIES:
        library.manual_seed(4)
        lazy = getattr(library.nn, name)(**options)
        mine = given(library, x)
        seen: list[Any] = [repr(lazy), lazy.has_uninitialized_params(), list(lazy.state_dict())]
        if way == "copy":
            if any(True for _ in lazy.buffers()):
                pytest.skip("PyTorch does not copy uninitialised buffers")
            lazy = pickle.loads(pickle.dumps(copy.deepcopy(lazy)))
        elif way == "double":
            lazy.double()
            mine = mine.double()
        elif way == "load":
            other = getattr(library.nn, name)(**options)
            other(mine)
            lazy.load_state_dict(other.state_dict())
            seen += [repr(lazy), lazy.has_uninitialized_params()]
        before = [id(p) for p in lazy.parameters()]
        seen += [lazy(mine), repr(lazy), type(lazy).__name__, dict(lazy.state_dict())]
        assert before == [id(p) for p in lazy.parameters()]
        seen += [len(lazy._forward_pre_hooks), len(lazy._load_state_dict_pre_hooks)]
        results.append(seen)
    same(results[0], results[1], rtol=1e-4, atol=1e-5)


def attempts(library: Any) -> list[Any]:
    nn = library.nn
    lazy = nn.LazyLinear(3)
    ones = library.ones
    return [
        lambda: lazy.weight.shape,
        lambda: lazy.share_memory(),
        lambda: nn.LazyConv2d(4, 3)(ones(3, 4)),
        lambda: nn.LazyBatchNorm2d()(ones(3, 4)),
        lambda: nn.LazyInstanceNorm1d()(ones(2)),
        lambda: nn.Linear(5, 3).load_state_dict(nn.LazyLinear(3).state_dict()),
        lambda: nn.parallel.DistributedDataParallel(nn.Linear(2, 3)),
        lambda: nn.parallel.scatter(ones(4), [library.device("cpu")]),
        lambda: nn.parallel.gather([ones(2), ones(2)], "cpu"),
        lambda: nn.parallel.replicate(nn.Linear(2, 3), [library.device("cpu")]),
    ]


@pytest.mark.parametrize("place", range(len(attempts(flambeau))))
def test_mistakes(place: int) -> None:
    same_mistake(attempts(flambeau)[place], attempts(torch)[place])


def test_use_before_the_first_call() -> None:
    for library in LIBRARIES:
        weight = library.nn.LazyLinear(3).weight
        assert repr(weight) == "<UninitializedParameter>"
        with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
            weight + 1


def test_optimizer_made_before_the_first_call() -> None:
    results = []
    for library in LIBRARIES:
        nn = library.nn
        library.manual_seed(2)
        model = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(1))
        optimizer = library.optim.SGD(model.parameters(), lr=0.1)
        x = given(library, torch.arange(6.0).reshape(2, 3))
        for _ in range(3):
            optimizer.zero_grad()
            loss = (model(x) ** 2).sum()
            loss.backward()
            optimizer.step()
        results.append([loss, dict(model.state_dict())])
    same(results[0], results[1], rtol=1e-4, atol=1e-5)


def test_data_parallel_without_gpus() -> None:
    results = []
    for library in LIBRARIES:
        library.manual_seed(0)
        model = library.nn.DataParallel(library.nn.Linear(2, 3))
        names = list(model.state_dict())
        results.append([repr(model), names, model(library.ones(4, 2))])
    same(results[0], results[1])
    assert results[0][1] == ["module.weight", "module.bias"]


def test_the_rest_of_module() -> None:
    results = []
    for library in LIBRARIES:
        nn = library.nn
        library.manual_seed(0)
        shared = nn.Linear(2, 2)
        model = nn.Sequential(shared, nn.ReLU(), shared)
        seen: list[Any] = [[n for n, _ in model.named_modules(remove_duplicate=False)]]
        seen.append([n for n, _ in model.named_parameters(remove_duplicate=False)])
        calls: list[Any] = []

        class Scale(nn.Module):  # type: ignore[misc,name-defined]
            def forward(self, x: Any, factor: float = 1.0) -> Any:
                return x * factor

        def doubled(module: Any, args: Any, kwargs: Any) -> Any:
            return args, {"factor": kwargs["factor"] * 2}

        scale = Scale()
        handle = scale.register_forward_pre_hook(doubled, with_kwargs=True)
        x = library.ones(2, 2, requires_grad=True)
        seen.append(scale(x, factor=3.0))
        handle.remove()
        seen.append(scale(x, factor=3.0))

        def note(module: Any, before: Any, after: Any, calls: list[Any] = calls) -> None:
            calls.append((before, after))

        model.register_full_backward_hook(note)
        model.register_full_backward_pre_hook(lambda module, after: (after[0] * 2,))
        model(x).sum().backward()
        seen += [calls, x.grad, shared.weight.grad.clone()]
        seen.append(model.share_memory() is model)
        seen.append(model.requires_grad_(False) is model)
        seen.append([p.requires_grad for p in model.parameters()])
        emptied = model.to_empty(device="cpu")
        seen.append([tuple(p.shape) for p in emptied.parameters()])
        restored = nn.Linear(2, 2)
        restored.__setstate__(shared.__getstate__())
        seen.append(len(list(restored.parameters())))
        seen.append(sorted(n for n in dir(nn.Module()) if n == "compile"))
        results.append(seen)
    same(results[0], results[1], rtol=1e-5, atol=1e-6)


def test_compile_in_place() -> None:
    model = flambeau.nn.Linear(3, 2)
    x = flambeau.randn(4, 3)
    expected = model(x)
    model.compile()
    for _ in range(3):
        identical(model(x).detach(), torch.from_numpy(expected.detach().numpy()))
    assert list(pickle.loads(pickle.dumps(model)).state_dict()) == ["weight", "bias"]
