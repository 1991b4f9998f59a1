"""Tensor methods and the rooms around them: what exists, storages, checkpoint, jit."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, identical, same

import flambeau

pytestmark = pytest.mark.parity

# Complex numbers, decompositions, transforms and special functions have tests of their own.
ELSEWHERE = set(
    """angle cholesky cholesky_inverse cholesky_solve conj_physical conj_physical_ corrcoef cov det
    geqrf i0 i0_ igamma igamma_ igammac igammac_ inverse istft logdet lu lu_solve matrix_exp
    matrix_power orgqr ormqr pinverse polygamma polygamma_ qr renorm renorm_ resolve_conj
    resolve_neg slogdet stft svd triangular_solve register_post_accumulate_grad_hook
    """.split()
)


def test_every_public_method_exists_or_says_why_not() -> None:
    public = {name for name in dir(torch.Tensor) if not name.startswith("_")}
    assert sorted(public - set(dir(flambeau.Tensor)) - ELSEWHERE) == []


REFUSED = """to_sparse_bsr() sparse_resize_() sparse_mask(None) q_scale() int_repr() qscheme()
to_padded_tensor(0) indices() values() coalesce() crow_indices() xpu()""".split()


@pytest.mark.parametrize("call", REFUSED)
def test_other_layouts_are_refused_in_words(call: str) -> None:
    with pytest.raises((NotImplementedError, RuntimeError, AssertionError)):
        eval(f"x.{call}", {"x": flambeau.ones(2, 3)})


def quiet(function: Callable[[Any], Any], library: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(library)


def grid(t: Any) -> Any:
    return t.arange(12.0).reshape(3, 4)


def _written(t: Any) -> Any:
    x = grid(t)
    memory = x.untyped_storage()
    memory.fill_(0)
    x.storage()[3] = 2.5
    return x, memory[14], len(memory)


def _shared(t: Any) -> Any:
    x = grid(t)
    return (
        x[1].untyped_storage().data_ptr() == x.data_ptr(),
        x.untyped_storage() == x.t().untyped_storage(),
        x.untyped_storage() == grid(t).untyped_storage(),
        x.is_set_to(x.view(3, 4)),
        x.is_set_to(x.t()),
    )


def _grown(t: Any) -> Any:
    x = grid(t)
    x.untyped_storage().resize_(64)
    return x, x.untyped_storage().nbytes()


def _applied(t: Any) -> Any:
    x = grid(t).t()
    x.apply_(lambda v: 2 * v + 1)
    x.map_(t.ones(4, 1), lambda a, b: a - b)
    return x


QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "storage": lambda t: [
        len(grid(t).storage()), grid(t).storage().tolist(), grid(t)[1:].storage()[2],
        grid(t).storage().type(), grid(t).storage().element_size(), grid(t).storage().nbytes(),
    ],
    "untyped": lambda t: grid(t).untyped_storage().tolist(),
    "storage of another": lambda t: [
        t.FloatStorage([1, 2]).tolist(), len(t.UntypedStorage(3)),
    ],
    "isinstance": lambda t: [
        isinstance(t.ones(2, dtype=k).storage(), t.FloatStorage) for k in (t.float32, t.int64)
    ],
    "written": _written,
    "shared": _shared,
    "grown": _grown,
    "copies": lambda t: grid(t).storage().clone().tolist(),
    "apply": _applied,
    "dim_order": lambda t: [grid(t).dim_order(), t.ones(2, 3, 4).permute(2, 0, 1).dim_order()],
    "resize": lambda t: grid(t).resize(2, 6),
    "flags": lambda t: [
        grid(t).is_shared(), grid(t).is_pinned(), grid(t).is_inference(), grid(t).is_conj(),
        grid(t).is_neg(), grid(t).is_sparse_csr, grid(t).dense_dim(), grid(t).sparse_dim(),
    ],
    "new_empty_strided": lambda t: grid(t).new_empty_strided((2, 3), (1, 2)).stride(),
    "empty_permuted": lambda t: t.empty_permuted((2, 3, 4), (2, 0, 1)).stride(),
    "broadcast_shapes": lambda t: tuple(t.broadcast_shapes((2, 1), (3,), 1)),
    "record_stream": lambda t: t.unravel_index(t.tensor([5, 7]), (3, 4)),
    "reversed": lambda t: reversed(grid(t)),
}  # fmt: skip


@pytest.mark.parametrize("name", QUESTIONS)
def test_memory_and_rarer_methods(name: str) -> None:
    identical(*[quiet(QUESTIONS[name], library) for library in LIBRARIES])


def test_numbers_that_do_not_fit_are_refused() -> None:
    for change in (
        lambda t: t.ones(2, dtype=t.float16).masked_fill(t.tensor([True, False]), -1e9),
        lambda t: t.ones(2, dtype=t.float16).fill_(1e9),
        lambda t: t.ones(2, dtype=t.int32).fill_(2**40),
    ):
        for library in LIBRARIES:
            with pytest.raises(RuntimeError, match="without overflow"):
                change(library)


def _network(t: Any) -> Any:
    t.manual_seed(2)
    return t.nn.Sequential(t.nn.Linear(4, 8), t.nn.Tanh(), t.nn.Linear(8, 3), t.nn.ReLU())


def _checkpointed(t: Any, sequential: bool, reentrant: bool) -> Any:
    from importlib import import_module

    room = import_module(f"{t.__name__}.utils.checkpoint")
    network = _network(t)
    x = grid(t).requires_grad_()
    if sequential:
        y = room.checkpoint_sequential(network, 2, x, use_reentrant=reentrant)
    else:
        y = room.checkpoint(network, x, use_reentrant=reentrant)
    y.square().sum().backward()
    return y, x.grad, [p.grad for p in network.parameters()]


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_gradients(sequential: bool, reentrant: bool) -> None:
    ours, theirs = (_checkpointed(t, sequential, reentrant) for t in LIBRARIES)
    same([v.detach() for v in (ours[0], ours[1], *ours[2])],
         [v.detach() for v in (theirs[0], theirs[1], *theirs[2])], rtol=1e-5)  # fmt: skip


@pytest.mark.parametrize("named", [{"mode": 1}, {"debug": True}])
def test_reentrant_checkpoints_refuse(named: dict[str, Any]) -> None:
    from torch.utils.checkpoint import checkpoint as theirs

    from flambeau.utils.checkpoint import checkpoint as ours

    for function in (ours, theirs):
        with pytest.raises(ValueError):
            function(lambda x, mode=0: x, 1, use_reentrant=True, **named)


def test_scripts_and_traces_are_the_things_themselves() -> None:
    network, x = _network(flambeau), grid(flambeau)
    assert flambeau.jit.script(network) is network
    assert flambeau.jit.trace(network, x) is network
    double = flambeau.jit.script(lambda v: 2 * v)
    identical(double(x), 2 * grid(torch))
    assert flambeau.jit.freeze(network.eval()) is network
    for save in (lambda: flambeau.jit.save(network, "x.pt"), lambda: network.save("x.pt")):
        with pytest.raises(NotImplementedError, match="state_dict"):
            save()
