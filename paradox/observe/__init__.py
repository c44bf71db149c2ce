"""What is counted and timed, under one name each, in memory.

Nothing is exported from here: whoever exports takes a snapshot of the recorder.
"""

from paradox.observe.names import METRICS, Kind, MetricName
from paradox.observe.recorder import Histogram, Recorder, Snapshot

__all__ = ["METRICS", "Histogram", "Kind", "MetricName", "Recorder", "Snapshot"]
