"""What the recorder knows of a tensor object: the base class of `Tensor`."""

from __future__ import annotations

from typing import Any

from flambeau.record.meta import Meta
from flambeau.record.storage import Storage


class Handle:
    """A tensor as the user holds it.

    `_meta` says what it is; `_rec` and `_num` where it stands in the recording under way. A tensor that holds
    data has `_storage` and `_offset` (in elements); one whose history lies in an earlier program has `_frame`
    and `_source`, its number there. The three slots that ops touch are slots; the others default on the class.
    """

    __slots__ = ("__dict__", "__weakref__", "_meta", "_num", "_rec")

    _meta: Meta
    _rec: Any
    _num: int

    _storage: Storage | None = None
    _offset: int = 0
    _grad: Any = None
    _frame: Any = None
    _source: int = -1
    _hooks: Any = None
    _failure: str | None = None
