"""Which shard a record belongs to, which shards may answer a query, and one answer out of many.

Pure: values in, values out. No Ray, no clock, no input or output; the way to the shards is a port.
"""

from paradox.routing.calibration import ThresholdCalibration
from paradox.routing.clustering import Clustering, kmeans
from paradox.routing.execute import Execution, execute
from paradox.routing.merge import merge
from paradox.routing.partitioner import (
    HashPartitioner,
    Partitioner,
    SemanticPartitioner,
    partitioner_from_bytes,
    sample_size,
)
from paradox.routing.plan import QueryBudget, QueryPlan
from paradox.routing.planner import QueryPlanner
from paradox.routing.ports import SearchRequest, ShardPort
from paradox.routing.summary import ShardSummary, summarize

__all__ = [
    "Clustering",
    "Execution",
    "HashPartitioner",
    "Partitioner",
    "QueryBudget",
    "QueryPlan",
    "QueryPlanner",
    "SearchRequest",
    "SemanticPartitioner",
    "ShardPort",
    "ShardSummary",
    "ThresholdCalibration",
    "execute",
    "kmeans",
    "merge",
    "partitioner_from_bytes",
    "sample_size",
    "summarize",
]
