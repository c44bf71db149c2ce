"""Recipes of real data: where texts come from, and their vectors, made once and cached.

Each module is a program too: `python -m examples.data.<name> --help`.
"""
