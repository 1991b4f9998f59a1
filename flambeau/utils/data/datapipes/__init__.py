"""Data pipes: data sets that are chained by methods (`pipe.map(f).batch(4)`)."""

from flambeau.utils.data.datapipes import iter, map
from flambeau.utils.data.datapipes.pipe import DataChunk, DFIterDataPipe, IterDataPipe, MapDataPipe

__all__ = ["DFIterDataPipe", "DataChunk", "IterDataPipe", "MapDataPipe", "iter", "map"]
