"""TensorBoard's protocol buffers: what each kind of entry looks like in an event file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from google.protobuf import struct_pb2
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_metadata
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from tensorboard.plugins.mesh import metadata as mesh_metadata
from tensorboard.plugins.mesh.plugin_data_pb2 import MeshPluginData
from tensorboard.plugins.pr_curve.plugin_data_pb2 import PrCurvePluginData
from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData

from flambeau.tensor.tensor import Tensor
from flambeau.utils.tensorboard import arrays

_TYPES = {
    "float16": ("DT_HALF", "f2"),
    "float32": ("DT_FLOAT", "f4"),
    "float64": ("DT_DOUBLE", "f8"),
    "uint8": ("DT_UINT8", "u1"),
    "uint16": ("DT_UINT16", "u2"),
    "uint32": ("DT_UINT32", "u4"),
    "uint64": ("DT_UINT64", "u8"),
    "int8": ("DT_INT8", "i1"),
    "int16": ("DT_INT16", "i2"),
    "int32": ("DT_INT32", "i4"),
    "int64": ("DT_INT64", "i8"),
    "complex64": ("DT_COMPLEX64", "c8"),
    "complex128": ("DT_COMPLEX128", "c16"),
    "bool": ("DT_BOOL", "?"),
}


def _tensor(array: Any) -> TensorProto:
    kind, code = _TYPES[array.dtype.name]
    dims = [TensorShapeProto.Dim(size=n) for n in array.shape]
    content = np.ascontiguousarray(array, f"<{code}").tobytes()
    return TensorProto(dtype=kind, tensor_content=content, tensor_shape=TensorShapeProto(dim=dims))


def _plugin(name: str, content: bytes = b"") -> SummaryMetadata:
    return SummaryMetadata(
        plugin_data=SummaryMetadata.PluginData(plugin_name=name, content=content)
    )


def _one(tag: str, **fields: Any) -> Summary:
    return Summary(value=[Summary.Value(tag=tag, **fields)])


def scalar(
    tag: str, value: Any, new_style: bool = False, double_precision: bool = False
) -> Summary:
    """A number."""
    number = arrays.number_of(value)
    if not new_style:
        return _one(tag, simple_value=number)
    array = np.array(number, np.float64 if double_precision else np.float32)
    return _one(tag, tensor=_tensor(array), metadata=_plugin("scalars"))


def tensor(tag: str, value: Tensor) -> Summary:
    """A tensor."""
    metadata = _plugin("tensor")
    return _one(tag, tensor=_tensor(arrays.array_of(value)), metadata=metadata)


def default_bins() -> list[float]:
    """Edges that grow by a tenth from 1e-12 to 1e20, on both sides of zero."""
    edge, positive = 1e-12, []
    while edge < 1e20:
        positive.append(edge)
        edge *= 1.1
    return [-e for e in reversed(positive)] + [0.0] + positive


def histogram(tag: str, values: Any, bins: Any, max_bins: int | None = None) -> Summary:
    """How values are spread. ValueError for none at all."""
    if bins == "tensorflow":
        bins = default_bins()
    values = np.asarray(values, np.float64).reshape(-1)
    if values.size == 0:
        raise ValueError("The input has no element.")
    counts, edges = np.histogram(values, bins=bins)
    if max_bins is not None and len(counts) > max_bins:
        together = -(-len(counts) // max_bins)
        padded = np.concatenate([counts, np.zeros(-len(counts) % together, counts.dtype)])
        counts = padded.reshape(-1, together).sum(1)
        kept = edges[::together]
        edges = kept if len(kept) == len(counts) + 1 else np.append(kept, edges[-1])
    filled = np.flatnonzero(counts)
    if filled.size == 0:
        raise ValueError("The histogram is empty, please file a bug report.")
    # Without the empty bins at both ends, but for one below.
    first, last = int(filled[0]), int(filled[-1])
    kept_counts = counts[first : last + 1].tolist()
    limits = edges[first : last + 2].tolist()
    made = HistogramProto(
        min=values.min(),
        max=values.max(),
        num=len(values),
        sum=values.sum(),
        sum_squares=values.dot(values),
        bucket_limit=limits,
        bucket=[0.0, *kept_counts],
    )
    return _one(tag, histo=made)


def histogram_raw(
    tag: str,
    min: float,
    max: float,
    num: int,
    sum: float,
    sum_squares: float,
    bucket_limits: Iterable[float],
    bucket_counts: Iterable[float],
) -> Summary:
    """How values are spread, counted already."""
    made = HistogramProto(
        min=min,
        max=max,
        num=num,
        sum=sum,
        sum_squares=sum_squares,
        bucket_limit=list(bucket_limits),
        bucket=list(bucket_counts),
    )
    return _one(tag, histo=made)


def image(tag: str, picture: Any, rescale: float = 1) -> Summary:
    """A picture (height, width, channels), uint8."""
    return _encoded(tag, arrays.png(picture, rescale))


def video(tag: str, videos: Any, fps: float) -> Summary:
    """Films (N, T, C, H, W), side by side."""
    return _encoded(tag, arrays.gif(arrays.film(videos), fps))


def _encoded(tag: str, made: tuple[bytes, int, int, int]) -> Summary:
    data, height, width, channels = made
    picture = Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=data
    )
    return _one(tag, image=picture)


def audio(tag: str, samples: Any, rate: int) -> Summary:
    """A sound."""
    data, length = arrays.wav(samples, rate)
    sound = Summary.Audio(
        sample_rate=rate,
        num_channels=1,
        length_frames=length,
        encoded_audio_string=data,
        content_type="audio/wav",
    )
    return _one(tag, audio=sound)


def text(tag: str, words: str) -> Summary:
    """A text in Markdown."""
    metadata = _plugin("text", TextPluginData(version=0).SerializeToString())
    made = TensorProto(
        dtype="DT_STRING",
        string_val=[words.encode("utf-8")],
        tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
    )
    return _one(f"{tag}/text_summary", metadata=metadata, tensor=made)


def pr_curve_raw(tag: str, rows: Any, thresholds: int) -> Summary:
    """Precision and recall: rows are TP, FP, TN, FN, precision, recall per threshold."""
    content = PrCurvePluginData(version=0, num_thresholds=thresholds).SerializeToString()
    array = np.asarray(rows, np.float32)
    return _one(tag, metadata=_plugin("pr_curves", content), tensor=_tensor(array))


def pr_curve(tag: str, labels: Any, predictions: Any, thresholds: int, weights: Any) -> Summary:
    """Precision and recall of predictions in [0, 1] against labels 0 and 1."""
    thresholds = min(thresholds, 127)
    truth = labels.reshape(-1).astype(np.float64)
    weight = 1.0 if weights is None else weights.reshape(-1).astype(np.float64)
    places = np.floor(predictions.reshape(-1) * (thresholds - 1)).astype(np.int64)
    places = places.clip(0, thresholds - 1)
    hits = np.bincount(places, truth * weight, minlength=thresholds)
    misses = np.bincount(places, (1 - truth) * weight, minlength=thresholds)
    tp, fp = hits[::-1].cumsum()[::-1], misses[::-1].cumsum()[::-1]
    tn, fn = fp[0] - fp, tp[0] - tp
    tiny = 1e-7
    rows = [tp, fp, tn, fn, tp / np.maximum(tiny, tp + fp), tp / np.maximum(tiny, tp + fn)]
    return pr_curve_raw(tag, rows, thresholds)


def custom_scalars(layout: dict[str, dict[str, Sequence[Any]]]) -> Summary:
    """Which charts there are: {category: {title: ("Multiline" or "Margin", tags)}}."""
    categories = []
    for category, charts in layout.items():
        made = []
        for title, (kind, tags) in charts.items():
            if kind == "Margin":
                if len(tags) != 3:
                    raise AssertionError("a margin chart has three tags: value, lower, upper")
                series = layout_pb2.MarginChartContent.Series(
                    value=tags[0], lower=tags[1], upper=tags[2]
                )
                margin = layout_pb2.MarginChartContent(series=[series])
                made.append(layout_pb2.Chart(title=title, margin=margin))
            else:
                lines = layout_pb2.MultilineChartContent(tag=list(tags))
                made.append(layout_pb2.Chart(title=title, multiline=lines))
        categories.append(layout_pb2.Category(title=category, chart=made))
    content = layout_pb2.Layout(category=categories).SerializeToString()
    return _one(
        custom_metadata.CONFIG_SUMMARY_TAG,
        tensor=TensorProto(dtype="DT_STRING", string_val=[content]),
        metadata=_plugin(custom_metadata.PLUGIN_NAME),
    )


def mesh(tag: str, vertices: Any, colors: Any, faces: Any, config: Any) -> Summary:
    """Points in space, with colours and triangles."""
    values = []
    kinds = MeshPluginData.ContentType
    parts = {"VERTEX": vertices, "FACE": faces, "COLOR": colors}
    given = [(kinds.Value(name), part) for name, part in parts.items() if part is not None]
    components = mesh_metadata.get_components_bitmask([kind for kind, _ in given])
    for kind, array in given:
        metadata = mesh_metadata.create_summary_metadata(
            tag, tag, kind, components, array.shape, json_config=json.dumps(config or {})
        )
        name = mesh_metadata.get_instance_name(tag, kind)
        values.append(Summary.Value(tag=name, tensor=_tensor(array), metadata=metadata))
    return Summary(value=values)


# ---- hyperparameters -----------------------------------------------------------------------------


def _domain(values: Sequence[Any]) -> tuple[Any, Any]:
    """The type and the discrete values of a hyperparameter."""
    kinds = {bool: "DATA_TYPE_BOOL", str: "DATA_TYPE_STRING"}
    kind = kinds.get(type(values[0]), "DATA_TYPE_FLOAT64") if values else "DATA_TYPE_STRING"
    listed = struct_pb2.ListValue()
    listed.extend(list(values))
    return kind, listed


def hparams(
    given: dict[str, Any], metrics: dict[str, Any], domains: dict[str, list[Any]] | None
) -> tuple[Summary, Summary, Summary]:
    """The three entries of a run with hyperparameters: experiment, start, end.

    TypeError, ValueError for values and domains that are none.
    """
    if not isinstance(given, dict) or not isinstance(metrics, dict):
        raise TypeError("hparam_dict and metric_dict should be dictionaries.")
    if not isinstance(domains or {}, dict):
        raise TypeError("parameter: hparam_domain_discrete should be a dictionary, nothing logged.")
    start = SessionStartInfo()
    infos = []
    for name, raw in given.items():
        if raw is None:
            continue
        value = raw.item() if isinstance(raw, Tensor) else raw
        if not isinstance(value, (bool, int, float, str)):
            raise ValueError("value should be one of int, float, str, bool, or torch.Tensor")
        info = api_pb2.HParamInfo(name=name)
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
            info.type = api_pb2.DATA_TYPE_BOOL
        elif isinstance(value, str):
            start.hparams[name].string_value = value
            info.type = api_pb2.DATA_TYPE_STRING
        else:
            start.hparams[name].number_value = value
            info.type = api_pb2.DATA_TYPE_FLOAT64
        if name in (domains or {}):
            choices = (domains or {})[name]
            kind, listed = _domain(choices)
            if not all(type(choice) is type(choices[0]) for choice in choices):
                raise TypeError(f"parameter: hparam_domain_discrete[{name}] has mixed types")
            info.type = getattr(api_pb2, kind)
            info.domain_discrete.CopyFrom(listed)
        infos.append(info)
    named = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in metrics]
    experiment = api_pb2.Experiment(hparam_infos=infos, metric_infos=named)
    end = SessionEndInfo(status=api_pb2.STATUS_SUCCESS)
    return (
        _hparams(hparams_metadata.EXPERIMENT_TAG, experiment=experiment),
        _hparams(hparams_metadata.SESSION_START_INFO_TAG, session_start_info=start),
        _hparams(hparams_metadata.SESSION_END_INFO_TAG, session_end_info=end),
    )


def _hparams(tag: str, **content: Any) -> Summary:
    data = HParamsPluginData(version=hparams_metadata.PLUGIN_DATA_VERSION, **content)
    metadata = _plugin(hparams_metadata.PLUGIN_NAME, data.SerializeToString())
    return _one(tag, metadata=metadata)
