"""vmap: a function over the slices of its arguments, each recorded, the results stacked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.func.tree import flatten
from flambeau.functional.generators import get_rng_state
from flambeau.functional.joining import stack
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
        raise ValueError(f"{call}: in_dims maps over no input")
    return axes, sizes[0]


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function over the slices of its arguments along `in_dims`.

    The function runs once per slice, so `chunk_size` changes nothing. Draws are refused
    (`randomness="error"`) or differ between slices ("different").
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )
    if randomness == "same":
        raise NotImplementedError("vmap: randomness='same' is not supported yet")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")
    name = getattr(func, "__name__", repr(func))

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        axes, size = _input_axes(name, in_dims, args)
        if not size:
            raise NotImplementedError("vmap over an axis of size 0 is not supported yet")
        leaves, build = flatten(args)

        def row(place: int) -> Any:
            values = [
                leaf if axis is None else leaf.select(axis, place)
                for leaf, axis in zip(leaves, axes, strict=True)
            ]
            return func(*build(values), **kwargs)

        # Reading the generator's state runs what is recorded: once around all slices.
        rows = _undrawn(randomness, lambda: [row(place) for place in range(size)])
        return _stacked(name, out_dims, rows)

    return wrapped


def _undrawn(randomness: str, run: Callable[[], Any]) -> Any:
    """Runs the function; where draws are errors, one that drew is refused."""
    if randomness != "error":
        return run()
    before = get_rng_state()
    result = run()
    if not bool((get_rng_state() == before).all()):
        raise RuntimeError(
            "vmap: called random operation while in randomness error mode. Please either use the "
            "'same' or 'different' randomness flags on vmap or perform the randomness operation "
            "out of vmap"
        )
    return result


def _stacked(name: str, out_dims: Any, rows: list[Any]) -> Any:
    _, build = flatten(rows[0])
    columns = list(zip(*[flatten(row)[0] for row in rows], strict=True))
    axes = _spread(out_dims, rows[0])
    if axes is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with "
            "the structure of `outputs`."
        )
    made = []
    for axis, column in zip(axes, columns, strict=True):
        if not isinstance(column[0], Tensor):
            if axis is not None:
                raise ValueError(
                    f"vmap({name}, ...): `{name}` must only return Tensors, got type "
                    f"{type(column[0])}. Did you mean to set out_dims= to None for output?"
                )
            made.append(column[0])
        elif axis is None:
            made.append(column[0])
        else:
            made.append(stack(list(column), axis))
    return build(made)
