"""What a reader who makes a mistake sees.

Our tests check every shape annotation; a reader runs without that checker, and meets the error of
the function itself. So the tests of errors switch the checker off: else it would answer first.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from jaxtyping import config


@contextmanager
def refused(error: type[Exception], match: str) -> Iterator[None]:
    """Like `pytest.raises(error, match=match)`, without the shape checker of the test run."""
    config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(error, match=match):
            yield
    finally:
        config.update("jaxtyping_disable", False)
