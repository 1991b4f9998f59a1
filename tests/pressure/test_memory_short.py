"""Too little memory: PyTorch's error that says who holds the rest, and right numbers afterwards."""

from __future__ import annotations

import sys

import pytest

from . import TIMES, run_script

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits address space")

SCRIPT = """
import resource, sys
import numpy as np
import flambeau as torch
from flambeau.record import native_calls

HEAD = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory:"

def refused(work):
    try:
        work()
    except RuntimeError as error:
        assert str(error).startswith(HEAD), error
        return str(error)
    raise AssertionError("there was memory")

def training():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(100, 50), torch.nn.BatchNorm1d(50), torch.nn.ReLU(), torch.nn.Linear(50, 1)
    )
    return model, torch.optim.Adam(model.parameters(), lr=1e-2)

def step(model, update, rows):
    update.zero_grad()
    loss = ((model(torch.ones(rows, 100) / torch.arange(1.0, 101)) - 2) ** 2).mean()
    loss.backward()
    update.step()
    return loss.item()

def losses(short):
    model, update = training()
    found = []
    for k in range(6):
        if short and k != 2:  # (the first one: what makes the weights has not run before)
            refused(lambda: step(model, update, 40_000_000))
        found.append(step(model, update, 8))
    return found

wanted = losses(False)
# What is compiled once, on threads with memory of their own, is there before memory is short.
native_calls.native_calls(), native_calls.plain_calls()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (600 << 20),) * 2)
for turn in range(int(sys.argv[1])):
    assert np.allclose(losses(True), wanted, rtol=1e-4), turn

    kept = torch.ones(20 << 20)  # 80 MiB
    kept.sum().item()
    weight = torch.nn.Parameter(torch.zeros(10 << 20))
    weight.sum().item()
    said = refused(lambda: torch.empty(1 << 30)).splitlines()
    assert said[0].startswith(f"{HEAD} you tried to allocate 4294967296 bytes. Error code 12")
    assert "tensor float32[20971520] with 80.0 MiB" in said[1]
    assert "parameter float32[10485760] with 40.0 MiB" in said[1]

    # What was recorded before what there is no memory for is there.
    torch.manual_seed(turn)
    early, written = torch.rand(5), torch.zeros(3)
    written += early[0]
    refused(lambda: (torch.ones(1 << 28).cumsum(0) * early.sum()).max().item())
    torch.manual_seed(turn)
    assert early.tolist() == torch.rand(5).tolist() and written.tolist() == [early[0].item()] * 3

    many = []
    def fill():
        while True:
            many.append((torch.ones(1 << 20) * len(many)).clone())
            many[-1][0].item()
    refused(fill)
    many.pop()
    assert len(many) > 20
    assert [m[5].item() for m in many[:20]] == list(range(20))
    del many
    assert kept.sum().item() == 20 << 20  # the process goes on
    assert (kept[:4] * 3).tolist() == [3.0] * 4
    # What plans keep for their next run is given back first.
    del kept, weight
    for size in range(30):
        torch.ones((4 << 20) + size).mul(2).sum().item()
    assert torch.zeros(100 << 20).sum().item() == 0
    assert np.allclose(losses(False), wanted, rtol=1e-4)
print("fine")
"""


@pytest.mark.parametrize("executor", ["auto", "compiled", "reference"])
def test_memory_runs_out(executor: str) -> None:
    said = run_script(SCRIPT, str(TIMES), FLAMBEAU_EXECUTOR=executor, FLAMBEAU_NUM_THREADS="2")
    assert said == "fine\n"
