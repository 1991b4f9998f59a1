"""Tensors among NumPy arrays, pickles, copies, other libraries and other processes."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau

pytestmark = pytest.mark.parity

A = np.random.default_rng(3).standard_normal((3, 4)).astype(np.float32)

# What users write, with t(array) the tensor of an array.
LINES: dict[str, Callable[[Any, Any], Any]] = {
    "concatenate": lambda m, t: np.concatenate([t(A), t(A)]),
    "stack with array": lambda m, t: np.stack([t(A), A]),
    "exp": lambda m, t: np.exp(t(A)),
    "add": lambda m, t: np.add(t(A), A),
    "tensor + array": lambda m, t: t(A) + A,
    "tensor + float64 array": lambda m, t: t(A) + A.astype(np.float64),
    "tensor - array": lambda m, t: t(A) - A,
    "tensor / array": lambda m, t: t(A) / (A + 9),
    "tensor ** array": lambda m, t: (t(A) ** 2) ** (A**2),
    "array + tensor": lambda m, t: A + t(A),
    "array * tensor": lambda m, t: A * t(A),
    "array @ tensor": lambda m, t: A.T @ t(A),
    "tensor > array": lambda m, t: t(A) > A,
    "tensor == array": lambda m, t: t(A) == A,
    "array == tensor": lambda m, t: A == t(A),  # noqa: SIM300  (the array comes first)
    "tensor != array": lambda m, t: t(A) != A,
    "add(tensor, array)": lambda m, t: m.add(t(A), A),
    "requires grad, array": lambda m, t: t(A).requires_grad_() * A,
    "tensor + str": lambda m, t: t(A) + "a",
    "tensor - None": lambda m, t: t(A) - None,
    "tensor @ array": lambda m, t: t(A) @ A.T,
    "numpy scalar * tensor": lambda m, t: np.float64(2.5) * t(A),
    "tensor * numpy scalar": lambda m, t: t(A) * np.float64(2.5),
    "numpy integer power": lambda m, t: t(A) ** np.int64(2),
    "asarray": lambda m, t: np.asarray(t(A)),
    "asarray float64": lambda m, t: np.asarray(t(A), dtype=np.float64),
    "array of tensor": lambda m, t: np.array(t(A)),
    "array of scalars": lambda m, t: np.array(list(t(A)[0])),
    "tolist": lambda m, t: np.array(t(A).tolist()),
    "allclose": lambda m, t: np.allclose(t(A), A),
    "argsort": lambda m, t: np.argsort(t(A)),
    "where": lambda m, t: np.where(t(A) > 0, 1.0, 0.0),
    "array indexed": lambda m, t: A[t(np.array([0, 2]))],
    "tensor indexed by array": lambda m, t: t(A)[np.array([0, 2])],
    "tensor masked by array": lambda m, t: t(A)[A > 0],
    "set by array": lambda m, t: t(A).__setitem__(0, A[1]),
    "requires grad": lambda m, t: np.asarray(t(A).requires_grad_()),
    "requires grad, ufunc": lambda m, t: np.sin(t(A).requires_grad_()),
    "from dlpack": lambda m, t: np.from_dlpack(t(A)),
    "into dlpack": lambda m, t: m.from_dlpack(A.copy()),
    "utils.dlpack": lambda m, t: m.utils.dlpack.from_dlpack(t(A)),
    "seeded": lambda m, t: (m.manual_seed(5), np.random.seed(1), m.rand(3))[2],
    "deepcopy": lambda m, t: copy.deepcopy(t(A)),
    "pickle": lambda m, t: pickle.loads(pickle.dumps(t(A))),
    "deepcopy of non-leaf": lambda m, t: copy.deepcopy(t(A).requires_grad_() * 2),
}


def _outcome(module: Any, line: Callable[[Any, Any], Any]) -> tuple[str, Any]:
    try:
        value = line(module, lambda a: module.tensor(a.tolist()))
    except Exception as error:
        return type(error).__name__, str(error).splitlines()[0].split(". ")[0]
    if isinstance(value, module.Tensor):
        return f"tensor {value.dtype}".replace("flambeau.", "torch."), value.detach().numpy()
    return f"{type(value).__name__} {getattr(value, 'dtype', '')}", value


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LINES)
def test_line(name: str) -> None:
    ours, theirs = _outcome(flambeau, LINES[name]), _outcome(torch, LINES[name])
    assert ours[0] == theirs[0], (ours, theirs)
    if isinstance(theirs[1], str) or theirs[1] is None:
        assert ours[1] == theirs[1]
    else:
        np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5)


def test_memory_is_shared_with_arrays() -> None:
    for module in (torch, flambeau):
        array = A.copy()
        tensor = module.from_numpy(array)
        array[0, 0] = 7
        assert tensor[0, 0].item() == 7
        tensor[1, 1] = -3
        assert array[1, 1] == -3
        view = np.from_dlpack(tensor)
        tensor.add_(1)
        assert view[0, 0] == 8


def test_pickled_training_goes_on() -> None:
    for module in (torch, flambeau):
        net = module.nn.Linear(4, 2)
        rule = module.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        x = module.tensor(A.tolist())
        for _ in range(2):
            rule.zero_grad()
            net(x).square().sum().backward()
            rule.step()
        other, second = pickle.loads(pickle.dumps((net, rule)))
        for model, optimizer in ((net, rule), (other, second)):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
        assert module.equal(net.weight, other.weight)


def _double(tensor: Any) -> Any:
    return tensor * 2


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_tensors_cross_processes(start: str) -> None:
    with multiprocessing.get_context(start).Pool(1) as pool:
        answer = pool.apply_async(_double, (flambeau.from_numpy(A.copy()),)).get(timeout=60)
    np.testing.assert_allclose(answer.numpy(), A * 2)


def test_pandas_columns() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(A, columns=list("abcd"))
    for module in (torch, flambeau):
        np.testing.assert_array_equal(module.tensor(frame["b"].values).numpy(), A[:, 1])
        np.testing.assert_array_equal(module.tensor(frame["b"]).numpy(), A[:, 1])
