"""Nested containers as trees: torch.utils._pytree, which programs use for their own transforms."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

__all__ = [
    "LeafSpec",
    "TreeSpec",
    "register_pytree_node",
    "tree_all",
    "tree_any",
    "tree_flatten",
    "tree_iter",
    "tree_leaves",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_structure",
    "tree_unflatten",
]


class _Kind(NamedTuple):
    """How containers of a type are taken apart, (children, context), and put together again."""

    flatten: Callable[[Any], tuple[list[Any], Any]]
    unflatten: Callable[[Any, Any], Any]


def _of_dictionary(given: Any) -> tuple[list[Any], Any]:
    return list(given.values()), list(given)


_KINDS: dict[Any, _Kind] = {
    list: _Kind(lambda x: (list(x), None), lambda parts, _: list(parts)),
    tuple: _Kind(lambda x: (list(x), None), lambda parts, _: tuple(parts)),
    dict: _Kind(_of_dictionary, lambda parts, keys: dict(zip(keys, parts))),
    OrderedDict: _Kind(_of_dictionary, lambda parts, keys: OrderedDict(zip(keys, parts))),
    defaultdict: _Kind(
        lambda x: (list(x.values()), [x.default_factory, list(x)]),
        lambda parts, context: defaultdict(context[0], zip(context[1], parts)),
    ),
    deque: _Kind(lambda x: (list(x), x.maxlen), lambda parts, maxlen: deque(parts, maxlen=maxlen)),
}
_NAMED = _Kind(lambda x: (list(x), type(x)), lambda parts, kind: kind(*parts))


def register_pytree_node(
    cls: type, flatten_fn: Callable[[Any], Any], unflatten_fn: Callable[[Any, Any], Any],
    **_: Any,
) -> None:  # fmt: skip
    """Makes instances of a class containers. ValueError where they are already."""
    if cls in _KINDS:
        raise ValueError(f"{cls} is already registered as pytree node.")

    def flatten(given: Any) -> tuple[list[Any], Any]:
        children, context = flatten_fn(given)
        return list(children), context

    _KINDS[cls] = _Kind(flatten, unflatten_fn)


def _kind_of(tree: Any) -> tuple[Any, _Kind] | None:
    kind = type(tree)
    if kind in _KINDS:
        return kind, _KINDS[kind]
    if isinstance(tree, tuple) and hasattr(kind, "_fields"):
        return "namedtuple", _NAMED
    return None


class TreeSpec:
    """The shape of a tree: a container's type and context, and the shapes of its children."""

    def __init__(self, type: Any, context: Any, children_specs: list[TreeSpec]) -> None:
        self.type, self.context, self.children_specs = type, context, children_specs
        self.num_leaves: int = sum(child.num_leaves for child in children_specs) if type else 1
        self.num_nodes: int = 1 + sum(child.num_nodes for child in children_specs)
        self.num_children = len(children_specs)

    def is_leaf(self) -> bool:
        """Whether it is no container."""
        return self.type is None

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree with these leaves. ValueError for another number of them."""
        given = list(leaves)
        if len(given) != self.num_leaves:
            raise ValueError(
                f"treespec.unflatten(leaves): `leaves` has length {len(given)} but the spec refers "
                f"to a pytree that holds {self.num_leaves} items ({self})."
            )
        return self._built(iter(given))

    def _built(self, leaves: Any) -> Any:
        if self.type is None:
            return next(leaves)
        kind = _NAMED if self.type == "namedtuple" else _KINDS[self.type]
        return kind.unflatten([child._built(leaves) for child in self.children_specs], self.context)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TreeSpec) and (
            (self.type, self.context, self.children_specs)
            == (other.type, other.context, other.children_specs)
        )

    def __hash__(self) -> int:
        return hash((str(self.type), self.num_leaves))

    def __repr__(self) -> str:
        if self.type is None:
            return "*"
        name = getattr(self.type, "__name__", self.type)
        return f"TreeSpec({name}, {self.context}, {self.children_specs})"


class LeafSpec(TreeSpec):
    """The shape of a leaf."""

    def __init__(self) -> None:
        super().__init__(None, None, [])


def tree_flatten(
    tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[Any], TreeSpec]:
    """The leaves of a tree in order, and its shape."""
    leaves: list[Any] = []
    return leaves, _taken(tree, leaves, is_leaf)


def _taken(tree: Any, leaves: list[Any], is_leaf: Any) -> TreeSpec:
    found = None if is_leaf is not None and is_leaf(tree) else _kind_of(tree)
    if found is None:
        leaves.append(tree)
        return LeafSpec()
    kind, how = found
    children, context = how.flatten(tree)
    return TreeSpec(kind, context, [_taken(child, leaves, is_leaf) for child in children])


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree of a shape with these leaves. TypeError for what is no shape."""
    if not isinstance(treespec, TreeSpec):
        raise TypeError(
            "tree_unflatten(leaves, treespec): Expected `treespec` to be instance of PyTreeSpec "
            f"but got item of type {type(treespec)}."
        )
    return treespec.unflatten(leaves)


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves of a tree."""
    return tree_flatten(tree, is_leaf)[0]


def tree_iter(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Iterable[Any]:
    """The leaves of a tree, one by one."""
    return iter(tree_leaves(tree, is_leaf))


def tree_structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """The shape of a tree."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(
    func: Callable[..., Any], tree: Any, *rests: Any,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:  # fmt: skip
    """The tree with func of each leaf (and of those at the same place of the other trees)."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [_at_places(spec, rest) for rest in rests]
    return spec.unflatten([func(*parts) for parts in zip(leaves, *others)])


def _at_places(spec: TreeSpec, tree: Any) -> list[Any]:
    """What stands in another tree where this shape has leaves."""
    if spec.type is None:
        return [tree]
    found = _kind_of(tree)
    if found is None or found[0] != spec.type:
        raise ValueError(f"Node type mismatch; expected {spec.type}, but got {type(tree)}.")
    children, _ = found[1].flatten(tree)
    if len(children) != spec.num_children:
        raise ValueError(
            f"Node arity mismatch; expected {spec.num_children}, but got {len(children)}."
        )
    return [x for s, c in zip(spec.children_specs, children) for x in _at_places(s, c)]


def tree_map_(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Any = None) -> Any:
    """Calls func as tree_map does; gives the tree itself."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def tree_map_only(kinds: Any, func: Callable[[Any], Any], tree: Any, is_leaf: Any = None) -> Any:
    """The tree with func of each leaf of a type (or for which a function is true)."""
    chosen = kinds if callable(kinds) and not isinstance(kinds, type) else None

    def apply(leaf: Any) -> Any:
        taken = chosen(leaf) if chosen is not None else isinstance(leaf, kinds)
        return func(leaf) if taken else leaf

    return tree_map(apply, tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: Any = None) -> bool:
    """Whether pred holds for all leaves."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: Any = None) -> bool:
    """Whether pred holds for a leaf."""
    return any(map(pred, tree_leaves(tree, is_leaf)))
