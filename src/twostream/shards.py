"""A part of a job that many processes or machines do together, none knowing of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from twostream.types import UsageError

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``number`` (from 1) of ``count``: every count-th item of a list that all see alike.

    >>> Shard.parse("2/3").of("abcdefg"), str(Shard(2, 3))
    (['b', 'e'], '2-of-3')
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read i/n; raises UsageError."""
        number, slash, count = text.partition("/")
        if not (slash and number.strip().isdecimal() and count.strip().isdecimal()):
            raise UsageError(f"a shard is written i/n, for example 1/8; got {text}")
        if not 1 <= int(number) <= int(count):
            raise UsageError(f"shard i/n needs i from 1 to n, got {text}")
        return cls(int(number), int(count))

    def of(self, items: Sequence[Item]) -> list[Item]:
        """Return its items, in their order."""
        return list(items[self.number - 1 :: self.count])

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}"
