"""The fast `flat` equals the simple definition."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from biomark.spans import Entity, Span, flat

SPANS = st.tuples(st.integers(0, 30), st.integers(1, 8)).map(lambda pair: Span(pair[0], sum(pair)))
CONTIGUOUS = st.builds(lambda span, type: Entity((span,), type), SPANS, st.sampled_from("XY"))
SPLIT = SPANS.map(lambda span: Entity((span, Span(span.end + 1, span.end + 3)), "X"))


def by_definition(entities: Iterable[Entity]) -> tuple[Entity, ...]:
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda e: (-len(e.extent), e.start, e.type)):
        if len(entity.spans) == 1 and not any(entity.overlaps(other) for other in kept):
            kept.append(entity)
    return tuple(sorted(kept, key=lambda e: e.start))


@given(st.lists(st.one_of(CONTIGUOUS, SPLIT), max_size=25))
@settings(max_examples=300, deadline=None)
def test_flat_equals_its_definition(entities: list[Entity]) -> None:
    assert flat(entities) == by_definition(entities)


def test_ten_thousand_mentions() -> None:
    entities = [Entity((Span(3 * i, 3 * i + 2 + i % 5),), "X") for i in range(10_000)]
    kept = flat(entities)
    assert len(kept) == 6001
    assert not any(a.overlaps(b) for a, b in pairwise(kept))
