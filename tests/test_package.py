"""What `import paradox` gives, and what it leaves alone until that is used."""

from __future__ import annotations

import subprocess
import sys

import paradox
from paradox.core import errors


def test_every_error_is_caught_by_its_name_in_the_package():
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.ParadoxError):
            assert getattr(paradox, name) is kind
            assert name in paradox.__all__


def test_importing_the_package_imports_nothing_heavy():
    script = """
import sys
import paradox
paradox.InvalidArgument
print({"ray", "torch", "faiss", "hnswlib", "polars", "numpy"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
