"""Event files, read back with TensorBoard's own reader, and beside those of PyTorch's writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorboard")
pytest.importorskip("PIL")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import flambeau
from flambeau import nn
from flambeau.utils.tensorboard import SummaryWriter

RNG = np.random.default_rng(5)
PICTURE = RNG.random((3, 6, 8)).astype(np.float32)
LABELS, PREDICTIONS = RNG.integers(0, 2, 50), RNG.random(50).astype(np.float32)


def write(writer: Any, library: Any) -> None:
    tensor = library.tensor
    for step in range(3):
        writer.add_scalar("loss", tensor(0.5 * step), step)
        writer.add_scalar("new", step, step, new_style=True)
        writer.add_scalar("double", 1 / 3, step, double_precision=True)
        writer.add_scalars("group/both", {"a": step, "b": -step}, step)
    writer.add_tensor("matrix", library.arange(6.0).reshape(2, 3), 1)
    writer.add_histogram("spread", tensor(RNG_VALUES), 2)
    writer.add_histogram("counted", RNG_VALUES, 2, bins=10, max_bins=5)
    writer.add_histogram_raw("raw", 0.0, 2.0, 3, 3.0, 5.0, [1.0, 2.0], [1, 2], 1)
    writer.add_pr_curve("curve", tensor(LABELS), tensor(PREDICTIONS), 1)
    writer.add_image("picture", tensor(PICTURE), 1)
    writer.add_image("grey", (PICTURE[0] * 255).astype(np.uint8), 1, dataformats="HW")
    writer.add_images("pictures", tensor(np.stack([PICTURE] * 3)), 1)
    writer.add_audio("sound", tensor(np.sin(np.arange(100.0)).astype(np.float32)), 1, 8000)
    writer.add_text("words", "some *text* ü", 1)
    writer.add_custom_scalars({"all": {"losses": ["Multiline", ["loss", "new"]]}})
    writer.add_mesh("points", tensor(RNG_POINTS), global_step=1)


RNG_VALUES = RNG.normal(size=200).astype(np.float32)
RNG_POINTS = RNG.random((1, 5, 3)).astype(np.float32)


def read(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance=dict.fromkeys(("tensors", "images"), 0))
    found.Reload()
    return found


@pytest.mark.parity
def test_entries_are_pytorchs(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.tensorboard import SummaryWriter as Theirs

    for name, kind, library in (("mine", SummaryWriter, flambeau), ("theirs", Theirs, torch)):
        with kind(str(tmp_path / name)) as writer:
            write(writer, library)
    mine, theirs = (read(tmp_path / name) for name in ("mine", "theirs"))
    assert mine.Tags() == theirs.Tags()
    for tag in mine.Tags()["scalars"]:
        first, second = ([(e.step, e.value) for e in a.Scalars(tag)] for a in (mine, theirs))
        assert first == second
    for tag in mine.Tags()["histograms"]:
        first, second = (a.Histograms(tag)[0].histogram_value for a in (mine, theirs))
        assert first == second, tag
    for tag in mine.Tags()["tensors"]:
        first, second = (a.Tensors(tag)[0] for a in (mine, theirs))
        assert (first.step, first.tensor_proto.dtype) == (second.step, second.tensor_proto.dtype)
        assert _numbers(first.tensor_proto) == pytest.approx(_numbers(second.tensor_proto)), tag
        assert mine.SummaryMetadata(tag).plugin_data.plugin_name == (
            theirs.SummaryMetadata(tag).plugin_data.plugin_name
        )
    for tag in mine.Tags()["images"]:
        first, second = (_picture(a.Images(tag)[0].encoded_image_string) for a in (mine, theirs))
        np.testing.assert_array_equal(first, second)
    below = {p.name for p in (tmp_path / "mine").iterdir() if p.is_dir()}
    assert below == {p.name for p in (tmp_path / "theirs").iterdir() if p.is_dir()}


def _numbers(proto: Any) -> list[float]:
    if proto.string_val:
        return [float(b) for text in proto.string_val for b in text]
    if proto.float_val or proto.double_val:
        return [*proto.float_val, *proto.double_val]
    kind = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}[proto.dtype]
    listed: list[float] = np.frombuffer(proto.tensor_content, kind).astype(float).tolist()
    return listed


def _picture(data: bytes) -> Any:
    import io

    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(data)))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        write(writer, flambeau)
        writer.add_video("film", flambeau.rand(2, 3, 3, 4, 5), 1)
        writer.add_image_with_boxes("boxed", PICTURE, flambeau.tensor([[1.0, 1.0, 5.0, 4.0]]), 1)
    found = read(tmp_path)
    assert [e.value for e in found.Scalars("loss")] == [0.0, 0.5, 1.0]
    picture = _picture(found.Images("picture")[0].encoded_image_string)
    np.testing.assert_array_equal(picture, (PICTURE.transpose(1, 2, 0) * 255).astype(np.uint8))
    assert found.Images("film")[0].encoded_image_string[:3] == b"GIF"
    assert found.Histograms("spread")[0].histogram_value.num == 200
    assert found.Audio("sound")[0].sample_rate == 8000
    assert "ü".encode() in found.Tensors("words/text_summary")[0].tensor_proto.string_val[0]


def test_graph_shows_the_program(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Sequential(nn.Linear(3, 2)))
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(model, flambeau.randn(5, 4))
    nodes = {node.name: node for node in read(tmp_path).Graph().node}
    parameters = [name for name, node in nodes.items() if node.op == "parameter"]
    assert sorted(parameters) == [
        f"Sequential/{place}/{name}" for place in ("0", "2/0") for name in ("bias", "weight")
    ]
    assert sum(node.op == "contract" or "dot" in node.op for node in nodes.values()) == 2
    assert any(name.startswith("Sequential/1[ReLU]/") for name in nodes)
    assert all(operand in nodes for node in nodes.values() for operand in node.input)
    assert nodes["Sequential/output"].input


def test_embedding(tmp_path: Path) -> None:
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    points = flambeau.randn(5, 3)
    with SummaryWriter(tmp_path) as writer:
        writer.add_embedding(points, list("abcde"), flambeau.rand(5, 3, 4, 4), 2, "one")
        writer.add_embedding(points, [["a", 1]] * 5, None, 3, "two", ["name", "number"])
        with pytest.raises(AssertionError, match="#labels should equal"):
            writer.add_embedding(points, ["a"])
    config = ProjectorConfig()
    text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), config)
    assert [e.tensor_name for e in config.embeddings] == ["one:00002", "two:00003"]
    table = np.loadtxt(tmp_path / config.embeddings[0].tensor_path, delimiter="\t")
    np.testing.assert_allclose(table, points.numpy(), rtol=1e-6)
    assert (tmp_path / config.embeddings[1].metadata_path).read_text().startswith("name\tnumber\na")
    assert _picture((tmp_path / config.embeddings[0].sprite.image_path).read_bytes()).shape[:2] == (
        12,
        12,
    )


def test_hyperparameters(tmp_path: Path) -> None:
    from tensorboard.plugins.hparams import metadata

    with SummaryWriter(tmp_path) as writer:
        given = {"lr": 0.1, "flag": True, "name": "x", "size": flambeau.tensor(3)}
        writer.add_hparams(given, {"accuracy": 0.5}, {"lr": [0.1, 0.2]}, run_name="run")
        with pytest.raises(TypeError):
            writer.add_hparams([1], {})  # type: ignore[arg-type]
    found = read(tmp_path / "run")
    assert [e.value for e in found.Scalars("accuracy")] == [0.5]
    content = found.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    assert start.hparams["lr"].number_value == 0.1 and start.hparams["size"].number_value == 3
    content = found.SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
    experiment = metadata.parse_experiment_plugin_data(content)
    assert [info.name for info in experiment.hparam_infos] == list(given)


def test_figure(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(2, 1), dpi=50)
    pyplot.plot([1, 2])
    with SummaryWriter(tmp_path) as writer:
        writer.add_figure("drawn", figure, 1)
    picture = _picture(read(tmp_path).Images("drawn")[0].encoded_image_string)
    assert picture.shape == (50, 100, 3) and picture.min() < 50 < picture.max()
    assert not pyplot.fignum_exists(figure.number)


def test_mistakes(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        for call in (
            lambda: writer.add_scalar("x", flambeau.ones(2)),
            lambda: writer.add_image("x", PICTURE, dataformats="HW"),
            lambda: writer.add_image("x", PICTURE, dataformats="CCW"),
        ):
            with pytest.raises(AssertionError):
                call()
        with pytest.raises(ValueError, match="no element"):
            writer.add_histogram("x", flambeau.ones(0))
        with pytest.raises(NotImplementedError):
            writer.add_scalar("x", object())
