"""Compiled modules, built from `cython_ext/`, and their type stubs.

`paradox.kernels` is the face of `kernels`; nothing else imports from here.
"""
