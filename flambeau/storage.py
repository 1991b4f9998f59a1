"""torch.storage: the memory of tensors."""

from flambeau.functional.memory import LEGACY_STORAGES, TypedStorage, UntypedStorage

FloatStorage = LEGACY_STORAGES["FloatStorage"]

__all__ = ["TypedStorage", "UntypedStorage"]
