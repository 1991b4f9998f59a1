"""`Module`: registration, state, hooks, copies; each scenario run in ours and in PyTorch's."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections import OrderedDict
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, given, same

import flambeau
import flambeau.nn as ours

pytestmark = pytest.mark.parity
theirs = torch.nn


class Net(ours.Module):
    """At module level, so that it can be pickled."""

    library = flambeau
    downsample = None

    def __init__(self) -> None:
        super().__init__()
        lib = self.library
        self.fc1 = lib.nn.Linear(4, 3)
        self.body = lib.nn.Sequential(lib.nn.BatchNorm1d(3), lib.nn.ReLU())
        self.scale = lib.nn.Parameter(lib.ones(3))
        self.register_buffer("offset", lib.zeros(3), persistent=False)

    def forward(self, x: Any) -> Any:
        return self.body(self.fc1(x)) * self.scale + self.offset


TheirModule: Any = theirs.Module


class TheirNet(TheirModule):
    library = torch
    downsample = None

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = theirs.Linear(4, 3)
        self.body = theirs.Sequential(theirs.BatchNorm1d(3), theirs.ReLU())
        self.scale = theirs.Parameter(torch.ones(3))
        self.register_buffer("offset", torch.zeros(3), persistent=False)

    forward = Net.forward


def _nets() -> list[Any]:
    made = []
    for kind in (Net, TheirNet):
        kind.library.manual_seed(0)
        made.append(kind())
    return made


def test_walks_are_pytorchs() -> None:
    mine, other = _nets()
    assert repr(mine) == repr(other).replace("TheirNet", "Net")
    for walk in ("named_parameters", "named_buffers", "named_children", "named_modules"):
        assert [n for n, _ in getattr(mine, walk)()] == [n for n, _ in getattr(other, walk)()]
    assert list(mine.state_dict()) == list(other.state_dict())
    assert mine.state_dict()._metadata == other.state_dict()._metadata
    public = {n for n in dir(other) if not n.startswith("_")}
    missing = public - set(dir(mine)) - {"compile", "ipu", "xpu", "mtia", "T_destination"}
    assert not missing
    assert isinstance(mine.get_submodule("body.0"), ours.BatchNorm1d)
    assert mine.get_parameter("body.0.weight") is mine.body[0].weight
    assert mine.get_buffer("body.0.running_mean") is mine.body[0].running_mean


@pytest.mark.parametrize("edit", ["attribute", "registry", "update", "delete", "none", "pop"])
def test_registries_and_attributes_agree(edit: str) -> None:
    for net in _nets():
        nn = net.library.nn
        new = nn.Linear(4, 3)
        if edit == "attribute":
            net.fc1 = new
        elif edit == "registry":
            net._modules["fc1"] = new
        elif edit == "update":
            net._modules.update({"fc1": new})
        elif edit == "delete":
            del net.fc1
        elif edit == "none":
            net.fc1 = None
        else:
            net._modules.pop("fc1")
        if edit in ("delete", "pop"):
            assert not hasattr(net, "fc1")
            assert "fc1" not in net._modules
            assert "fc1" not in dir(net)
        else:
            assert net.fc1 is (None if edit == "none" else new)
            assert net._modules["fc1"] is net.fc1


def test_class_attribute_wins_over_a_submodule() -> None:
    for net in _nets():
        nn = net.library.nn
        net.downsample = nn.Identity()
        assert net.downsample is None
        assert "downsample" in net._modules


def test_attribute_changes_its_kind() -> None:
    for library in LIBRARIES:
        nn = library.nn
        module = nn.Module()
        module.x = 5
        module.x = nn.Parameter(library.ones(1))
        assert "x" in module._parameters
        with pytest.raises(TypeError, match="cannot assign 'int' as parameter 'x'"):
            module.x = 5
        del module.x
        module.x = 5
        module.x = nn.Identity()
        assert "x" not in module._parameters
        with pytest.raises(TypeError, match="as child module 'x'"):
            module.x = library.ones(1)
        del module.x
        module.register_buffer("x", None)
        module.x = library.ones(2)
        assert module._buffers["x"] is module.x
        with pytest.raises(TypeError, match="cannot assign 'str' as buffer 'x'"):
            module.x = "a"
        module.y = nn.Buffer(library.ones(1), persistent=False)
        assert list(module.state_dict()) == ["x"]


def test_registration_mistakes() -> None:
    def attempts(library: Any) -> list[Any]:
        nn = library.nn

        class Early(nn.Module):  # type: ignore[misc,name-defined]
            def __init__(self, what: Any) -> None:
                self.x = what

        module = nn.Linear(2, 2)
        computed = library.ones(2, requires_grad=True) * 2
        return [
            lambda: module.register_parameter("a.b", None),
            lambda: module.register_parameter("", None),
            lambda: module.register_parameter("forward", None),
            lambda: module.register_parameter("x", 3),
            lambda: module.register_parameter("x", computed),
            lambda: module.register_buffer("weight", None),
            lambda: module.register_buffer(3, None),
            lambda: module.add_module("a.b", None),
            lambda: module.add_module("", None),
            lambda: module.add_module("x", 3),
            lambda: module.add_module("weight", None),
            lambda: Early(nn.Parameter(library.ones(1))),
            lambda: Early(nn.Identity()),
            lambda: nn.Module(3),
            lambda: nn.Module(x=3),
            lambda: nn.Module()(3),
            lambda: module.nothing,
            lambda: module.train("yes"),
            lambda: module.load_state_dict([1]),
            lambda: module.to(library.int64),
            lambda: module.get_submodule("a.b"),
        ]

    for mine, other in zip(attempts(flambeau), attempts(torch), strict=True):
        with pytest.raises(Exception) as expected:
            other()
        with pytest.raises(expected.type) as raised:
            mine()
        assert str(raised.value) == str(expected.value)


def test_load_state_dict_and_its_errors() -> None:
    mine, other = _nets()
    loaded = mine.load_state_dict(given(flambeau, other.state_dict()))
    assert str(loaded) == "<All keys matched successfully>"
    broken = OrderedDict(other.state_dict())
    broken["fc1.weight"] = torch.ones(2, 2)
    broken["fc1.bias"] = 3
    broken["fc1.extra"] = torch.ones(1)
    broken["nowhere.weight"] = torch.ones(1)
    del broken["scale"]
    texts = []
    for net in (mine, other):
        with pytest.raises(RuntimeError) as raised:
            net.load_state_dict(given(net.library, broken))
        texts.append(str(raised.value).replace("TheirNet", "Net"))
    assert texts[0] == texts[1]
    del broken["fc1.weight"], broken["fc1.bias"]
    results = [
        tuple(net.load_state_dict(given(net.library, broken), strict=False))
        for net in (mine, other)
    ]
    assert results[0] == results[1]


def test_load_with_assign_adopts_the_tensors() -> None:
    for net in _nets():
        state = {key: value.double() for key, value in net.state_dict().items()}
        net.scale.requires_grad_(False)
        net.load_state_dict(state, assign=True)
        assert net.fc1.weight.dtype == net.library.float64
        assert isinstance(net.fc1.weight, net.library.nn.Parameter)
        assert net.fc1.weight.data_ptr() == state["fc1.weight"].data_ptr()
        assert not net.scale.requires_grad


@pytest.mark.parametrize("nn", [ours, theirs])
def test_extra_state_and_hooks_of_state(nn: Any) -> None:
    class Extra(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(1, 1)
            self.seen = 0

        def get_extra_state(self) -> Any:
            return {"seen": self.seen}

        def set_extra_state(self, state: Any) -> None:
            self.seen = state["seen"]

    first, second = Extra(), Extra()
    first.seen = 7
    calls: list[str] = []
    first.register_state_dict_pre_hook(lambda *_: calls.append("before"))
    first.register_state_dict_post_hook(lambda m, s, p, meta: calls.append("after"))
    second.register_load_state_dict_pre_hook(lambda m, *_: calls.append(type(m).__name__))
    second.register_load_state_dict_post_hook(lambda m, k: k.missing_keys.clear())
    state = first.state_dict()
    assert list(state) == ["_extra_state", "inner.weight", "inner.bias"]
    del state["inner.bias"]
    second.load_state_dict(state)
    assert second.seen == 7
    assert calls == ["before", "after", "Extra"]


def test_forward_hooks() -> None:
    logs = []
    for net in _nets():
        log: list[Any] = []
        x = net.library.ones(2, 4)
        net.fc1.register_forward_pre_hook(lambda m, args: (args[0] * 2,))
        net.fc1.register_forward_pre_hook(
            lambda m, args, kwargs: (args, kwargs), with_kwargs=True, prepend=True
        )
        handle = net.fc1.register_forward_hook(lambda m, args, out: out + args[0].sum())
        net.fc1.register_forward_hook(
            lambda m, a, k, out, log=log: log.append((len(a), k, out.sum().item())),
            with_kwargs=True,
        )
        net(x)
        with handle:
            net(x)
        net(x)
        log.append(net(x).sum().item())
        logs.append(log)
    same(logs[0], logs[1], rtol=1e-5, atol=1e-5)


def test_hook_that_is_always_called() -> None:
    for library in LIBRARIES:
        nn = library.nn
        layer = nn.Linear(2, 2)
        seen: list[Any] = []
        layer.register_forward_hook(lambda m, a, out, s=seen: s.append(out), always_call=True)
        with pytest.raises(RuntimeError):
            layer(library.ones(3, 3))
        assert seen == [None]


def test_backward_hooks() -> None:
    logs = []
    for library in LIBRARIES:
        nn = library.nn
        library.manual_seed(0)
        two = nn.Bilinear(3, 4, 2)
        log: list[Any] = []

        def note(*args: Any, log: list[Any] = log) -> None:
            log.extend(a for a in args[1:] for a in a)

        two.register_full_backward_hook(note)
        two.register_full_backward_hook(lambda m, gi, go: (gi[0] * 3, None))
        two.register_full_backward_pre_hook(lambda m, go: (go[0] * 2,))
        a = library.randn(5, 3, requires_grad=True)
        b = library.randn(5, 4, requires_grad=True)
        (two(a, b) * library.arange(10.0).view(5, 2)).sum().backward()
        log += [a.grad, b.grad, two.weight.grad]
        first = nn.Linear(3, 2)
        first.register_full_backward_hook(note)
        first(library.randn(4, 3)).sum().backward()
        logs.append(log)
    same(*logs)


def test_global_hooks() -> None:
    from flambeau.nn.modules import module

    seen: list[str] = []
    net = Net()
    with module.register_module_forward_hook(lambda m, a, out: seen.append(type(m).__name__)):
        net(flambeau.randn(3, 4))
    net(flambeau.randn(3, 4))
    assert seen == ["Linear", "BatchNorm1d", "ReLU", "Sequential", "Net"]


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "copy"])
def test_copies_are_complete(how: str) -> None:
    net = Net()
    x = flambeau.randn(5, 4)
    net(x)
    copies = {
        "deepcopy": lambda: copy.deepcopy(net),
        "pickle": lambda: pickle.loads(pickle.dumps(net)),
        "copy": lambda: copy.copy(net),
    }
    other = copies[how]()
    assert other.eval()(x).tolist() == net.eval()(x).tolist()
    assert (other.fc1 is net.fc1) == (how == "copy")
    assert other.fc1 is other._modules["fc1"]
    old = net.fc1
    other._modules["fc1"] = ours.Linear(4, 3)
    assert other.fc1 is other._modules["fc1"]
    assert net.fc1 is old


def test_state_methods_of_the_user_are_respected() -> None:
    class Own(ours.Linear):
        def __getstate__(self) -> dict[str, Any]:
            return self.__dict__.copy()

        def __setstate__(self, state: dict[str, Any]) -> None:
            self.__dict__.update(state)

    other = copy.deepcopy(Own(3, 2)).double()
    assert other.weight.dtype == flambeau.float64
    assert other.weight is other._parameters["weight"]
    other.weight = ours.Parameter(flambeau.zeros(2, 3).double())
    assert not other(flambeau.ones(1, 3).double()).sub(other.bias).any()


def test_modules_are_freed_without_the_cycle_collector() -> None:
    gc.disable()
    try:
        net = Net()
        gone = weakref.ref(net.fc1)
        del net
        assert gone() is None
    finally:
        gc.enable()


def test_to_and_zero_grad() -> None:
    for net in _nets():
        library = net.library
        net(library.randn(3, 4)).sum().backward()
        weight = net.fc1.weight
        assert net.to(library.float64) is net
        assert net.fc1.weight is weight
        assert weight.dtype == weight.grad.dtype == library.float64
        assert net.body[0].num_batches_tracked.dtype == library.int64
        net.to("cpu", library.float32).half().bfloat16().float()
        net.to(library.ones(1).double(), non_blocking=True)
        assert net.offset.dtype == library.float64
        net.zero_grad(set_to_none=False)
        assert not weight.grad.any()
        net.zero_grad()
        assert weight.grad is None
        net.requires_grad_(False)
        assert not any(p.requires_grad for p in net.parameters())


def test_forward_replaced_on_the_instance() -> None:
    layer = ours.Linear(2, 2)
    layer.forward = lambda x: x + 1
    assert layer(1) == 2


def test_containers_are_pytorchs() -> None:
    texts = []
    for library in LIBRARIES:
        nn = library.nn
        layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
        layers.insert(1, nn.ReLU())
        layers += [nn.Tanh()]
        del layers[0]
        stack = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        stack[1] = nn.Tanh()
        stack.insert(1, nn.ReLU())
        del stack[0]
        stack = (stack + nn.Sequential(nn.ELU())) * 2
        popped = stack.pop(-1)
        named = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh()))
        table = nn.ModuleDict({"x": nn.ReLU(), "y": nn.Tanh()})
        table.update([("z", nn.ELU())])
        table.pop("x")
        numbers = nn.ParameterList([library.ones(2), 5, nn.Parameter(library.ones(1, 2))])
        numbers.append(library.zeros(3))
        words = nn.ParameterDict({"b": library.ones(2), "a": library.zeros(1)}) | {
            "c": library.ones(1)
        }
        words.pop("a")
        everything = [layers, stack, popped, named[:1], named, table, numbers, words, layers[1:]]
        texts.append(
            [repr(m) for m in everything]
            + [list(m.state_dict()) for m in everything]
            + [len(stack), list(table), list(words.keys()), len(numbers)]
        )
    assert texts[0] == texts[1]
    with pytest.raises(IndexError, match="index 9 is out of range"):
        ours.Sequential(ours.ReLU())[9]
    shrunk = ours.Sequential(ours.ReLU(), ours.Tanh())
    del shrunk[0]
    assert not hasattr(shrunk, "1")
