"""`summary`: a table of a model's layers, what they give, their parameters and their work."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np

from flambeau.autograd.modes import no_grad
from flambeau.core.device import device as Device
from flambeau.core.dtypes import bfloat16, float16, float32
from flambeau.functional.from_data import from_numpy
from flambeau.functional.generators import Generator, default_generator
from flambeau.nn.modules.module import Module
from flambeau.seeing.layers import Layer, Watch, sample, tensors_in, unrun
from flambeau.tensor.tensor import Tensor

__all__ = ["ModelStatistics", "summary"]

COLUMNS = {
    "kernel_size": "Kernel Shape",
    "input_size": "Input Shape",
    "output_size": "Output Shape",
    "num_params": "Param #",
    "params_percent": "Param %",
    "mult_adds": "Mult-Adds",
    "trainable": "Trainable",
    "flops": "FLOPs",
    "memory": "Output (MB)",
}
NEED_INPUT = {"input_size", "output_size", "mult_adds", "flops", "memory"}
ROWS = ("depth", "var_names", "ascii_only", "hide_recursive_layers")
NAME_WIDTH, INDENT = 40, 5


def summary(
    model: Module,
    input_size: Any = None,
    input_data: Any = None,
    batch_dim: int | None = None,
    cache_forward_pass: bool | None = None,
    col_names: Iterable[str] | None = None,
    col_width: int = 25,
    depth: int = 3,
    device: Any = None,
    dtypes: Sequence[Any] | None = None,
    mode: str | None = None,
    row_settings: Iterable[str] | None = None,
    verbose: int | None = None,
    **kwargs: Any,
) -> ModelStatistics:
    """Prints (unless `verbose=0`) and gives the table of a model's layers, as torchinfo does.

    The model is called once, without gradients, with `input_data` or random data of `input_size`
    (one size, or a list of them); with neither, the table has parameters only. Nothing is
    computed unless the model reads data, and no random stream moves. Beside torchinfo's columns
    there are "flops" (counted, not estimated) and "memory". `kwargs` go to the model. Raises
    ValueError for settings it does not know, RuntimeError where the model fails.
    """
    if col_names is None:
        bare = input_data is None and input_size is None
        col_names = ("num_params",) if bare else ("output_size", "num_params")
    columns = tuple(_known(name, COLUMNS, "ColumnSettings") for name in col_names)
    settings = ("depth",) if row_settings is None else row_settings
    rows = frozenset(_known(name, ROWS, "RowSettings") for name in settings)
    mode = _known(mode or "eval", ("train", "eval"), "Mode")
    if verbose is None:
        verbose = 0 if getattr(sys, "ps1", None) else 1
    _check(input_size, input_data, columns, col_width, verbose, dtypes)
    if cache_forward_pass:
        raise NotImplementedError("summary(cache_forward_pass=True): keep the result instead")
    if device is not None:
        model = model.to(Device(device) if isinstance(device, str) else device)
    x, size = _inputs(input_size, input_data, batch_dim, dtypes)
    layers = unrun(model) if x is None else _run(model, x, kwargs, batch_dim, mode)
    held = 0 if x is None else sum(t.nbytes for t in tensors_in(x))
    result = ModelStatistics(layers, size, held, _Format(columns, col_width, depth, rows, verbose))
    if verbose:
        print(result)
    return result


def _known(name: Any, names: Iterable[str], kind: str) -> str:
    for known in names:
        if name == known:
            return known
    raise ValueError(f"{name!r} is not a valid {kind} (there are {', '.join(names)})")


def _check(
    size: Any, data: Any, columns: tuple[str, ...], width: int, verbose: int, kinds: Any
) -> None:
    if width <= 0:
        raise ValueError(f"Column width must be greater than 0: col_width={width}")
    if verbose not in (0, 1, 2):
        raise ValueError("Verbose must be either 0 (quiet), 1 (default), or 2 (verbose).")
    if size is not None and data is not None:
        raise RuntimeError("Only one of (input_data, input_size) should be specified.")
    wanting = [name for name in columns if name in NEED_INPUT]
    if size is None and data is None and wanting:
        raise ValueError(
            f"You must pass input_data or input_size in order to use columns: {wanting}"
        )
    if kinds and size is not None and {float16, bfloat16} & set(kinds):
        warnings.warn(
            "summary: layers may refuse half precision on the CPU",
            stacklevel=3,
        )


def _inputs(size: Any, data: Any, batch_dim: int | None, kinds: Any) -> tuple[Any, Any]:
    """The arguments of the call, a list or mapping; and what the caller said of their sizes."""
    if data is not None:
        if isinstance(data, np.ndarray):
            data = from_numpy(data)
        if isinstance(data, Tensor):
            data = [data]
        if not isinstance(data, (Mapping, list, tuple)):
            raise TypeError(
                f"input_data must be a tensor, an array, or a list, tuple or dict of them, "
                f"not {type(data).__name__}"
            )
        return data, [list(t.shape) for t in tensors_in(data)] or True
    if size is None:
        return None, None
    sizes = _sizes(size)
    kinds = [float32] * len(sizes) if kinds is None else list(kinds)
    if len(kinds) != len(sizes):
        raise ValueError(f"{len(sizes)} sizes in input_size, but {len(kinds)} dtypes")
    generator = Generator()
    made = [sample(one, kind, generator) for one, kind in zip(sizes, kinds)]
    if batch_dim is not None:
        made = [t.unsqueeze(batch_dim) for t in made]
    return made, sizes


def _sizes(size: Any) -> list[tuple[int, ...]]:
    if not isinstance(size, (list, tuple)):
        raise TypeError(
            f"input_size must be a tuple of sizes, or a list of such tuples for several inputs; "
            f"got {type(size).__name__}"
        )
    several = bool(size) and all(isinstance(one, (list, tuple)) for one in size)
    sizes = [tuple(one) for one in (size if several else [size])]
    if not size or any(not isinstance(n, int) or n <= 0 for one in sizes for n in one):
        raise ValueError(f"input_size must hold positive numbers, got {size}")
    return sizes


def _run(model: Module, x: Any, kwargs: Any, batch_dim: int | None, mode: str) -> list[Layer]:
    watch = Watch(model, batch_dim)
    try:
        with _as_before(model), no_grad():
            model.train(mode == "train")
            if isinstance(x, Mapping):
                model(**x, **kwargs)
            else:
                model(*x, **kwargs)
    except Exception as error:
        done = [row for row in watch.rows if row.ran]
        raise RuntimeError(
            f"summary: the model failed on this input ({type(error).__name__}, above). "
            f"Executed layers up to: {done}"
        ) from error
    finally:
        watch.close()
    return watch.finished()


@contextlib.contextmanager
def _as_before(model: Module) -> Iterator[None]:
    """Afterwards each module is in its own mode, with its buffers and random stream as before."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(b, b.detach().clone()) for b in model.buffers()]
    stream = default_generator.get_state()
    try:
        yield
    finally:
        default_generator.set_state(stream)
        with no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        for module, training in modes:
            module.training = training


class _Format:
    """What the table looks like."""

    def __init__(
        self, columns: tuple[str, ...], width: int, depth: int, rows: frozenset[str], verbose: int
    ) -> None:
        self.columns, self.width, self.depth = columns, width, depth
        self.rows, self.verbose = rows, verbose

    def title(self, layer: Layer) -> str:
        """A layer's name with what the settings add to it."""
        title = type(layer.module).__name__
        if "var_names" in self.rows and layer.place.name:
            title += f" ({layer.place.name})"
        if "depth" in self.rows and layer.depth:
            title += f": {layer.depth}-{layer.index}"
        return title

    def branch(self, depth: int) -> str:
        """The lines that lead to a row of that depth."""
        plain = "ascii_only" in self.rows
        if depth < 2:
            return "" if not depth else "+ " if plain else "├─"
        return ("|    " if plain else "│    ") * (depth - 1) + ("+ " if plain else "└─")

    def name_width(self, layers: list[Layer]) -> int:
        """Forty, or what the longest name needs."""
        longest = max(len(self.title(layer)) + INDENT * layer.depth + 1 for layer in layers)
        return NAME_WIDTH if longest < NAME_WIDTH else ceil(longest / INDENT) * INDENT

    def shown(self, layers: list[Layer]) -> list[Layer]:
        """The layers that have a row."""
        hide = "hide_recursive_layers" in self.rows
        return [x for x in layers if x.depth <= self.depth and not (hide and x.again)]

    def header(self) -> str:
        """The title of the first column."""
        names = " (var_name)" if "var_names" in self.rows else ""
        return f"Layer (type{names}{':depth-idx' if 'depth' in self.rows else ''})"


class ModelStatistics:
    """A summary: its rows in `summary_list`, totals as attributes; printed, it is the table.

    Sizes are in bytes. `total_output_bytes` is what layers with parameters give, twice: their
    outputs and the gradients of these. `total_flops` counts all that was recorded.
    """

    def __init__(self, layers: list[Layer], size: Any, input_bytes: int, form: _Format) -> None:
        self.summary_list = layers
        self.input_size = size
        self.formatting = form
        self.total_input = input_bytes
        leaves = [layer for layer in layers if layer.leaf]
        own = [layer for layer in layers if not layer.again]
        self.total_mult_adds = sum(layer.mult_adds for layer in leaves)
        self.total_flops = sum(layer.flops for layer in layers)
        self.total_output_bytes = sum(2 * x.output_bytes for x in leaves if x.params)
        self.total_param_bytes = sum(x.param_bytes for x in own if x.leaf)
        self.total_params = sum(_first(x, "params") for x in own)
        self.trainable_params = sum(_first(x, "trainable") for x in own)

    def __repr__(self) -> str:
        form = self.formatting
        width = form.name_width(self.summary_list)
        rule = "=" * (len(form.columns) * form.width + width)
        lines = [rule, self._line(form.header(), COLUMNS, width), rule]
        for layer in form.shown(self.summary_list):
            lines += self._layer(layer, width)
        lines += [rule, *self._totals(rule), rule]
        return "\n".join(lines)

    def _line(self, name: str, values: Mapping[str, str], width: int) -> str:
        cells = [f"{values.get(c, ''):<{self.formatting.width}}" for c in self.formatting.columns]
        return " ".join([f"{name:<{width}}", *cells]).rstrip()

    def _layer(self, layer: Layer, width: int) -> list[str]:
        form = self.formatting
        name = form.branch(layer.depth) + form.title(layer)
        lines = [self._line(name, self._values(layer), width)]
        if form.verbose == 2:
            last = len(layer.inner) - 1
            for place, (inner, shape, count) in enumerate(layer.inner):
                lead = "└─" if place == last else "├─"
                cells = {"kernel_size": str(shape), "num_params": f"{lead}{count:,}"}
                lines.append(self._line(form.branch(layer.depth + 1) + inner, cells, width))
        return lines

    def _values(self, layer: Layer) -> dict[str, str]:
        whole = layer.leaf or layer.depth == self.formatting.depth
        kernel = getattr(layer.module, "kernel_size", None)
        return {
            "kernel_size": str(list(kernel) if isinstance(kernel, tuple) else kernel or "--"),
            "input_size": str(layer.input_size or "--"),
            "output_size": str(layer.output_size or "--"),
            "num_params": _parameters(layer, whole),
            "params_percent": self._share(layer, whole),
            "mult_adds": _work(layer, "mult_adds", whole),
            "trainable": _trainable(layer),
            "flops": _work(layer, "flops", whole),
            "memory": f"{layer.output_bytes / 1e6:.2f}" if layer.output_bytes else "--",
        }

    def _share(self, layer: Layer, whole: bool) -> str:
        count = layer.params if whole else layer.own("params")
        if not self.total_params or (not count and not layer.again):
            return "     --"
        return "(recursive)" if layer.again else f"{count / self.total_params:>7.2%}"

    def _totals(self, rule: str) -> list[str]:
        frozen = self.total_params - self.trainable_params
        lines = [
            f"Total params: {self.total_params:,}",
            f"Trainable params: {self.trainable_params:,}",
            f"Non-trainable params: {frozen:,}",
        ]
        if not self.input_size:
            return lines
        lines.append(f"Total mult-adds{_scaled(self.total_mult_adds)}")
        if "flops" in self.formatting.columns:
            lines.append(f"Total FLOPs{_scaled(self.total_flops)}")
        total = self.total_input + self.total_output_bytes + self.total_param_bytes
        return [
            *lines,
            rule,
            f"Input size (MB): {self.total_input / 1e6:0.2f}",
            f"Forward/backward pass size (MB): {self.total_output_bytes / 1e6:0.2f}",
            f"Params size (MB): {self.total_param_bytes / 1e6:0.2f}",
            f"Estimated Total Size (MB): {total / 1e6:0.2f}",
        ]


def _first(layer: Layer, what: str) -> int:
    return int(getattr(layer, what)) if layer.leaf else max(layer.own(what), 0)


def _parameters(layer: Layer, whole: bool) -> str:
    if not layer.params:
        return "--"
    if layer.again:
        return "(recursive)"
    if whole:
        return f"{layer.params:,}" if layer.trainable else f"({layer.params:,})"
    own = layer.own("params")
    return f"{own:,}" if own > 0 else "--"


def _trainable(layer: Layer) -> str:
    if not layer.params:
        return "--"
    return {0: "False", layer.params: "True"}.get(layer.trainable, "Partial")


def _work(layer: Layer, what: str, whole: bool) -> str:
    """A layer's own work, or where no row is further down that of all the layers within it."""
    count = int(getattr(layer, what))
    if whole and not layer.leaf:
        inside = [x for x in layer.within if x.leaf or what == "flops"]
        count = sum(getattr(x, what) for x in inside) + (count if what == "flops" else 0)
    elif not layer.leaf and what == "mult_adds":
        return "--"
    return f"{count:,}" if count > 0 else "--"


def _scaled(count: int) -> str:
    """A number in millions, billions or trillions, with the letter that says so."""
    letter, unit = next((x, u) for x, u in (("T", 1e12), ("G", 1e9), ("M", 0)) if count >= u)
    value = count / (unit or 1e6)
    return f" ({letter}): {int(value):,d}" if value.is_integer() else f" ({letter}): {value:,.2f}"
