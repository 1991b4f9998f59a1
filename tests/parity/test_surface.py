"""The names around the tensors: devices that are not there, flags, versions, assert_close."""

from __future__ import annotations

import importlib
import random
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, given

import flambeau

pytestmark = pytest.mark.parity
# PyTorch's answers below are those of its build without CUDA.
cpu_build = pytest.mark.skipif(torch.version.cuda is not None, reason="PyTorch with CUDA here")

QUESTIONS = """
cuda.is_available() cuda.device_count() cuda.manual_seed(3) cuda.manual_seed_all(3) cuda.seed_all()
cuda.empty_cache() cuda.synchronize() cuda.current_device() cuda.get_device_name(0)
cuda.get_device_properties(0) cuda.get_device_capability() cuda.memory_allocated()
cuda.max_memory_allocated() cuda.memory_reserved() cuda.is_initialized() cuda.initial_seed()
cuda.is_bf16_supported() cuda.init() cuda.current_stream() cuda.Stream() cuda.Event()
cuda.get_arch_list() cuda.FloatTensor(3) cuda.get_rng_state() mps.is_available()
mps.device_count() xpu.is_available() xpu.device_count() xpu.manual_seed(1) xpu.empty_cache()
xpu.is_bf16_supported() xpu.synchronize() xpu.current_device() sparse.torch.eye(3).tolist()
mps.manual_seed(1) mps.synchronize() accelerator.is_available()
accelerator.current_accelerator() accelerator.device_count() accelerator.current_device_index()
accelerator.synchronize() backends.cudnn.enabled backends.cudnn.benchmark
backends.cudnn.deterministic backends.cudnn.allow_tf32 backends.cudnn.is_available()
backends.cudnn.version() backends.mps.is_available() backends.mps.is_built()
backends.cuda.is_built() backends.cuda.matmul.allow_tf32 version.cuda version.hip version.debug
cpu.is_available() cpu.device_count() cpu.synchronize() cpu.current_device()
ones(2).cuda() ones(2).to("cuda") ones(2,device="cuda:1") device("cuda").type
""".split()


def answer(library: Any, question: str) -> Any:
    try:
        return eval(f"library.{question}", {"library": library})
    except Exception as error:
        return type(error)


@cpu_build
@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_are_those_of_a_build_without_cuda(question: str) -> None:
    assert answer(flambeau, question) == answer(torch, question)


def test_modules_can_be_imported_by_name() -> None:
    names = "backends.cudnn backends.mps cuda random testing version utils.data nn.functional"
    for name in [*names.split(), "nn.init", "optim.lr_scheduler", "serialization", "accelerator"]:
        module = importlib.import_module(f"flambeau.{name}")
        part: Any = flambeau
        for step in name.split("."):
            part = getattr(part, step)
        assert part is module


def test_flags_are_kept() -> None:
    cudnn = flambeau.backends.cudnn
    cudnn.deterministic = True
    try:
        with cudnn.flags(enabled=True, benchmark=True):
            assert cudnn.benchmark and not cudnn.deterministic
        assert cudnn.deterministic and not cudnn.benchmark
    finally:
        cudnn.deterministic = False


CLOSE: list[tuple[Any, Any, dict[str, Any]]] = [
    (torch.ones(3), torch.ones(3), {}),
    (torch.ones(3), torch.ones(3) + 1e-6, {}),
    (torch.ones(3), torch.ones(3) + 1e-4, {}),
    (torch.ones(3), torch.ones(3) + 1e-4, {"rtol": 1e-3, "atol": 0.0}),
    (torch.ones(3), torch.ones(4), {}),
    (torch.ones(3), torch.ones(3).double(), {}),
    (torch.ones(3), torch.ones(3).double(), {"check_dtype": False}),
    (torch.ones(3).half(), torch.ones(3).half() * 1.0005, {}),
    (torch.tensor([1, 5, 3]), torch.tensor([1, 2, 9]), {}),
    (torch.tensor([250, 3], dtype=torch.uint8), torch.tensor([1, 3], dtype=torch.uint8), {}),
    (torch.tensor([True, False]), torch.tensor([True, True]), {}),
    (torch.tensor(1), torch.tensor(2), {}),
    (torch.tensor([float("nan")]), torch.tensor([float("nan")]), {}),
    (torch.tensor([float("nan")]), torch.tensor([float("nan")]), {"equal_nan": True}),
    (torch.tensor([float("inf"), 1.0]), torch.tensor([float("inf"), 1.0]), {}),
    (torch.tensor([float("inf")]), torch.tensor([-float("inf")]), {}),
    (torch.zeros(2, 3).t(), torch.zeros(3, 2), {"check_stride": True}),
    (torch.zeros(2, 3).t(), torch.zeros(3, 2), {}),
    (1.0, 1.0 + 1e-9, {}),
    (1.0, 1.1, {}),
    (1.0, 1.1, {"msg": "own words"}),
    (1, 1.0, {}),
    ([1, torch.ones(2)], [1, torch.ones(2)], {}),
    ([1, 2], [1, 3], {}),
    ([1], [1, 3], {}),
    ({"a": torch.ones(2)}, {"a": torch.zeros(2)}, {}),
    ({"a": 1}, {"b": 1}, {}),
    ({"a": [1, {"b": torch.ones(1)}]}, {"a": [1, {"b": torch.ones(2)}]}, {}),
    (None, None, {}),
    (1.0, torch.zeros(()), {}),
    ("a", "a", {}),
    (torch.ones(2), torch.ones(2), {"rtol": 0.1}),
]


def verdict(library: Any, actual: Any, expected: Any, options: dict[str, Any]) -> Any:
    pair = given(library, actual), given(library, expected)
    if options.get("check_stride"):  # `given` makes rows
        pair = library.zeros(2, 3).t(), library.zeros(3, 2)
    try:
        library.testing.assert_close(*pair, **options)
    except Exception as error:
        # The first line: figures further on are printed in the dtype at hand.
        first = str(error).split("\n")[0].replace("flambeau.tensor.tensor.", "torch.")
        return type(error), first if isinstance(error, AssertionError) else ""
    return None


@pytest.mark.parametrize(("actual", "expected", "options"), CLOSE)
def test_assert_close(actual: Any, expected: Any, options: dict[str, Any]) -> None:
    mine, other = [verdict(library, actual, expected, options) for library in LIBRARIES]
    assert mine == other


def test_assert_close_says_where() -> None:
    x = flambeau.randn(4, 5)
    y = x.clone()
    row, column = random.randrange(4), random.randrange(5)
    y[row, column] += 3
    with pytest.raises(AssertionError) as raised:
        flambeau.testing.assert_close(y, x)
    text = str(raised.value)
    assert "Mismatched elements: 1 / 20 (5.0%)" in text
    assert f"at index ({row}, {column})" in text
