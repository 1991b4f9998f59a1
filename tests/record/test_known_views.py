"""Views of plain data and tensors over new memory as native calls: what Python makes of them."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.functional import from_data, views
from flambeau.record.entering import PLAIN
from flambeau.record.meta import meta_of, plain_meta
from flambeau.record.native_calls import PlainCalls, plain_calls
from flambeau.record.options import OPTIONS
from flambeau.record.recorder import LOCAL, view_alias, view_aliases
from flambeau.tensor.making import fresh, over

CALLS: Any = plain_calls()
pytestmark = pytest.mark.skipif(CALLS is None or OPTIONS.sync, reason="no native calls")
WAYS = [name.removeprefix("known_") for name in PlainCalls._fields]


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, call in zip(WAYS, CALLS, strict=True):
        monkeypatch.setattr(PLAIN, name, call)


def plain(*shape: int) -> Any:
    x = torch.arange(float(np.prod(shape, dtype=int))).reshape(shape).clone()
    x.tolist()
    return x


def alive(family: Any) -> list[Any]:
    return [member() for member in family.members if member() is not None]


def test_a_view() -> None:
    x = plain(3, 4)
    meta = meta_of(torch.float32, (2,), (4,))
    y = CALLS.known_view(x, meta, 5)
    assert type(y) is torch.Tensor
    assert y.tolist() == [5, 9]
    assert (y._rec, y._num, y._storage) == (None, -1, x._storage)
    assert y._family is x._family
    assert y._family.base() is x and y._family.changes == 0
    assert [id(t) for t in alive(y._family)] == [id(x), id(y)]
    z = view_alias(y, plain_meta(torch.float32, ()), 9)
    assert z._family is x._family and z.item() == 9
    same = CALLS.known_alias(x, x._meta, 0)
    assert same._family is None and same.tolist() == x.tolist()
    parts = view_aliases(x, (meta, meta), (0, 1))
    assert type(parts) is tuple
    assert [p.tolist() for p in parts] == [[0, 4], [1, 5]]
    with torch.no_grad():
        z.fill_(-1.0)
    assert x[2, 1].item() == -1 and y.tolist() == [5, -1]


def test_members_that_are_gone_are_forgotten() -> None:
    x, kept = plain(4), []
    for number in range(400):
        y = x[number % 4]
        if number % 40 == 0:
            kept.append(y)
    assert len(x._family.members) < 40
    held = [t for t in alive(x._family) if t is not x]
    assert {id(t) for t in kept} <= {id(t) for t in held}
    x += 1
    assert [t.item() for t in kept] == [1.0] * len(kept)


def test_what_is_left_to_python() -> None:
    x = plain(3, 4)
    meta = plain_meta(torch.float32, (4,))
    pending = torch.ones(3).exp()
    assert CALLS.known_view(pending, meta, 0) is None  # no data
    assert CALLS.known_alias(pending, meta, 0) is None
    pending.tolist()
    leaf = plain(3, 4).requires_grad_()
    assert CALLS.known_view(leaf, meta, 0) is None  # what autograd watches
    assert CALLS.known_view(x.numpy(), meta, 0) is None
    assert CALLS.known_views(x, [meta], [0]) is None
    assert CALLS.known_views(x, (meta,), ()) is None
    with pytest.raises(TypeError):
        CALLS.known_view(x)
    table = views.SHOWN[True]
    rec = LOCAL.rec
    assert CALLS.known_show(x, rec, views.SELECT_ONE, (0, 1), {}) is None  # not known
    assert CALLS.known_show(x, rec, views.SELECT_ONE, [], table) is None  # no hash
    first = x[1]
    found = CALLS.known_show(x, rec, views.SELECT_ONE, (0, 1), table)
    assert found.tolist() == first.tolist()
    part = x[1:]
    below = CALLS.known_show(part, rec, views.SELECT_ONE, (0, 1), table)
    if below is None:  # that layout is known once Python has made it
        part[1]
        below = CALLS.known_show(part, rec, views.SELECT_ONE, (0, 1), table)
    assert below.tolist() == x[2].tolist()
    y = x + 1
    assert CALLS.known_show(x, LOCAL.rec, views.SELECT_ONE, (0, 1), table) is None  # it waits
    assert x[1].tolist() == first.tolist()
    assert y[0, 0].item() == 1


def test_new_memory() -> None:
    meta = plain_meta(torch.float32, (3,))
    ones = int(np.ones(2, np.float32).view(np.int64)[0])
    x = fresh(meta, ones)
    storage = x._storage
    assert x.tolist() == [1, 1, 1]
    assert (storage.version, storage.silent, storage.exposed, storage.foreign) == (
        0,
        0,
        False,
        None,
    )
    assert (storage.recording, storage.readers, storage.base, storage.dtype) == (None, (), -1, None)
    assert (storage.offset, storage.nbytes, storage.buffer.nbytes) == (0, 12, 12)
    assert storage.buffer.address % 64 == 0
    array = x.numpy()
    assert storage.still_exposed()
    array[0] = 5
    assert x.tolist() == [5, 1, 1]
    del array
    assert not storage.still_exposed()
    x += 1
    assert x.sum().item() == 10
    own = np.arange(3, dtype=np.float32)
    y = over(meta, own, 12, exposed=True)
    assert y._storage.exposed and y._storage.foreign is own
    assert y.data_ptr() == own.ctypes.data
    assert PLAIN.over(meta, [1.0], 8, False) is None


def test_what_they_hold() -> None:
    """No object stays behind, and none is let go that somebody has."""
    x = plain(4, 4)
    meta, own = plain_meta(torch.float32, (4,)), np.zeros(4, np.float32)
    things = [x, x._storage, x._storage.buffer, meta, own, None, 0, -1, (), False, True]

    def all_ways() -> None:
        CALLS.known_alias(x, meta, 0)
        CALLS.known_view(x, meta, 4)
        CALLS.known_views(x, (meta, meta), (0, 4))
        x[1], x.t(), x.unbind()
        fresh(meta, 0), fresh(meta)
        over(meta, own, 16, exposed=True)
        over(meta, own, 16, exposed=False)
        CALLS.known_alias(None, meta, 0)

    for _ in range(50):
        all_ways()
    gc.collect()
    counts = [sys.getrefcount(thing) for thing in things]
    objects = len(gc.get_objects())
    for _ in range(2000):
        all_ways()
    gc.collect()
    after = [sys.getrefcount(thing) for thing in things]
    assert max(abs(b - a) for a, b in zip(counts, after, strict=True)) < 60
    assert len(gc.get_objects()) - objects < 500
    assert gc.isenabled()


def test_memory_goes_with_its_last_tensor() -> None:
    meta = plain_meta(torch.float32, (1000,))
    x = fresh(meta, 0)
    buffer = weakref.ref(x._storage.buffer)
    y = x[3:]
    del x
    assert buffer() is not None
    assert y.sum().item() == 0
    del y
    torch.ones(1).tolist()
    gc.collect()
    assert buffer() is None


def arrays() -> list[Any]:
    whole = np.arange(24, dtype=np.float32)
    still = np.arange(3.0)
    still.flags.writeable = False
    return [
        whole, whole.reshape(4, 6), whole.reshape(2, 3, 4)[1], whole.reshape(4, 6)[1:2], whole[:0],
        whole.reshape(4, 6).T, whole.reshape(1, 24), whole[::2], np.zeros((1, 3)), np.array(2.5),
        whole.reshape(4, 6)[:, 1:2], np.arange(6)[1:], np.ones((2, 2), bool), np.zeros(3, np.int16),
        whole.view(np.int32), still,
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_arrays_become_tensors_as_python_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    for array in arrays():
        torch.from_numpy(array)  # known from here on
        native = torch.from_numpy(array)
        with monkeypatch.context() as patched:
            patched.setattr(PLAIN, "adopted", None)
            python = torch.from_numpy(array)
        count += CALLS.known_adopted(array, from_data._ADOPTED) is not None
        assert native._meta is python._meta and native._offset == python._offset
        ours, theirs = native._storage, python._storage
        assert (ours.exposed, ours.foreign is theirs.foreign) == (True, True)
        assert ours.buffer.owner is theirs.buffer.owner
        assert (ours.buffer.address, ours.nbytes) == (theirs.buffer.address, theirs.nbytes)
        assert native.tolist() == array.tolist()
        if array.flags.writeable and array.size:
            native.zero_()
            assert native.tolist() == array.tolist() == python.tolist()
    assert count == 9


def test_what_is_no_plain_array_is_left_to_python() -> None:
    class Kind(np.ndarray):
        pass

    plain_array = np.arange(6.0)
    torch.from_numpy(plain_array)
    known = from_data._ADOPTED
    for other in (plain_array.view(Kind), plain_array.astype(">f8"), [1.0], None):
        assert CALLS.known_adopted(other, known) is None
    assert CALLS.known_adopted(plain_array.astype([("a", "f8")]), known) is None
    with pytest.raises(TypeError, match=r"expected np\.ndarray"):
        torch.from_numpy([1.0])
    references = sys.getrefcount(plain_array)
    x = torch.from_numpy(plain_array)
    assert sys.getrefcount(plain_array) > references
    del x
    assert sys.getrefcount(plain_array) == references
