"""What tests of the store share."""

from __future__ import annotations

import pytest

from adapters.bootstrap import Tally
from tests.count_shop import stocked


@pytest.fixture
def shop(tally: Tally) -> Tally:
    """Two licenses that count users."""
    return stocked(tally)
