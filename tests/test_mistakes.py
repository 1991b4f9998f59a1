"""A catalogue of common mistakes: what is raised, in PyTorch's words, and the hint below it.

Each function makes one mistake with the library that it is given. The first line of the message is
PyTorch's (with PyTorch installed, that is tested too); hints are ours.
"""

from __future__ import annotations

import inspect
import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.cli.topics import page_of
from flambeau.record.hints import RULES


def linear_wrong_features(t: Any) -> None:
    t.nn.Linear(10, 2)(t.randn(4, 8))


def forgotten_flatten(t: Any) -> None:
    t.nn.Sequential(t.nn.Conv2d(1, 4, 3), t.nn.Linear(4 * 26 * 26, 10))(t.randn(2, 1, 28, 28))


def conv_channels(t: Any) -> None:
    t.nn.Conv2d(3, 8, 3)(t.randn(2, 1, 28, 28))


def conv_missing_batch_and_channel(t: Any) -> None:
    t.nn.Conv2d(1, 8, 3)(t.randn(28, 28))


def conv_channels_last_image(t: Any) -> None:
    t.nn.Conv2d(3, 8, 3)(t.randn(2, 28, 28, 3))


def conv_on_bytes(t: Any) -> None:
    t.nn.Conv2d(1, 8, 3)(t.zeros(2, 1, 28, 28, dtype=t.uint8))


def linear_on_long(t: Any) -> None:
    t.nn.Linear(3, 2)(t.ones(4, 3, dtype=t.long))


def linear_on_double(t: Any) -> None:
    t.nn.Linear(3, 2)(t.ones(4, 3, dtype=t.float64))


def kernel_larger_than_input(t: Any) -> None:
    t.nn.Conv2d(1, 1, 5)(t.randn(1, 1, 3, 3))


def pool_too_small(t: Any) -> None:
    t.nn.MaxPool2d(4)(t.randn(1, 1, 3, 3))


def cross_entropy_float_targets(t: Any) -> None:
    t.nn.functional.cross_entropy(t.randn(4, 3), t.tensor([0.0, 1.0, 2.0, 0.0]))


def cross_entropy_int_targets(t: Any) -> None:
    t.nn.functional.cross_entropy(t.randn(4, 3), t.tensor([0, 1, 2, 0], dtype=t.int32))


def cross_entropy_column_targets(t: Any) -> None:
    t.nn.functional.cross_entropy(t.randn(4, 3), t.tensor([[0], [1], [2], [0]]))


def cross_entropy_target_out_of_range(t: Any) -> None:
    t.nn.functional.cross_entropy(t.randn(4, 3), t.tensor([0, 1, 3, 0])).item()


def cross_entropy_negative_target(t: Any) -> None:
    t.nn.functional.cross_entropy(t.randn(4, 3), t.tensor([0, 1, -1, 0])).item()


def cross_entropy_batch_mismatch(t: Any) -> None:
    t.nn.functional.cross_entropy(t.randn(4, 3), t.tensor([0, 1, 2]))


def cross_entropy_weight_count(t: Any) -> None:
    t.nn.functional.cross_entropy(t.randn(4, 3), t.tensor([0, 1, 2, 0]), weight=t.ones(2))


def nll_float_target(t: Any) -> None:
    t.nn.functional.nll_loss(t.randn(4, 3).log_softmax(1), t.zeros(4))


def bce_outside(t: Any) -> None:
    t.nn.functional.binary_cross_entropy(t.tensor([1.5, 0.2]), t.tensor([1.0, 0.0])).item()


def bce_size(t: Any) -> None:
    t.nn.functional.binary_cross_entropy(t.rand(4, 1), t.rand(4))


def bce_long_target(t: Any) -> None:
    t.nn.functional.binary_cross_entropy(t.rand(4), t.tensor([0, 1, 0, 1]))


def bce_logits_size(t: Any) -> None:
    t.nn.functional.binary_cross_entropy_with_logits(t.rand(4, 1), t.rand(4))


def bce_logits_long(t: Any) -> None:
    t.nn.functional.binary_cross_entropy_with_logits(t.rand(4), t.tensor([0, 1, 0, 1])).item()


def mse_size(t: Any) -> None:
    t.nn.functional.mse_loss(t.randn(4, 3), t.randn(4, 2))


def backward_twice(t: Any) -> None:
    x = t.ones(3, requires_grad=True)
    l = (x * x).sum()
    l.backward()
    l.backward()


def backward_non_scalar(t: Any) -> None:
    (t.ones(3, requires_grad=True) * 2).backward()


def backward_no_grad(t: Any) -> None:
    t.ones(3).sum().backward()


def backward_under_no_grad(t: Any) -> None:
    x = t.ones(3, requires_grad=True)
    with t.no_grad():
        l = (x * 2).sum()
    l.backward()


def leaf_in_place(t: Any) -> None:
    t.ones(3, requires_grad=True).add_(1)


def leaf_view_in_place(t: Any) -> None:
    x = t.ones(3, requires_grad=True)
    x[0] = 5.0


def saved_modified(t: Any) -> None:
    x = t.ones(3, requires_grad=True)
    y = x.exp()
    y.add_(1)
    y.sum().backward()


def numpy_of_grad(t: Any) -> None:
    t.ones(3, requires_grad=True).numpy()


def item_of_many(t: Any) -> None:
    t.ones(3).item()


def bool_of_many(t: Any) -> None:
    bool(t.ones(3) > 0)


def float_of_many(t: Any) -> None:
    float(t.ones(3))


def requires_grad_int(t: Any) -> None:
    t.ones(3, dtype=t.long).requires_grad_()


def requires_grad_int_ctor(t: Any) -> None:
    t.tensor([1, 2], requires_grad=True)


def mean_of_long(t: Any) -> None:
    t.tensor([1, 2, 3]).mean()


def add_shapes(t: Any) -> None:
    t.ones(3, 2) + t.ones(4, 2)


def matmul_shapes(t: Any) -> None:
    t.ones(3, 2) @ t.ones(3, 2)


def matmul_dtypes(t: Any) -> None:
    t.ones(3, 2) @ t.ones(2, 3, dtype=t.float64)


def matmul_long(t: Any) -> None:
    t.ones(3, 2) @ t.ones(2, 3, dtype=t.long)


def mv(t: Any) -> None:
    t.ones(3, 2) @ t.ones(3)


def bmm_shapes(t: Any) -> None:
    t.bmm(t.ones(2, 3, 4), t.ones(3, 4, 5))


def mm_of_3d(t: Any) -> None:
    t.mm(t.ones(2, 3, 4), t.ones(4, 5))


def cat_shapes(t: Any) -> None:
    t.cat([t.ones(2, 3), t.ones(2, 4)])


def cat_of_tensor(t: Any) -> None:
    t.cat(t.ones(2, 3))


def stack_shapes(t: Any) -> None:
    t.stack([t.ones(2, 3), t.ones(2, 4)])


def stack_empty(t: Any) -> None:
    t.stack([])


def view_size(t: Any) -> None:
    t.ones(3, 4).view(5, -1)


def view_size2(t: Any) -> None:
    t.ones(3, 4).view(5, 2)


def view_noncontiguous(t: Any) -> None:
    t.ones(3, 4).t().view(12)


def reshape_size(t: Any) -> None:
    t.ones(3, 4).reshape(7)


def squeeze_index(t: Any) -> None:
    t.ones(3).sum(dim=1)


def index_out_of_range(t: Any) -> None:
    t.ones(3)[5]


def index_too_many(t: Any) -> None:
    t.ones(3)[0, 0]


def index_float(t: Any) -> None:
    t.ones(3)[t.tensor([0.0, 1.0])]


def index_list_out(t: Any) -> None:
    t.ones(3)[[0, 7]].tolist()


def mask_shape(t: Any) -> None:
    t.ones(3, 2)[t.tensor([True, False])]


def embedding_out(t: Any) -> None:
    t.nn.Embedding(5, 2)(t.tensor([1, 7])).tolist()


def embedding_float(t: Any) -> None:
    t.nn.Embedding(5, 2)(t.tensor([1.0, 2.0]))


def gather_float_index(t: Any) -> None:
    t.gather(t.ones(2, 2), 1, t.zeros(2, 2))


def batchnorm_one(t: Any) -> None:
    t.nn.BatchNorm1d(3)(t.randn(1, 3))


def batchnorm_features(t: Any) -> None:
    t.nn.BatchNorm1d(4)(t.randn(2, 3))


def batchnorm_dim(t: Any) -> None:
    t.nn.BatchNorm2d(3)(t.randn(2, 3))


def layernorm_shape(t: Any) -> None:
    t.nn.LayerNorm(4)(t.randn(2, 3))


def groupnorm(t: Any) -> None:
    t.nn.GroupNorm(3, 4)


def lstm_features(t: Any) -> None:
    t.nn.LSTM(4, 5)(t.randn(3, 2, 6))


def lstm_hidden(t: Any) -> None:
    t.nn.LSTM(4, 5)(t.randn(3, 2, 4), (t.zeros(1, 3, 5), t.zeros(1, 3, 5)))


def lstm_dims(t: Any) -> None:
    t.nn.LSTM(4, 5)(t.randn(3, 2, 2, 4))


def mha_heads(t: Any) -> None:
    t.nn.MultiheadAttention(10, 3)


def mha_dim(t: Any) -> None:
    t.nn.MultiheadAttention(8, 2)(t.randn(3, 2, 6), t.randn(3, 2, 6), t.randn(3, 2, 6))


def dropout_p(t: Any) -> None:
    t.nn.Dropout(1.5)


def optimizer_empty(t: Any) -> None:
    t.optim.SGD([], lr=0.1)


def optimizer_tensor(t: Any) -> None:
    t.optim.SGD(t.ones(3, requires_grad=True), lr=0.1)


def optimizer_nonleaf(t: Any) -> None:
    t.optim.SGD([t.ones(3, requires_grad=True) * 2], lr=0.1)


def optimizer_negative_lr(t: Any) -> None:
    t.optim.Adam([t.ones(3, requires_grad=True)], lr=-1)


def optimizer_module(t: Any) -> None:
    t.optim.SGD(t.nn.Linear(2, 2), lr=0.1)


def optimizer_betas(t: Any) -> None:
    t.optim.Adam([t.ones(3, requires_grad=True)], betas=(1.5, 0.9))


def load_state_missing(t: Any) -> None:
    t.nn.Linear(2, 2).load_state_dict({"weight": t.zeros(2, 2)})


def load_state_shape(t: Any) -> None:
    t.nn.Linear(2, 2).load_state_dict(t.nn.Linear(3, 2).state_dict())


def load_state_unexpected(t: Any) -> None:
    t.nn.Linear(2, 2).load_state_dict({**t.nn.Linear(2, 2).state_dict(), "x": t.zeros(1)})


def super_init_forgotten(t: Any) -> None:
    class N(t.nn.Module):
        def __init__(self):
            self.fc = t.nn.Linear(2, 2)

    N()


def forward_missing(t: Any) -> None:
    class N(t.nn.Module):
        pass

    N()(1)


def forward_missing_arg(t: Any) -> None:
    t.nn.Linear(2, 2)()


def attribute_missing(t: Any) -> None:
    assert t.nn.Linear(2, 2).wieght


def module_list_call(t: Any) -> None:
    t.nn.ModuleList([t.nn.Linear(2, 2)])(t.ones(2))


def parameter_assign_tensor(t: Any) -> None:
    l = t.nn.Linear(2, 2)
    l.weight = t.zeros(2, 2)


def sequential_list(t: Any) -> None:
    t.nn.Sequential([t.nn.Linear(2, 2)])


def to_missing_device(t: Any) -> None:
    t.ones(2).to("gpu")


def dataset_len(t: Any) -> None:
    class D(t.utils.data.Dataset):
        def __getitem__(self, i):
            return i

    t.utils.data.DataLoader(D(), shuffle=True)


def collate_sizes(t: Any) -> None:
    next(iter(t.utils.data.DataLoader([t.ones(2), t.ones(3)], batch_size=2)))


def collate_none(t: Any) -> None:
    next(iter(t.utils.data.DataLoader([None, None], batch_size=2)))


def tensor_dataset_sizes(t: Any) -> None:
    t.utils.data.TensorDataset(t.ones(3), t.ones(2))


def random_split_sum(t: Any) -> None:
    t.utils.data.random_split(list(range(10)), [3, 3])


def batch_size_zero(t: Any) -> None:
    t.utils.data.DataLoader([1, 2], batch_size=0)


def shuffle_sampler(t: Any) -> None:
    t.utils.data.DataLoader([1, 2], shuffle=True, sampler=[0, 1])


def ragged(t: Any) -> None:
    t.tensor([[1, 2], [3]])


def strings(t: Any) -> None:
    t.tensor(["a", "b"])


def from_numpy_object(t: Any) -> None:

    t.from_numpy(np.array([None, 1]))


def from_numpy_list(t: Any) -> None:
    t.from_numpy([1, 2])


def add_string(t: Any) -> None:
    t.ones(2) + "a"


def expand(t: Any) -> None:
    t.ones(3).expand(2, 4)


def permute(t: Any) -> None:
    t.ones(2, 3).permute(0, 1, 2)


def transpose(t: Any) -> None:
    t.ones(3).transpose(0, 1)


def t_3d(t: Any) -> None:
    t.ones(2, 3, 4).t()


def inverse_singular(t: Any) -> None:
    t.linalg.inv(t.zeros(2, 2)).tolist()


def cholesky(t: Any) -> None:
    t.linalg.cholesky(-t.eye(2)).tolist()


def multinomial(t: Any) -> None:
    t.multinomial(t.tensor([-1.0, 2.0]), 1)


def bernoulli(t: Any) -> None:
    t.bernoulli(t.tensor([2.0])).item()


def normal_scale(t: Any) -> None:
    t.distributions.Normal(0.0, -1.0, validate_args=True)


def categorical(t: Any) -> None:
    t.distributions.Categorical(t.tensor([-1.0, 2.0]), validate_args=True)


def grad_unused(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    y = t.ones(2, requires_grad=True)
    t.autograd.grad(x.sum(), y)


def scheduler_wrong(t: Any) -> None:
    t.optim.lr_scheduler.StepLR(t.nn.Linear(2, 2), 1)


def save_load_missing(t: Any) -> None:
    t.load("/nonexistent/x.pt")


def grad_shape(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    x.grad = t.ones(3)


def split_sizes(t: Any) -> None:
    t.ones(5).split([2, 2])


def interpolate(t: Any) -> None:
    t.nn.functional.interpolate(t.ones(1, 1, 4, 4))


def pad(t: Any) -> None:
    t.nn.functional.pad(t.ones(2, 2), (1, 1, 1, 1, 1, 1))


def softmax_long(t: Any) -> None:
    t.softmax(t.tensor([1, 2]), 0)


def where_types(t: Any) -> None:
    t.where(t.tensor([1, 0]), 1.0, 2.0)


def argmax_empty(t: Any) -> None:
    t.ones(0).argmax()


def max_empty(t: Any) -> None:
    t.ones(0).max()


def arange(t: Any) -> None:
    t.arange(0, 5, -1)


def negative_size(t: Any) -> None:
    t.ones(-1)


def size_float(t: Any) -> None:
    t.ones(2.5)


EXPECTED: dict[str, tuple[str, str, str]] = json.loads(
    Path(__file__).with_name("mistakes.json").read_text("utf-8")
)
"""Mistake -> exception type, first line of the message, hint."""
MISTAKES = {
    name: value
    for name, value in list(globals().items())
    if inspect.isfunction(value) and name in EXPECTED
}


def raised(library: Any, name: str) -> BaseException:
    with warnings.catch_warnings(), pytest.raises(Exception) as caught:
        warnings.simplefilter("ignore")
        MISTAKES[name](library)
    return caught.value


@pytest.mark.parametrize("name", list(EXPECTED))
def test_mistakes(name: str) -> None:
    kind, message, hint = EXPECTED[name]
    error = raised(flambeau, name)
    assert type(error).__name__ == kind
    assert str(error).splitlines()[0] == message
    notes = [note.strip() for note in error.__dict__.get("__notes__", [])]
    hints = [note[6:].split("\n") for note in notes if note.startswith("hint: ")]
    assert [words[0] for words in hints] == ([hint] if hint else [])
    for _, *more in hints:
        assert all(page_of(line.removeprefix("  more: flambeau help ")) for line in more)


@pytest.mark.parity
@pytest.mark.parametrize("name", list(EXPECTED))
def test_mistakes_are_told_as_pytorch_does(name: str) -> None:
    torch = pytest.importorskip("torch")
    error = raised(torch, name)
    kind, message, _ = EXPECTED[name]
    assert (type(error).__name__, str(error).splitlines()[0]) == (kind, message)


def test_every_topic_that_a_hint_names_has_a_page() -> None:
    assert {topic for _, topic, _ in RULES if not page_of(topic)} == set()


def test_the_catalogue_is_whole() -> None:
    assert len(EXPECTED) >= 60
    assert set(MISTAKES) == set(EXPECTED)
    assert sum(bool(hint) for _, _, hint in EXPECTED.values()) >= 25


def test_every_topic_that_the_code_names_has_a_page() -> None:
    package = Path(flambeau.__file__).parent
    named = {topic for _, topic, _ in RULES}
    for path in package.rglob("*.py"):
        named |= set(re.findall(r"flambeau help ([a-z-]+)", path.read_text("utf-8")))
    assert len(named) > 5
    assert [topic for topic in sorted(named) if page_of(topic) is None] == []
