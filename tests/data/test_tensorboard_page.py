"""TensorBoard itself, started on loopback, shows what SummaryWriter wrote."""

from __future__ import annotations

import io
import json
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorboard")
Image = pytest.importorskip("PIL.Image")

import flambeau
from flambeau import nn
from flambeau.utils.tensorboard import SummaryWriter

RNG = np.random.default_rng(11)
LOSSES = RNG.random(5)
VALUES = RNG.normal(size=200)
PICTURE = RNG.integers(0, 256, (3, 12, 16)).astype(np.uint8)
POINTS = RNG.random((8, 4)).astype(np.float32)
LABELS, PREDICTIONS = RNG.integers(0, 2, 60), RNG.random(60)
START = re.compile(r"TensorBoard \S+ at (http://127\.0\.0\.1:\d+/)")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

Get = Callable[..., Any]


def write(folder: Path) -> None:
    with SummaryWriter(folder / "run") as writer:
        for step, loss in enumerate(LOSSES):
            writer.add_scalar("loss", loss, step)
            writer.add_scalars("both", {"a": step, "b": -step}, step)
        writer.add_histogram("spread", VALUES, 3)
        writer.add_image("picture", PICTURE, 1)
        writer.add_images("pictures", np.stack([PICTURE] * 2), 1)
        writer.add_video("film", flambeau.rand(1, 3, 3, 8, 8), 1)
        writer.add_audio("sound", flambeau.rand(200), 1, 8000)
        writer.add_text("words", "some *text*", 1)
        writer.add_pr_curve("curve", LABELS, PREDICTIONS, 1, num_thresholds=21)
        writer.add_embedding(POINTS, metadata=[f"row {n}" for n in range(8)], tag="points")
        writer.add_mesh("mesh", flambeau.rand(1, 5, 3), global_step=1)
        writer.add_graph(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), flambeau.ones(2, 4))
        writer.add_custom_scalars({"all": {"losses": ["Multiline", ["loss"]]}})
        writer.add_hparams({"lr": 0.125, "kind": "adam"}, {"score": 0.75}, run_name="tried")


def address(process: subprocess.Popen[str]) -> str:
    """Where the server listens, from what it prints; the rest of that is read and dropped."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    assert process.stderr is not None
    stream = process.stderr

    def drain() -> None:
        for line in stream:
            lines.put(line)

    threading.Thread(target=drain, daemon=True).start()
    seen = []
    for _ in range(100):
        seen.append(lines.get(timeout=120))
        if found := START.search(seen[-1]):
            return found[1]
    raise AssertionError("".join(seen))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("events")
    write(folder)
    command = ["-m", "tensorboard.main", "--logdir", str(folder), "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, *command, "--host", "127.0.0.1", "--load_fast=false"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield address(process)
    finally:
        process.kill()
        process.wait(60)
        assert process.stderr is not None


@pytest.fixture(scope="module")
def get(page: str) -> Get:
    """A question to the server's data interface; with `post`, JSON is sent along."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(path: str, post: Any = None, raw: bool = False) -> Any:
        body = None if post is None else json.dumps(post).encode()
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{page}data/{path}", body, kind)
        data = direct.open(request, timeout=60).read()
        return data if raw else json.loads(data)

    for _ in range(200):  # the server reads the files while it answers
        if "run/tried" in ask("runs") and "run" in ask("plugin/mesh/tags"):
            return ask
        time.sleep(0.1)
    raise AssertionError(f"TensorBoard has not found the runs: {ask('runs')}")


def test_runs_and_scalars(get: Get) -> None:
    assert {"run", "run/both_a", "run/both_b", "run/tried"} <= set(get("runs"))
    found = get("plugin/scalars/scalars?run=run&tag=loss")
    assert [step for _, step, _ in found] == [0, 1, 2, 3, 4]
    assert [value for *_, value in found] == pytest.approx(LOSSES.tolist(), rel=1e-6)
    assert get("plugin/scalars/scalars?run=run/both_b&tag=both")[4][2] == -4
    assert "all" in json.dumps(get("plugin/custom_scalars/layout"))


def test_histograms(get: Get) -> None:
    ((_, step, bins),) = get("plugin/histograms/histograms?run=run&tag=spread")
    assert step == 3
    assert sum(count for *_, count in bins) == pytest.approx(200)
    assert bins[0][0] == pytest.approx(VALUES.min(), abs=0.2)
    below = sum(count for _, right, count in bins if right <= 0)
    assert abs(below - (VALUES < 0).sum()) <= 30


def test_images_and_video(get: Get) -> None:
    assert get("plugin/images/tags")["run"]["pictures"]["samples"] == 1
    for tag, shape in (("picture", (12, 16, 3)), ("film", (8, 8, 3))):
        (entry,) = get(f"plugin/images/images?run=run&tag={tag}&sample=0")
        data = get(f"plugin/images/individualImage?{entry['query']}", raw=True)
        shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        assert shown.shape == shape
        if tag == "picture":
            np.testing.assert_array_equal(shown, PICTURE.transpose(1, 2, 0))
        else:
            assert data[:3] == b"GIF"


def test_sound_text_curve_and_mesh(get: Get) -> None:
    assert "sound" in get("plugin/audio/tags")["run"]
    (text,) = get("plugin/text/text?run=run&tag=words/text_summary")
    assert "some <em>text</em>" in text["text"]
    ((curve,),) = get("plugin/pr_curves/pr_curves?run=run&tag=curve").values()
    assert curve["true_positives"][0] == LABELS.sum()
    at_half = curve["thresholds"].index(pytest.approx(0.5))
    assert curve["true_positives"][at_half] == ((PREDICTIONS >= 0.5) & (LABELS == 1)).sum()
    assert get("plugin/mesh/tags") == {"run": {"mesh": {"samples": 1}}}


def test_embedding(get: Get) -> None:
    assert get("plugin/projector/runs") == ["run"]
    (shown,) = get("plugin/projector/info?run=run")["embeddings"]
    assert shown["tensorShape"] == [8, 4]
    data = get(f"plugin/projector/tensor?run=run&name={shown['tensorName']}", raw=True)
    np.testing.assert_allclose(np.frombuffer(data, "<f4").reshape(8, 4), POINTS, rtol=1e-4)
    rows = get(f"plugin/projector/metadata?run=run&name={shown['tensorName']}", raw=True)
    assert rows.decode().split("\n")[:2] == ["row 0", "row 1"]


def test_graph(get: Get) -> None:
    assert get("plugin/graphs/info")["run"]["run_graph"]
    graph = get("plugin/graphs/graph?run=run&conceptual=false", raw=True).decode()
    names = re.findall(r'^  name: "([^"]+)"', graph, re.M)
    assert len(names) > 3
    assert all(name.startswith(("Sequential", "input", "output", "run_")) for name in names), names


def test_hyperparameters(get: Get) -> None:
    tried = get("plugin/hparams/experiment", {"experimentName": ""})
    assert {info["name"] for info in tried["hparamInfos"]} == {"lr", "kind"}
    asked = {"startIndex": 0, "sliceSize": 9, "colParams": []}
    asked["allowedStatuses"] = ["STATUS_SUCCESS", "STATUS_UNKNOWN", "STATUS_RUNNING"]
    (group,) = get("plugin/hparams/session_groups", asked)["sessionGroups"]
    assert group["hparams"] == {"lr": 0.125, "kind": "adam"}
    assert group["metricValues"][0]["value"] == 0.75


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_the_page_in_a_browser(page: str, get: Get, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    options = (
        "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --no-proxy-server --window-size=1400,1000 "
        "--virtual-time-budget=20000"
    ).split()
    picture = tmp_path / "page.png"
    answer = subprocess.run(
        [
            *(CHROMIUM, *options, f"--user-data-dir={tmp_path / 'profile'}"),
            *(f"--screenshot={picture}", "--dump-dom", f"{page}#timeseries"),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
    )
    seen = re.sub(r"<style.*?</style>", "", answer.stdout, flags=re.S)
    for tag in ("loss", "both", "spread", "picture", "film", "run/tried"):
        assert re.search(rf">\s*{tag}\s*<", seen), tag
    shown = np.asarray(Image.open(picture).convert("RGB"))
    assert shown.shape == (1000, 1400, 3)
    orange = np.all(np.abs(shown.astype(int) - (245, 124, 0)) < 12, axis=-1)
    assert orange[:60].mean() > 0.5  # TensorBoard's bar
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 100  # curves and pictures below it
