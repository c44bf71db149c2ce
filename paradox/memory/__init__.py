"""The engine: records, index and payload columns as one memory, embedded, without Ray.

A volatile engine lives and dies with its process; a durable one has its folder.
"""

from paradox.memory.engine import LatentMemoryEngine
from paradox.memory.stats import EngineStats

__all__ = ["EngineStats", "LatentMemoryEngine"]
