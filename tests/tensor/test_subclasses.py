"""Subclasses of Tensor and Parameter, `__torch_function__` and its modes, as in PyTorch."""

from __future__ import annotations

import copy
import importlib
import io
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import flambeau

reference = pytest.importorskip("torch")
pytestmark = pytest.mark.parity


def kind(value: Any) -> Any:
    """The names of types, in lists too."""
    if isinstance(value, (list, tuple)) and type(value).__name__ != "Size":
        return [kind(part) for part in value]
    return type(value).__name__


class Classes:
    """The same classes over one of the libraries."""

    def __init__(self, torch: Any) -> None:
        self.log: list[str] = []
        log = self.log

        class Plain(torch.Tensor):
            def hello(self) -> str:
                return "hello"

        class Tagged(torch.Tensor):
            @staticmethod
            def __new__(cls: type, data: Any, tag: Any = None) -> Any:
                return torch.Tensor.__new__(cls, data)

            def __init__(self, data: Any, tag: Any = None) -> None:
                self.tag = tag

        class Logging(torch.Tensor):
            @classmethod
            def __torch_function__(
                cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                log.append(func.__name__)
                return super().__torch_function__(func, types, args, kwargs or {})

        class Kept(torch.Tensor):
            @classmethod
            def __torch_function__(
                cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                result = super().__torch_function__(func, types, args, kwargs or {})
                for given in args:
                    if isinstance(given, cls) and isinstance(result, cls):
                        result.meta = given.meta
                return result

        class Refusing(torch.Tensor):
            __torch_function__ = torch._C._disabled_torch_function_impl

        class Duck:
            @classmethod
            def __torch_function__(
                cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                return "duck", func.__name__, [t.__name__ for t in types], kwargs or {}

        class Silent(torch.Tensor):
            @classmethod
            def __torch_function__(cls, *args: Any, **kwargs: Any) -> Any:
                return NotImplemented

        class Quantised(torch.nn.Parameter):
            def __new__(cls, data: Any = None, requires_grad: bool = True, bits: int = 8) -> Any:
                made = torch.Tensor._make_subclass(cls, data, requires_grad)
                made.bits = bits
                return made

        class Mode(torch.overrides.TorchFunctionMode):
            def __torch_function__(
                self, func: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                log.append(func.__name__)
                return func(*args, **(kwargs or {}))

        vars(self).update({k: v for k, v in locals().items() if isinstance(v, type)})


def _kept(torch: Any, c: Any) -> Any:
    made = torch.tensor([1.0, 2.0]).as_subclass(c.Kept)
    made.meta = "m"
    return made


def _gradient(torch: Any, c: Any, x: Any) -> Any:
    x = x.requires_grad_()
    y = (x * 2).sum()
    y.backward()
    return kind(x), kind(y), kind(x.grad), x.grad.tolist()


def _history(torch: Any, c: Any, x: Any) -> Any:
    leaf = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (leaf * 3).as_subclass(c.Plain)
    (y * y).sum().backward()
    return kind(y), leaf.grad.tolist()


def _logged(torch: Any, c: Any, x: Any) -> Any:
    x = torch.rand(3).as_subclass(c.Logging)
    c.log.clear()
    torch.exp(x), x.sum(), x + 1, 1 - x, x[0], x.add_(1), torch.cat([x, x])
    torch.nn.functional.relu(x), x.T, abs(-x)
    return [name for name in c.log if name != "__get__"]


def _in_mode(torch: Any, c: Any, x: Any) -> Any:
    c.log.clear()
    y = torch.ones(2)
    with c.Mode():
        z = torch.exp(y) + torch.zeros(2)
        z.sum()
    torch.exp(y)
    return list(c.log)


def _disabled(torch: Any, c: Any, x: Any) -> Any:
    with torch._C.DisableTorchFunctionSubclass():
        return kind(x + 1)


def _quantised(torch: Any, c: Any, x: Any) -> Any:
    module = torch.nn.Module()
    module.weight = c.Quantised(torch.rand(2), bits=4)
    copied = copy.deepcopy(module).double()
    return (
        [kind(p) for p in module.parameters()], module.weight.bits, kind(copied.weight),
        str(copied.weight.dtype), list(module.state_dict()), kind(module.weight * 2),
        kind(torch.nn.Linear(2, 2)(torch.rand(3, 2))),
    )  # fmt: skip


def _saved(torch: Any, c: Any, x: Any) -> Any:
    file = io.BytesIO()
    torch.save({"a": torch.ones(2)}, file)
    return torch.load(io.BytesIO(file.getvalue()))["a"].tolist()


def _wrapping(torch: Any, c: Any, x: Any) -> Any:
    def relevant(a: Any) -> Any:
        return (a,)

    @torch.overrides.wrap_torch_function(relevant)
    def mine(a: Any) -> Any:
        return "plain"

    return mine(1), mine(c.Duck())


CASES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "constructor": lambda torch, c, x: (kind(c.Plain([1.0, 2.0])), c.Plain([1.0, 2.0]).tolist()),
    "own constructor": lambda torch, c, x: (kind(c.Tagged([1.0], "t")), c.Tagged([1.0], "t").tag),
    "operators": lambda torch, c, x: kind([x + 1, 1 + x, torch.ones(2, 3) + x, x - x, -x, x > 0]),
    "functions": lambda torch, c, x: kind([torch.add(x, x), torch.exp(x), torch.sum(x, 0)]),
    "methods": lambda torch, c, x: kind([x.sum(), x.max(0), x.double(), x.t(), x.detach()]),
    "mixed": lambda torch, c, x: kind([torch.ones(2, 3).add(x), torch.ones(2, 3) @ x.T, x.T, x.mT]),
    "parts": lambda torch, c, x: kind([x[0], x.split(1), x.unbind(1), list(x), x[x > 0.5]]),
    "joined": lambda torch, c, x: kind([torch.cat([x, x]), torch.stack([torch.ones(2, 3), x])]),
    "neural": lambda torch, c, x: kind([torch.nn.functional.relu(x), torch.nn.Linear(3, 2)(x)]),
    "made": lambda torch, c, x: kind([torch.zeros_like(x), x.new_zeros(2), x.clone()]),
    "no tensors": lambda torch, c, x: kind([x.shape, x.tolist(), x.sum().item(), x.numpy()]),
    "in place": lambda torch, c, x: kind([x.add_(1), x.mul_(2)]),
    "own methods": lambda torch, c, x: (x * 2).hello(),
    "gradient": _gradient,
    "history": _history,
    "_make_subclass": lambda torch, c, x: [
        kind(torch.Tensor._make_subclass(c.Plain, x, True)),
        torch.Tensor._make_subclass(c.Plain, torch.ones(2), True).requires_grad,
    ],
    "shared memory": lambda torch, c, x: [x.as_subclass(c.Kept).mul_(0), x.sum().item()][1],
    "attributes": lambda torch, c, x: [
        (_kept(torch, c) * 2).meta, torch.exp(_kept(torch, c)).meta,
        hasattr(c.Tagged([1.0]) * 2, "tag"),
    ],
    "logged": _logged,
    "mode": _in_mode,
    "disabled": _disabled,
    "refusing": lambda torch, c, x: kind(torch.ones(2).as_subclass(c.Refusing) + 1),
    "duck": lambda torch, c, x: [torch.add(c.Duck(), 2), torch.mean(c.Duck(), dim=0), x + c.Duck()],
    "ducks in lists": lambda torch, c, x: torch.cat([c.Duck()], dim=1),
    "nobody": lambda torch, c, x: torch.exp(torch.ones(1).as_subclass(c.Silent)),
    "unrelated": lambda torch, c, x: x + torch.ones(2, 3).as_subclass(c.Tagged),
    "has": lambda torch, c, x: [
        torch.overrides.has_torch_function((x,)), torch.overrides.has_torch_function((1, [])),
        torch.overrides.is_tensor_like(c.Duck()), torch.overrides.is_tensor_like(1),
    ],
    "wrapping": _wrapping,
    "repr": lambda torch, c, x: [repr(c.Plain([1.0, 2.0])), repr(c.Tagged([[1.0]]))],
    "parameter": _quantised,
    "parameters keep their class": lambda torch, c, x: _own_parameters(torch, x),
    "saved": _saved,
}  # fmt: skip


def _own_parameters(torch: Any, x: Any) -> list[Any]:
    """A tensor of a class of one's own as a parameter and as a buffer, and trained."""

    class Layer(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(x)
            self.seen = torch.nn.Buffer(x * 0)

    layer = Layer()
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (layer.weight * layer.weight).sum().backward()
        optimizer.step()
    weight, seen = layer.weight, layer.seen
    return [
        type(weight).__name__, isinstance(weight, torch.nn.Parameter), weight.is_leaf,
        type(seen).__name__, isinstance(seen, torch.nn.Buffer), isinstance(x, torch.nn.Parameter),
        [n for n, _ in layer.named_parameters()], [n for n, _ in layer.named_buffers()],
        repr(weight), type(torch.nn.Parameter(torch.nn.Parameter(weight.data))).__name__,
    ]  # fmt: skip


def outcome(torch: Any, name: str) -> Any:
    importlib.import_module(torch.__name__ + ".overrides")
    classes: Any = Classes(torch)
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return CASES[name](torch, classes, torch.rand(2, 3).as_subclass(classes.Plain))
        except Exception as error:
            return type(error).__name__, str(error).splitlines()[0]


@pytest.mark.parametrize("name", CASES)
def test_as_in_pytorch(name: str) -> None:
    assert repr(outcome(flambeau, name)) == repr(outcome(reference, name)).replace(
        "torch.float64", "torch.float64"
    )


def test_functions_can_be_pickled_still() -> None:
    for function in (flambeau.relu, flambeau.nn.functional.relu, flambeau.linalg.norm):
        assert pickle.loads(pickle.dumps(function)) is function


class Pickled(flambeau.Tensor):
    """At module level, so that pickle finds it."""

    note: str


def test_pickles_keep_the_class_and_its_attributes() -> None:
    tensor = Pickled([1.0, 2.0])
    tensor.note = "kept"
    again = pickle.loads(pickle.dumps(tensor))
    assert (type(again), again.note, again.tolist()) == (Pickled, "kept", [1.0, 2.0])
