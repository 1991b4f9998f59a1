"""Backward passes as the user calls them: `backward` and `grad`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from flambeau.autograd.forgotten import watch_sums
from flambeau.autograd.hooks import (
    RETAINING,
    HookCut,
    add_gradient,
    keep_gradients,
    register_hook,
    register_post_accumulate_grad_hook,
    replace_gradient,
    retain_grad,
    retaining,
    run_hooks,
)
from flambeau.autograd.stepwise import commit_pass, goes_through_pieces, many_frames, through_frames
from flambeau.record import recorder
from flambeau.record.backward import ACCUMULATE, BACKWARD
from flambeau.record.chain import (
    ALONE,
    Chain,
    Cut,
    Done,
    Frame,
    NeedChain,
    describe_chain,
    free_used,
)
from flambeau.record.entering import NATIVE
from flambeau.record.recording import THREADS
from flambeau.tensor.tensor import Tensor

# With what `Tensor` finds here of the hooks.
__all__ = [
    "GradientEdge",
    "backward",
    "grad",
    "register_hook",
    "register_post_accumulate_grad_hook",
    "retain_grad",
]


class GradientEdge(NamedTuple):
    """Where the gradient of a tensor arrives: its backward function, and which output of it."""

    node: Any
    output_nr: int
    ownership_token: Any = None  # the tensor, where `get_gradient_edge` has made the edge

    def tensor(self) -> Any:
        """The tensor at the edge. RuntimeError where it does not exist any more."""
        found = self.ownership_token
        if found is None:
            reference = self.node._hooked
            found = getattr(self.node, "variable", None) if reference is None else reference()
        if found is None:
            raise RuntimeError("the tensor of this gradient edge does not exist any more")
        return found


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Adds to `.grad` of the leaves (or of `inputs`) the gradients of the sum of `tensors`."""
    if recorder.LOCAL.levels:
        raise RuntimeError(
            "backward() called inside a functorch transform. This is not supported, please use "
            "functorch.grad or functorch.vjp instead or call backward() outside of functorch "
            "transforms."
        )
    if grad_variables is not None:  # the name before PyTorch 0.4
        if grad_tensors is not None:
            raise RuntimeError(
                "'grad_tensors' and 'grad_variables' (deprecated) arguments both passed to "
                "backward(). Please only use 'grad_tensors'."
            )
        grad_tensors = grad_variables
    roots = _tensors(tensors)
    given = _cotangents(grad_tensors, len(roots))
    if retain_graph is None:
        retain_graph = create_graph
    if inputs is not None:
        chosen = _tensors(inputs)
        if not chosen:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        _check_inputs(chosen)
        chosen = tuple({id(one): one for one in chosen}.values())  # each gets its gradient once
        found = run(roots, given, retain_graph, create_graph, chosen, hooked=False)
        accumulate(
            [(t, g) for t, g in zip(chosen, found, strict=True) if g is not None], create_graph
        )
        return
    run(roots, given, retain_graph, create_graph, None)


def _check_inputs(inputs: tuple[Any, ...]) -> None:
    for one in inputs:
        if not isinstance(one, Tensor):
            raise RuntimeError(
                f"all inputs have to be Tensors or GradientEdges, but got {type(one).__name__}"
            )


def _check_roots(roots: tuple[Any, ...], cotangents: tuple[Any, ...]) -> None:
    """What cannot be differentiated, or with: looked at once a pass has failed."""
    for root in roots:
        if not isinstance(root, Tensor):
            raise AssertionError("Expected output to be a torch.Tensor")
    for cotangent in cotangents:
        if cotangent is not None and not isinstance(cotangent, Tensor):
            raise TypeError(
                f"gradients can be either Tensors or None, but got {type(cotangent).__name__}"
            )


def _tensors(given: Any) -> tuple[Any, ...]:
    """One or several tensors or gradient edges, as tensors."""
    if isinstance(given, Tensor):
        return (given,)
    if isinstance(given, GradientEdge):
        return (given.tensor(),)
    return tuple(t.tensor() if isinstance(t, GradientEdge) else t for t in given)


PLAIN = (None,), (False, False), None, (), None


def known_pass(root: Any) -> bool:
    """`root.backward()` in the common case at least cost: a pass recorded before, first gradients,
    no Python code.

    Whether that is what it was; if not, nothing has happened.
    """
    rec = recorder.LOCAL.rec
    if root._rec is not rec or RETAINING or DETECTION.mode is not None:
        return False
    state = rec.state.next.get((BACKWARD, (root._num,), *PLAIN))
    if state is None or type(state.extra) is not Done:
        return False
    targets = state.extra.targets
    if targets is None or state.effects:
        return False
    if (
        NATIVE.first_gradients is not None
        and not THREADS.several
        and NATIVE.first_gradients(rec, state, targets)
    ):
        return True
    handles = rec.handles
    if rec.taken:  # by another thread
        return False
    leaves = [handles[number] for number in targets]
    for leaf in leaves:
        if leaf._grad is not None or leaf._hooks or not leaf._meta.requires_grad:
            return False
    if len(set(leaves)) != len(leaves):
        return False
    made = []
    number = state.number
    for meta in state.metas:
        gradient = new(Tensor)
        gradient._meta = meta
        gradient._rec = rec
        gradient._num = number
        number += 1
        made.append(gradient)
    try:
        rec.state = state
        rec.handles += made
    except recorder.Flushed:
        return False
    if THREADS.several:
        accumulate(list(zip(leaves, made)), False)
        return True
    for leaf, gradient in zip(leaves, made):
        leaf._grad = gradient
    return True


new = object.__new__


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of the sum of `outputs` with respect to `inputs`, as new tensors."""
    if not only_inputs:
        raise NotImplementedError("autograd.grad: only_inputs=False was removed; use backward()")
    if is_grads_batched:
        flags = create_graph, only_inputs, allow_unused
        return _grad_rows(outputs, inputs, grad_outputs, retain_graph, flags, materialize_grads)
    roots, wanted = _tensors(outputs), _tensors(inputs)
    if not wanted:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    _check_inputs(wanted)
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    if allow_unused is None:
        allow_unused = materialize_grads
    if retain_graph is None:
        retain_graph = create_graph
    found = run(roots, _cotangents(grad_outputs, len(roots)), retain_graph, create_graph, wanted)
    if materialize_grads:
        from flambeau.functional.creation import zeros_like

        found = [zeros_like(t) if g is None else g for t, g in zip(wanted, found, strict=True)]
    elif not allow_unused and any(g is None for g in found):
        place = next(i for i, g in enumerate(found) if g is None)
        raise RuntimeError(
            f"The differentiated Tensor at index {place} appears to not have been used in the "
            "graph. Set allow_unused=True if this is the desired behavior."
        )
    return tuple(found)


def _grad_rows(
    outputs: Any, inputs: Any, batched: Any, retain_graph: Any, flags: Any, materialize: bool
) -> tuple[Any, ...]:
    """`grad` for all rows of the cotangents at once."""
    from flambeau.autograd.mapping import over_rows  # of a later file: it needs tensors

    roots = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    given = _cotangents(batched, len(roots))
    for place, (root, ct) in enumerate(zip(roots, given, strict=True)):
        if ct is None or tuple(ct.shape[1:]) != tuple(root.shape):
            shape = None if ct is None else ct.shape[1:]
            raise RuntimeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output "
                "as the batch dimension. The sizes of the remaining dimensions are expected to "
                "match the shape of corresponding output, but a mismatch was detected: "
                f"grad_output[{place}] has a shape of {shape} and output[{place}] has a shape of "
                f"{root.shape}."
            )
    create_graph, only_inputs, allow_unused = flags
    keep = create_graph if retain_graph is None else retain_graph

    def one(row: list[Any], more: bool) -> tuple[Any, ...]:
        return grad(
            roots, inputs, row, keep or more, create_graph, only_inputs, allow_unused,
            materialize_grads=materialize,
        )  # fmt: skip

    return tuple(over_rows(one, given))


def _cotangents(given: Any, count: int) -> tuple[Any, ...]:
    if given is None:
        return (None,) * count
    result = (given,) if isinstance(given, Tensor) else tuple(given)
    if len(result) != count:
        raise RuntimeError(f"got {count} tensors and {len(result)} gradients")
    return result


def run(
    roots: tuple[Any, ...],
    cotangents: tuple[Any, ...],
    retain_graph: bool,
    create_graph: bool,
    inputs: tuple[Any, ...] | None,
    *,
    hooked: bool = True,
) -> list[Any]:
    """One backward pass; returns the inputs' gradients, or accumulates into the leaves without
    inputs.
    """
    outer, LOCAL.at_end = LOCAL.at_end, []
    try:
        try:
            found = _run(roots, cotangents, retain_graph, create_graph, inputs, hooked)
        except (TypeError, AttributeError):
            _check_roots(roots, cotangents)
            raise
        except RuntimeError as error:
            if DETECTION.mode is not None:
                raise DETECTION.mode.explain(error) from None
            raise
        for function in LOCAL.at_end:
            in_mode(create_graph, function)
    finally:
        LOCAL.at_end = outer
    return found


class Detection:
    """Anomaly detection, while it is on (see anomaly_mode)."""

    mode: Any = None


DETECTION = Detection()


class _Local(threading.local):
    """Per thread: what is to be called when the backward pass under way is complete."""

    at_end: Any = None


LOCAL = _Local()


def at_end_of_pass(function: Any) -> None:
    """Calls function() when the backward pass under way is complete."""
    if LOCAL.at_end is None:
        function()
    else:
        LOCAL.at_end.append(function)


def _run(
    roots: tuple[Any, ...],
    cotangents: tuple[Any, ...],
    retain_graph: bool,
    create_graph: bool,
    inputs: tuple[Any, ...] | None,
    hooked: bool,
) -> list[Any]:
    replaced: list[tuple[Any, tuple[Any, ...]]] = []
    chain: Chain | None = None
    frames: list[Frame] = []
    chain_rec: Any = None
    numbers: dict[Any, Any] = {}
    kept = retaining(roots) if RETAINING else ()
    while True:
        if chain is not None and recorder.LOCAL.rec is not chain_rec:
            chain, frames = None, []  # a flush in between: what was left is history now
        detection = DETECTION.mode
        flags: tuple[bool, ...] = create_graph, retain_graph
        if detection is not None and detection.check_nan:
            flags = (*flags, True)
        # Whether each of many earlier programs may be passed by itself.
        plain = not (create_graph or kept or inputs is not None or detection)
        rec, state, handles, held = _record(
            roots, cotangents, flags, inputs, kept, replaced, chain, frames, numbers, plain
        )
        if handles is None:
            chain, frames = None, []
            continue
        extra = state.extra
        if isinstance(extra, NeedChain):
            ends = (*(inputs or ()), *kept) if inputs is not None or kept else None
            chain, frames = describe_chain(rec, extra, ends)
            chain_rec = rec
            continue
        if isinstance(extra, Cut):
            position, number = extra.place
            del held
            code = (rec.cuts if position < 0 else frames[position].cuts)[number]
            replaced.append((code, _run_code(create_graph, code, handles[0], extra)))
            continue
        leaves = _leaves_of(held, extra, frames)
        del held
        if extra.checks:
            detection.check(handles.pop(), extra.checks, state, frames)
        if extra.histories:
            count = len(extra.leaves)
            origins = [rec.frames[number] for number in extra.histories]
            arrived = [(*end, ct) for end, ct in zip(origins, handles[count:], strict=True)]
            del handles[count:], origins
            pairs = list(zip(leaves, handles, strict=True))
            del handles
            before = through_frames(arrived, retain_graph, replaced, partial(_run_code, False))
            accumulate(_together([*pairs, *before]), False)
            _release(replaced, retain_graph)
            return []
        _release(replaced, retain_graph)
        count = len(handles) - sum(extra.kept)
        found = _deliver(leaves, extra, handles[:count], inputs, create_graph, hooked)
        if kept:
            in_mode(create_graph, partial(keep_gradients, kept, extra.kept, handles[count:]))
        return found


def _run_code(create_graph: bool, code: Any, cotangent: Any, cut: Cut) -> tuple[Any, ...]:
    """What Python code gives where a pass has arrived at it."""
    found: tuple[Any, ...] = in_mode(create_graph, lambda: code.run(cotangent, cut))
    return found


def _release(replaced: list[tuple[Any, Any]], retain_graph: bool) -> None:
    """Code that was run needs nothing any more, where the graph is not kept."""
    if not retain_graph:
        for code, _ in replaced:
            code.release()


def _one_by_one(rec: Any, key: tuple[Any, ...]) -> bool:
    """Whether a pass goes through each program before this one by itself."""
    if many_frames(rec) or goes_through_pieces(rec):
        return True
    return recorder.ever_new() and key not in rec.state.next and many_frames(rec, 1)


def _record(
    roots: Any,
    cotangents: Any,
    flags: Any,
    inputs: Any,
    kept: Any,
    replaced: Any,
    chain: Any,
    frames: list[Frame],
    numbers: dict[Any, Any],
    plain: bool = False,
) -> Any:
    """Records the event; returns its new handles, None where a flush in between has moved places,
    and all handles up to there (the recording has them no more once another thread has run it).

    `numbers` keeps those of the tensors per recording: entering again could mean another copy.
    """
    while True:
        rec = recorder.LOCAL.rec
        scalars: list[Any] = []
        try:
            if rec not in numbers:
                numbers[rec] = [recorder.operand_key(rec, p, scalars) for p in (roots, cotangents)]
                numbers[rec].append(None if inputs is None else _places(rec, inputs, scalars))
                more = (_places(rec, kept, scalars),) if kept else ()
                numbers[rec].append((*flags, *more))
            *parts, wanted, modes = numbers[rec]
            places = []
            for code, given in replaced:
                place = _place_of(code, rec, frames)
                if place is not None:
                    places.append((place, recorder.operand_key(rec, given, scalars)))
            key = (BACKWARD, *parts, modes, wanted, tuple(places), chain)
            if chain is None and plain and _one_by_one(rec, key):
                key = (*key[:-1], ALONE)
            state = rec.state.next.get(key) or recorder.miss(rec, key)
        except recorder.Flushed:
            numbers.pop(rec, None)
            if chain is not None:
                return rec, None, None, None
            continue
        held = rec.handles
        try:
            made = commit_pass(rec, state, frames)
        except recorder.Flushed:
            numbers.pop(rec, None)
            if chain is not None:
                return rec, None, None, None
            continue
        free_used(state.extra, frames)
        return rec, state, made, held


def _places(rec: Any, tensors: Any, scalars: list[Any]) -> tuple[int, ...]:
    """The numbers of tensors whose gradients are wanted: where memory that NumPy sees has entered
    as copies, that of the first, from which the others have their history.
    """
    found = []
    for tensor in tensors:
        known, number = tensor.__dict__.get("_entered", (None, 0))
        copied = known is rec and tensor._meta.requires_grad and not tensor._meta.is_leaf
        found.append(number if copied else recorder.operand_key(rec, tensor, scalars))
    return tuple(found)


def _place_of(code: Any, rec: Any, frames: list[Frame]) -> tuple[int, int] | None:
    """Where Python code stands: in this recording (-1, n), or in a frame of the chain."""
    for position, cuts in enumerate([rec.cuts, *(frame.cuts for frame in frames)]):
        for number, other in enumerate(cuts):
            if other is code:
                return position - 1, number
    # A root marks its hooks anew in each recording that it enters, and running them may flush one.
    for number, other in enumerate(rec.cuts):
        if isinstance(code, HookCut) and isinstance(other, HookCut) and other.hooks is code.hooks:
            return -1, number
    return None


def _leaves_of(held: list[Any], done: Done, frames: list[Frame]) -> list[Any]:
    """The leaves that a pass has reached."""
    return [
        held[done.leaf_numbers[number]] if position < 0 else frames[position].leaves[number]
        for position, number in done.leaves
    ]


def _deliver(
    leaves: list[Any],
    done: Done,
    handles: list[Any],
    inputs: Any,
    create_graph: bool,
    hooked: bool,
) -> list[Any]:
    if inputs is not None:
        fresh = iter(handles)
        found = [None if unused else next(fresh) for unused in done.unused]
        for place, leaf in enumerate(inputs if hooked else ()):
            if found[place] is not None and leaf.is_leaf and leaf._hooks:
                hooks, given = leaf._hooks, found[place]
                found[place] = in_mode(create_graph, lambda h=hooks, g=given: run_hooks(h, g))
        return found
    accumulate(_together(zip(leaves, handles, strict=True), create_graph), create_graph)
    return []


def _together(found: Iterable[tuple[Any, Any]], create_graph: bool = False) -> list[Any]:
    """Leaves and gradients: one for each, before hooks see it."""
    pairs: dict[int, tuple[Any, Any]] = {}
    for leaf, handle in found:
        if id(leaf) in pairs:  # reached in several programs
            first = pairs[id(leaf)][1]
            handle = in_mode(create_graph, lambda x=first, y=handle: x + y)
        pairs[id(leaf)] = leaf, handle
    reached = list(pairs.values())
    if any(leaf._hooks for leaf, _ in reached):
        reached.reverse()  # gradients reach the last layer first
    return reached


def reaches_outside(roots: list[Tensor], own: list[Tensor], number: int = sys.maxsize) -> bool:
    """Whether the roots depend on leaves other than those given, the variables of transform
    `number`, and those of later ones, which ran inside of it.
    """
    inside = {id(t) for t in own}

    def is_outside(leaf: Any) -> bool:
        return id(leaf) not in inside and leaf.__dict__.get("_transform", -1) < number

    for root in roots:
        if not root.requires_grad:
            continue
        from flambeau.functional.creation import ones_like

        seed = (ones_like(root.detach()),)
        _, state, _, held = _record((root,), seed, (False, True), None, (), [], None, [], {})
        done = state.extra
        if isinstance(done, Done) and done.targets is not None:
            if any(is_outside(held[place]) for place in done.targets):
                return True
        elif any(is_outside(leaf) for leaf in _leaves_behind(root)):
            return True
    return False


def _leaves_behind(root: Tensor) -> Iterator[Any]:
    """The leaves that a tensor depends on, through earlier programs and Python code, too."""
    from flambeau.autograd.node import AccumulateGrad

    waiting: list[Any] = [root.grad_fn]
    seen: set[Any] = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, AccumulateGrad):
            yield node.variable
        waiting += [following for following, _ in node.next_functions]


def in_mode(grad_mode: bool, function: Any) -> Any:
    """Calls a function with grad mode on or off."""
    before = recorder.LOCAL.grad_mode
    recorder.set_grad_mode(grad_mode)
    try:
        return function()
    finally:
        recorder.set_grad_mode(before)


def accumulate(pairs: Sequence[tuple[Any, Any]], create_graph: bool) -> None:
    """Gives gradients to leaves: a first one as it is, a further one added."""
    have: list[Any] = []
    new: list[Any] = []
    for leaf, gradient in pairs:
        if leaf._meta.is_leaf and not leaf._meta.requires_grad:
            continue  # switched off since
        if leaf._hooks:
            gradient = in_mode(
                create_graph, lambda leaf=leaf, g=gradient: run_hooks(leaf._hooks, g)
            )
        if create_graph:
            add_gradient(leaf, gradient)
        else:
            before = replace_gradient(leaf, None, gradient)
            if before is not None:
                have.append(before)
                new.append(gradient)
        after = leaf.__dict__.get("_post_accumulate_hooks") if leaf._hooks else None
        if after:
            if have:
                recorder.group_update(ACCUMULATE, have, (new,))
                have, new = [], []
            for hook in list(after.values()):
                hook(leaf)
    if have:
        recorder.group_update(ACCUMULATE, have, (new,))
        watch_sums(pairs[0][0])
