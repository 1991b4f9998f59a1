"""torch._foreach_*: one function over lists of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, same

from flambeau.foreach import BINARY, TERNARY, UNARY

pytestmark = pytest.mark.parity


def _lists(library: Any, count: int = 3) -> list[list[Any]]:
    generator = library.Generator().manual_seed(1)
    shapes = [(3,), (2, 4), ()]
    return [
        [library.rand(s, generator=generator) * 0.8 + 0.1 for s in shapes] for _ in range(count)
    ]


def _both(call: Callable[[Any, list[list[Any]]], Any]) -> None:
    made = []
    for library in LIBRARIES:
        lists = _lists(library)
        result = call(library, lists)
        made.append((list(result), lists))
    same(made[0], made[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", UNARY)
def test_of_one_list(name: str) -> None:
    _both(lambda t, ls: getattr(t, f"_foreach_{name}")(ls[0]))
    _both(lambda t, ls: getattr(t, f"_foreach_{name}_")(ls[0]))


@pytest.mark.parametrize("in_place", ["", "_"])
@pytest.mark.parametrize("name", [name for name in BINARY if name != "lerp"])
def test_of_a_list_and_another_or_numbers(name: str, in_place: str) -> None:
    def call(other: Callable[[Any, list[list[Any]]], Any]) -> Callable[[Any, Any], Any]:
        return lambda t, ls: getattr(t, f"_foreach_{name}{in_place}")(ls[0], other(t, ls))

    _both(call(lambda t, ls: ls[1]))
    _both(call(lambda t, ls: 0.5))
    _both(call(lambda t, ls: [0.5, 2.0, 0.25]))


CALLS: list[Callable[[Any, list[list[Any]]], Any]] = [
    lambda t, ls: t._foreach_add(ls[0], ls[1], alpha=3),
    lambda t, ls: t._foreach_sub_(ls[0], ls[1], alpha=0.5),
    lambda t, ls: t._foreach_add_(ls[0], t.tensor(2.0)),
    lambda t, ls: t._foreach_mul(ls[0], t.tensor(2.0)),
    lambda t, ls: t._foreach_pow(2.0, ls[0]),
    lambda t, ls: t._foreach_lerp(ls[0], ls[1], 0.3),
    lambda t, ls: t._foreach_lerp_(ls[0], ls[1], weight=0.3),
    lambda t, ls: t._foreach_lerp_(ls[0], ls[1], [0.1, 0.2, 0.3]),
    lambda t, ls: t._foreach_lerp_(ls[0], ls[1], ls[2]),
    lambda t, ls: t._foreach_norm(ls[0]),
    lambda t, ls: t._foreach_norm(ls[0], ord=1),
    lambda t, ls: t._foreach_max(ls[0]),
    lambda t, ls: t._foreach_clone(ls[0]),
    lambda t, ls: t._foreach_mm([ls[0][1]], [ls[1][1].T]),
    lambda t, ls: (t._foreach_copy_(ls[0], ls[1]), ls[0])[1],
    lambda t, ls: (t._foreach_zero_(ls[0]), ls[0])[1],
    *[
        lambda t, ls, n=name, v=value: getattr(t, f"_foreach_{n}")(*ls, v)
        for name in (*TERNARY, *[f"{n}_" for n in TERNARY])
        for value in (1, 0.5, [1.0, 2.0, 3.0])
    ],
    lambda t, ls: t._foreach_addcdiv(*ls, t.tensor([1.0, 2.0, 3.0])),
    lambda t, ls: t._foreach_addcmul(*ls, value=-0.1),
]


@pytest.mark.parametrize("call", CALLS)
def test_calls(call: Callable[[Any, list[list[Any]]], Any]) -> None:
    _both(call)


MISTAKES: list[Callable[[Any, list[list[Any]]], Any]] = [
    lambda t, ls: t._foreach_add(ls[0], ls[1][:1]),
    lambda t, ls: t._foreach_mul(ls[0], [1.0]),
    lambda t, ls: t._foreach_addcdiv(*ls, [1.0]),
    lambda t, ls: t._foreach_lerp(ls[0], ls[1][:2], 0.5),
    lambda t, ls: t._foreach_neg([]),
    lambda t, ls: t._foreach_add_([], 1.0),
    lambda t, ls: t._foreach_copy_(ls[0], ls[1][:2]),
]


@pytest.mark.parametrize("call", MISTAKES)
def test_mistakes(call: Callable[[Any, list[list[Any]]], Any]) -> None:
    said = []
    for library in LIBRARIES:
        with pytest.raises(RuntimeError) as caught:
            call(library, _lists(library))
        said.append(str(caught.value).splitlines()[0])
    assert said[0] == said[1]


def test_a_moving_average_and_gradients() -> None:
    made = []
    for library in LIBRARIES:
        library.manual_seed(0)
        net, kept = library.nn.Linear(4, 3), library.nn.Linear(4, 3).requires_grad_(False)
        kept.load_state_dict(net.state_dict())
        for _ in range(4):
            loss = net(library.ones(2, 4)).square().sum()
            loss = loss + sum(library._foreach_norm(list(net.parameters())))
            net.zero_grad()
            loss.backward()
            with library.no_grad():
                parameters = list(net.parameters())
                library._foreach_add_(parameters, [p.grad for p in parameters], alpha=-0.01)
                library._foreach_lerp_(list(kept.parameters()), parameters, 0.1)
        made.append((list(kept.parameters()), [p.grad for p in net.parameters()]))
    same(made[0], made[1], rtol=1e-5, atol=1e-6)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="_foreach_nothing"):
        LIBRARIES[0]._foreach_nothing([])
