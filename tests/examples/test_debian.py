from __future__ import annotations

import pytest

from examples.data import debian, texts
from paradox.core.errors import SourceError

SYNSETS = """  1 This software and database is being provided to you, the LICENSEE, by
00001740 29 v 04 breathe 0 take_a_breath 0 respire(p) 0 suspire 3 021 * 00005041 v 0000 | draw air \
into, and expel out of, the lungs; "I can breathe better"  
"""  # noqa: W291

ENTRY = """date parser

   <programming> A {parser} that reads
   dates.  See {other} <http://x>.

   More about it.
"""

ETYMOLOGY = """Lariat \\Lar"i*at\\ (l[a^]r"[i^]*[a^]t), n. [Sp. la reata the
   rope; la the + reata rope. Cf. {Reata}.]
   A long, slender rope made of hemp [or] strips of hide.
   [1913 Webster]

   Note: more.
"""


def test_a_synset_is_its_words_and_its_gloss() -> None:
    assert list(debian.synsets(SYNSETS)) == [
        "breathe, take a breath, respire, suspire: "
        'draw air into, and expel out of, the lungs; "I can breathe better"'
    ]


def test_a_dictionary_entry_is_its_head_and_first_paragraph() -> None:
    expected = "date parser: A parser that reads dates. See other ."
    assert debian.foldoc_entry(ENTRY) == expected


def test_an_entry_that_says_nothing_is_left_out() -> None:
    assert debian.foldoc_entry("ABC\n\n   See {DEF}.\n") == ""

    assert debian.gcide_entry("ABC\n\n   A preface of the dictionary, not an entry.\n") == ""


def test_an_entry_has_neither_pronunciation_nor_origin() -> None:
    text = debian.gcide_entry(ETYMOLOGY)
    assert text.startswith("Lariat: ")
    assert text.endswith("n. A long, slender rope made of hemp strips of hide.")


def test_a_machine_without_apt_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("PARADOX_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SourceError, match="apt-get is missing"):
        debian.wordnet()


def test_the_mixture_is_distinct_short_and_drawn_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("PARADOX_CACHE", str(tmp_path))
    drawn = {"a": ["a text of one source", "long " * 100, "short"], "b": ["a text of one source"]}
    monkeypatch.setattr(texts, "SOURCES", {name: lambda n=name: drawn[n] for name in drawn})
    first = texts.real_texts()
    assert sorted(first) == ["a text of one source", ("long " * 60).strip()]
    drawn["b"].append("a text that came later")
    assert texts.real_texts() == first
    monkeypatch.setattr(texts, "MORE", {"c": lambda: ["a text of a dictionary", first[0]]})
    assert sorted(texts.real_texts(more=True)) == sorted([*first, "a text of a dictionary"])
    assert texts.real_texts() == first
