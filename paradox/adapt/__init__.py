"""Encoders and what keeps a memory usable when its encoder changes."""
