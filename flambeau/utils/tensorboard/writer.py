"""`SummaryWriter`: what a training run has to say, in TensorBoard's event files."""

from __future__ import annotations

import datetime
import io
import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto import event_pb2
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from flambeau.utils.tensorboard import arrays, summary


class FileWriter:
    """Writes events to a new event file in a folder."""

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        self.event_writer = EventFileWriter(
            os.fspath(log_dir), max_queue, flush_secs, filename_suffix
        )

    def get_logdir(self) -> str:
        """The folder."""
        folder: str = self.event_writer.get_logdir()
        return folder

    def add_event(self, event: Any, step: Any = None, walltime: float | None = None) -> None:
        """Write an event at a step (any integer) and a time (seconds; now)."""
        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = int(step)
        self.event_writer.add_event(event)

    def add_summary(
        self, made: Any, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Write a summary."""
        self.add_event(event_pb2.Event(summary=made), global_step, walltime)

    def add_graph(self, graph: tuple[Any, Any], walltime: float | None = None) -> None:
        """Write a graph and what was observed of its run."""
        definition, stats = graph
        self.add_event(Event(graph_def=definition.SerializeToString()), None, walltime)
        tagged = event_pb2.TaggedRunMetadata(tag="step1", run_metadata=stats.SerializeToString())
        self.add_event(Event(tagged_run_metadata=tagged), None, walltime)

    def flush(self) -> None:
        """Write everything to the disk."""
        self.event_writer.flush()

    def close(self) -> None:
        """Flush, and close the file."""
        self.event_writer.close()

    def reopen(self) -> None:
        """Begin a new file in the same folder, where this one was closed."""
        self.event_writer.reopen()


class SummaryWriter:
    """Writes entries to event files in `log_dir`: by default runs/DATE_HOST and the comment."""

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            now = datetime.datetime.now().strftime("%b%d_%H-%M-%S")
            log_dir = Path("runs") / f"{now}_{socket.gethostname()}{comment}"
        self.log_dir = os.fspath(log_dir)
        self.purge_step = purge_step
        self.max_queue = max_queue
        self.flush_secs = flush_secs
        self.filename_suffix = filename_suffix
        self.file_writer: FileWriter | None = None
        self.all_writers: dict[str, FileWriter] | None = None
        self.default_bins = summary.default_bins()
        self._get_file_writer()

    def _open(self, folder: str) -> FileWriter:
        return FileWriter(folder, self.max_queue, self.flush_secs, self.filename_suffix)

    def _get_file_writer(self) -> FileWriter:
        """The writer of `log_dir`; a new one after `close`."""
        if self.all_writers is None or self.file_writer is None:
            self.file_writer = self._open(self.log_dir)
            self.all_writers = {self.file_writer.get_logdir(): self.file_writer}
            if self.purge_step is not None:
                step = self.purge_step
                self.file_writer.add_event(Event(step=step, file_version="brain.Event:2"))
                start = SessionLog(status=SessionLog.START)
                self.file_writer.add_event(Event(step=step, session_log=start))
                self.purge_step = None
        return self.file_writer

    def get_logdir(self) -> str:
        """The folder of the event files."""
        return self.log_dir

    def _add(self, made: Summary, step: Any, walltime: float | None) -> None:
        self._get_file_writer().add_summary(made, step, walltime)

    # ---- numbers ---------------------------------------------------------------------------------

    def add_hparams(
        self,
        hparam_dict: dict[str, Any],
        metric_dict: dict[str, Any],
        hparam_domain_discrete: dict[str, list[Any]] | None = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """Hyperparameters and what they led to, as a run of its own below `log_dir`."""
        if type(hparam_dict) is not dict or type(metric_dict) is not dict:
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        entries = summary.hparams(hparam_dict, metric_dict, hparam_domain_discrete)
        name = run_name or str(time.time())
        folder = os.path.join(self._get_file_writer().get_logdir(), name)
        with SummaryWriter(log_dir=folder) as inner:
            for entry in entries:
                inner._get_file_writer().add_summary(entry, global_step)
            for tag, value in metric_dict.items():
                inner.add_scalar(tag, value, global_step)

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """A number at a step."""
        made = summary.scalar(tag, scalar_value, new_style, double_precision)
        self._add(made, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: dict[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Several numbers in one chart: each is a run of its own below `log_dir`."""
        folder = self._get_file_writer().get_logdir()
        when = time.time() if walltime is None else walltime
        assert self.all_writers is not None
        for tag, value in tag_scalar_dict.items():
            below = f"{folder}/{main_tag.replace('/', '_')}_{tag}"
            writer = self.all_writers.get(below)
            if writer is None:
                writer = self.all_writers[below] = self._open(below)
            writer.add_summary(summary.scalar(main_tag, value), global_step, when)

    def add_tensor(
        self,
        tag: str,
        tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """A tensor."""
        self._add(summary.tensor(tag, tensor), global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """How values are spread; `bins` is "tensorflow", or what numpy.histogram takes."""
        made = summary.histogram(tag, arrays.array_of(values), bins, max_bins)
        self._add(made, global_step, walltime)

    def add_histogram_raw(
        self,
        tag: str,
        min: float,
        max: float,
        num: int,
        sum: float,
        sum_squares: float,
        bucket_limits: Any,
        bucket_counts: Any,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """How values are spread, counted already. ValueError unless there is a limit per count."""
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError(
                "len(bucket_limits) != len(bucket_counts), see the document.",
            )
        made = summary.histogram_raw(
            tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts
        )
        self._add(made, global_step, walltime)

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: int | None = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Precision against recall, of predictions in [0, 1] for labels 0 and 1."""
        given = (arrays.array_of(labels), arrays.array_of(predictions))
        weight = None if weights is None else arrays.array_of(weights)
        self._add(summary.pr_curve(tag, *given, num_thresholds, weight), global_step, walltime)

    def add_pr_curve_raw(
        self,
        tag: str,
        true_positive_counts: Any,
        false_positive_counts: Any,
        true_negative_counts: Any,
        false_negative_counts: Any,
        precision: Any,
        recall: Any,
        global_step: int | None = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Precision against recall, counted already (so that weights have no more say)."""
        counts = (true_positive_counts, false_positive_counts, true_negative_counts)
        rows = [*counts, false_negative_counts, precision, recall]
        made = summary.pr_curve_raw(
            tag, [arrays.array_of(row) for row in rows], min(num_thresholds, 127)
        )
        self._add(made, global_step, walltime)

    def add_custom_scalars(self, layout: dict[str, Any]) -> None:
        """Which charts there are: {category: {title: ["Multiline" or "Margin", tags]}}."""
        self._add(summary.custom_scalars(layout), None, None)

    def add_custom_scalars_multilinechart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """One chart of several tags."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """One chart of a value between two others."""
        if len(tags) != 3:
            raise AssertionError("a margin chart has three tags: value, lower, upper")
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    # ---- pictures, sounds, texts -----------------------------------------------------------------

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """A picture: uint8, or floats in [0, 1]."""
        picture = arrays.pixels(arrays.array_of(img_tensor), dataformats)
        self._add(summary.image(tag, picture), global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Pictures, side by side."""
        if isinstance(img_tensor, list):
            img_tensor = np.stack([arrays.array_of(part) for part in img_tensor])
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        rescale: float = 1,
        dataformats: str = "CHW",
        labels: Any = None,
    ) -> None:
        """A picture with frames around what is in it: (x from, y from, x to, y to) each."""
        boxes = arrays.array_of(box_tensor).reshape(-1, 4)
        if isinstance(labels, str):
            labels = [labels]
        if labels is not None and len(labels) != len(boxes):
            labels = None
        picture = arrays.pixels(arrays.array_of(img_tensor), dataformats)
        picture = arrays.with_boxes(picture, boxes, labels)
        self._add(summary.image(tag, picture, rescale), global_step, walltime)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """A figure of matplotlib's, or several; they are closed unless told otherwise."""
        figures = figure if isinstance(figure, list) else [figure]
        pictures = []
        for each in figures:
            file = io.BytesIO()
            each.savefig(file, format="rgba", dpi=each.dpi)
            width, height = each.canvas.get_width_height()
            drawn = np.frombuffer(file.getvalue(), np.uint8).reshape(height, width, 4)
            pictures.append(drawn[:, :, :3].transpose(2, 0, 1))
            if close:
                from matplotlib import pyplot

                pyplot.close(each)
        if isinstance(figure, list):
            self.add_images(tag, np.stack(pictures), global_step, walltime)
        else:
            self.add_image(tag, pictures[0], global_step, walltime)

    def add_video(
        self,
        tag: str,
        vid_tensor: Any,
        global_step: int | None = None,
        fps: float = 4,
        walltime: float | None = None,
    ) -> None:
        """Films (N, T, C, H, W), side by side, as a moving picture."""
        self._add(summary.video(tag, arrays.array_of(vid_tensor), fps), global_step, walltime)

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: int | None = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """A sound: samples in [-1, 1], one channel."""
        made = summary.audio(tag, arrays.array_of(snd_tensor), sample_rate)
        self._add(made, global_step, walltime)

    def add_text(
        self,
        tag: str,
        text_string: str,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """A text in Markdown."""
        self._add(summary.text(tag, text_string), global_step, walltime)

    # ---- models and points -----------------------------------------------------------------------

    def add_graph(
        self,
        model: Any,
        input_to_model: Any = None,
        verbose: bool = False,
        use_strict_trace: bool = True,
    ) -> None:
        """The program that the model records for these inputs, in the scopes of its modules."""
        from flambeau.utils.tensorboard.graph import graph_of

        if not hasattr(model, "forward"):
            raise NotImplementedError("add_graph takes a module; ONNX models are not supported")
        graph = graph_of(model, input_to_model)
        if verbose:
            print(graph[0])
        self._get_file_writer().add_graph(graph)

    def add_onnx_graph(self, prototxt: Any) -> None:
        """NotImplementedError: ONNX files are not read."""
        raise NotImplementedError("add_onnx_graph is not supported; add_graph shows a module")

    def add_embedding(
        self,
        mat: Any,
        metadata: Any = None,
        label_img: Any = None,
        global_step: int | None = None,
        tag: str = "default",
        metadata_header: Any = None,
    ) -> None:
        """Points (N, D) for the projector, with labels and pictures (N, C, H, H)."""
        from flambeau.utils.tensorboard.embedding import place_of, write_embedding

        place = place_of(global_step, tag)
        name = f"{tag}:{str(global_step if global_step is not None else 0).zfill(5)}"
        images = None if label_img is None else arrays.array_of(label_img)
        folder = Path(self._get_file_writer().get_logdir())
        matrix = arrays.array_of(mat)
        write_embedding(folder, place, name, matrix, metadata, images, metadata_header)

    def add_mesh(
        self,
        tag: str,
        vertices: Any,
        colors: Any = None,
        faces: Any = None,
        config_dict: dict[str, Any] | None = None,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Points (B, N, 3) in space, with colours (B, N, 3) and triangles (B, M, 3)."""
        parts = [None if p is None else arrays.array_of(p) for p in (vertices, colors, faces)]
        made = summary.mesh(tag, parts[0], parts[1], parts[2], config_dict)
        self._add(made, global_step, walltime)

    # ---- ends ------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write everything to the disk."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self) -> None:
        """Flush, and close the files; writing more begins new ones."""
        for writer in (self.all_writers or {}).values():
            writer.flush()
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
