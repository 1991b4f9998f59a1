"""The reference executor: a program run op by op in NumPy, the living definition of what programs
mean.
"""

from flambeau.execute.reference.executor import Schedule, execute, takes_long, to_array

__all__ = ["Schedule", "execute", "takes_long", "to_array"]
