"""SyncBatchNorm of one process beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau

pytestmark = pytest.mark.parity


def _steps(module: Any, array: Any) -> Any:
    nn = module.nn
    module.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Sequential(nn.BatchNorm2d(3)))
    net = nn.SyncBatchNorm.convert_sync_batchnorm(plain)
    x = module.tensor(array.tolist())
    net(x).square().mean().backward()
    kept = [p.grad.numpy() for p in net.parameters()]
    kept += [b.numpy() for b in net.buffers()]
    return repr(net), kept + [net.eval()(x).detach().numpy()]


def test_converted_model() -> None:
    array = np.random.default_rng(0).standard_normal((4, 2, 6, 6)).astype(np.float32)
    (ours, values), (theirs, expected) = (_steps(m, array) for m in (flambeau, torch))
    assert ours == theirs
    for a, b in zip(values, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(2,), (2, 0), (1, 3), (4, 3), (2, 3, 4), (2, 3, 2, 2, 2)])
def test_shapes(shape: tuple[int, ...]) -> None:
    said = []
    for module in (flambeau, torch):
        try:
            said.append(tuple(module.nn.SyncBatchNorm(3)(module.ones(*shape)).shape))
        except (ValueError, RuntimeError) as error:
            said.append(str(error).splitlines()[0])
    assert said[0] == said[1]
