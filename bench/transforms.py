"""torch.func beside PyTorch: Jacobians, Hessians, per-sample gradients, ensembles.

    python bench/transforms.py [--cases hessian,per_sample_cnn] [--threads 1] [--rounds 7]
                               [--seconds 0.3] [--losses 3]

The programs are those of PyTorch's tutorials. Measured as in steps.py: a process for each
framework, blocks of calls in turns; a call ends with a number that hangs on all of its result.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import cases
from models import Case


@dataclass(frozen=True)
class Called:
    """A function of nothing; its result is a tensor, or a nest of some."""

    function: Callable[[], Any]

    def step(self) -> float:
        return float(sum(part.abs().sum() for part in _leaves(self.function())).item())


def _leaves(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        tree = tuple(tree.values())
    return [leaf for part in tree for leaf in _leaves(part)] if isinstance(tree, tuple) else [tree]


def layer(transform: Callable[[Any, Any], Any], batch: int = 0) -> Callable[[Any], Any]:
    """A derivative of tanh(W x + b), 32 wide, with respect to x; for each of `batch` x."""

    def build(torch: Any) -> Called:
        weight, bias = torch.randn(32, 32), torch.randn(32)
        x = torch.randn(*((batch,) if batch else ()), 32)

        def predict(weight: Any, bias: Any, x: Any) -> Any:
            return torch.nn.functional.linear(x, weight, bias).tanh()

        derivative = transform(torch.func, predict)
        if batch:
            derivative = torch.func.vmap(derivative, in_dims=(None, None, 0))
        return Called(lambda: derivative(weight, bias, x))

    return build


def weights(torch: Any) -> Any:
    """The Hessian of a loss with respect to a layer's 16 x 16 weights."""
    x, weight = torch.randn(8, 16), torch.randn(16, 16)

    def loss(weight: Any) -> Any:
        return torch.nn.functional.linear(x, weight).tanh().square().sum()

    hessian = torch.func.hessian(loss)
    return Called(lambda: hessian(weight))


def digits_mlp(torch: Any) -> Any:
    nn = torch.nn
    sizes = (784, 128, 128, 10)
    first, second, third = (nn.Linear(*pair) for pair in itertools.pairwise(sizes))
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), second, nn.ReLU(), third)


def digits_cnn(torch: Any) -> Any:
    nn = torch.nn
    convolutions = (nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU())
    return nn.Sequential(
        *convolutions, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(),
        nn.Linear(128, 10),
    )  # fmt: skip


def per_sample(model_of: Callable[[Any], Any], batch: int) -> Callable[[Any], Any]:
    """The gradients of each sample's loss with respect to all parameters."""

    def build(torch: Any) -> Called:
        model = model_of(torch)
        parameters = {name: p.detach() for name, p in model.named_parameters()}
        samples, targets = torch.randn(batch, 1, 28, 28), torch.randint(10, (batch,))

        def loss(parameters: Any, sample: Any, target: Any) -> Any:
            scores = torch.func.functional_call(model, (parameters,), (sample.unsqueeze(0),))
            return torch.nn.functional.cross_entropy(scores, target.unsqueeze(0))

        gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
        return Called(lambda: gradients(parameters, samples, targets))

    return build


def ensemble(torch: Any) -> Any:
    """Ten MLPs on one batch of 64."""
    models = [digits_mlp(torch) for _ in range(10)]
    parameters, buffers = torch.func.stack_module_state(models)
    parameters = {name: p.detach() for name, p in parameters.items()}
    x = torch.randn(64, 1, 28, 28)

    def call(parameters: Any, buffers: Any, x: Any) -> Any:
        return torch.func.functional_call(models[0], (parameters, buffers), (x,))

    together = torch.func.vmap(call, in_dims=(0, 0, None))
    return Called(lambda: together(parameters, buffers, x))


CASES: dict[str, Case] = {
    "jacrev": Case(
        "Jacobian of a layer of 32, jacrev", layer(lambda func, f: func.jacrev(f, argnums=2)), 1.0
    ),
    "jacfwd": Case(
        "Jacobian of a layer of 32, jacfwd", layer(lambda func, f: func.jacfwd(f, argnums=2)), 1.0
    ),
    "hessian": Case(
        "Hessian of a layer of 32", layer(lambda func, f: func.hessian(f, argnums=2)), 1.0
    ),
    "hessians": Case(
        "Hessians of a layer of 32, 64 samples",
        layer(lambda func, f: func.hessian(f, argnums=2), 64),
        1.0,
    ),
    "weights": Case("Hessian of a loss by 16x16 weights", weights, 1.0),
    "per_sample_mlp": Case("per-sample gradients, MLP, 64", per_sample(digits_mlp, 64), 1.0),
    "per_sample_cnn": Case("per-sample gradients, CNN, 64", per_sample(digits_cnn, 64), 1.0),
    "ensemble": Case("ten MLPs on one batch of 64", ensemble, 1.0),
}


def main() -> None:
    options = cases.parser("torch.func, Flambeau against PyTorch.", CASES, 7, 0.3)
    cases.run(CASES, __file__, options)


if __name__ == "__main__":
    main()
