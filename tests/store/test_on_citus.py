"""The tests of the store, of projections and of runs once more, on the Citus cluster that CITUS_DSN names."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.citus import coordinator, fresh_database_on
from tests.store.test_billing_run import *  # noqa: F403
from tests.store.test_follower import *  # noqa: F403
from tests.store.test_log import *  # noqa: F403
from tests.store.test_scale_out import *  # noqa: F403

CLUSTER = coordinator(os.environ)


@pytest.fixture
def dsn() -> Iterator[str]:
    """A fresh database on the cluster, distributed: in the place of the one on the session's server."""
    with fresh_database_on(CLUSTER) as dsn:
        yield dsn
