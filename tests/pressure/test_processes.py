"""Forks and new processes while programs are recorded, run and compiled; and no sockets."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau.record.recording import ROOTS
from tests.programs.modes import mode

from . import TIMES, run_script

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def forked(child: Any) -> int:
    """The status of a child process that runs `child` and leaves without cleaning up."""
    process = os.fork()
    if process:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            done, status = os.waitpid(process, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        os.kill(process, 9)
        os.waitpid(process, 0)
        return -1
    code = 1
    try:
        child()
        code = 0
    finally:
        os._exit(code)


def training(steps: int, seed: int = 0) -> list[float]:
    rng = np.random.default_rng(seed)
    w = fb.tensor(rng.standard_normal((5, 3)).astype(np.float32), requires_grad=True)
    x = fb.tensor(rng.standard_normal((6, 5)).astype(np.float32))
    update = fb.optim.SGD([w], lr=0.1, momentum=0.9)
    losses = []
    for _ in range(steps):
        update.zero_grad()
        loss = (x @ w).tanh().square().mean()
        loss.backward()
        update.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("executor", ["recognised", "compiled", "reference"])
def test_a_fork_in_the_middle_of_a_recording(executor: str) -> None:
    """Parent and child both go on, at each place of a step."""
    with mode(executor):
        wanted = training(4)
        for place in range(4):
            w = fb.ones(3, requires_grad=True)
            update = fb.optim.Adam([w], lr=0.1)
            loss = (w * fb.arange(3.0)).exp().sum()
            if place > 0:
                loss.backward()
            if place > 1:
                update.step()
            kept = w.detach() + 1 if place > 2 else None

            def child(
                place: int = place,
                w: Any = w,
                update: Any = update,
                loss: Any = loss,
                kept: Any = kept,
            ) -> None:
                assert abs(loss.item() - (1 + np.e + np.e**2)) < 1e-4
                if place < 1:
                    loss.backward()
                if place < 2:
                    update.step()
                assert np.allclose(w.tolist(), [1.0, 0.9, 0.9], atol=1e-5)
                assert kept is None or np.allclose(kept.tolist(), [2.0, 1.9, 1.9], atol=1e-5)
                assert np.allclose(training(4), wanted, rtol=1e-5)

            assert forked(child) == 0
            child()
            assert np.allclose(training(4), wanted, rtol=1e-5)


def test_forks_while_threads_train() -> None:
    """Forked while other threads record, run and compile: the child has one thread, and works."""
    with mode("compiled"):
        wanted = training(3)
        stop = threading.Event()
        failures: list[BaseException] = []

        def work(seed: int) -> None:
            try:
                while not stop.is_set():
                    for root in list(ROOTS.values()):
                        root.next.clear()
                    training(2, seed)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(4 * TIMES):
                time.sleep(0.01)
                assert forked(lambda: np.testing.assert_allclose(training(3), wanted, 1e-5)) == 0
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        assert not failures


class Rows(fb.utils.data.Dataset):
    """Rows made with tensor ops, in the worker."""

    def __init__(self) -> None:
        self.scale = fb.full((3,), 2.0) * 3  # pending when workers start

    def __len__(self) -> int:
        return 20

    def __getitem__(self, row: int) -> Any:
        return (fb.arange(3.0) + row) * self.scale


def test_workers_of_a_loader() -> None:
    rows = Rows()
    w = fb.ones(3, requires_grad=True)
    pending = w * 2
    loader = fb.utils.data.DataLoader(
        rows, batch_size=5, num_workers=2, multiprocessing_context="fork"
    )
    total = 0.0
    for batch in loader:
        total += (batch * pending).sum().item()
    assert total == sum(2 * 6 * (k + row) for row in range(20) for k in range(3))


def _child(queue: Any, tensor: Any) -> None:
    queue.put((tensor * 2).tolist() + training(2))


def test_a_spawned_process_gets_what_is_pending() -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    pending = fb.arange(3.0) + 1
    process = context.Process(target=_child, args=(queue, pending))
    process.start()
    found = queue.get()
    process.join(60)
    assert process.exitcode == 0
    np.testing.assert_allclose(found, [2.0, 4.0, 6.0, *training(2)], rtol=1e-5)


NO_SOCKETS = """
import sys
asked = []

def hook(event, arguments):
    if event.startswith(("socket.", "urllib.", "http.", "ftplib.")):
        asked.append((event, arguments))

sys.addaudithook(hook)
import flambeau
import flambeau.cli, flambeau.vision, flambeau.metrics, flambeau.optim, flambeau.fx, flambeau.jit
import flambeau.distributions, flambeau.utils.data, flambeau.hub, flambeau.distributed
model = flambeau.vision.models.resnet18(num_classes=2).eval()
with flambeau.no_grad():
    model(flambeau.rand(1, 3, 32, 32)).sum().item()
net = flambeau.compile(flambeau.nn.Sequential(flambeau.nn.Linear(3, 2)))
update = flambeau.optim.Adam(net.parameters())
loader = flambeau.utils.data.DataLoader(flambeau.rand(8, 3), batch_size=4)
for _ in range(3):
    for batch in loader:
        update.zero_grad()
        net(batch).sum().backward()
        update.step()
assert not asked, asked
print("silent")
"""


def test_nothing_uses_the_network() -> None:
    assert run_script(NO_SOCKETS).endswith("silent\n")
