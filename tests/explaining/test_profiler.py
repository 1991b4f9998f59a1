"""torch.profiler beside PyTorch's: schedules, labels, tables, traces."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.record.options import OPTIONS

torch = pytest.importorskip("torch")
BOTH = pytest.mark.parametrize("module", [flambeau, torch], ids=["flambeau", "torch"])


def data(module: Any) -> Any:
    return module.tensor(np.random.default_rng(3).normal(size=(24, 24)).tolist())


def rows(table: str) -> list[str]:
    """The names in a table."""
    lines = table.splitlines()
    rules = [n for n, line in enumerate(lines) if line.startswith("---")]
    return [re.split(r"\s{2,}", line.strip())[0] for line in lines[rules[1] + 1 : rules[2]]]


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "schedule",
    [
        {"wait": 1, "warmup": 1, "active": 2, "repeat": 2},
        {"wait": 0, "warmup": 0, "active": 3},
        {"wait": 2, "warmup": 1, "active": 1, "skip_first": 2},
    ],
)
def test_schedules_call_back_at_the_same_steps(schedule: dict[str, int]) -> None:
    def trace(module: Any) -> list[Any]:
        seen: list[Any] = []
        x = data(module)

        def ready(prof: Any) -> None:
            names = rows(prof.key_averages().table())
            labels = {n for n in names if n in ("mine", "ProfilerStep*")}
            counts = {e.key: e.count for e in prof.key_averages() if e.key in labels}
            seen.append((prof.step_num, counts))

        with module.profiler.profile(
            schedule=module.profiler.schedule(**schedule), on_trace_ready=ready
        ) as prof:
            for _ in range(9):
                with module.profiler.record_function("mine"):
                    float((x @ x).sum())
                prof.step()
        return seen

    assert trace(flambeau) == trace(torch)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
def test_table_has_pytorchs_columns() -> None:
    def heads(module: Any, **options: Any) -> Any:
        x = data(module)
        with module.profiler.profile(**options) as prof:
            float((x @ x).relu().sum())
        averages = prof.key_averages(group_by_input_shape="record_shapes" in options)
        table = averages.table(sort_by="self_cpu_time_total", row_limit=3)
        lines = table.splitlines()
        total = re.sub(r"[\d.]+(us|ms|s)", "#", lines[-1])
        return re.split(r"\s{2,}", lines[1].strip()), total, lines[0][-2:]

    for options in ({}, {"profile_memory": True}, {"record_shapes": True}):
        assert heads(flambeau, **options) == heads(torch, **options)


@BOTH
@pytest.mark.filterwarnings("ignore")
def test_what_is_refused(module: Any) -> None:
    profile = module.profiler.profile
    with pytest.raises(AssertionError, match="No valid profiler activities found"):
        profile(activities=[]).__enter__()
    with pytest.raises(AssertionError, match="Profiler must be initialized before getting key"):
        profile().key_averages()
    with profile() as prof:
        float(data(module).sum())
    with pytest.raises(AttributeError, match="has no attribute 'bogus'"):
        prof.key_averages().table(sort_by="bogus")


def test_kernels_labels_and_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPTIONS, "always_compile", True)
    from flambeau.profiler import ProfilerActivity, profile, record_function

    net = flambeau.nn.Sequential(flambeau.nn.Linear(24, 40), flambeau.nn.ReLU())
    x = data(flambeau)
    expected = net(x).sum().item()
    options = {"with_stack": True, "with_flops": True, "profile_memory": True}
    with profile(activities=[ProfilerActivity.CPU], **options) as prof:
        for _ in range(8):
            with record_function("model"):
                net(x)  # computed although nobody holds the result
        found = [net(x).sum().item() for _ in range(6)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    averages = {e.key: e for e in prof.key_averages()}
    model = averages["model"]
    assert model.count == 8
    assert 0 < model.self_cpu_time_total < model.cpu_time_total
    kernels = [e for key, e in averages.items() if "linear" in key and "program" not in key]
    assert sum(e.flops for e in kernels) >= 7 * 2 * 24 * 24 * 40
    assert sum(e.cpu_time_total for e in kernels) > 0
    inside = prof.events().self_cpu_time_total
    assert inside == pytest.approx(
        sum(e.cpu_time_total for e in prof.events() if e.cpu_parent is None), rel=1e-6
    )
    by_line = prof.key_averages(group_by_stack_n=1).table()
    assert "test_profiler.py:" in by_line
    assert "Total MFLOPs" in by_line
    prof.export_chrome_trace(str(tmp_path / "trace.json"))
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert sum(e["name"] == "model" for e in events) == 8
    prof.export_stacks(str(tmp_path / "stacks.txt"))
    assert re.search(r"^\S+ \d+$", (tmp_path / "stacks.txt").read_text(), re.M)


def test_tensorboard_handler(tmp_path: Path) -> None:
    from flambeau.profiler import profile, schedule, tensorboard_trace_handler

    handler = tensorboard_trace_handler(str(tmp_path), worker_name="one", use_gzip=True)
    plan = schedule(wait=0, warmup=0, active=1, repeat=2)
    with profile(schedule=plan, on_trace_ready=handler) as prof:
        prof.add_metadata("who", "me")
        for _ in range(3):
            float(data(flambeau).sum())
            prof.step()
    files = sorted(tmp_path.glob("one.*.pt.trace.json.gz"))
    assert len(files) == 2
    with gzip.open(files[0], "rt") as file:
        trace = json.load(file)
    assert trace["who"] == "me"
    assert any(e["name"] == "ProfilerStep#0" for e in trace["traceEvents"])


def test_the_older_profiler() -> None:
    with flambeau.autograd.profiler.profile(record_shapes=True) as prof:
        for _ in range(3):
            float(data(flambeau).exp().sum())
    assert prof.self_cpu_time_total > 0
    assert prof.key_averages().total_average().count == len(prof.function_events)
    assert "CPU time avg" in prof.table(row_limit=2)
    with flambeau.autograd.profiler.profile(enabled=False) as off:
        pass
    with pytest.raises(RuntimeError, match="didn't finish"):
        off.key_averages()
    with flambeau.profiler.profile(), pytest.raises(RuntimeError, match="already enabled"):
        flambeau.profiler.profile().start()


@pytest.mark.parity
def test_labels_without_a_profiler_do_nothing() -> None:
    @flambeau.profiler.record_function("f")
    def f(n: int) -> int:
        return n if n < 2 else f(n - 1) + f(n - 2)

    assert f(7) == 13
