"""Kernels compile for machines other than this one, and need nothing there but what is known."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from against_reference import FLOATS, Builder

from flambeau.core import dtypes, random_streams
from flambeau.execute.cpu import (
    compiler,
    contraction_pairs,
    emit,
    engine,
    host,
    software_float,
    target,
    templates,
)
from flambeau.graph.program import Program
from flambeau.ops import arithmetic as ar
from flambeau.ops import (
    contraction,
    elementwise,
    indexed,
    ordered,
    randomness,
    reduction,
    view,
    window,
)

ROOT = Path(__file__).resolve().parents[2]
KNOWN = {*target.SYSTEM_FUNCTIONS, *software_float.SYMBOLS}


def functions() -> Program:
    b = Builder()
    results = []
    for dtype in FLOATS:
        x = b.random((37,), dtype)
        for name in ("exp", "log", "tanh", "sin", "erf", "sqrt", "rsqrt", "floor", "pow_"):
            operands = (x, x) if name == "pow_" else (x,)
            results.append(getattr(elementwise, name)(*operands))
        results += [ar.cast(x, other) for other in (*FLOATS, dtypes.int64, dtypes.uint8)]
    return b.program(results)


def products() -> Program:
    b = Builder()
    results = []
    for dtype in (*FLOATS, dtypes.int32):
        x, y = b.random((33, 70), dtype), b.random((70, 20), dtype)
        results += [contraction.dot(x, y), reduction.sum_(x, axes=(0,)), ar.maximum(x, 0)]
    return b.program(results)


def images() -> Program:
    b = Builder()
    x, w = b.random((16, 1, 3, 12, 12)), b.random((1, 5, 3, 3, 3))
    out = contraction.conv(x, w, strides=(1, 1), dilations=(1, 1))
    attrs = {"sizes": (2, 2), "steps": (2, 2), "dilations": (1, 1)}
    pooled = window.max_pool(out, **attrs)
    ct = window.max_pool_gradient(out, pooled, **attrs)
    gx, gw = contraction.conv.vjp(ct, out, x, w, strides=(1, 1), dilations=(1, 1))
    assert gx is not None and gw is not None
    step = view.reshape(w - gw * 0.1, shape=(w.size,))
    return b.program([pooled, gx], [(1, step)])


def orders() -> Program:
    b = Builder()
    x, index = b.random((6, 50)), b.data(np.array([[0, 5, -1]]), dtypes.int64)
    state = b.data(np.asarray(random_streams.seed_state(3)), dtypes.uint32)
    attrs = {"kind": "normal_float32", "count": 40, "dtype": dtypes.float32, "parameters": ()}
    return b.program(
        [
            ordered.argsort(x, axis=1, descending=True),
            ordered.cumsum(x, axis=0),
            reduction.argmax(x, axes=(1,)),
            indexed.take(x, index, what="index"),
            indexed.put_add(x, index, b.random((1, 3, 50)), what="index"),
            randomness.random_draw(state, **attrs),
        ]
    )


def undefined(code: bytes) -> set[str]:
    """The names that an ELF64 object leaves to others."""
    table, size, count = struct.unpack_from("<Q10xHH", code, 40)
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, table + size * i) for i in range(count)]
    found = set()
    for section in sections:
        if section[1] != 2:  # SHT_SYMTAB
            continue
        names = sections[section[6]][4]
        for place in range(section[4], section[4] + section[5], 24):
            name, _, _, home = struct.unpack_from("<IBBH", code, place)
            if name and not home:
                end = code.index(b"\0", names + name)
                found.add(code[names + name : end].decode())
    return found


@pytest.fixture
def fresh_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels are written anew: what was written for another machine is not found."""
    monkeypatch.setattr(templates.TEMPLATES, "known", OrderedDict())


@pytest.mark.parametrize("name", list(target.TARGETS))
@pytest.mark.parametrize("make", [functions, products, images, orders])
def test_kernels_compile_for(
    make: Callable[[], Program],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    fresh_templates: None,
) -> None:
    machine = target.TARGETS[name]
    monkeypatch.setattr(emit, "AARCH64", name == "neon")
    monkeypatch.setattr(
        contraction_pairs, "multiplies_pairs", lambda _: machine.has("avx512bf16")
    )  # which the machine that runs this may have
    texts: list[str] = []

    def collect(given: list[str]) -> list[int]:
        texts.extend(given)
        return [0] * len(given)

    monkeypatch.setattr(engine, "kernel_addresses", collect)
    compiled = compiler.compile_program(make(), vector_bits=machine.vector_bits)
    assert compiled.native and texts
    for text in dict.fromkeys(texts):
        code = target.compile_object(text, machine)
        assert code[:4] == b"\x7fELF"
        assert undefined(code) <= KNOWN
    if make is not orders:  # draws are fused everywhere: their bits are PyTorch's
        assert any("@llvm.fma.v" in text for text in texts) == (name != "sse2")


def test_the_tiles_of_aarch64_compute_the_same(
    monkeypatch: pytest.MonkeyPatch, fresh_templates: None
) -> None:
    monkeypatch.setattr(emit, "AARCH64", True)
    for seed, (m, k, n) in enumerate([(64, 100, 48), (7, 33, 130), (1, 50, 40)]):
        b = Builder(seed)
        x, y = b.random((m, k)), b.random((k, n))
        z = contraction.dot(x, y)
        b.check([z, elementwise.tanh(z)], tolerance=64.0, vector_bits=128)
    b = Builder()
    x, w = b.random((16, 1, 3, 12, 12)), b.random((1, 5, 3, 3, 3))
    attrs = {"strides": (1, 1), "dilations": (1, 1)}
    out = contraction.conv(x, w, **attrs)
    gx, gw = contraction.conv.vjp(out, out, x, w, **attrs)
    assert gx is not None and gw is not None
    b.check([out, gx, gw], tolerance=256.0, vector_bits=128)


TRAIN = """
import flambeau as torch
from flambeau.execute.cpu.target import Target
torch.manual_seed(0)
layer = torch.nn.TransformerEncoderLayer(32, 2, 64, dropout=0.0, batch_first=True)
optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
x = torch.randn(4, 11, 32)
for _ in range(3):
    loss = (layer(x) - x.flip(0)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(torch.backends.cpu.get_cpu_capability(), Target.host().vector_bits, loss.item())
"""


def _trained(capability: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "FLAMBEAU_CPU_CAPABILITY": capability, "FLAMBEAU_EXECUTOR": "compiled"}
    return subprocess.run(
        [sys.executable, "-c", TRAIN],
        env=given,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.skipif(not target.Target.host().has("avx2"), reason="x86-64 with AVX2")
def test_less_of_the_cpu() -> None:
    """Kernels for narrower vectors give the same losses but for roundings."""
    losses = []
    for capability, name, bits in (("", "", 0), ("AVX2", "AVX2", 256), ("default", "DEFAULT", 128)):
        done = _trained(capability)
        assert done.returncode == 0, done.stderr
        said, width, loss = done.stdout.split()
        assert (said, int(width)) == (name, bits) or not name
        losses.append(float(loss))
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-4)


def test_an_unknown_capability() -> None:
    done = _trained("avx3")
    assert done.returncode != 0
    assert "FLAMBEAU_CPU_CAPABILITY must be avx512, avx2 or default, got 'avx3'" in done.stderr


def test_what_a_limit_leaves() -> None:
    avx2, default = (host.limited(target.AVX512, most) for most in ("avx2", "default"))
    assert avx2.vector_bits == 256 and avx2.has("fma")
    assert not any(avx2.has(name) for name in ("avx512f", "avx512bw", "avx512dq", "avx512vl"))
    assert default.vector_bits == 128 and not default.has("fma")
    assert host.limited(target.AVX2, "avx512") == target.AVX2
    assert host.limited(target.NEON, "default") == target.NEON
