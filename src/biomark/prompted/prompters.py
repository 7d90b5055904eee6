"""The prompters of a recognizer: one for each group of types that share a question, with its demonstrations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from biomark import embedding
from biomark.errors import UsageError
from biomark.prompted.prompts import Ontology, Prompter, readable
from biomark.prompted.retrieval import Chooser, Example, MentionFinder, chooser
from biomark.prompted.settings import PromptOptions
from biomark.recognizers import Recognizer, mentions_of
from biomark.shapes import shape_named


class Prompters:
    """Creates and caches the prompters of any types; their choosers may hold an embedding of each example.

    Args:
        options: the settings of the prompts.
        pool: the examples from which demonstrations are chosen; all of them are read with the first prompters.
        ontology: the ontology for the texts of demonstrations; None: none.
        drafter: the recognizer that finds mentions for the chooser `entity-knn`.

    Attributes:
        lost: counts of demonstrations, and mentions in them, that were left out, by reason.
    """

    def __init__(
        self, options: PromptOptions, pool: Iterable[Example], ontology: Ontology | None, drafter: Recognizer | None
    ) -> None:
        self.lost: Counter[str] = Counter()
        self._options = options
        self._shape = shape_named(options.shape)
        self._examples = pool
        self._pool: tuple[Example, ...] | None = None
        self._ontology = ontology
        self._drafter = drafter
        self._made: dict[tuple[str, ...], tuple[Prompter, ...]] = {}

    def read(self) -> tuple[Example, ...]:
        """Return the examples, which are read once."""
        if self._pool is None:
            self._pool = tuple(self._examples)
        return self._pool

    def of(self, types: tuple[str, ...]) -> tuple[Prompter, ...]:
        """Return one prompter for each group of types that share a question.

        Raises:
            UsageError: if no demonstration is annotated with all types of a group.
        """
        if types not in self._made:
            groups = [(entity_type,) for entity_type in types] if self._shape.single else [types]
            pool = readable(self.read(), self._shape, groups, self.lost)
            mentions = mentions_of(self._drafter, types) if self._drafter else None
            # Groups with the same usable examples share a chooser
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
        choosers: dict[frozenset[tuple[str, ...]], Chooser],
        mentions: MentionFinder | None,
    ) -> Chooser | None:
        options = self._options
        if not self._pool or not options.shots:
            return None
        usable = [example for example in pool if set(types) <= set(example.types)]
        if not usable:
            known = " or ".join(sorted({", ".join(example.types) for example in self._pool})) or "nothing"
            raise UsageError(
                f"no corpus of the demonstrations annotates all of {', '.join(types)}, only {known}; choose other "
                "`types`, or a `shape` that asks about one type at a time"
            )
        kinds = frozenset(example.types for example in usable)
        if kinds not in choosers:
            choosers[kinds] = chooser(
                options.choose,
                usable,
                seed=options.seed,
                diversity=options.diversity,
                embedder=embedding.load(options.embedder) if options.embedder else None,
                mentions=mentions,
            )
        return choosers[kinds]
