"""Arguments that a function does not take: PyTorch's error and the first line of its message."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
import flambeau.nn.functional

Case = Callable[[Any, Any], Any]  # of a library and a tensor of 2 x 2

# What PyTorch says of each.
WORDS: list[tuple[Case, str]] = [
    (
        lambda t, x: t.reshape([1], (1,)),
        "reshape(): argument 'input' (position 1) must be Tensor, not list",
    ),
    (
        lambda t, x: t.flip(np.ones(2), (0,)),
        "flip(): argument 'input' (position 1) must be Tensor, not numpy.ndarray",
    ),
    (
        lambda t, x: t.squeeze([1.0], 0),
        "squeeze() received an invalid combination of arguments - got (list, int), but expected "
        "one of:",
    ),
    (
        lambda t, x: t.multinomial([1], 1),
        "multinomial(): argument 'input' (position 1) must be Tensor, not list",
    ),
    (
        lambda t, x: t.linalg.cond([1]),
        "linalg_cond(): argument 'input' (position 1) must be Tensor, not list",
    ),
    (
        lambda t, x: t.nn.functional.nll_loss([1], x),
        "nll_loss_nd(): argument 'input' (position 1) must be Tensor, not list",
    ),
    (
        lambda t, x: t.nn.functional.one_hot(None),
        "one_hot(): argument 'input' (position 1) must be Tensor, not NoneType",
    ),
    (
        lambda t, x: t.meshgrid(x[0], [1], indexing="ij"),
        "expected Tensor as element 1 in argument 0, but got list",
    ),
    # Positions are counted without the tensor that a method belongs to.
    (lambda t, x: x.add([1]), "add(): argument 'other' (position 1) must be Tensor, not list"),
    (lambda t, x: t.add(x, [1]), "add(): argument 'other' (position 2) must be Tensor, not list"),
    (
        lambda t, x: t.add(x, [1], alpha=2),
        "add(): argument 'other' (position 2) must be Tensor, not list",
    ),
    (lambda t, x: x.mul_("a"), "mul_(): argument 'other' (position 1) must be Tensor, not str"),
    (
        lambda t, x: x.dot(None),
        "dot(): argument 'tensor' (position 1) must be Tensor, not NoneType",
    ),
    (lambda t, x: t.add(x, x, alpha=x), "add(): argument 'alpha' must be Number, not Tensor"),
    # Missing, surplus and unknown ones.
    (lambda t, x: t.unsqueeze(x), 'unsqueeze() missing 1 required positional arguments: "dim"'),
    (
        lambda t, x: t.unsqueeze(x, 0, 1),
        "unsqueeze() takes 2 positional arguments but 3 were given",
    ),
    (
        lambda t, x: x.sum(foo=1),
        "sum() received an invalid combination of arguments - got (foo=int, ), but expected one "
        "of:",
    ),
    (lambda t, x: x.sum(axis=0, dim=0), "sum() got an unexpected keyword argument 'axis'"),
    # Sizes and axes.
    (lambda t, x: t.softmax(x, "a"), "softmax(): argument 'dim' (position 2) must be int, not str"),
    (
        lambda t, x: x.reshape(2, 1.5),
        "reshape(): argument 'shape' failed to unpack the object at pos 2 with error \"type must "
        'be tuple of ints,but got float"',
    ),
    (
        lambda t, x: x.reshape("a"),
        "reshape(): argument 'shape' (position 1) must be tuple of ints, not str",
    ),
    (
        lambda t, x: x.cumsum(0, dtype=x),
        "cumsum(): argument 'dtype' must be torch.dtype, not Tensor",
    ),
    (
        lambda t, x: x.clamp_min(None),
        "clamp_min() received an invalid combination of arguments - got (NoneType), but expected "
        "one of:",
    ),
    # Layers give what they get to functions.
    (
        lambda t, x: t.nn.Linear(2, 2)([1]),
        "linear(): argument 'input' (position 1) must be Tensor, not list",
    ),
    (
        lambda t, x: t.nn.LayerNorm(2)([1]),
        "layer_norm(): argument 'input' (position 1) must be Tensor, not list",
    ),
]


def library(name: str) -> Any:
    found = pytest.importorskip(name)
    importlib.import_module(f"{name}.nn.functional")
    return found


@pytest.mark.parametrize("case", range(len(WORDS)), ids=str)
@pytest.mark.parametrize("name", ["flambeau", pytest.param("torch", marks=pytest.mark.parity)])
def test_words(name: str, case: int) -> None:
    torch = library(name)
    call, words = WORDS[case]
    with pytest.raises(TypeError) as raised:
        call(torch, torch.ones(2, 2))
    assert str(raised.value).splitlines()[0] == words


def test_the_forms_are_listed() -> None:
    with pytest.raises(TypeError) as raised:
        flambeau.squeeze([1.0], 0)
    assert str(raised.value).splitlines()[1:] == [
        " * (Tensor input)",
        " * (Tensor input, int dim)",
        " * (Tensor input, tuple of ints dim)",
    ]


def test_an_axis_that_is_a_tensor_leaves_nothing_behind() -> None:
    x = flambeau.ones(3, 3)
    with pytest.raises(TypeError):
        flambeau.cross(x, x, dim=flambeau.tensor(0))
    assert (x + 1).sum().item() == 18


OPERANDS: list[Any] = [[1.0], 1.5, "a", None, np.ones(2)]
ONE = """
abs sqrt erf relu sigmoid logsumexp cumsum flip fliplr t tril triu diag diag_embed diagflat nonzero
argwhere bernoulli flatten ravel squeeze atleast_1d meshgrid block_diag unique split
broadcast_tensors cartesian_prod mean argmax sort median var trace det inverse numel clone isnan
""".split()
TWO = """
add mul div pow maximum matmul mm dot bmm where masked_select take gather index_select
broadcast_to isclose allclose equal outer cross dist kron logical_and eq lt bitwise_and
""".split()
FUNCTIONS = """
softsign tanhshrink normalize mish hardsigmoid logsigmoid silu relu6 selu elu glu gelu softplus
dropout alpha_dropout one_hot pdist
""".split()
LOSSES = """
mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy binary_cross_entropy_with_logits
cross_entropy nll_loss kl_div poisson_nll_loss soft_margin_loss multi_margin_loss
multilabel_margin_loss hinge_embedding_loss linear
""".split()


def outcome(call: Callable[[], Any]) -> tuple[str, str]:
    try:
        call()
    except Exception as error:
        return type(error).__name__, str(error).splitlines()[0]
    return "ok", ""


def both(case: Case) -> None:
    found = []
    for torch in (library("flambeau"), library("torch")):
        found.append(outcome(lambda: case(torch, torch.ones(2, 3))))
    assert found[0] == found[1]


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("given", OPERANDS, ids=lambda given: type(given).__name__)
@pytest.mark.parametrize("name", ONE)
def test_one_operand(name: str, given: Any) -> None:
    both(lambda t, x: getattr(t, name)(given))


@pytest.mark.parity
@pytest.mark.parametrize("given", OPERANDS, ids=lambda given: type(given).__name__)
@pytest.mark.parametrize("name", TWO)
def test_two_operands(name: str, given: Any) -> None:
    both(lambda t, x: getattr(t, name)(given, x))
    if name not in ("where", "equal"):
        both(lambda t, x: getattr(t, name)(x, given if type(given) is not float else "b"))


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("given", OPERANDS, ids=lambda given: type(given).__name__)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_networks(name: str, given: Any) -> None:
    both(lambda t, x: getattr(t.nn.functional, name)(given))


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("given", OPERANDS, ids=lambda given: type(given).__name__)
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str, given: Any) -> None:
    both(lambda t, x: getattr(t.nn.functional, name)(given, x))
    both(lambda t, x: getattr(t.nn.functional, name)(x, given))


@pytest.mark.parametrize("name", ["relu", "selu", "celu"])
def test_functions_of_two_rooms_take_what_either_takes(name: str) -> None:
    """torch.relu, once it was used, is no other function than torch.nn.functional.relu here, which
    takes `inplace`: what is wrong is something else.
    """
    getattr(flambeau, name)(flambeau.ones(2))
    leaf = flambeau.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        getattr(flambeau.nn.functional, name)(leaf, inplace=True)
