"""Short English texts that Debian carries: WordNet's glosses, dictionaries, package descriptions.

The packages are fetched and verified by apt, unpacked below the cache, and never installed, so
no rights are needed. Licences: WordNet's own (permissive), FOLDOC under the GFDL, GCIDE under the
GPL; the text stays in the cache.
"""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from paradox.core import config
from paradox.core.errors import SourceError

_ENTRY_START = re.compile(r"\n(?=\S)")


def wordnet() -> list[str]:
    """Return WordNet 3.0's glosses, each after the words it explains; some 117,000 texts."""
    folder = _unpacked("wordnet-base") / "usr/share/wordnet"
    return [
        text
        for part in ("noun", "verb", "adj", "adv")
        for text in synsets((folder / f"data.{part}").read_text("utf-8"))
    ]


def foldoc() -> list[str]:
    """Return the Free On-line Dictionary of Computing, first paragraphs; some 15,000 texts."""
    return _entries("foldoc", foldoc_entry)


def gcide() -> list[str]:
    """Return the Collaborative International Dictionary of English; some 117,000 texts."""
    return _entries("gcide", gcide_entry)


def packages() -> list[str]:
    """Return the one-line descriptions of the packages apt knows of; some 60,000 texts."""
    listing = _run("apt-cache", "dumpavail")
    return re.findall(r"^Description(?:-en)?: (.+)$", listing, re.MULTILINE)


def synsets(data: str) -> Iterator[str]:
    """Yield `word, word: gloss` of each line of a WordNet data file (see wndb(5))."""
    for line in data.splitlines():
        if line.startswith("  "):  # the licence, numbered
            continue
        fields, _, gloss = line.partition(" | ")
        columns = fields.split(" ")
        n_words = int(columns[3], 16)
        words = (columns[4 + 2 * i].split("(")[0].replace("_", " ") for i in range(n_words))
        yield f"{', '.join(words)}: {gloss.strip()}"


def foldoc_entry(entry: str) -> str:
    """Return `headword: first paragraph` of an entry, without the marks of cross-references."""
    head, _, body = entry.partition("\n\n")
    paragraph = re.sub(r"<[^>]*>|[{}]", "", body.strip().split("\n\n", 1)[0])
    text = " ".join(paragraph.split())
    return f"{' '.join(head.split())}: {text}" if len(text) > 20 else ""


def gcide_entry(entry: str) -> str:
    """Return `headword: part of speech and first paragraph`, without pronunciation and origin."""
    head, mark, body = entry.partition(" \\")
    body = body.partition("\\")[2].split("\n\n", 1)[0]
    while (shorter := re.sub(r"\[[^][]*\]|[{}]", "", body)) != body:
        body = shorter
    text = " ".join(body.split()).lstrip(",. ")
    return f"{' '.join(head.split())}: {text}" if mark and len(text) > 20 else ""


def _entries(dictionary: str, text_of: Callable[[str], str]) -> list[str]:
    path = _unpacked(f"dict-{dictionary}") / f"usr/share/dictd/{dictionary}.dict.dz"
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        entries = _ENTRY_START.split(file.read())
    return [text for entry in entries if (text := text_of(entry))]


def _unpacked(package: str) -> Path:
    """Return the folder of a Debian package's files, fetching it the first time."""
    folder = config.cache() / "debian" / package
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            _run("apt-get", "download", package, cwd=Path(scratch))
            [archive] = Path(scratch).glob("*.deb")
            _run("dpkg-deb", "--extract", str(archive), f"{scratch}/files")
            Path(scratch, "files").rename(folder)
    return folder


def _run(*command: str, cwd: Path | None = None) -> str:
    """Return what a command prints.

    Raises:
        SourceError: the machine lacks it, or it failed.
    """
    if shutil.which(command[0]) is None:
        raise SourceError(f"{' '.join(command)}: needs Debian or Ubuntu; {command[0]} is missing")
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        raise SourceError(f"{' '.join(command)}: failed: {done.stderr.strip()[-500:]}")
    return done.stdout
