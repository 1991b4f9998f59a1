"""Rarer names of torch: whole recurrent networks, streams, sparse functions, eigenvectors."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

reference = pytest.importorskip("torch")
pytestmark = pytest.mark.parity


def random(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def network(name: str, packed: bool = False, directions: int = 2, biases: bool = True) -> Any:
    """torch.lstm and its like, with the weights of a layer of torch.nn."""

    def run(torch: Any) -> Any:
        kind = {"lstm": "LSTM", "gru": "GRU"}.get(name, "RNN")
        torch.manual_seed(0)
        layers = getattr(torch.nn, kind)(3, 4, 2, bias=biases, bidirectional=directions == 2)
        x = torch.from_numpy(random(5, 2, 3)).requires_grad_()
        state = torch.from_numpy(random(2 * directions, 2, 4))
        hx = (state, state + 1) if name == "lstm" else state
        common = (hx, list(layers.parameters()), biases, 2, 0.0, True, directions == 2)
        if packed:
            sizes = torch.tensor([2, 2, 1, 1, 1])
            results = getattr(torch, name)(x.reshape(10, 3)[:7], sizes, *common)
        else:
            results = getattr(torch, name)(x, *common, False)
        sum(r.sum() for r in results).backward()
        return [*results, x.grad, layers.weight_ih_l0.grad]

    return run


def compressed(torch: Any) -> Any:
    return torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0], [4.0, 0.0, 5.0]]).to_sparse_csr()


def sampled(torch: Any) -> Any:
    a, b = (torch.from_numpy(random(3, 3) + n).requires_grad_() for n in range(2))
    made = torch.sparse.sampled_addmm(compressed(torch), a, b, beta=0.5, alpha=2.0)
    return made.to_dense()


def eigenvectors(torch: Any, **options: Any) -> Any:
    x = torch.from_numpy(random(9, 9))
    values, vectors = torch.lobpcg(x @ x.T + torch.eye(9), 2, **options)
    return values, (vectors.abs() * 100).round() if not options else ()


def bags(torch: Any) -> Any:
    weight = torch.from_numpy(random(6, 3))
    indices, offsets = torch.tensor([0, 1, 1, 4, 5]), torch.tensor([0, 2])
    return [
        part
        for mode in (0, 1)
        for part in torch.embedding_bag(weight, indices, offsets, mode=mode)[:1]
    ]


def normalised(torch: Any, training: bool) -> Any:
    x = torch.from_numpy(random(4, 3, 2))
    mean, variance = torch.zeros(3), torch.ones(3)
    results = torch.native_batch_norm(
        x, torch.ones(3) * 2, torch.zeros(3), mean, variance, training, 0.1, 1e-5
    )
    return [*results, mean, variance]


def renormed(torch: Any) -> Any:
    weight = torch.from_numpy(random(4, 3) * 9)
    return torch.embedding_renorm_(weight, torch.tensor([0, 2, 0]), 1.0, 2.0)


def streams(torch: Any) -> Any:
    stream, event = torch.Stream(), torch.Event()
    with stream:
        pass
    event.wait(stream)
    return [repr(stream), repr(event), stream.query(), event.query(), stream == torch.Stream()]


CASES: dict[str, Callable[[Any], Any]] = {
    **{name: network(name) for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")},
    "lstm packed": network("lstm", packed=True),
    "gru packed": network("gru", packed=True),
    "lstm one way": network("lstm", directions=1, biases=False),
    "sampled_addmm": sampled,
    "spdiags": lambda torch: torch.sparse.spdiags(
        torch.from_numpy(random(3, 4)), torch.tensor([0, 1, -2]), (4, 3)
    ).to_dense(),
    "spdiags csr": lambda torch: torch.sparse.spdiags(
        torch.from_numpy(random(4)), torch.tensor(1), (5, 5), layout=torch.sparse_csr
    ).to_dense(),
    "lobpcg": eigenvectors,
    "lobpcg smallest": lambda torch: eigenvectors(torch, largest=False, niter=-1),
    "lobpcg general": lambda torch: eigenvectors(torch, B=torch.eye(9) * 2, niter=-1),
    "lobpcg small": lambda torch: torch.lobpcg(torch.eye(4), 2),
    "embedding_bag": bags,
    "native_batch_norm": lambda torch: normalised(torch, True),
    "native_batch_norm in use": lambda torch: normalised(torch, False),
    "embedding_renorm_": renormed,
    "streams": streams,
    "event": lambda torch: torch.Event().record(),
    "timing": lambda torch: torch.Event().elapsed_time(torch.Event()),
    "errors": lambda torch: [
        torch.OutOfMemoryError.__mro__[1].__name__, torch.cuda.OutOfMemoryError is
        torch.OutOfMemoryError, issubclass(torch.AcceleratorError, RuntimeError),
    ],
    "storage": lambda torch: list(torch.Storage([1.0, 2.0])),
    "facts": lambda torch: [torch.has_lapack, torch.legacy_contiguous_format],
}  # fmt: skip


def plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if hasattr(value, "detach"):
        return value.detach().numpy()
    return value if isinstance(value, (bool, int, float)) else str(value)


def outcome(torch: Any, name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return plain(CASES[name](torch))
        except Exception as error:
            return [type(error).__name__, str(error).splitlines()[0]]


def agree(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs):
            agree(a, b)
    elif isinstance(theirs, np.ndarray):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)
    else:
        assert ours == theirs


@pytest.mark.parametrize("name", CASES)
def test_as_in_pytorch(name: str) -> None:
    agree(outcome(flambeau, name), outcome(reference, name))


def test_what_the_build_is() -> None:
    import flambeau

    assert "LLVM" in flambeau.__config__.show()
    assert (
        f"get_num_threads() : {flambeau.get_num_threads()}" in flambeau.__config__.parallel_info()
    )
    assert flambeau.Future is flambeau.futures.Future
