"""Which clips a shard has, and what names one. (Complete and incomplete sets of shards:
tests/inference, tests/evaluation.)"""

from itertools import pairwise

import pytest

from vatrack.common.errors import InputError
from vatrack.common.shards import Shard, parse_shard


@pytest.mark.parametrize(
    "sizes",
    [
        [90, 1, 1, 1, 60, 30, 2, 2, 80, 100],
        [0, 5, 0, 0, 7, 3, 0],  # videos without any frame, the last one, too
        [0, 0, 0],
        [],
    ],
)
def test_clips_are_dealt_by_their_frames(sizes: list[int]) -> None:
    for count in (1, 2, 3, 4, 10, 40):
        parts = [Shard(number, count).slice_of(sizes) for number in range(1, count + 1)]
        shards = [sizes[part] for part in parts]
        assert [size for shard in shards for size in shard] == sizes
        assert all(part.start == before.stop for before, part in pairwise(parts))
        assert max(map(sum, shards)) <= sum(sizes) / count + max(sizes, default=0)


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "1/0", "a/b", "1/2/3", "-1/2", ""])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(InputError, match="give NUMBER/COUNT"):
        parse_shard(text)


def test_what_is_one() -> None:
    assert parse_shard("2/4") == Shard(2, 4)
    assert str(Shard(2, 4)) == "2/4"
