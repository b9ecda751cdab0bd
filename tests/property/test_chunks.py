"""A run cut in chunks: each bucket once, in order, and less at a time towards the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.bill import LEAST_PER_CHUNK, LEFT_IN_CHUNKS, LICENSES_PER_CHUNK, _chunks


@given(st.lists(st.integers(1, 400) | st.integers(1, 9000), max_size=300))
def test_every_bucket_is_in_one_chunk_and_no_chunk_holds_much_of_what_is_left(held):
    chunks = list(_chunks(list(enumerate(held))))
    assert [bucket for chunk in chunks for bucket in chunk] == list(range(len(held)))
    left = sum(held)
    for chunk in chunks:
        size = sum(held[bucket] for bucket in chunk)
        bound = min(LICENSES_PER_CHUNK, max(left // LEFT_IN_CHUNKS, LEAST_PER_CHUNK))
        assert size <= bound or len(chunk) == 1, "a bucket is never cut"
        left -= size


def test_half_of_a_large_run_is_in_whole_chunks_and_the_last_ones_are_small():
    sizes = [97 * len(chunk) for chunk in _chunks([(bucket, 97) for bucket in range(1024)])]
    assert sizes[:10] == [51 * 97] * 10
    assert sizes[-1] <= LEAST_PER_CHUNK
    assert len(sizes) < 60
