"""torch.storage: the memory of tensors."""

from flambeau.functional.memory import TypedStorage, UntypedStorage

__all__ = ["TypedStorage", "UntypedStorage"]
