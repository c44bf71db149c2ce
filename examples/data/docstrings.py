"""The documentation of every Python package installed here, read without importing any of it.

    python -m examples.data.docstrings docs.parquet --limit 20000

Source files of the standard library and of site-packages are parsed with `ast`; every public
module, class, function and method with a docstring becomes a row of `COLUMNS`.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import inspect
import os
import re
import sysconfig
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

COLUMNS = pa.schema(
    [
        ("name", pa.string()),  # qualified: package.module.Class.method
        ("kind", pa.string()),  # module, class, function or method
        ("package", pa.string()),  # the first part of the name
        ("signature", pa.string()),  # (a, b=1); empty for modules and classes
        ("file", pa.string()),  # below the standard library or site-packages
        ("line", pa.int64()),
        ("summary", pa.string()),  # first paragraph of the docstring, on one line
        ("text", pa.string()),  # what is embedded: the name in words, and the summary
    ]
)
MAX_SUMMARY_CHARACTERS = 300
MAX_SIGNATURE_CHARACTERS = 160
MAX_FILE_BYTES = 2_000_000
_SKIPPED_FOLDERS = frozenset(
    {"__pycache__", "site-packages", "dist-packages", "test", "tests", "idle_test", "lib2to3"}
)
_CHUNK_FILES = 16
_FILES_AHEAD = 256

Row = dict[str, Any]


def read(*, limit: int | None = None, workers: int | None = None) -> pa.Table:
    """Return the documentation of this machine's Python packages.

    Args:
        limit: at most so many rows: the standard library first, then the installed packages, in
            an order of files that mixes them and depends on their paths alone.
        workers: processes; None takes the cores this process may use.

    Returns:
        Rows of `COLUMNS`, sorted by name; no two have the same text.
    """
    paths = sysconfig.get_paths()
    roots = dict.fromkeys(Path(paths[key]) for key in ("stdlib", "purelib", "platlib"))
    rows: dict[str, Row] = {}
    for root in roots:
        files = sorted(_source_files(root), key=lambda file: _rank(file.relative_to(root)))
        for found in _read_files(files, root, workers):
            for row in found:
                if limit is None or len(rows) < limit:
                    rows.setdefault(row["text"], row)
            if len(rows) == limit:
                break
    ordered = sorted(rows.values(), key=lambda row: (row["name"], row["file"], row["line"]))
    return pa.Table.from_pylist(ordered, schema=COLUMNS)


def read_file(path: Path, root: Path) -> list[Row]:
    """Return the documented public names of one source file; none if it cannot be parsed."""
    module = _module_name(path.relative_to(root))
    try:
        source = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other people's invalid escapes are theirs
            tree = ast.parse(source)
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError):
        return []
    file = path.relative_to(root).as_posix()
    return [
        _row(name, kind, node, file, doc)
        for name, kind, node in _public(tree, module, "function")
        if (doc := _summary(node))
    ]


def words(name: str) -> str:
    """Return a qualified name as words, each once: `json.JSONEncoder` → `json encoder`."""
    parts = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+", name)
    return " ".join(dict.fromkeys(part.lower() for part in parts))


def _rank(file: Path) -> bytes:
    """Return a key under which the first files of a package list are a fair sample of it."""
    return hashlib.blake2b(file.as_posix().encode(), digest_size=16).digest()


def _read_files(files: list[Path], root: Path, workers: int | None) -> Iterator[list[Row]]:
    """Yield the rows of each file, in the order given, reading ahead a bounded number of files."""
    n_workers = workers or len(os.sched_getaffinity(0))
    if n_workers == 1:
        yield from (read_file(file, root) for file in files)
        return
    step = n_workers * _FILES_AHEAD
    # A fork would copy the locks of whatever threads the caller runs (Arrow's, Ray's).
    with ProcessPoolExecutor(n_workers, mp_context=get_context("forkserver")) as pool:
        for start in range(0, len(files), step):
            ahead = files[start : start + step]
            yield from pool.map(read_file, ahead, [root] * len(ahead), chunksize=_CHUNK_FILES)


def _source_files(root: Path) -> Iterator[Path]:
    """Yield the public modules' files below `root`, in the order of their paths."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if f.isidentifier() and _is_public(f))
        for file in sorted(files):
            path = Path(folder, file)
            stem = path.stem
            if path.suffix != ".py" or not (stem == "__init__" or _is_public(stem)):
                continue
            if path.stat().st_size <= MAX_FILE_BYTES:
                yield path


def _is_public(name: str) -> bool:
    return not name.startswith("_") and name not in _SKIPPED_FOLDERS


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _public(
    node: ast.AST, name: str, function_kind: str
) -> Iterator[tuple[str, str, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield (qualified name, kind, node) of a module or class and the public names in it."""
    if isinstance(node, ast.Module):
        yield name, "module", node
    elif isinstance(node, ast.ClassDef):
        yield name, "class", node
        function_kind = "method"
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef) and _is_public(child.name):
            yield from _public(child, f"{name}.{child.name}", "method")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            if _is_public(child.name):
                yield f"{name}.{child.name}", function_kind, child
        elif isinstance(child, ast.If | ast.Try):
            yield from _public(child, name, function_kind)


def _summary(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> str:
    doc = ast.get_docstring(node, clean=False)
    if not doc:
        return ""
    paragraph = inspect.cleandoc(doc).strip().split("\n\n", 1)[0]
    return " ".join(paragraph.split())[:MAX_SUMMARY_CHARACTERS]


def _row(
    name: str,
    kind: str,
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
    file: str,
    summary: str,
) -> Row:
    signature = ""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        signature = f"({ast.unparse(node.args)})"[:MAX_SIGNATURE_CHARACTERS]
    return {
        "name": name,
        "kind": kind,
        "package": name.split(".", 1)[0],
        "signature": signature,
        "file": file,
        "line": getattr(node, "lineno", 1),
        "summary": summary,
        "text": f"{words(name)}: {summary}",
    }


def main() -> None:
    """Write the documentation of this machine to a Parquet file."""
    parser = argparse.ArgumentParser(description="Python documentation on this machine → Parquet")
    parser.add_argument("output", type=Path)
    parser.add_argument("--limit", type=int, help="at most so many rows")
    arguments = parser.parse_args()
    table = read(limit=arguments.limit)
    pq.write_table(table, arguments.output)
    Console().print(f"{table.num_rows:,} documented names → {arguments.output}")


if __name__ == "__main__":
    main()
