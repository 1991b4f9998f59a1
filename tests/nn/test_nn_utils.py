"""torch.nn.utils beside PyTorch's: norms of weights, parametrisations, pruning, fusion."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch.nn.utils.prune")

from beside_torch import LIBRARIES, given, identical, same, same_mistake

import flambeau

pytestmark = pytest.mark.parity

RTOL, ATOL = 1e-4, 1e-5


def layer(library: Any, kind: str = "Linear") -> Any:
    """A layer with the same parameters in both libraries."""
    library.manual_seed(11)
    if kind == "Linear":
        return library.nn.Linear(5, 4)
    if kind == "Wide":
        return library.nn.Linear(4, 6)
    if kind == "Square":
        return library.nn.Linear(5, 5)
    if kind == "Transposed":
        return library.nn.ConvTranspose2d(3, 4, 2)
    return library.nn.Conv2d(3, 4, 2)


def state_of(module: Any) -> dict[str, Any]:
    return dict(module.state_dict())


def compared(actions: Any, *, rtol: float = RTOL, atol: float = ATOL) -> None:
    """Runs the same actions in both libraries and compares what they return."""
    results = []
    for library in LIBRARIES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results.append(actions(library))
    same(results[0], results[1], rtol=rtol, atol=atol)


def trained(library: Any, module: Any, x: Any) -> list[Any]:
    """Two forward passes and a backward: results, gradients, state."""
    first = module(x)
    second = module(x)
    (second**2).sum().backward()
    grads = {name: p.grad for name, p in module.named_parameters()}
    module.eval()
    return [first, second, grads, module(x), state_of(module)]


def input_for(library: Any, kind: str) -> Any:
    torch.manual_seed(3)
    shapes = {"Linear": (2, 5), "Square": (2, 5), "Wide": (2, 4)}
    return given(library, torch.randn(shapes.get(kind, (2, 3, 6, 6))))


@pytest.mark.parametrize("kind", ["Linear", "Conv", "Transposed"])
@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("new", [True, False])
def test_weight_norm(kind: str, dim: int | None, new: bool) -> None:
    def actions(library: Any) -> Any:
        utils = library.nn.utils
        module = layer(library, kind)
        norm = utils.parametrizations.weight_norm if new else utils.weight_norm
        norm(module, dim=dim)
        results = trained(library, module, input_for(library, kind))
        if new:
            utils.parametrize.remove_parametrizations(module, "weight")
        else:
            utils.remove_weight_norm(module)
        return [*results, state_of(module), repr(module)]

    compared(actions)


@pytest.mark.parametrize("kind", ["Linear", "Conv", "Transposed"])
@pytest.mark.parametrize("new", [True, False])
def test_spectral_norm(kind: str, new: bool) -> None:
    def actions(library: Any) -> Any:
        utils = library.nn.utils
        module = layer(library, kind)
        norm = utils.parametrizations.spectral_norm if new else utils.spectral_norm
        norm(module, n_power_iterations=2)
        results = trained(library, module, input_for(library, kind))
        again = layer(library, kind)
        norm(again)
        again.load_state_dict(module.state_dict())
        results.append(state_of(again))
        if new:
            utils.parametrize.remove_parametrizations(module, "weight")
        else:
            utils.remove_spectral_norm(module)
        return [*results, state_of(module), repr(module)]

    compared(actions)


@pytest.mark.parametrize("kind", ["Square", "Linear", "Wide"])
@pytest.mark.parametrize("name", ["matrix_exp", "cayley", "householder", None])
@pytest.mark.parametrize("base", [True, False])
def test_orthogonal(kind: str, name: str | None, base: bool) -> None:
    def actions(library: Any) -> Any:
        module = layer(library, kind)
        library.nn.utils.parametrizations.orthogonal(
            module, "weight", name, use_trivialization=base
        )
        results = trained(library, module, input_for(library, kind))
        tall = module.weight if kind != "Linear" else module.weight.mT
        product = tall.mT @ tall
        # With a base the rest of it is arbitrary up to signs; results and gradients are not.
        return [*results[:4], product, list(results[4])]

    compared(actions, rtol=1e-3, atol=1e-4)


def test_parametrize_life() -> None:
    def actions(library: Any) -> Any:
        nn = library.nn
        parametrize = nn.utils.parametrize

        class Symmetric(nn.Module):  # type: ignore[misc,name-defined]
            def forward(self, x: Any) -> Any:
                return x.triu() + x.triu(1).mT

            def right_inverse(self, x: Any) -> Any:
                return x.triu()

        class Scaled(nn.Module):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.factor = nn.Parameter(library.tensor(2.0))

            def forward(self, x: Any) -> Any:
                return x * self.factor

            def right_inverse(self, x: Any) -> Any:
                return x / self.factor

        module = layer(library, "Square")
        parametrize.register_parametrization(module, "weight", Symmetric())
        parametrize.register_parametrization(module, "weight", Scaled())
        x = input_for(library, "Square")
        results = [module(x), state_of(module), repr(module), module.weight]
        module.weight = library.eye(5)
        results += [module.weight, state_of(module)]
        with parametrize.cached():
            results.append(module.weight is module.weight)
        results.append(module.weight is module.weight)
        twin = copy.deepcopy(module)
        results += [twin(x), parametrize.is_parametrized(twin, "weight")]
        results.append(parametrize.type_before_parametrizations(twin) is nn.Linear)
        results += [state_of(twin), module(x)]
        parametrize.register_parametrization(module, "bias", Scaled())
        parametrize.remove_parametrizations(module, "weight")
        results += [state_of(module), parametrize.is_parametrized(module)]
        optimizer = library.optim.SGD(module.parameters(), lr=0.1)
        module(x).sum().backward()
        optimizer.step()
        results.append(state_of(module))
        single = layer(library, "Square")
        parametrize.register_parametrization(single, "weight", Symmetric())
        parametrize.remove_parametrizations(single, "weight", leave_parametrized=False)
        return [*results, state_of(single), type(single) is nn.Linear]

    compared(actions)


PRUNERS: list[tuple[str, dict[str, Any]]] = [
    ("identity", {}),
    ("l1_unstructured", {"amount": 7}),
    ("l1_unstructured", {"amount": 0.3}),
    ("random_unstructured", {"amount": 0.4}),
    ("random_structured", {"amount": 2, "dim": 0}),
    ("ln_structured", {"amount": 0.5, "n": 2, "dim": 1}),
    ("ln_structured", {"amount": 1, "n": float("inf"), "dim": -1}),
]


@pytest.mark.parametrize(("name", "options"), PRUNERS)
@pytest.mark.parametrize("twice", [True, False])
def test_prune(name: str, options: dict[str, Any], twice: bool) -> None:
    def actions(library: Any) -> Any:
        prune = library.nn.utils.prune
        module = layer(library)
        library.manual_seed(2)
        getattr(prune, name)(module, "weight", **options)
        if twice:
            prune.l1_unstructured(module, "weight", amount=3)
        results = trained(library, module, input_for(library, "Linear"))
        results.append(prune.is_pruned(module))
        prune.remove(module, "weight")
        return [*results, state_of(module), prune.is_pruned(module)]

    compared(actions)


def test_prune_globally_and_by_mask() -> None:
    def actions(library: Any) -> Any:
        prune = library.nn.utils.prune
        model = library.nn.Sequential(layer(library), library.nn.ReLU(), layer(library, "Wide"))
        pairs = [(model[0], "weight"), (model[2], "weight"), (model[2], "bias")]
        prune.global_unstructured(pairs, prune.L1Unstructured, amount=0.35)
        mask = library.ones(4)
        mask[2] = 0
        prune.custom_from_mask(model[0], "bias", mask)
        return [model(input_for(library, "Linear")), state_of(model)]

    compared(actions)


@pytest.mark.parametrize("transpose", [True, False])
def test_fusion(transpose: bool) -> None:
    def actions(library: Any) -> Any:
        nn = library.nn
        conv = layer(library, "Transposed" if transpose else "Conv")
        bn = nn.BatchNorm2d(4)
        x = input_for(library, "Conv")
        bn(conv(x))
        fused = nn.utils.fuse_conv_bn_eval(conv.eval(), bn.eval(), transpose)
        linear, bn1 = layer(library), nn.BatchNorm1d(4)
        y = input_for(library, "Linear")
        bn1(linear(y))
        both = nn.utils.fuse_linear_bn_eval(linear.eval(), bn1.eval())
        return [fused(x), bn(conv(x)).detach(), state_of(fused), both(y), state_of(both)]

    compared(actions)


def test_skip_init_leaves_the_generator() -> None:
    for library in LIBRARIES:
        library.manual_seed(0)
        module = library.nn.utils.skip_init(library.nn.Linear, 3, 4)
        drawn = library.rand(3)
        library.manual_seed(0)
        identical(given(flambeau, drawn), given(torch, library.rand(3)))
        assert tuple(module.weight.shape) == (4, 3)


def attempts(library: Any) -> list[Any]:
    nn = library.nn
    utils = nn.utils
    prune, parametrize = utils.prune, utils.parametrize

    def linear() -> Any:
        return nn.Linear(3, 4)

    def module(function: Any, inverse: Any = None) -> Any:
        body = {"forward": lambda self, x: function(x)}
        if inverse is not None:
            body["right_inverse"] = lambda self, x: inverse(x)
        return type("P", (nn.Module,), body)()

    register = parametrize.register_parametrization
    return [
        lambda: utils.weight_norm(utils.weight_norm(linear())),
        lambda: utils.remove_weight_norm(linear()),
        lambda: utils.spectral_norm(utils.spectral_norm(linear())),
        lambda: utils.remove_spectral_norm(linear()),
        lambda: utils.spectral_norm(linear(), n_power_iterations=0),
        lambda: utils.parametrizations.spectral_norm(linear(), n_power_iterations=0),
        lambda: utils.parametrizations.orthogonal(linear(), "bias"),
        lambda: utils.parametrizations.orthogonal(linear(), orthogonal_map="x"),
        lambda: register(linear(), "w", nn.Identity()),
        lambda: register(linear(), "weight", module(lambda x: x[:2])),
        lambda: register(linear(), "weight", module(lambda x: x.double())),
        lambda: register(linear(), "weight", module(lambda x: 3)),
        lambda: register(linear(), "weight", module(lambda x: x, lambda x: x.double())),
        lambda: register(linear(), "weight", module(lambda x: x, lambda x: 3)),
        lambda: setattr(register(linear(), "weight", nn.Identity()), "weight", library.ones(4, 3)),
        lambda: parametrize.remove_parametrizations(linear(), "weight"),
        lambda: prune.l1_unstructured(linear(), "weight", 99),
        lambda: prune.random_unstructured(linear(), "weight", 1.5),
        lambda: prune.random_unstructured(linear(), "weight", -1),
        lambda: prune.remove(linear(), "weight"),
        lambda: prune.l1_unstructured(register(linear(), "weight", nn.Identity()), "weight", 0.3),
        lambda: utils.skip_init(int),
    ]


@pytest.mark.parametrize("place", range(len(attempts(flambeau))))
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_mistakes(place: int) -> None:
    same_mistake(attempts(flambeau)[place], attempts(torch)[place])
