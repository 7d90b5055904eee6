"""The prompters of a recognizer: one for each group of types that are asked about together, with its demonstrations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from biomark import embedding
from biomark.errors import UsageError
from biomark.prompted.prompts import Ontology, Prompter, readable
from biomark.prompted.retrieval import Chooser, Example, Mentions, chooser
from biomark.prompted.settings import PromptOptions
from biomark.recognizers import Recognizer, mentions_of
from biomark.shapes import shape_named


class Prompters:
    """Makes the prompters of any types, and keeps them, because their choosers may hold an embedding of each example.

    Args:
        options: of the prompts.
        pool: what demonstrations are chosen from; all of it is read when prompters are made first.
        ontology: for the texts of demonstrations; None: none.
        drafter: for demonstrations chosen by `entity-knn`, finds mentions of the types that are asked about.

    Attributes:
        lost: what of the demonstrations was left out.
    """

    def __init__(
        self, options: PromptOptions, pool: Iterable[Example], ontology: Ontology | None, drafter: Recognizer | None
    ) -> None:
        self.lost: Counter[str] = Counter()
        self._options = options
        self._shape = shape_named(options.shape)
        self._unread = pool
        self._pool: tuple[Example, ...] | None = None
        self._ontology = ontology
        self._drafter = drafter
        self._made: dict[tuple[str, ...], tuple[Prompter, ...]] = {}

    def of(self, types: tuple[str, ...]) -> tuple[Prompter, ...]:
        """One prompter for each group of types that are asked about together.

        Raises:
            UsageError: if no demonstration is annotated with all types of a group.
        """
        if types not in self._made:
            groups = [(type,) for type in types] if self._shape.single else [types]
            if self._pool is None:
                self._pool = tuple(self._unread)
            pool = readable(self._pool, self._shape, groups, self.lost)
            mentions = mentions_of(self._drafter, types) if self._drafter else None
            # One chooser for all groups that may have the same examples
            choosers: dict[frozenset[tuple[str, ...]], Chooser] = {}
            self._made[types] = tuple(
                Prompter(group, self._options, self._chooser(group, pool, choosers, mentions), self._ontology)
                for group in groups
            )
        return self._made[types]

    def _chooser(
        self,
        types: tuple[str, ...],
        pool: Sequence[Example],
        made: dict[frozenset[tuple[str, ...]], Chooser],
        mentions: Mentions | None,
    ) -> Chooser | None:
        options = self._options
        if not self._pool or not options.shots:
            return None
        usable = [example for example in pool if set(types) <= set(example.types)]
        if not usable:
            known = " or ".join(sorted({", ".join(example.types) for example in self._pool})) or "nothing"
            raise UsageError(
                f"no corpus of the demonstrations annotates {', '.join(types)} (all of them), but {known}; ask for "
                "other `types`, or choose a `shape` that asks about one type at a time"
            )
        kinds = frozenset(example.types for example in usable)
        if kinds not in made:
            made[kinds] = chooser(
                options.choose,
                usable,
                seed=options.seed,
                diversity=options.diversity,
                embedder=embedding.load(options.embedder) if options.embedder else None,
                mentions=mentions,
            )
        return made[kinds]
