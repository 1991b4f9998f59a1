"""The optimisers against PyTorch's, bit for bit, over several steps."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, given, same

import flambeau
from flambeau import optim as ours
from flambeau.optim import updates

pytestmark = pytest.mark.parity
theirs = torch.optim

CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.01, "maximize": True}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.03}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.03}),
    ("SGD", {"lr": torch.tensor(0.05), "momentum": 0.9}),
    ("Adam", {}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}),
    ("Adam", {"betas": (0.3, 0.5), "amsgrad": True, "maximize": True}),
    ("Adam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adam", {"lr": torch.tensor(0.02)}),
    ("AdamW", {"lr": torch.tensor(0.02), "weight_decay": 0.3}),
    ("Adagrad", {"lr": torch.tensor(0.02), "lr_decay": 0.3}),
    ("AdamW", {"lr": 0.01}),
    ("AdamW", {"lr": 0.01, "amsgrad": True, "weight_decay": 0.2}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.7, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"momentum": 0.9, "centered": True, "alpha": 0.4}),
    ("Adagrad", {}),
    (
        "Adagrad",
        {"lr": 0.2, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.3},
    ),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.3, "rho": 0.5, "eps": 1e-4, "weight_decay": 0.1, "maximize": True}),
    ("Adadelta", {"lr": torch.tensor(0.3), "foreach": True}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.1, "betas": (0.4, 0.7), "weight_decay": 0.1, "maximize": True}),
    ("Adamax", {"lr": torch.tensor(0.02), "foreach": False}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.1, "betas": (0.4, 0.7), "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {"momentum_decay": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("NAdam", {"lr": torch.tensor(0.02)}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.1, "betas": (0.4, 0.7), "weight_decay": 0.1, "maximize": True}),
    ("RAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": torch.tensor(0.02)}),
    ("ASGD", {}),
    ("ASGD", {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 2.0, "weight_decay": 0.1}),
    ("ASGD", {"lr": torch.tensor(0.02), "t0": 1.0, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.3, 1.7), "step_sizes": (0.05, 0.2), "maximize": True}),
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.1, "beta2_decay": -0.4, "d": 1.5, "weight_decay": 0.1}),
    ("Adafactor", {"lr": 0.3, "eps": (1e-3, 0.1), "maximize": True}),
]
ALL = [name for name in theirs.__all__ if isinstance(getattr(theirs, name), type)]
SHAPES = [(5, 7), (33,), (), (2, 3, 4)]


def _params(library: Any = flambeau, dtype: Any = torch.float32) -> list[Any]:
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(s, generator=generator).to(dtype) for s in SHAPES]
    return [p.requires_grad_() for p in given(library, drawn)]


def _give_grads(step: int, library: Any, params: list[Any]) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for i, shape in enumerate(SHAPES):
        grad = torch.randn(shape, generator=generator)
        # One parameter joins later: its step count differs.
        late = i == 1 and step < 2
        params[i].grad = None if late else given(library, grad).to(params[i].dtype)


def _run(optimizer: Any, params: list[Any], steps: range, library: Any = flambeau) -> None:
    for step in steps:
        _give_grads(step, library, params)
        optimizer.step()


def _same(first: list[Any], second: list[Any]) -> None:
    for a, b in zip(first, second, strict=True):
        assert a.tolist() == b.tolist()


def _ulps(dtype: Any) -> dict[str, float]:
    """A few roundings: the compiled update may fuse a product with a sum where PyTorch does not.
    Sums that nearly cancel are as wrong as their terms, which are as large as the largest number.
    """
    if dtype is torch.float32:
        return {"rtol": 1e-6, "atol": 1e-7, "of_largest": 2e-7}
    return {"rtol": 1e-13, "atol": 1e-15, "of_largest": 4e-16}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_steps_are_pytorchs(name: str, options: dict[str, Any], dtype: Any) -> None:
    made = []
    for library in LIBRARIES:
        params = _params(library, dtype)
        optimizer = getattr(library.optim, name)(params, **given(library, options))
        text = repr(optimizer)
        _run(optimizer, params, range(5), library)
        made.append((text, params, optimizer.state_dict()))
    (text, params, state), (their_text, their_params, their_state) = made
    assert text == their_text
    same(params, their_params, **_ulps(dtype))
    same(state, their_state, **_ulps(dtype))


def test_adagrad_of_complex_numbers_begins_as_pytorchs() -> None:
    made = []
    for library in LIBRARIES:
        param = library.tensor([1 + 2j, -3 + 0.5j], requires_grad=True)
        optimizer = library.optim.Adagrad([param], lr=0.5, initial_accumulator_value=0.25)
        for _ in range(2):
            param.grad = library.tensor([0.5 - 1j, 2 + 0.25j])
            optimizer.step()
        made.append((param, optimizer.state_dict()))
    (param, state), (their_param, their_state) = made
    same(param, their_param, rtol=1e-6)
    same(state, their_state, rtol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_signature(name: str) -> None:
    mine = inspect.signature(getattr(ours, name).__init__).parameters.values()
    other = inspect.signature(getattr(theirs, name).__init__).parameters.values()
    assert [(p.name, p.kind, p.default) for p in mine] == [
        (p.name, p.kind, p.default) for p in other
    ]


class _NumPy:
    @staticmethod
    def fma(a: Any, b: Any, c: Any) -> Any:
        # In float64 the product is exact; rounding the sum twice almost never shows in float32.
        wide = np.asarray(a, np.float32).astype(np.float64) * np.asarray(b, np.float32)
        return (wide + np.asarray(c, np.float64)).astype(np.float32)

    sqrt = staticmethod(np.sqrt)
    maximum = staticmethod(np.maximum)


def test_rules_work_on_numpy_arrays() -> None:
    ops = _NumPy()
    generator = np.random.default_rng(3)
    start = generator.standard_normal(200).astype(np.float32)
    grads = generator.standard_normal((4, 200)).astype(np.float32)
    param = torch.tensor(start, requires_grad=True)
    reference = theirs.AdamW([param], lr=0.01, amsgrad=True, weight_decay=0.1)
    state: tuple[Any, ...] = (start, *(np.zeros_like(start) for _ in range(3)))
    for t, grad in enumerate(grads, 1):
        param.grad = torch.tensor(grad)
        reference.step()
        state = updates.adam_update(
            ops,
            state[0],
            grad,
            *state[1:],
            decay=1 - 0.01 * 0.1,
            weight_decay=0.1,
            beta1=0.9,
            beta2=0.999,
            step_size=0.01 / (1 - 0.9**t),
            bias_correction2_sqrt=(1 - 0.999**t) ** 0.5,
            eps=1e-8,
            amsgrad=True,
            maximize=False,
            decoupled_weight_decay=True,
        )
        assert all(part.dtype == np.float32 for part in state)
    np.testing.assert_array_max_ulp(state[0], param.detach().numpy(), 1)
    assert (state[0] == param.detach().numpy()).mean() > 0.98


@pytest.mark.parametrize(("name", "options"), CASES)
def test_state_dict_travels_both_ways(name: str, options: dict[str, Any]) -> None:
    mine = _params()
    first = getattr(ours, name)(mine, **given(flambeau, options))
    _run(first, mine, range(3))
    other = [p.requires_grad_() for p in given(torch, [p.detach() for p in mine])]
    second = getattr(theirs, name)(other, **given(torch, options))
    second.load_state_dict(given(torch, first.state_dict()))
    back = [p.requires_grad_() for p in given(flambeau, [p.detach() for p in mine])]
    third = getattr(ours, name)(back, **given(flambeau, options))
    third.load_state_dict(given(flambeau, second.state_dict()))
    _run(first, mine, range(3, 5))
    _run(third, back, range(3, 5))
    _run(second, other, range(3, 5), torch)
    same(mine, other, **_ulps(torch.float32))
    same(back, other, **_ulps(torch.float32))
    if name != "Adafactor":  # sums are not rounded alike by each executor
        _same(mine, back)


def test_step_count_is_seen_and_can_be_changed() -> None:
    params = _params()
    optimizer = ours.Adam(params)
    _run(optimizer, params, range(2, 4))
    kept = optimizer.state[params[0]]
    assert kept["step"].item() == 2.0
    assert kept["step"].dtype == flambeau.float32
    _run(optimizer, params, range(4, 5))
    assert kept["step"].item() == 3.0
    kept["step"].fill_(10)
    _run(optimizer, params, range(5, 6))
    assert kept["step"].item() == 11.0
    saved = optimizer.state_dict()["state"][0]["step"]
    _run(optimizer, params, range(6, 7))
    assert saved.item() == 11.0


def test_optimizer_survives_pickle_and_deepcopy() -> None:
    params = _params()
    optimizer = ours.Adam(params, lr=0.1)
    _run(optimizer, params, range(2, 4))
    for other in (pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)):
        copies = other.param_groups[0]["params"]
        assert copies[0] is not params[0]
        _run(other, copies, range(4, 6))
    _run(optimizer, params, range(4, 6))
    _same(params, copies)


def test_hooks_closure_and_zero_grad() -> None:
    params = _params()
    optimizer = ours.SGD(params, lr=0.1)
    seen: list[str] = []
    handle = optimizer.register_step_pre_hook(lambda *_: seen.append("pre"))
    optimizer.register_step_post_hook(lambda *_: seen.append("post"))

    def closure() -> Any:
        optimizer.zero_grad()
        loss = sum((p * p).sum() for p in params)
        loss.backward()
        return loss

    first = optimizer.step(closure)
    handle.remove()
    second = optimizer.step(closure)
    assert seen == ["pre", "post", "post"]
    assert second < first
    optimizer.zero_grad(set_to_none=False)
    assert all(p.grad is not None and not p.grad.any() for p in params)
    optimizer.zero_grad()
    assert all(p.grad is None for p in params)


def test_groups_have_their_own_options() -> None:
    made = []
    for library in LIBRARIES:
        params = _params(library)
        groups = [{"params": params[:2]}, {"params": params[2], "lr": 0.5, "momentum": 0.0}]
        optimizer = library.optim.SGD(groups, lr=0.1, momentum=0.9)
        optimizer.add_param_group({"params": params[3:], "weight_decay": 0.1})
        _run(optimizer, params, range(4), library)
        made.append([repr(optimizer), params, optimizer.state_dict()])
    same(*made, **_ulps(torch.float32))


def test_named_parameters() -> None:
    states = []
    for library in LIBRARIES:
        named = list(library.nn.Linear(3, 2).named_parameters())
        states.append(library.optim.SGD(named, lr=0.1).state_dict())
    assert states[0] == states[1]


# "leaf" and "computed" stand for tensors of either library.
MISTAKES: list[tuple[str, Any, dict[str, Any]]] = [
    ("SGD", "leaf", {}),
    ("SGD", [], {}),
    ("SGD", ["computed"], {}),
    ("SGD", [3], {}),
    ("SGD", [{"params": {"leaf"}}], {}),
    ("SGD", [{"params": ["leaf"]}, {"params": ["leaf"]}], {}),
    ("SGD", ["leaf"], {"lr": -1.0}),
    ("SGD", ["leaf"], {"momentum": -1.0}),
    ("SGD", ["leaf"], {"nesterov": True}),
    ("Adam", ["leaf"], {"betas": (1.0, 0.9)}),
    ("Adam", ["leaf"], {"betas": (0.9, -0.1)}),
    ("Adam", ["leaf"], {"eps": -1.0}),
    ("Adam", ["leaf"], {"fused": True, "foreach": True}),
    ("RMSprop", ["leaf"], {"alpha": -1.0}),
    ("Adagrad", ["leaf"], {"lr_decay": -1.0}),
    ("Adadelta", ["leaf"], {"rho": 1.5}),
    ("Adamax", ["leaf"], {"betas": (0.5, 1.0)}),
    ("NAdam", ["leaf"], {"momentum_decay": -1.0}),
    ("RAdam", ["leaf"], {"lr": -1.0}),
    ("ASGD", ["leaf"], {"weight_decay": -1.0}),
    ("Rprop", ["leaf"], {"etas": (0.5, 0.9)}),
    ("Adafactor", ["leaf"], {"d": 0.5}),
    ("Adafactor", ["leaf"], {"beta2_decay": 0.5}),
    ("Adafactor", ["leaf"], {"lr": -0.5}),
    ("Muon", ["leaf"], {}),
    ("Muon", ["leaf"], {"adjust_lr_fn": "other"}),
]


def _mistaken(library: Any, params: Any) -> Any:
    """The table's words replaced by tensors of the library."""
    leaf = library.zeros(2, requires_grad=True)
    words = {"leaf": leaf, "computed": leaf * 2}

    def filled(part: Any) -> Any:
        if isinstance(part, str):
            return words[part]
        if isinstance(part, dict):
            return {key: filled(value) for key, value in part.items()}
        if isinstance(part, (list, set)):
            return type(part)(filled(value) for value in part)
        return part

    return filled(params)


@pytest.mark.parametrize(("name", "params", "options"), MISTAKES)
def test_mistake_raises_what_pytorch_raises(name: str, params: Any, options: Any) -> None:
    with pytest.raises(Exception) as expected:
        getattr(theirs, name)(_mistaken(torch, params), **options)
    with pytest.raises(expected.type) as raised:
        getattr(ours, name)(_mistaken(flambeau, params), **options)
    assert str(raised.value) == str(expected.value)


def test_differentiable_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="differentiable"):
        ours.Adam([flambeau.zeros(2, requires_grad=True)], differentiable=True)
