"""vmap: a function over the slices of its arguments, recorded once for all of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from flambeau.autograd.mapping import NotTheSame, Unbatched, map_slices
from flambeau.core.shapes import wrap_axis
from flambeau.func.tree import flatten
from flambeau.functional.generators import get_rng_state, set_rng_state
from flambeau.functional.joining import cat, stack
from flambeau.record.recording import LOCAL
from flambeau.tensor.tensor import Tensor


def _spread(axes: Any, tree: Any) -> list[Any] | None:
    """One axis per leaf of the tree; None where the structures disagree."""
    if axes is None or isinstance(axes, int):
        return [axes] * len(flatten(tree)[0])
    if type(axes) is not type(tree) or len(axes) != len(tree):
        return None
    found: list[Any] = []
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    for key in keys:
        inner = _spread(axes[key], tree[key])
        if inner is None:
            return None
        found += inner
    return found


def _input_axes(name: str, in_dims: Any, args: tuple[Any, ...]) -> tuple[list[Any], int]:
    """Per leaf the axis mapped over (never negative), and the axis' extent."""
    call = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>)"
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"{call}: expected `in_dims` to be int or a (potentially nested) tuple matching the "
            f"structure of inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are "
            "trying to vmap over a function with no inputs. The latter is unsupported."
        )
    axes = _spread(in_dims, args)
    if axes is None:
        raise ValueError(f"{call}: in_dims is not compatible with the structure of `inputs`.")
    sizes = []
    for place, (axis, leaf) in enumerate(zip(axes, flatten(args)[0], strict=True)):
        if axis is None:
            continue
        if not isinstance(leaf, Tensor):
            raise ValueError(
                f"{call}: Got in_dim={axis} for an input but the input is of type {type(leaf)}. "
                "We cannot vmap over non-Tensor arguments, please use None as the respective "
                "in_dim"
            )
        if not -leaf.dim() <= axis < leaf.dim():
            raise ValueError(
                f"{call}: Got in_dim={axis} for some input, but that input is a Tensor of "
                f"dimensionality {leaf.dim()} so expected in_dim to satisfy -{leaf.dim()} <= "
                f"in_dim < {leaf.dim()}."
            )
        axes[place] = axis % leaf.dim()
        sizes.append(leaf.size(axes[place]))
    if len(set(sizes)) > 1:
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    return axes, sizes[0]


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function over the slices of its arguments along `in_dims`, computed for all at once.

    `func` is called once (with `chunk_size`, once for so many slices), with tensors of the shape of
    one slice. RuntimeError where it decides by their elements. Draws are refused
    (`randomness="error"`), the same for all slices ("same"), or another for each ("different").
    What cannot be computed for all slices at once, goes slice by slice.
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")
    name = getattr(func, "__name__", repr(func))

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        axes, size = _input_axes(name, in_dims, args)
        leaves, build = flatten(args)
        call = _Call(func, name, kwargs, leaves, build, axes, out_dims, randomness)
        if chunk_size is None or chunk_size >= size:
            return call.of_all(size)
        return call.in_chunks(size, chunk_size)

    return wrapped


@dataclass
class _Call:
    """A call of a function under vmap."""

    func: Callable[..., Any]
    name: str
    kwargs: dict[str, Any]
    leaves: list[Any]
    build: Callable[[list[Any]], Any]
    axes: list[Any]
    out_dims: Any
    randomness: str

    def of_all(self, size: int) -> Any:
        """The results for all slices."""
        places = [place for place, axis in enumerate(self.axes) if axis is not None]
        tensors = [self.leaves[place] for place in places]
        found: list[Any] = []

        def once(lanes: list[Any]) -> tuple[list[Any], list[Any]]:
            values = list(self.leaves)
            for place, lane in zip(places, lanes, strict=True):
                values[place] = lane
            result = self.func(*self.build(values), **self.kwargs)
            parts, rebuild = flatten(result)
            axes = self._output_axes(result, parts)
            found[:] = parts, rebuild
            kept = [k for k, part in enumerate(parts) if isinstance(part, Tensor)]
            return [parts[k] for k in kept], [axes[k] for k in kept]

        try:
            if any(tensor.is_sparse for tensor in tensors):
                raise Unbatched
            axes = [self.axes[place] for place in places]
            made = iter(map_slices(once, tensors, axes, size, self.randomness))
        except Unbatched:
            if LOCAL.levels:
                raise
            return self._one_by_one(size)
        except NotTheSame:
            raise ValueError(
                f"vmap({self.name}, ...): `{self.name}` can not return a BatchedTensor when "
                "out_dim is None"
            ) from None
        parts, rebuild = found
        return rebuild([next(made) if isinstance(part, Tensor) else part for part in parts])

    def in_chunks(self, size: int, chunk: int) -> Any:
        """The results for all slices, of which so many are computed at once."""
        made = []
        for start in range(0, size, chunk):
            count = min(chunk, size - start)
            leaves = [
                leaf if axis is None else leaf.narrow(axis, start, count)
                for leaf, axis in zip(self.leaves, self.axes, strict=True)
            ]
            made.append(replace(self, leaves=leaves).of_all(count))
        first, rebuild = flatten(made[0])
        axes = _spread(self.out_dims, made[0])
        assert axes is not None
        columns = zip(*[flatten(part)[0] for part in made], strict=True)
        return rebuild(
            [
                part if axis is None else cat(list(column), axis)
                for part, axis, column in zip(first, axes, columns, strict=True)
            ]
        )

    def _output_axes(self, result: Any, parts: list[Any]) -> list[Any]:
        """Per result the axis that its slices are to have (never negative)."""
        axes = _spread(self.out_dims, result)
        if axes is None:
            raise ValueError(
                f"vmap({self.name}, ..., out_dims={self.out_dims})(<inputs>): out_dims is not "
                "compatible with the structure of `outputs`."
            )
        for place, (axis, part) in enumerate(zip(axes, parts, strict=True)):
            if axis is None:
                continue
            if not isinstance(part, Tensor):
                raise ValueError(
                    f"vmap({self.name}, ...): `{self.name}` must only return Tensors, got type "
                    f"{type(part)}. Did you mean to set out_dims= to None for output?"
                )
            axes[place] = wrap_axis(axis, part.dim() + 1)
        return axes

    def _one_by_one(self, size: int) -> Any:
        """The results where the slices go one after another."""
        if not size:
            raise NotImplementedError(
                f"vmap({self.name}): over an axis of size 0 only what can be computed for all "
                "slices at once is supported"
            )
        state = get_rng_state()

        def row(place: int) -> Any:
            if self.randomness == "same":
                set_rng_state(state)
            values = [
                leaf if axis is None else leaf.select(axis, place)
                for leaf, axis in zip(self.leaves, self.axes, strict=True)
            ]
            return self.func(*self.build(values), **self.kwargs)

        rows = [row(place) for place in range(size)]
        if self.randomness == "error" and not bool((get_rng_state() == state).all()):
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either use "
                "the 'same' or 'different' randomness flags on vmap or perform the randomness "
                "operation out of vmap"
            )
        parts, rebuild = flatten(rows[0])
        axes = self._output_axes(rows[0], parts)
        columns = zip(*[flatten(row)[0] for row in rows], strict=True)
        return rebuild(
            [
                column[0] if axis is None else stack(list(column), axis)
                for axis, column in zip(axes, columns, strict=True)
            ]
        )
