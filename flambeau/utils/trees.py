"""torch.utils._pytree: nested containers as a list of leaves and a description of the rest.

Lists, tuples, named tuples, dictionaries (also ordered and default ones) and deques are nodes, and
what `register_pytree_node` adds; everything else is a leaf.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

PyTree = Any
Context = Any
FlattenFunc = Callable[[Any], tuple[list[Any], Context]]
UnflattenFunc = Callable[[Iterable[Any], Context], Any]

__all__ = [
    "Context", "FlattenFunc", "LeafSpec", "PyTree", "SUPPORTED_NODES", "TreeSpec",
    "UnflattenFunc", "register_pytree_node", "tree_all", "tree_all_only", "tree_any",
    "tree_any_only", "tree_flatten", "tree_iter", "tree_leaves", "tree_map", "tree_map_",
    "tree_map_only", "tree_map_only_", "tree_structure", "tree_unflatten",
]  # fmt: skip


class NodeDef(NamedTuple):
    """How a kind of container is taken apart and put together."""

    type: type
    flatten_fn: FlattenFunc
    unflatten_fn: UnflattenFunc


SUPPORTED_NODES: dict[Any, NodeDef] = {}


def register_pytree_node(
    cls: type,
    flatten_fn: FlattenFunc,
    unflatten_fn: UnflattenFunc,
    *,
    serialized_type_name: str | None = None,
    to_dumpable_context: Callable[[Context], Any] | None = None,
    from_dumpable_context: Callable[[Any], Context] | None = None,
    flatten_with_keys_fn: Callable[[Any], Any] | None = None,
) -> None:
    """Makes containers of this very class nodes. ValueError where they are already.

    The arguments for writing trees to files and for paths of leaves are accepted: nothing here
    writes trees or asks for paths.
    """
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    SUPPORTED_NODES[cls] = NodeDef(cls, flatten_fn, unflatten_fn)


def _register_pytree_node(
    cls: type, flatten_fn: FlattenFunc, unflatten_fn: UnflattenFunc, **options: Any
) -> None:
    """The older name: a class that is registered already is left as it was."""
    if cls not in SUPPORTED_NODES:
        register_pytree_node(cls, flatten_fn, unflatten_fn, **options)


_private_register_pytree_node = _register_pytree_node


def _named(values: Iterable[Any], kind: Context) -> Any:
    return kind(*values)


register_pytree_node(list, lambda x: (x, None), lambda values, _: [*values])
register_pytree_node(tuple, lambda x: ([*x], None), lambda values, _: tuple(values))
# What all named tuples are registered as, whatever their class: see _get_node_type.
SUPPORTED_NODES[NamedTuple] = NodeDef(tuple, lambda x: ([*x], type(x)), _named)
register_pytree_node(
    dict, lambda x: ([*x.values()], [*x]), lambda values, keys: dict(zip(keys, values))
)
register_pytree_node(
    OrderedDict,
    lambda x: ([*x.values()], [*x]),
    lambda values, keys: OrderedDict(zip(keys, values)),
)
register_pytree_node(
    defaultdict,
    lambda x: ([*x.values()], [x.default_factory, [*x]]),
    lambda values, context: defaultdict(context[0], zip(context[1], values)),
)
register_pytree_node(
    deque, lambda x: ([*x], x.maxlen), lambda values, maxlen: deque(values, maxlen)
)


def _flatten_with_names(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """For `flatten_with_keys_fn`: the parts of a container, each with its place in it."""

    def flatten(tree: Any) -> tuple[list[tuple[Any, Any]], Context]:
        node = _node(tree)
        children, context = node.flatten_fn(tree) if node is not None else ([tree], None)
        return [*zip(make(tree), children)], context

    return flatten


_dict_flatten_with_keys = _flatten_with_names(list)
_list_flatten_with_keys = _tuple_flatten_with_keys = _flatten_with_names(lambda x: range(len(x)))


def _dict_flatten(tree: dict[Any, Any]) -> tuple[list[Any], Context]:
    return SUPPORTED_NODES[dict].flatten_fn(tree)


def _dict_unflatten(values: Iterable[Any], context: Context) -> dict[Any, Any]:
    made: dict[Any, Any] = SUPPORTED_NODES[dict].unflatten_fn(values, context)
    return made


class TreeSpec:
    """What is left of a tree without its leaves."""

    __slots__ = ("_children", "context", "num_leaves", "type")

    def __init__(self, type: Any, context: Context, children_specs: list[TreeSpec]) -> None:
        self.type, self.context, self._children = type, context, children_specs
        self.num_leaves: int = sum(child.num_leaves for child in children_specs)

    @property
    def children_specs(self) -> list[TreeSpec]:
        return self._children

    @property
    def num_children(self) -> int:
        return len(self._children)

    @property
    def num_nodes(self) -> int:
        """Nodes and leaves, this one included."""
        return 1 + sum(child.num_nodes for child in self._children)

    def children(self) -> list[TreeSpec]:
        """The descriptions one floor down."""
        return self._children

    def is_leaf(self) -> bool:
        return False

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree with these leaves. ValueError unless there are `num_leaves` of them."""
        listed = list(leaves)
        if len(listed) != self.num_leaves:
            raise ValueError(
                f"treespec.unflatten(leaves): `leaves` has length {len(listed)} but the spec "
                f"refers to a pytree that holds {self.num_leaves} items ({self})."
            )
        return self._filled(iter(listed))

    def _filled(self, leaves: Iterator[Any]) -> Any:
        children = [child._filled(leaves) for child in self._children]
        return SUPPORTED_NODES[self.type].unflatten_fn(children, self.context)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TreeSpec)
            and (self.type, self.context) == (other.type, other.context)
            and self._children == other._children
        )

    def __hash__(self) -> int:
        return hash((self.type, tuple(self._children)))

    def __repr__(self) -> str:
        name = "namedtuple" if self.type is NamedTuple else self.type.__name__
        inner = ",\n  ".join(repr(child).replace("\n", "\n  ") for child in self._children)
        return f"TreeSpec({name}, {self.context}, [{inner}])"


class LeafSpec(TreeSpec):
    """The place of a leaf."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(None, None, [])
        self.num_leaves = 1

    def is_leaf(self) -> bool:
        return True

    def _filled(self, leaves: Iterator[Any]) -> Any:
        return next(leaves)

    def __repr__(self) -> str:
        return "*"


_LEAF = LeafSpec()
Stop: TypeAlias = "Callable[[Any], bool] | None"  # where what would be a node is a leaf


def _is_namedtuple_instance(tree: Any) -> bool:
    kind = type(tree)
    return issubclass(kind, tuple) and isinstance(getattr(kind, "_fields", None), tuple)


def _get_node_type(tree: Any) -> Any:
    """The key of SUPPORTED_NODES for this container; its class where it is a leaf."""
    return NamedTuple if _is_namedtuple_instance(tree) else type(tree)


def _is_leaf(tree: Any, is_leaf: Stop = None) -> bool:
    return (is_leaf is not None and is_leaf(tree)) or _node(tree) is None


def _node(tree: Any) -> NodeDef | None:
    own = SUPPORTED_NODES.get(type(tree))
    return own if own is not None else SUPPORTED_NODES.get(_get_node_type(tree))


def _kind(tree: Any) -> Any:
    return type(tree) if type(tree) in SUPPORTED_NODES else _get_node_type(tree)


def tree_iter(tree: PyTree, is_leaf: Stop = None) -> Iterator[Any]:
    """The leaves, one after the other."""
    node = None if is_leaf is not None and is_leaf(tree) else _node(tree)
    if node is None:
        yield tree
        return
    for child in node.flatten_fn(tree)[0]:
        yield from tree_iter(child, is_leaf)


def tree_leaves(tree: PyTree, is_leaf: Stop = None) -> list[Any]:
    """The leaves."""
    return list(tree_iter(tree, is_leaf))


def tree_structure(tree: PyTree, is_leaf: Stop = None) -> TreeSpec:
    """The tree without its leaves."""
    node = None if is_leaf is not None and is_leaf(tree) else _node(tree)
    if node is None:
        return _LEAF
    children, context = node.flatten_fn(tree)
    return TreeSpec(_kind(tree), context, [tree_structure(child, is_leaf) for child in children])


def tree_flatten(tree: PyTree, is_leaf: Stop = None) -> tuple[list[Any], TreeSpec]:
    """The leaves, and the tree without them."""
    return tree_leaves(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> PyTree:
    """The tree with these leaves. TypeError unless the second argument is a TreeSpec."""
    if not isinstance(treespec, TreeSpec):
        raise TypeError(
            f"tree_unflatten(leaves, treespec): Expected `treespec` to be instance of TreeSpec "
            f"but got item of type {type(treespec)}."
        )
    return treespec.unflatten(leaves)


def _beside(spec: TreeSpec, tree: Any) -> list[Any]:
    """The parts of another tree at the leaves of this one. ValueError where they do not match."""
    if spec.is_leaf():
        return [tree]
    node = _node(tree)
    if node is None or _kind(tree) != spec.type:
        raise ValueError(f"Node type mismatch; expected {spec.type!r}, but got {type(tree)!r}.")
    children, context = node.flatten_fn(tree)
    if len(children) != spec.num_children:
        raise ValueError(
            f"Node arity mismatch; expected {spec.num_children}, but got {len(children)}."
        )
    if spec.type in (dict, OrderedDict):
        missing, extra = {*spec.context} - {*context}, {*context} - {*spec.context}
        if missing or extra:
            said = [f"missing key(s): {missing}"] * bool(missing)
            said += [f"extra key(s): {extra}"] * bool(extra)
            raise ValueError(f"Node keys mismatch; {'; '.join(said)}.")
        children = [tree[key] for key in spec.context]
    elif context != spec.context:
        raise ValueError(f"Node context mismatch for custom node type {spec.type!r}.")
    return [leaf for one, child in zip(spec.children(), children) for leaf in _beside(one, child)]


def tree_map(func: Callable[..., Any], tree: PyTree, *rests: PyTree, is_leaf: Stop = None) -> Any:
    """The tree with each leaf replaced by func(leaf, its counterparts in the other trees)."""
    leaves, spec = tree_flatten(tree, is_leaf)
    return spec.unflatten(map(func, leaves, *[_beside(spec, rest) for rest in rests]))


def tree_map_(func: Callable[..., Any], tree: PyTree, *rests: PyTree, is_leaf: Stop = None) -> Any:
    """Calls func at each leaf, for its effect, and gives the tree itself."""
    leaves, spec = tree_flatten(tree, is_leaf)
    for arguments in zip(leaves, *[_beside(spec, rest) for rest in rests]):
        func(*arguments)
    return tree


def _only(kinds: Any) -> Callable[[Any], bool]:
    if isinstance(kinds, (type, tuple)) or not callable(kinds):
        return lambda leaf: isinstance(leaf, kinds)
    return kinds  # type: ignore[no-any-return]


def map_only(kinds: Any, /) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """A decorator: the function for leaves of these types, others stay as they are."""
    wanted = _only(kinds)
    return lambda func: lambda leaf: func(leaf) if wanted(leaf) else leaf


def tree_map_only(kinds: Any, /, func: Any, tree: PyTree, is_leaf: Stop = None) -> Any:
    """`tree_map` for the leaves of some types (a type, a tuple of them, or a condition)."""
    return tree_map(map_only(kinds)(func), tree, is_leaf=is_leaf)


def tree_map_only_(kinds: Any, /, func: Any, tree: PyTree, is_leaf: Stop = None) -> Any:
    """`tree_map_` for the leaves of some types."""
    return tree_map_(map_only(kinds)(func), tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: PyTree, is_leaf: Stop = None) -> bool:
    """Whether it holds for all leaves."""
    return all(map(pred, tree_iter(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: PyTree, is_leaf: Stop = None) -> bool:
    """Whether it holds for some leaf."""
    return any(map(pred, tree_iter(tree, is_leaf)))


def tree_all_only(kinds: Any, /, pred: Any, tree: PyTree, is_leaf: Stop = None) -> bool:
    """Whether it holds for all leaves of some types."""
    return all(pred(leaf) for leaf in filter(_only(kinds), tree_iter(tree, is_leaf)))


def tree_any_only(kinds: Any, /, pred: Any, tree: PyTree, is_leaf: Stop = None) -> bool:
    """Whether it holds for some leaf of some types."""
    return any(pred(leaf) for leaf in filter(_only(kinds), tree_iter(tree, is_leaf)))
