"""Wrong uses of optimizers, schedulers, data sets and loaders: PyTorch's error and the first line
of its message.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

Case = Callable[[Any], Any]  # of a library


def parameter(t: Any) -> Any:
    return t.nn.Parameter(t.ones(2))


def sgd(t: Any) -> Any:
    return t.optim.SGD([parameter(t)], lr=0.1)


REFUSED: list[tuple[Case, str, str]] = [
    # Optimizers.
    (
        lambda t: t.optim.Adam([parameter(t)], lr="a"),
        "TypeError",
        "'<=' not supported between instances of 'float' and 'str'",
    ),
    (
        lambda t: t.optim.AdamW([parameter(t)], weight_decay=None),
        "TypeError",
        "'<=' not supported between instances of 'float' and 'NoneType'",
    ),
    (
        lambda t: t.optim.Adam([parameter(t)], betas=0.9),
        "TypeError",
        "'float' object is not subscriptable",
    ),
    (
        lambda t: t.optim.Adam([parameter(t)], betas=(0.9,)),
        "IndexError",
        "tuple index out of range",
    ),
    (
        lambda t: t.optim.Adam([parameter(t)], betas="a"),
        "TypeError",
        "'<=' not supported between instances of 'float' and 'str'",
    ),
    (
        lambda t: t.optim.Adafactor([parameter(t)], eps=(1e-3,)),
        "IndexError",
        "tuple index out of range",
    ),
    (
        lambda t: t.optim.Adafactor([parameter(t)], beta2_decay="a"),
        "TypeError",
        "'>=' not supported between instances of 'float' and 'str'",
    ),
    (
        lambda t: t.optim.SparseAdam([parameter(t)], lr=None),
        "TypeError",
        "'<' not supported between instances of 'float' and 'NoneType'",
    ),
    (
        lambda t: sgd(t).load_state_dict(None),
        "AttributeError",
        "'NoneType' object has no attribute 'copy'",
    ),
    (
        lambda t: sgd(t).load_state_dict([1]),
        "TypeError",
        "list indices must be integers or slices, not str",
    ),
    (lambda t: sgd(t).load_state_dict({}), "KeyError", "'param_groups'"),
    # Schedulers.
    (
        lambda t: t.optim.lr_scheduler.CyclicLR(sgd(t), [0.1, 0.2], 1.0),
        "ValueError",
        "base_lr must have the same length as optimizer.param_groups. base_lr has 2 values, "
        "param_groups has 1.",
    ),
    # Data.
    (
        lambda t: list(t.utils.data.DataLoader(range(3), timeout=1)),
        "AssertionError",
        "_SingleProcessDataLoaderIter requires timeout == 0",
    ),
    (
        lambda t: list(t.utils.data.DataLoader(range(3), generator=3)),
        "TypeError",
        "random_() received an invalid combination of arguments - got (generator=int, ), but "
        "expected one of:",
    ),
    (
        lambda t: t.utils.data.default_collate([t.ones(1), 1]),
        "TypeError",
        "expected Tensor as element 1 in argument 0, but got int",
    ),
    (
        lambda t: len(t.utils.data.ChainDataset([range(3)])),
        "AssertionError",
        "ChainDataset only supports IterableDataset",
    ),
    (
        lambda t: t.utils.data.StackDataset([1], a=[1]),
        "ValueError",
        "Supported either ``tuple``- (via ``args``) or``dict``- (via ``kwargs``) like "
        "input/output, but both types are given.",
    ),
    (
        lambda t: t.rand(2, generator=3),
        "TypeError",
        "rand() received an invalid combination of arguments - got (int, generator=int), but "
        "expected one of:",
    ),
    (
        lambda t: t.abs(t.Generator()),
        "TypeError",
        "abs(): argument 'input' (position 1) must be Tensor, not torch._C.Generator",
    ),
    (
        lambda t: t.randperm(2.0),
        "TypeError",
        "randperm(): argument 'n' (position 1) must be int, not float",
    ),
]


def library(name: str) -> Any:
    found = pytest.importorskip(name)
    for room in ("nn", "optim.lr_scheduler", "utils.data"):
        importlib.import_module(f"{name}.{room}")
    return found


@pytest.mark.parametrize("case", range(len(REFUSED)), ids=str)
@pytest.mark.parametrize("name", ["flambeau", pytest.param("torch", marks=pytest.mark.parity)])
def test_what_is_refused(name: str, case: int) -> None:
    torch = library(name)
    use, kind, words = REFUSED[case]
    with pytest.raises(Exception) as raised:
        use(torch)
    assert type(raised.value).__name__ == kind
    assert str(raised.value).splitlines()[0] == words


@pytest.mark.parametrize("name", ["flambeau", pytest.param("torch", marks=pytest.mark.parity)])
def test_a_schedule_that_goes_on_without_its_optimizer_says_why(name: str) -> None:
    torch = library(name)
    with pytest.raises(KeyError) as raised:
        torch.optim.lr_scheduler.StepLR(sgd(torch), 2, last_epoch=3)
    lines = raised.value.args[0].splitlines()
    assert len(lines) == 4
    assert lines[0] == (
        "param 'initial_lr' is not specified in param_groups[0] when resuming scheduler with "
        "last_epoch >= 0."
    )
    assert lines[3] == (
        "2. You're using last_epoch >= 0 for a fresh training run (not recommended)"
    )


@pytest.mark.parametrize("name", ["flambeau", pytest.param("torch", marks=pytest.mark.parity)])
def test_a_cycle_ends_with_its_steps(name: str) -> None:
    torch = library(name)
    optimizer = sgd(torch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=2)
    with pytest.raises(ValueError) as raised:
        for _ in range(3):
            optimizer.step()
            schedule.step()
    assert str(raised.value) == ("Tried to step 3 times. The specified number of total steps is 2")
