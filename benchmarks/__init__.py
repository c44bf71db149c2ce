"""Benchmarks, each a module with the same face: `python -m benchmarks.<name> [--quick] [--json]`.

No speed without its recall; peers run on the same data, each library in a process of its own.
"""
