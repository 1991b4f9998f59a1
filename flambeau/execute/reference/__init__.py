"""The reference executor: a program run op by op in NumPy, the living definition of what programs
mean.
"""

from flambeau.execute.reference.executor import execute, takes_long, to_array

__all__ = ["execute", "takes_long", "to_array"]
