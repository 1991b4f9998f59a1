"""Random numbers by their public names: from a seed they are PyTorch's, whatever draws them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, array, given, identical, same

import flambeau

pytestmark = pytest.mark.parity
Draw = Callable[[Any], Any]
SEEDS = [0, 1, 2147483647, -5, 2**63]

# To the last bit; more than 16 values, and fewer, are drawn in different ways.
EXACT: dict[str, Draw] = {
    "rand": lambda t: t.rand(5),
    "rand many": lambda t: t.rand(7, 33),
    "rand double": lambda t: t.rand(20, dtype=t.float64),
    "rand half": lambda t: t.rand(20, dtype=t.float16),
    "rand_like": lambda t: t.rand_like(t.zeros(3, 4)),
    "randint": lambda t: t.randint(10, (30,)),
    "randint range": lambda t: t.randint(-5, 7, (3, 9)),
    "randint high": lambda t: t.randint(high=9, size=(17,)),
    "randint wide": lambda t: t.randint(0, 2**40, (9,)),
    "randint bytes": lambda t: t.randint(0, 255, (40,), dtype=t.uint8),
    "randint_like": lambda t: t.randint_like(t.zeros(9), 3),
    "randperm": lambda t: t.randperm(100),
    "randperm short": lambda t: t.randperm(3),
    "bernoulli": lambda t: t.bernoulli(t.full((50,), 0.3)),
    "bernoulli_": lambda t: t.empty(40).bernoulli_(0.7),
    "random_": lambda t: t.empty(9, dtype=t.int64).random_(),
    "random_ to": lambda t: t.empty(9).random_(12),
    "uniform_": lambda t: t.empty(30).uniform_(-2, 5),
    "multinomial": lambda t: t.multinomial(t.tensor([0.1, 0.2, 0.7]), 40, replacement=True),
    "multinomial rows": lambda t: t.multinomial(t.tensor([[1.0, 2, 0], [3, 1, 1]]), 2),
    "multinomial of one": lambda t: t.multinomial(t.arange(1.0, 12), 1),
    "multinomial of columns": lambda t: t.multinomial(t.arange(12.0).reshape(3, 4).t(), 2),
    "multinomial double": lambda t: t.multinomial(t.arange(9.0, dtype=t.float64), 8),
    "multinomial half": lambda t: t.multinomial(t.arange(1.0, 9, dtype=t.float16), 2),
    "dropout": lambda t: t.nn.functional.dropout(t.ones(70), 0.4),
    "dropout2d": lambda t: t.nn.functional.dropout2d(t.ones(4, 5, 2, 2), 0.4),
    "random_split": lambda t: [
        list(part.indices) for part in t.utils.data.random_split(range(20), [12, 5, 3])
    ],
    "shuffled loader": lambda t: [
        list(t.utils.data.DataLoader(range(23), batch_size=5, shuffle=True)) for _ in range(2)
    ],
}
# Through logarithms, roots and sines: the last bits may differ.
CLOSE: dict[str, Draw] = {
    "randn": lambda t: t.randn(7),
    "randn many": lambda t: t.randn(3, 35),
    "randn double": lambda t: t.randn(33, dtype=t.float64),
    "randn_like": lambda t: t.randn_like(t.zeros(3, 4)),
    "normal": lambda t: t.normal(2.0, 3.0, (21,)),
    "normal of tensors": lambda t: t.normal(t.arange(20.0), t.arange(1.0, 21.0)),
    "normal_": lambda t: t.empty(19).normal_(1, 0.1),
    "exponential_": lambda t: t.empty(19).exponential_(0.5),
    "alpha_dropout": lambda t: t.nn.functional.alpha_dropout(t.ones(40), 0.3, training=True),
    "linear layer": lambda t: t.nn.Linear(7, 5).weight.detach(),
    "convolution": lambda t: list(t.nn.Conv2d(3, 4, 3).state_dict().values()),
    "embedding": lambda t: t.nn.Embedding(6, 5).weight.detach(),
    "xavier": lambda t: t.nn.init.xavier_normal_(t.empty(6, 5)),
    "kaiming": lambda t: t.nn.init.kaiming_uniform_(t.empty(6, 5), nonlinearity="relu"),
    "truncated": lambda t: t.nn.init.trunc_normal_(t.empty(40), std=0.02),
}
DRAWS = {**EXACT, **CLOSE}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", DRAWS)
def test_draws_are_pytorchs(name: str, seed: int) -> None:
    """Twice in a row, and what comes next is PyTorch's too."""
    results = []
    for library in LIBRARIES:
        library.manual_seed(seed)
        drawn = [DRAWS[name](library), DRAWS[name](library)]
        results.append((drawn, library.randint(0, 1000, (4,)), library.initial_seed()))
    (drawn, after, seeded), (their_drawn, their_after, their_seed) = results
    if name in EXACT:
        identical(drawn, their_drawn)
    else:
        same(drawn, their_drawn)
    identical(after, their_after)
    assert seeded == their_seed


SEQUENCE = ["randn", "rand", "bernoulli", "randn many", "randperm", "dropout", "normal_"]


def test_draws_in_a_row_and_in_one_recording() -> None:
    results = []
    for library in LIBRARIES:
        library.manual_seed(4)
        drawn = [DRAWS[name](library) for name in SEQUENCE * 3]
        library.manual_seed(4)
        drawn += [DRAWS[name](library) for name in reversed(SEQUENCE)]
        results.append(drawn)
    same(*results)


def test_choices_in_a_loop() -> None:
    """Compiled, of pending weights, and after an error, which draws nothing."""
    results = []
    for library in LIBRARIES:
        library.manual_seed(8)
        scores = library.arange(30.0).reshape(3, 10).requires_grad_()
        drawn = []
        for step in range(12):
            drawn.append(library.multinomial((scores * 0.1 * step).softmax(1), 1 + step % 2))
            wrong = library.full((3, 10), float("nan") if step % 2 else 0.0)
            with pytest.raises(RuntimeError, match="probab"):
                library.multinomial(wrong, 1 + step % 2)
            drawn.append(library.rand(3))
        results.append(drawn)
    identical(*results)


@pytest.mark.parametrize("name", ["rand", "randn many", "randint", "randperm"])
def test_states_travel_both_ways(name: str) -> None:
    """A state saved in one library goes on in the other, also between two halves of a pair."""
    for first, second in (LIBRARIES, LIBRARIES[::-1]):
        first.manual_seed(11)
        first.randn(3)  # leaves the second half of a pair behind
        first.rand(5)
        second.set_rng_state(given(second, first.get_rng_state()))
        assert array(first.get_rng_state()).tolist() == array(second.get_rng_state()).tolist()
        results = [[DRAWS[name](lib), lib.randn(1), lib.rand(2)] for lib in LIBRARIES]
        same(*results)
        assert array(first.get_rng_state()).tolist() == array(second.get_rng_state()).tolist()


def test_state_is_put_back() -> None:
    flambeau.manual_seed(2)
    state = flambeau.get_rng_state()
    once = [flambeau.rand(4).tolist(), flambeau.randn(2, 9).tolist()]
    flambeau.set_rng_state(state)
    assert [flambeau.rand(4).tolist(), flambeau.randn(2, 9).tolist()] == once
    with flambeau.random.fork_rng():
        flambeau.rand(100)
        inside = flambeau.rand(1).item()
    flambeau.set_rng_state(state)
    flambeau.rand(100)
    assert flambeau.rand(1).item() != inside


@pytest.mark.parametrize("name", ["rand", "randn", "randint", "randperm", "normal", "bernoulli"])
def test_generators_of_ones_own(name: str) -> None:
    calls: dict[str, Callable[[Any, Any], Any]] = {
        "rand": lambda t, g: t.rand(6, generator=g),
        "randn": lambda t, g: t.randn(20, generator=g),
        "randint": lambda t, g: t.randint(0, 50, (8,), generator=g),
        "randperm": lambda t, g: t.randperm(12, generator=g),
        "normal": lambda t, g: t.normal(0.0, 1.0, (4,), generator=g),
        "bernoulli": lambda t, g: t.bernoulli(t.full((20,), 0.5), generator=g),
    }
    results = []
    for library in LIBRARIES:
        library.manual_seed(0)
        generator = library.Generator().manual_seed(77)
        drawn = [calls[name](library, generator) for _ in range(3)]
        results.append([drawn, library.rand(2), generator.initial_seed(), generator.get_state()])
    same(*results)


def test_generators_move_between_the_libraries() -> None:
    first, second = torch.Generator().manual_seed(5), flambeau.Generator()
    torch.randn(5, generator=first)
    second.set_state(given(flambeau, first.get_state()))
    same(flambeau.randn(30, generator=second), torch.randn(30, generator=first))
    identical(second.get_state(), first.get_state())


def test_module_of_random_and_cuda_seeds() -> None:
    results = []
    for library in LIBRARIES:
        library.random.manual_seed(6)
        library.cuda.manual_seed(1)
        library.cuda.manual_seed_all(2)
        with library.random.fork_rng(devices=[]):
            library.rand(9)
        results.append([library.rand(3), library.random.get_rng_state()])
    identical(*results)
