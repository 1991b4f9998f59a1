"""PyTorch's random streams: against recorded values, and against PyTorch if installed."""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from recorded_streams import GOLDEN, words_of

from flambeau.core import random_streams as streams
from flambeau.execute.cpu.engine import kernel_addresses
from flambeau.execute.cpu.random_kernels import NATIVE_KINDS, random_arguments, random_kernel

SIZES = (0, 1, 5, 15, 16, 17, 31, 100, 1000, 10001)
SEEDS = (0, 1, 42, 2**32 - 1, 2**32 + 7, 2**64 - 1, -3)


@pytest.mark.parametrize(
    ("kind", "seed", "n", "attributes", "indices", "expected"),
    GOLDEN,
    ids=[f"{row[0]}-{row[1]}-{row[2]}" for row in GOLDEN],
)
def test_recorded_values(
    kind: str,
    seed: int,
    n: int,
    attributes: dict[str, Any],
    indices: tuple[int, ...],
    expected: str,
) -> None:
    values = streams.draw(kind, streams.seed_state(seed), n, **attributes)
    picked = values[list(indices)]
    bits = picked.view(f"u{picked.dtype.itemsize}").astype(np.uint64)
    assert bits.tolist() == words_of(expected).tolist()


# ---- properties that need no reference ---------------------------------------------------------

ATTRIBUTES: dict[str, dict[str, Any]] = {
    "bernoulli": {"p": 0.3},
    "geometric": {"p": 0.2},
    "random_range": {"span": 10, "low": -3},
}


def operands_for(kind: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    if kind == "poisson":
        return (rng.uniform(0.0, 30.0, n),)
    if kind == "multinomial":
        return (rng.uniform(0.0, 1.0, (3, 7)),)
    if kind == "uniform_where":
        return (rng.uniform(0.0, 1.0, n) < 0.5,)
    return ()


@pytest.mark.parametrize("kind", sorted(streams.KINDS))
@pytest.mark.parametrize("n", (0, 1, 2, 7, 16, 33, 3001))
def test_advance_agrees_with_draw(kind: str, n: int) -> None:
    rng = np.random.default_rng(n)
    attributes = ATTRIBUTES.get(kind, {})
    state = streams.advance("normal_float64", streams.seed_state(int(rng.integers(2**63))), 3)
    before = state.copy()
    operands = operands_for(kind, n, rng)
    values, after = streams.draw_and_advance(kind, state, n, *operands, **attributes)
    np.testing.assert_array_equal(state, before)
    np.testing.assert_array_equal(after, streams.advance(kind, state, n, *operands, **attributes))
    np.testing.assert_array_equal(values, streams.draw(kind, state, n, *operands, **attributes))
    assert values.shape == ((3 * n,) if kind == "multinomial" else (n,))
    name = streams.result_dtype(kind, **attributes)
    assert values.dtype == ("float32" if name == "bfloat16" else name)


@pytest.mark.parametrize("n", (1, 1200, 4000, 700_000))
def test_advance_is_the_sum_of_its_parts(n: int) -> None:
    state = streams.advance("bits32", streams.seed_state(n), 17)
    step = n // 3
    whole = streams.draw("bits32", state, n)
    first, middle = streams.draw_and_advance("bits32", state, step)
    second, last = streams.draw_and_advance("bits32", middle, n - step)
    np.testing.assert_array_equal(whole, np.concatenate([first, second]))
    np.testing.assert_array_equal(last, streams.advance("bits32", state, n))


def test_raw_words_are_mt19937() -> None:
    raw = np.random.RandomState(123).randint(0, 2**32, 5000, dtype=np.uint32)
    np.testing.assert_array_equal(streams.draw("bits32", streams.seed_state(123), 5000), raw)


def test_state_bytes_come_back() -> None:
    state = streams.advance("normal_float64", streams.seed_state(2**40 + 5), 7)
    data = streams.state_to_torch_bytes(state)
    assert data.shape == (5056,) and data.dtype == np.uint8
    np.testing.assert_array_equal(streams.state_from_torch_bytes(data), state)
    assert streams.initial_seed(state) == 2**40 + 5


def test_states_that_are_refused() -> None:
    data = streams.state_to_torch_bytes(streams.seed_state(1))
    with pytest.raises(RuntimeError, match="size 5056"):
        streams.state_from_torch_bytes(data[:-1])
    with pytest.raises(TypeError, match="ByteTensor"):
        streams.state_from_torch_bytes(data.view(np.int8))
    with pytest.raises(RuntimeError, match="Invalid mt19937 state"):
        streams.state_from_torch_bytes(np.zeros(5056, np.uint8))
    with pytest.raises(ValueError, match="Overflow"):
        streams.seed_state(2**64)


@pytest.mark.parametrize(
    ("kind", "n", "attributes", "error", "message"),
    [
        ("gamma", 1, {}, ValueError, "no random kind"),
        ("bits32", -1, {}, ValueError, "cannot draw"),
        ("uniform32", 1, {"low": 2.0, "high": 1.0}, RuntimeError, "from=2 > to=1"),
        ("uniform64", 1, {"low": math.nan, "high": 1.0}, RuntimeError, "uniform_ expects"),
        ("normal_float32", 1, {"std": -1.0}, RuntimeError, "std >= 0.0"),
        ("bernoulli", 1, {"p": 1.5}, RuntimeError, "p to be in"),
        ("exponential", 1, {"rate": 0.0}, RuntimeError, "lambda > 0.0"),
        ("cauchy", 1, {"sigma": 0.0}, RuntimeError, "sigma > 0.0"),
        ("log_normal", 1, {"std": 0.0}, RuntimeError, "std > 0.0"),
        ("geometric", 1, {"p": 1.0}, RuntimeError, "p to be in"),
        ("random_range", 1, {"span": 0}, ValueError, "span 0"),
        ("exponential", 1, {"dtype": "int32"}, NotImplementedError, "as int32"),
        ("permutation", 2**32 // 20, {}, NotImplementedError, "permutation of"),
        ("uniform32", 1, {"mean": 0.0}, TypeError, "mean"),
    ],
)
def test_mistakes(
    kind: str, n: int, attributes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        streams.draw_and_advance(kind, streams.seed_state(0), n, **attributes)


def test_threads_do_not_disturb_each_other() -> None:
    expected = [streams.draw("bits32", streams.seed_state(seed), 50_000) for seed in range(4)]
    results: dict[int, bool] = {}

    def work(seed: int) -> None:
        same = True
        for _ in range(5):
            values = streams.draw("bits32", streams.seed_state(seed), 50_000)
            same = same and np.array_equal(values, expected[seed])
        results[seed] = same

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys(range(4), True)


# ---- against PyTorch ---------------------------------------------------------------------------

Fill = Callable[[Any, Any], Any]  # (torch, tensor) -> the tensor, filled


def case(
    kind: str, dtype: str, fill: Fill, /, **attributes: Any
) -> tuple[str, str, Fill, dict[str, Any]]:
    return kind, dtype, fill, attributes


CASES = [
    case("uniform32", "float32", lambda t, x: x.uniform_()),
    case("uniform32", "float32", lambda t, x: x.uniform_(-0.3, 1.7), low=-0.3, high=1.7),
    case("uniform32", "float32", lambda t, x: x.uniform_(-1e3, 7.7), low=-1e3, high=7.7),
    case("uniform64", "float64", lambda t, x: x.uniform_()),
    case("uniform64", "float64", lambda t, x: x.uniform_(-0.1, 3.3), low=-0.1, high=3.3),
    case("uniform_float16", "float16", lambda t, x: x.uniform_()),
    case("uniform_float16", "float16", lambda t, x: x.uniform_(0.3, 2.7), low=0.3, high=2.7),
    case("uniform_bfloat16", "bfloat16", lambda t, x: x.uniform_()),
    case("uniform_bfloat16", "bfloat16", lambda t, x: x.uniform_(-2, 0.7), low=-2.0, high=0.7),
    *(
        case(f"normal_{dtype}", dtype, fill, **attributes)
        for dtype in ("float32", "float64", "float16", "bfloat16")
        for fill, attributes in (
            (lambda t, x: x.normal_(), {}),
            (lambda t, x: x.normal_(0.3, 1.7), {"mean": 0.3, "std": 1.7}),
            (lambda t, x: x.normal_(-2.5, 0.0), {"mean": -2.5, "std": 0.0}),
        )
    ),
    case("bernoulli", "float32", lambda t, x: x.bernoulli_(0.3), p=0.3),
    case("bernoulli", "int64", lambda t, x: x.bernoulli_(1 - 0.1), p=1 - 0.1),
    case("bernoulli", "bool", lambda t, x: x.bernoulli_(0.5), p=0.5),
    *(
        case(kind, dtype, fill, dtype=dtype, **attributes)
        for dtype in ("float32", "float64", "float16", "bfloat16")
        for kind, fill, attributes in (
            ("exponential", lambda t, x: x.exponential_(0.7), {"rate": 0.7}),
            ("cauchy", lambda t, x: x.cauchy_(0.3, 0.7), {"median": 0.3, "sigma": 0.7}),
            ("log_normal", lambda t, x: x.log_normal_(0.3, 0.7), {"mean": 0.3, "std": 0.7}),
            ("log_normal", lambda t, x: x.log_normal_(), {}),
            ("geometric", lambda t, x: x.geometric_(0.3), {"p": 0.3}),
        )
    ),
    case("geometric", "int32", lambda t, x: x.geometric_(0.01), p=0.01),
    case("permutation", "int64", lambda t, x: t.randperm(x.numel())),
    case("permutation", "int32", lambda t, x: t.randperm(x.numel(), dtype=t.int32)),
    case("bits64", "int64", lambda t, x: x.random_(-(2**63), None)),
]


def as_torch(torch: Any, values: np.ndarray, dtype: str) -> Any:
    """Drawn values as a tensor of `dtype`; 16-bit floats by way of float32."""
    if values.dtype == np.uint64:
        values = values.view(np.int64)
    tensor = torch.from_numpy(values)
    if dtype in ("float16", "bfloat16") and values.dtype != np.float16:
        tensor = tensor.float()
    return tensor.to(getattr(torch, dtype))


def assert_state(torch: Any, state: np.ndarray) -> None:
    np.testing.assert_array_equal(
        streams.state_to_torch_bytes(state), torch.get_rng_state().numpy()
    )


def filled(torch: Any, n: int, dtype: str, fill: Fill) -> Any:
    return fill(torch, torch.empty(n, dtype=getattr(torch, dtype)))


CASE_IDS = [f"{number}-{row[0]}-{row[1]}" for number, row in enumerate(CASES)]


@pytest.mark.parametrize(("kind", "dtype", "fill", "attributes"), CASES, ids=CASE_IDS)
def test_kind_against_torch(kind: str, dtype: str, fill: Fill, attributes: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    for number, n in enumerate(SIZES):
        seed = SEEDS[number % len(SEEDS)]
        torch.manual_seed(seed)
        expected = filled(torch, n, dtype, fill)
        values, state = streams.draw_and_advance(kind, streams.seed_state(seed), n, **attributes)
        assert torch.equal(as_torch(torch, values, dtype), expected), (kind, dtype, n)
        assert_state(torch, state)


def test_exchanges_at_once_are_those_in_turn() -> None:
    rng = np.random.default_rng(0)
    for n in (2, 3, 4, 7, 50, 301, 5000):
        for _ in range(20):
            targets = rng.integers(np.arange(n - 1), n)
            places = np.where(rng.random(n - 1) < 0.3, np.arange(n - 1), targets)  # with itself
            for drawn in (targets, places, np.full(n - 1, n - 1)):
                expected = streams._exchanged(drawn, n)
                np.testing.assert_array_equal(streams._exchanged_at_once(drawn, n), expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_interleaved_calls(seed: int) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(seed)
    state = streams.seed_state(seed)
    assert streams.initial_seed(state) == torch.initial_seed()
    assert_state(torch, state)
    rng = np.random.default_rng(seed % 2**63)
    for _ in range(60):
        kind, dtype, fill, attributes = CASES[rng.integers(len(CASES))]
        n = int(rng.choice([*SIZES[:-1], int(rng.integers(2000))]))
        expected = filled(torch, n, dtype, fill)
        values, state = streams.draw_and_advance(kind, state, n, **attributes)
        assert torch.equal(as_torch(torch, values, dtype), expected), (kind, dtype, n)
        assert_state(torch, state)


@pytest.mark.parametrize("dtype", ("float32", "float64", "float16", "bfloat16"))
@pytest.mark.parametrize("n", (1, 15, 16, 33, 1001))
def test_strided_normals_take_the_scalar_path(dtype: str, n: int) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(n)
    state = streams.seed_state(n)
    for _ in range(3):
        expected = torch.empty(n, 2, dtype=getattr(torch, dtype))[:, 0].normal_(0.3, 1.7)
        contiguous = expected.is_contiguous()
        values, state = streams.draw_and_advance(
            f"normal_{dtype}", state, n, mean=0.3, std=1.7, contiguous=contiguous
        )
        assert torch.equal(as_torch(torch, values, dtype), expected)
        assert_state(torch, state)


def test_dense_tensors_are_filled_in_memory_order() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(9)
    image = torch.empty(2, 3, 4, 5).to(memory_format=torch.channels_last)
    expected = [image.clone().uniform_(), image.clone().normal_()]
    uniform, state = streams.draw_and_advance("uniform32", streams.seed_state(9), 120)
    normal, state = streams.draw_and_advance("normal_float32", state, 120, contiguous=False)
    for want, got in zip(expected, (uniform, normal), strict=True):
        np.testing.assert_array_equal(want.permute(0, 2, 3, 1).reshape(-1).numpy(), got)
    assert_state(torch, state)


def test_states_pass_between_the_two() -> None:
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(77)
    torch.empty(7, dtype=torch.float64).normal_(generator=generator)
    state = streams.state_from_torch_bytes(generator.get_state().numpy())
    values, state = streams.draw_and_advance("normal_float64", state, 9)
    expected = torch.empty(9, dtype=torch.float64).normal_(generator=generator)
    np.testing.assert_array_equal(values, expected.numpy())
    state = streams.advance("uniform32", state, 700)
    other = torch.Generator()
    other.set_state(torch.from_numpy(streams.state_to_torch_bytes(state)))
    expected = torch.empty(20).uniform_(generator=other)
    np.testing.assert_array_equal(streams.draw("uniform32", state, 20), expected.numpy())


RANGES: list[tuple[str, int | None, int | None]] = [
    *((dtype, None, None) for dtype in ("bool", "uint8", "int8", "int16", "int32", "int64")),
    *((dtype, None, None) for dtype in ("float16", "bfloat16", "float32", "float64")),
    *((dtype, 3, None) for dtype in ("uint8", "int8", "int16", "int32", "int64", "uint16")),
    *((dtype, 3, None) for dtype in ("float16", "bfloat16", "float32", "float64")),
    *((dtype, -5, 60) for dtype in ("int8", "int16", "int32", "int64", "float16", "bfloat16")),
    ("int64", 0, 2**28 - 1),
    ("int64", 0, 2**28),
    ("int32", -(2**31), 2**31 - 1),
    ("int64", -7, 2**32),
    ("int64", -(2**63), 2**63 - 1),
    ("int64", -(2**63), None),
    ("float64", -(2**63), None),
    ("float32", -(2**63), None),
    ("bfloat16", -(2**63), None),
    ("uint32", 5, 2**32 - 1),
    ("float32", 0, 2**24),
    ("float16", -2048, 2048),
    ("bfloat16", -256, 256),
    ("float64", -(2**53), 2**53),
    ("bool", 0, 2),
]


@pytest.mark.parametrize(("dtype", "low", "high"), RANGES)
def test_random_ranges(dtype: str, low: int | None, high: int | None) -> None:
    torch = pytest.importorskip("torch")
    for n in (0, 1, 1000):
        torch.manual_seed(n)
        expected = torch.empty(n, dtype=getattr(torch, dtype))
        expected = expected.random_() if low is None else expected.random_(low, high)
        check_range(torch, dtype, low, high, n, expected)


def check_range(
    torch: Any, dtype: str, low: int | None, high: int | None, n: int, expected: Any
) -> None:
    attributes = streams.range_attributes(dtype, low, high)
    kind = "random_range"
    if attributes == {"bits": 64}:
        kind, attributes = "bits64", {}
    values, state = streams.draw_and_advance(kind, streams.seed_state(n), n, **attributes)
    assert torch.equal(as_torch(torch, values, dtype), expected)
    assert_state(torch, state)


@pytest.mark.filterwarnings("ignore:.*out of bounds")
@pytest.mark.parametrize("seed", range(6))
def test_ranges_that_float_dtypes_round(seed: int) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    for dtype, top in (("float16", 15), ("bfloat16", 40), ("float32", 60), ("float64", 62)):
        low = int(rng.integers(-(2**top), 2**top))
        high = low + int(rng.integers(2 ** (top - 2), 2 ** (top - 1)))
        torch.manual_seed(50)
        expected = torch.empty(50, dtype=getattr(torch, dtype)).random_(low, high)
        check_range(torch, dtype, low, high, 50, expected)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("int64", 5, 5),
        ("uint8", -1, 5),
        ("uint8", 0, 257),
        ("int8", 0, 129),
        ("float16", 0, 70000),
        ("bool", 0, 3),
        ("uint16", None, None),
        ("complex64", 0, 5),
        ("int32", -(2**63), None),
        ("uint64", 3, None),
        ("uint32", None, None),
    ],
)
def test_ranges_that_are_refused(dtype: str, low: int | None, high: int | None) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.empty(3, dtype=getattr(torch, dtype))
    with pytest.raises(RuntimeError):
        tensor.random_() if low is None else tensor.random_(low, high)
    with pytest.raises(RuntimeError):
        streams.range_attributes(dtype, low, high)


def test_a_range_beyond_the_mantissa_warns() -> None:
    with pytest.warns(UserWarning, match="to - 1 is out of bounds"):
        streams.range_attributes("float32", 0, 2**24 + 3)


def test_randint_and_bernoulli_of_a_tensor() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(3)
    expected = torch.randint(-7, 100, (50,))
    attributes = streams.range_attributes("int64", -7, 100)
    values, state = streams.draw_and_advance(
        "random_range", streams.seed_state(3), 50, **attributes
    )
    np.testing.assert_array_equal(values, expected.numpy())
    for dtype, kind in ((torch.float32, "uniform32"), (torch.float64, "uniform64")):
        p = torch.rand(40, dtype=dtype)
        state = streams.advance(kind, state, 40)
        expected = torch.bernoulli(p)
        uniforms, state = streams.draw_and_advance(kind, state, 40)
        np.testing.assert_array_equal(uniforms < p.numpy(), expected.numpy().astype(bool))
    assert_state(torch, state)


def test_dropout_draws_one_bernoulli() -> None:
    torch = pytest.importorskip("torch")
    x, image = torch.randn(1000), torch.randn(4, 5, 3, 3)
    torch.manual_seed(8)
    expected = torch.nn.functional.dropout(x, 0.3, training=True)
    kept, state = streams.draw_and_advance("bernoulli", streams.seed_state(8), 1000, p=1 - 0.3)
    noise = kept.astype(np.float32) / np.float32(1 - 0.3)
    np.testing.assert_array_equal(x.numpy() * noise, expected.numpy())
    assert_state(torch, state)
    expected = torch.nn.functional.dropout2d(image, 0.3, training=True)
    kept, state = streams.draw_and_advance("bernoulli", state, 20, p=1 - 0.3)
    noise = (kept.astype(np.float32) / np.float32(1 - 0.3)).reshape(4, 5, 1, 1)
    np.testing.assert_array_equal(image.numpy() * noise, expected.numpy())
    assert_state(torch, state)
    torch.nn.functional.dropout(x, 0.0, training=True)
    torch.nn.functional.dropout(x, 1.0, training=True)
    assert_state(torch, state)


@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_multinomial(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    weights = torch.rand(4, 60, dtype=getattr(torch, dtype))
    weights[:, ::7] = 0.0
    torch.manual_seed(21)
    expected = torch.multinomial(weights, 25, replacement=True)
    values, state = streams.draw_and_advance(
        "multinomial", streams.seed_state(21), 25, weights.numpy()
    )
    np.testing.assert_array_equal(values.reshape(4, 25), expected.numpy())
    assert_state(torch, state)
    for count, replacement in ((1, True), (1, False), (10, False)):
        expected = torch.multinomial(weights, count, replacement=replacement)
        scale, state = streams.draw_and_advance("exponential", state, 240, dtype=dtype)
        ratio = weights.numpy() / scale.reshape(4, 60)
        order = np.argsort(-ratio, axis=1, kind="stable")[:, :count]
        np.testing.assert_array_equal(order, expected.numpy())
        assert_state(torch, state)


def test_multinomial_refuses_bad_weights() -> None:
    for weights, message in (([-1.0, 2.0], "< 0"), ([math.inf, 1.0], "infinity"), ([0.0], "<= 0")):
        with pytest.raises(RuntimeError, match=message):
            streams.draw("multinomial", streams.seed_state(0), 2, np.array([weights]))


def test_poisson() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(4)
    rates = torch.cat([torch.rand(300) * 12, torch.rand(300) * 200, torch.zeros(3)])
    torch.manual_seed(4)
    expected = torch.poisson(rates)
    values, state = streams.draw_and_advance(
        "poisson", streams.seed_state(4), rates.numel(), rates.numpy()
    )
    np.testing.assert_array_equal(values, expected.numpy())
    assert_state(torch, state)
    with pytest.raises(RuntimeError, match="non-negative"):
        streams.draw("poisson", state, 1, np.array([-1.0]))


def test_complex_normals() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(6)
    expected = torch.view_as_real(torch.randn(20, dtype=torch.complex64)).reshape(-1)
    values, state = streams.draw_and_advance(
        "normal_float32", streams.seed_state(6), 40, std=1 / math.sqrt(2)
    )
    np.testing.assert_array_equal(values, expected.numpy())
    assert_state(torch, state)


def test_truncated_normals_are_whole_draws_repeated() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(6)
    expected = torch.nn.init.trunc_normal_(torch.empty(60), 0.1, 1.0, -1.0, 2.0)
    values, state = streams.draw_and_advance("normal_float32", streams.seed_state(6), 60, mean=0.1)
    outside = (values < -1.0) | (values > 2.0)
    while outside.any():
        again, state = streams.draw_and_advance("normal_float32", state, 60, mean=0.1)
        values = np.where(outside, again, values)
        outside = (values < -1.0) | (values > 2.0)
    np.testing.assert_array_equal(values, expected.numpy())
    assert_state(torch, state)


# ---- native kernels -----------------------------------------------------------------------------

NATIVE_CASES: list[tuple[str, dict[str, Any]]] = [
    ("bits32", {}),
    ("bits64", {}),
    ("uniform32", {}),
    ("uniform32", {"low": -0.3, "high": 1.7}),
    ("uniform64", {}),
    ("uniform64", {"low": -0.1, "high": 3.3}),
    ("normal_float32", {}),
    ("normal_float32", {"mean": 0.3, "std": 1.7}),
    ("bernoulli", {"p": 0.3}),
    ("exponential", {"rate": 1.0, "dtype": "float32"}),
    ("exponential", {"rate": 0.3, "dtype": "float64"}),
    ("exponential", {}),
    ("random_range", {"span": 107, "low": -7}),
    ("random_range", {"span": 2**40 + 3, "low": 5}),
    ("random_range", {"span": 2**64 - 1, "low": -(2**63)}),
    ("random_range", {"span": 2**31, "bits": 32}),
    ("permutation", {}),
]
KERNEL = ctypes.CFUNCTYPE(
    ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64
)


def run_kernel(
    address: int, state: np.ndarray, values: np.ndarray, in_place: bool, words: list[int]
) -> np.ndarray:
    """Calls the kernel with the values 16 bytes into their buffer; the state after it."""
    buffer = np.full(values.nbytes + 32, 0xAB, np.uint8)
    before = state.copy()
    after = before if in_place else np.empty_like(state)
    table = np.array([before.ctypes.data, after.ctypes.data, buffer.ctypes.data], np.uint64)
    arguments = np.array([0, 0, 1, 0, 2, 16, *words], np.int64)
    assert KERNEL(address)(table.ctypes.data, arguments.ctypes.data, 0, 1) == 0
    assert (buffer[:16] == 0xAB).all() and (buffer[16 + values.nbytes :] == 0xAB).all()
    values.view(np.uint8)[...] = buffer[16 : 16 + values.nbytes]
    if not in_place:
        np.testing.assert_array_equal(before, state)
    return after


@pytest.mark.parametrize(("kind", "attributes"), NATIVE_CASES)
@pytest.mark.parametrize("vector_bits", (128, 256, 512))
def test_native_draws(kind: str, attributes: dict[str, Any], vector_bits: int) -> None:
    (address,) = kernel_addresses([random_kernel(kind, vector_bits, **attributes)])
    state = streams.advance("normal_float64", streams.seed_state(vector_bits), 1)
    state = streams.advance("bits32", state, 611)
    for number, n in enumerate((0, 1, 2, 16, 511, 513, 624, 1250, 5003)):
        if number == 5:
            state = streams.seed_state(n)
        if kind == "normal_float32":
            n += 16
        expected, after = streams.draw_and_advance(kind, state, n, **attributes)
        values = np.empty_like(expected)
        words = random_arguments(kind, n, **attributes)
        got = run_kernel(address, state, values, bool(number % 2), words)
        np.testing.assert_array_equal(values.view(np.uint8), expected.view(np.uint8))
        np.testing.assert_array_equal(got, after)
        state = streams.advance("bits32", after, 1)


def test_text_does_not_depend_on_values() -> None:
    assert random_kernel("bernoulli", p=0.1) == random_kernel("bernoulli", p=0.2)
    small, large = ({"span": span} for span in (10, 2**28))
    assert random_kernel("random_range", **small) != random_kernel("random_range", **large)
    assert len({random_kernel(kind, **dict(NATIVE_CASES)[kind]) for kind in NATIVE_KINDS}) == len(
        NATIVE_KINDS
    )


def test_other_kinds_are_refused() -> None:
    with pytest.raises(NotImplementedError, match="kind poisson"):
        random_kernel("poisson")
    with pytest.raises(NotImplementedError, match="fewer than 16"):
        random_arguments("normal_float32", 15)
    with pytest.raises(NotImplementedError, match="permutation of"):
        random_arguments("permutation", 2**32 // 20)
    with pytest.raises(TypeError, match="takes no dtype"):
        random_arguments("uniform32", 3, dtype="float32")
