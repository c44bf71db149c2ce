"""Encoders: text to vectors, each with an identity that follows from its content.

`load("use-multilingual-v3")` is quick and needs only NumPy; `load("minilm-l6-v2")` needs torch.
"""

from paradox.adapt.encoders.encoder import Encoder
from paradox.adapt.encoders.registry import check_name, load, names

__all__ = ["Encoder", "check_name", "load", "names"]
