"""The reference executor: a program run op by op in NumPy, the living definition of what programs
mean.
"""

from flambeau.execute.reference.executor import Schedule, execute, takes_long, to_array
from flambeau.execute.reference.nan_search import first_nan

__all__ = ["Schedule", "execute", "first_nan", "takes_long", "to_array"]
