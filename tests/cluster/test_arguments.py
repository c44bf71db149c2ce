"""What a caller gives to a collection is checked before anything is asked of the cluster."""

from __future__ import annotations

import pytest
from in_process import settings

from paradox.adapt import encoders
from paradox.cluster.arguments import Arguments
from paradox.core.errors import InvalidArgument

ENCODER = "use-multilingual-v3"


@pytest.mark.parametrize(
    ("texts", "told"),
    [("", "'' in row 0"), (" \n", r"' \\n' in row 0"), (["a", ""], "'' in row 1")],
)
def test_a_text_that_says_nothing_is_refused(texts, told):
    loaded = encoders.load(ENCODER)
    made = settings(dim=loaded.dim, encoder=ENCODER, encoder_id=loaded.id)
    with pytest.raises(InvalidArgument, match=f"expected a text; got {told}"):
        Arguments(made).matrix(None, texts, "queries")
    assert Arguments(made).matrix(None, ["a", " b"], "queries").shape == (2, loaded.dim)
