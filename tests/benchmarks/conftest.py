from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the sets that a module's tests make out of the cache of who runs them."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PARADOX_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
