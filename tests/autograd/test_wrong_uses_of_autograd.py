"""Wrong uses of backward passes and of what makes them: PyTorch's error and its first line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Case = Callable[[Any, Any], Any]  # of a library and a leaf of two elements

REFUSED: list[tuple[Case, str, str]] = [
    (
        lambda t, w: w.sum().backward(inputs=[1]),
        "RuntimeError",
        "all inputs have to be Tensors or GradientEdges, but got int",
    ),
    (
        lambda t, w: t.autograd.backward([w.sum(), w.sum()], t.ones(())),
        "RuntimeError",
        "got 2 tensors and 1 gradients",
    ),
    (
        lambda t, w: t.autograd.grad(w.sum(), w, allow_unused=False, materialize_grads=True),
        "ValueError",
        "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
        "allow_unused=False.",
    ),
    (
        lambda t, w: t.set_grad_enabled("a"),
        "TypeError",
        "set_grad_enabled(): argument 'enabled' (position 1) must be bool, not str",
    ),
    (lambda t, w: setattr(w, "requires_grad", 1), "RuntimeError", "requires_grad must be a bool"),
    (lambda t, w: setattr(w, "grad", w), "RuntimeError", "can't assign Variable as its own grad"),
    (
        lambda t, w: t.func.grad(t.sum, argnums=(0, -1))(t.ones(2)),
        "RuntimeError",
        "argnums elements must be unique, got (0, 0)",
    ),
    (
        lambda t, w: t.func.grad(t.sum, argnums=())(t.ones(2)),
        "RuntimeError",
        "argnums must be non-empty",
    ),
    (
        lambda t, w: t.func.vjp(t.sum, t.ones(2))[1](),
        "TypeError",
        "_vjp_with_argnums.<locals>.wrapper() missing 1 required positional argument: 'cotangents'",
    ),
    (
        lambda t, w: t.nn.ParameterDict().popitem(),
        "KeyError",
        "'popitem(): dictionary is empty'",
    ),
    (
        lambda t, w: t.autograd.backward([1]),
        "AssertionError",
        "Expected output to be a torch.Tensor",
    ),
    (
        lambda t, w: t.autograd.backward([w * 2], [1.0]),
        "TypeError",
        "gradients can be either Tensors or None, but got float",
    ),
    (
        lambda t, w: t.autograd.grad(w.sum(), [1]),
        "RuntimeError",
        "all inputs have to be Tensors or GradientEdges, but got int",
    ),
    (
        lambda t, w: t.ones(2).requires_grad_("a"),
        "TypeError",
        "requires_grad_(): argument 'requires_grad' (position 1) must be bool, not str",
    ),
    (
        lambda t, w: t.nn.Linear(2, 2).to(int),
        "TypeError",
        "nn.Module.to only accepts floating point or complex dtypes, but got desired "
        "dtype=torch.int64",
    ),
    (
        lambda t, w: t.func.functional_call(t.nn.Linear(2, 2), {"weight": 1}, (w,)),
        "TypeError",
        "1 is not an instance of torch.Tensor",
    ),
    (
        lambda t, w: t.nn.Linear(2, 2).apply(),
        "TypeError",
        "Module.apply() missing 1 required positional argument: 'fn'",
    ),
]
LIBRARIES = ["flambeau", pytest.param("torch", marks=pytest.mark.parity)]


@pytest.mark.parametrize("case", range(len(REFUSED)), ids=str)
@pytest.mark.parametrize("name", LIBRARIES)
def test_what_is_refused(name: str, case: int) -> None:
    torch = pytest.importorskip(name)
    use, kind, words = REFUSED[case]
    with pytest.raises(Exception) as raised:
        use(torch, torch.ones(2, requires_grad=True))
    assert type(raised.value).__name__ == kind
    assert str(raised.value).splitlines()[0] == words


@pytest.mark.parametrize("name", LIBRARIES)
def test_an_input_given_twice_gets_its_gradient_once(name: str) -> None:
    torch = pytest.importorskip(name)
    w = torch.ones(2, requires_grad=True)
    (w * 3).sum().backward(inputs=(w, w))
    assert w.grad.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_deleted_running_mean_is_told_by_its_name(name: str) -> None:
    torch = pytest.importorskip(name)
    layer = torch.nn.BatchNorm1d(2)
    del layer.running_mean
    with pytest.raises(AttributeError, match="no attribute 'running_mean'"):
        layer(torch.ones(2, 2))


@pytest.mark.parametrize("name", LIBRARIES)
def test_other_names_of_functional_call(name: str) -> None:
    torch = pytest.importorskip(name)
    call = torch.func.functional_call
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    x, w = torch.ones(3, 2), torch.zeros(2, 2)
    with pytest.raises(RuntimeError) as raised:
        call(model, {"0.weight": w, "z": x, "1.bias": w[0]}, (x,), strict=True)
    assert str(raised.value).splitlines()[:3] == [
        "Error(s) in reparametrizing for Sequential:",
        "\tUnexpected key(s): 'z'.",
        "\tMissing key(s): '0.bias', '1.num_batches_tracked', '1.running_mean', "
        "'1.running_var', '1.weight'.",
    ]
    assert call(model, {"0.other": w, "z": x}, (x,)).shape == (3, 2)
    assert not hasattr(model, "z") and not hasattr(model[0], "other")

    tied = torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False))
    tied[1].weight = tied[0].weight
    assert call(tied, {"0.weight": w + 1}, (x,), strict=True).tolist() == [[4.0, 4.0]] * 3
    with pytest.raises(ValueError, match=r"multiple values for keys .*which are tied"):
        call(tied, {"0.weight": w, "1.weight": w + 1}, (x,))


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_module_takes_a_python_type(name: str) -> None:
    torch = pytest.importorskip(name)
    assert torch.nn.Linear(2, 2).to(float).weight.dtype is torch.float64
