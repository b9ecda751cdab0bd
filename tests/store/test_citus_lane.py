"""What can be said of the Citus lane without a cluster: it skips, refuses and names things as it should."""

from __future__ import annotations

import psycopg
import pytest

from tests.citus import coordinator, distribution

LIES_BY_BUCKET = """SELECT FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attname = 'bucket' AND atttypid = 'smallint'::regtype"""
TAKES_ITS_BUCKET = "SELECT FROM pg_proc WHERE oid = to_regprocedure(%s) AND proargnames[1] = 'p_bucket'"


def test_without_a_cluster_the_lane_is_skipped_with_the_reason():
    with pytest.raises(pytest.skip.Exception, match="CITUS_DSN is not set: nothing was tried on Citus"):
        coordinator({})


def test_a_server_without_the_extension_is_refused_in_one_sentence(dsn):
    with pytest.raises(pytest.fail.Exception, match="CITUS_DSN: the extension citus is not in the database"):
        coordinator({"CITUS_DSN": dsn})


def test_everything_that_would_be_distributed_is_there_and_lies_by_bucket(dsn):
    with psycopg.connect(dsn) as connection:
        for statement in distribution():
            there = TAKES_ITS_BUCKET if "create_distributed_function" in statement else LIES_BY_BUCKET
            assert connection.execute(there, [statement.split("'")[1]]).fetchall() == [()], statement
