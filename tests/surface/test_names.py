"""Rarer names of the torch namespace and its modules, beside PyTorch's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

A = np.random.default_rng(2).standard_normal((4, 6)).astype(np.float32)
B = np.random.default_rng(3).standard_normal((2, 4, 5)).astype(np.float32)

# With the module, and the tensors of A and B.
LINES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "frobenius, dims": lambda m, a, b: m.frobenius_norm(b, (1, 2), True),
    "nuclear": lambda m, a, b: m.nuclear_norm(a),
    "nuclear, dims": lambda m, a, b: m.nuclear_norm(b, (0, 2)),
    "except 0": lambda m, a, b: m.norm_except_dim(b, 2, 0),
    "except 1": lambda m, a, b: m.norm_except_dim(b, 2, 1),
    "except -1": lambda m, a, b: m.norm_except_dim(b, 2, -1),
    "layer norm": lambda m, a, b: m.native_layer_norm(a, [6], a[0], a[1], 1e-5),
    "group norm": lambda m, a, b: m.native_group_norm(b, None, None, 2, 4, 5, 2, 1e-5),
    "no dropout": lambda m, a, b: m.native_dropout(a, 0.5, False),
    "dropout": lambda m, a, b: (m.manual_seed(1), m.native_dropout(a, 0.4, True))[1],
    "binomial": lambda m, a, b: (
        m.manual_seed(1), m.binomial(m.full((9,), 12.0), m.full((9,), 0.3)))[1],
    "low rank": lambda m, a, b: (lambda u, s, v: (u * s) @ v.mT)(*m.svd_lowrank(a, 4, 4)),
    "low rank, wide": lambda m, a, b: m.svd_lowrank(a.mT, 4, 4)[1],
    "pca": lambda m, a, b: m.pca_lowrank(a, 3, niter=6)[1],
    "pca, too many": lambda m, a, b: m.pca_lowrank(a, 9),
    "segments": lambda m, a, b: m.segment_reduce(a, "sum", lengths=m.tensor([1, 0, 3])),
    "segment means": lambda m, a, b: m.segment_reduce(
        a, "mean", lengths=m.tensor([1, 0, 3]), initial=2.0),
    "segment maxima": lambda m, a, b: m.segment_reduce(a, "max", offsets=m.tensor([0, 1, 4])),
    "numbers": lambda m, a, b: (
        m.sym_max(2, 3.0), m.sym_min(2, 3), m.sym_not(1), m.sym_int(2.7), m.sym_float(2),
        m.sym_sum([1, 2]), m.sym_ite(True, 1, 2)),
    "cond": lambda m, a, b: m.cond(a.sum() > 0, lambda x: x + 1, lambda x: x - 1, (a,)),
    "while": lambda m, a, b: m.while_loop(
        lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (m.tensor(0), a)),
    "as functions": lambda m, a, b: (
        m.detach(a), m.is_signed(a), m.is_inference(a), m.is_distributed(a), m.get_device(a)),
    "in place": lambda m, a, b: m.addmv_(a[:, 0].clone(), a, a[0]),
    "as_strided_": lambda m, a, b: m.as_strided_(a.clone(), (2, 2), (1, 2)),
    "threads": lambda m, a, b: (m.is_warn_always_enabled(), m.get_deterministic_debug_mode()),
    "wrong mode": lambda m, a, b: m.set_deterministic_debug_mode("often"),
    "autocast": lambda m, a, b: (
        str(m.get_autocast_cpu_dtype()).split(".")[1], m.is_autocast_cpu_enabled()),
    "future": lambda m, a, b: m.jit.wait(m.jit.fork(lambda x: x * 2, a)),
    "conv input": lambda m, a, b: m.nn.grad.conv1d_input((2, 3, 7), b[0, :3].reshape(1, 3, 5)
        .expand(4, 3, 5), b[:, :, :3]),
    "conv weight": lambda m, a, b: m.nn.grad.conv1d_weight(b, (3, 4, 2), b[:, :3, :4]),
    "switches": lambda m, a, b: (
        m.backends.cuda.flash_sdp_enabled(), m.backends.cuda.is_built(),
        m.backends.mha.get_fastpath_enabled(), m.backends.cuda.is_flash_attention_available()),
    "attention kernel": lambda m, a, b: m.nn.attention.sdpa_kernel("math").__enter__(),
    "capability": lambda m, a, b: m.backends.cpu.get_cpu_capability()[:3],
    "cuda memory": lambda m, a, b: (m.cuda.memory_stats(), m.cuda.memory_cached()),
    "cuda device": lambda m, a, b: m.cuda.default_stream(),
    "cuda graph": lambda m, a, b: m.cuda.CUDAGraph(),
    "cuda stream": lambda m, a, b: m.cuda.stream(None).__enter__(),
    "no mps": lambda m, a, b: m.mps.current_allocated_memory(),
    "no accelerator": lambda m, a, b: m.accelerator.memory_allocated(),
    "cpu": lambda m, a, b: (m.cpu.is_initialized(), type(m.cpu.current_stream()).__name__),
    "schedule": lambda m, a, b: [
        m.profiler.schedule(wait=1, warmup=1, active=2, repeat=2, skip_first=1)(i).name
        for i in range(12)],
    "default type": lambda m, a, b: m.set_default_tensor_type("torch.LongTensor"),
    "device module": lambda m, a, b: m.get_device_module("cpu").__name__.rpartition(".")[2],
    "grad_mode": lambda m, a, b: m.autograd.grad_mode.no_grad is m.no_grad,
}  # fmt: skip


def _outcome(module: Any, line: Callable[[Any, Any, Any], Any]) -> Any:
    try:
        return line(module, module.tensor(A.tolist()), module.tensor(B.tolist()))
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0].partition(' (Flambeau')[0]}"


def _same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, torch.Tensor):
        assert str(ours.dtype).split(".")[1] == str(theirs.dtype).split(".")[1]
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-3, atol=1e-5)
    elif isinstance(theirs, (tuple, list)):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs):
            _same(a, b)
    else:
        assert ours == theirs


@pytest.mark.parametrize("name", LINES)
def test_line(name: str) -> None:
    _same(_outcome(flambeau, LINES[name]), _outcome(torch, LINES[name]))


def test_default_tensor_type() -> None:
    before = flambeau.get_default_dtype()
    try:
        flambeau.set_default_tensor_type(flambeau.DoubleTensor)
        assert flambeau.ones(1).dtype is flambeau.float64
    finally:
        flambeau.set_default_dtype(before)


REFUSED: dict[str, Callable[[], Any]] = {
    "nested": lambda: flambeau.nested.nested_tensor([flambeau.ones(2)], layout=flambeau.jagged),
    "quantised": lambda: flambeau.quantization.quantize_dynamic(flambeau.nn.Linear(1, 1)),
    "ao": lambda: flambeau.ao.quantization.QuantStub(),
    "observers": lambda: flambeau.ao.quantization.MinMaxObserver(dtype=flambeau.float32),
    "onnx": lambda: flambeau.onnx.export(flambeau.nn.Linear(1, 1), flambeau.ones(1), "m.onnx"),
    "profile": lambda: flambeau.profiler.profile(experimental_config={}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_excluded_says_so(name: str) -> None:
    with pytest.raises(NotImplementedError, match="not supported"):
        REFUSED[name]()


@pytest.mark.parametrize("module", [flambeau, torch])
def test_futures(module: Any) -> None:
    futures = module.futures
    first, second = futures.Future(), futures.Future()
    later = first.then(lambda done: done.value() + 1)
    thread = threading.Timer(0.01, lambda: (first.set_result(1), second.set_result(5)))
    thread.start()
    assert futures.wait_all([first, second]) == [1, 5] and later.wait() == 2
    thread.join()
    failed = futures.Future()
    failed.set_exception(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        failed.wait()
    with pytest.raises(RuntimeError):
        first.set_result(2)
