"""torch.utils.deterministic: programs are deterministic, and fresh memory is never random."""

fill_uninitialized_memory: bool = True
