"""The training data of tagging models: corpora → passages → labelled windows of an epoch → batches."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from biomark import corpora
from biomark.corpora.overlap import Index
from biomark.entity_types import with_canonical_types
from biomark.errors import UsageError
from biomark.formats import Reject
from biomark.spans import Document, Entity, Span, whole_text
from biomark.tagging.text import (
    OUTSIDE,
    Window,
    encode_tags,
    sentence_ends,
    windows,
)
from biomark.tagging.training.augmentation import (
    SEPARATORS,
    Listed,
    Pools,
    as_list,
    mentions_of,
    read_pools,
    recased,
    swapped,
)
from biomark.tagging.training.dense import DenseSentence, Near, sentences_of
from biomark.tagging.words import Frame, Ints, WordReader, Words
from biomark.text.sentences import with_sentences
from biomark.training.recipe import TaggingRecipe
from biomark.training.scoring import Devel

UNLABELLED = -100  # the label that cross entropy ignores
# Batches have few different shapes, because the CPU's matrix library compiles code for each new one.
LENGTH_STEP = 8
# Shares of `max_pieces` that a document's windows may fill in an epoch; 0: every sentence alone.
WINDOW_SHARES = (0.0, 0.0, 0.5, 1.0)
LEAST_ROOM = 16  # the lowest number of word pieces that an instruction must leave in a window


@dataclass(frozen=True, slots=True)
class TrainingPassage:
    """The training data of one passage.

    Attributes:
        words: the W words.
        ends: the index one past the last word of each sentence.
        tags: (W, types) int64 BIO tags; UNLABELLED for types that the corpus does not annotate.
    """

    words: Words
    ends: tuple[int, ...]
    tags: Ints


@dataclass(frozen=True, slots=True)
class LabelledWindow:
    """A training example: a window and the tags of its passage.

    Attributes:
        window: the window.
        tags: (W, heads) the tags of all W words of the passage.
        corpus: the corpus whose guideline the tags follow; empty: none, as for lists of names.
    """

    window: Window
    tags: Ints
    corpus: str = ""

    @property
    def labels(self) -> Ints:
        """The tags of the window's own words, (words of the window, heads)."""
        return self.tags[self.window.start : self.window.end]


@dataclass(frozen=True, slots=True)
class TrainingDocument:
    """A training document.

    Attributes:
        document: the document with biomark's names of types; None if no epoch changes its text.
        corpus: the name of its corpus.
        known: for each type of the recipe, whether the corpus annotates it.
        passages: the passages of the unchanged document.
        sentences: its sentences, if the recipe adds lists of names near them.
    """

    document: Document | None
    corpus: str
    known: tuple[bool, ...]
    passages: tuple[TrainingPassage, ...]
    sentences: tuple[DenseSentence, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The part of a training split that is not learnt from because the recipe's `leave_out` splits share it.

    Attributes:
        of: the number of documents of the split.
        documents: the ids of the documents that are left out completely.
        sentences: the number of sentences that are left out of the other documents.
    """

    of: int
    documents: tuple[str, ...]
    sentences: int


class Examples:
    """The training examples of a recipe, epoch by epoch.

    Args:
        recipe: the recipe of the model.
        reader: the word reader of the network's tokenizer.
        reject: is called with each part of the corpora that cannot be read.
        progress: is called with a line of text for each corpus of which something is left out.

    Attributes:
        sources: the training documents.
        left_out: the part of each training split that the recipe's `leave_out` removed.

    Raises:
        UsageError: if no corpus annotates a type, an instruction leaves no room for words, or the knowledge store has
            no names of the recipe's types.
    """

    def __init__(
        self,
        recipe: TaggingRecipe,
        reader: WordReader,
        reject: Reject,
        progress: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._recipe = recipe
        self._reader = reader
        self._progress = progress
        self.left_out: dict[str, LeftOut] = {}
        others = {name: corpora.read_corpus(name, reject=reject) for name in recipe.leave_out}
        self._others = Index(others) if others else None
        self._kept: dict[str, Sequence[Document]] = {}  # by split, since a recipe may list a split several times
        self.frames = Frames(recipe, reader)
        self.sources: list[TrainingDocument] = []
        self._draws = bool(recipe.dbr_terms or recipe.dbr_others or recipe.swap)
        self._near_lists = recipe.dbr == "near" and bool(recipe.dbr_terms or recipe.dbr_others)
        self._near: Near | None = None
        if self._draws:  # an unusable store is an error now rather than after an hour
            read_pools(Path(recipe.knowledge), recipe.types, "", size=1)
        self._mentions: dict[str, tuple[Listed, ...]] = {}
        learnt: set[str] = set()
        for name in recipe.train:
            annotated = corpora.corpus_types(name, recipe.types)
            learnt.update(annotated)
            self._add(name, tuple(entity_type in annotated for entity_type in recipe.types), reject)
        self._kept.clear()
        if self._near_lists:
            wanted = (p for source in self.sources for sentence in source.sentences for p in sentence.phrases)
            self._near = Near(Path(recipe.knowledge), wanted)
            progress(f"names of {recipe.knowledge} near {len(self._near):,} phrases of the training sentences")
        if orphans := [entity_type for entity_type in recipe.types if entity_type not in learnt]:
            raise UsageError(
                f"recipe {recipe.name}: no corpus in train annotates {', '.join(orphans)}; "
                f"they annotate {', '.join(sorted(learnt)) or 'nothing'}"
            )

    def _add(self, name: str, known: tuple[bool, ...], reject: Reject) -> None:
        recipe = self._recipe
        documents = self._read(name, reject)
        corpus = corpus_name(name)
        types = [entity_type for entity_type, is_known in zip(recipe.types, known, strict=True) if is_known]
        if recipe.dbr_mentions:
            self._mentions[corpus] = (*self._mentions.get(corpus, ()), *mentions_of(documents, types))
        for document in documents:
            passages = read_passages(document, recipe.types, known, self._reader)
            sentences = sentences_of(document, types) if self._near_lists else ()
            changeable = document if recipe.swap or recipe.noise else None
            self.sources.append(TrainingDocument(changeable, corpus, known, passages, sentences))

    def _read(self, name: str, reject: Reject) -> Sequence[Document]:
        """Read the documents of a training split, without the parts that it shares with the `leave_out` splits."""
        read = corpora.read_corpus(name, reject=reject)
        documents = [with_canonical_types(document, names=self._recipe.types) for document in read]
        if self._others is None:
            return documents
        if name in self._kept:
            return self._kept[name]
        kept = self._others.compare(documents, name)
        sentences = sum(map(len, kept.sentences.values()))
        self.left_out[name] = LeftOut(len(documents), kept.left_out, sentences)
        if kept.overlaps:
            self._progress(
                f"{name}: {len(kept.left_out)} of {len(documents)} documents and {sentences} sentences of other "
                f"documents are left out; {', '.join(overlap.other for overlap in kept.overlaps)} has them, too"
            )
        self._kept[name] = kept.documents
        return kept.documents

    def epoch(self, number: int) -> list[list[LabelledWindow]]:
        """Return the batches of an epoch: windows of random sizes, grouped by similar length, in random order."""
        steps, more = self._recipe.epoch_steps, number
        batches = last = self._pass(number)
        while last and len(batches) < steps:
            more += self._recipe.epochs
            last = self._pass(more)
            batches = [*batches, *last]
        return batches[: steps or None]

    def _pass(self, number: int) -> list[list[LabelledWindow]]:
        """Return the batches of one pass over the training data; each pass has other windows, lists and names."""
        recipe = self._recipe
        chance = random.Random(recipe.seed * 1000 + number)
        extra = random.Random(f"{recipe.seed} {number} extra")
        pools = read_pools(Path(recipe.knowledge), recipe.types, f"{recipe.seed} {number}") if self._draws else None
        examples: list[LabelledWindow] = []
        for source in self.sources:
            if extra.random() >= recipe.shares.get(source.corpus, 1):
                continue
            share = chance.choice(WINDOW_SHARES)
            passages = source.passages
            changed = source.document
            if pools and changed and extra.random() < recipe.swap:
                changed = swapped(changed, pools, extra)
            if changed and extra.random() < recipe.noise:
                changed = recased(changed, extra)
            if changed is not source.document and changed:
                passages = read_passages(changed, recipe.types, source.known, self._reader)
            for passage in passages:
                own = self.frames.examples(passage, source, share, extra)
                if recipe.negatives < 1:
                    own = (e for e in own if has_mention(e) or extra.random() < recipe.negatives)
                examples += own
            if recipe.dbr_terms or recipe.dbr_others or recipe.dbr_mentions:
                examples += self._lists(source, pools, extra)
        chance.shuffle(examples)
        return batched(examples, recipe, chance)

    @staticmethod
    def of(devel: Sequence[Devel], recipe: TaggingRecipe, reader: WordReader) -> Iterator[list[list[LabelledWindow]]]:
        """Yield the batches of each development split, framed as in annotation."""
        frames = Frames(recipe, reader)
        for split in devel:
            known = tuple(entity_type in split.types for entity_type in recipe.types)
            examples: list[LabelledWindow] = []
            for document in split.documents:
                passages = read_passages(document, recipe.types, known, reader)
                source = TrainingDocument(None, split.name, known, passages)
                for column in frames.asked(source):
                    for passage in passages:
                        examples += frames.windows(passage, column, devel_name(recipe, split.name), 1.0)
            yield batched(examples, recipe, random.Random(0))

    def _lists(self, source: TrainingDocument, pools: Pools | None, chance: random.Random) -> Iterator[LabelledWindow]:
        """Yield a list of names for each sentence, and for each type if the network follows instructions (DBR)."""
        recipe = self._recipe
        sentences = source.sentences or [None] * sum(len(passage.ends) for passage in source.passages)
        for sentence in sentences:
            for column in self.frames.asked(source):
                if chance.random() >= recipe.dbr_share:
                    continue
                names = self._drawn(source, sentence, pools, column, chance)
                if names:
                    separator = " " if sentence else chance.choice(SEPARATORS)
                    passage = list_passage(names, recipe.types, self._reader, separator)
                    yield from self.frames.windows(passage, column, "", 1.0)

    def _drawn(
        self,
        source: TrainingDocument,
        sentence: DenseSentence | None,
        pools: Pools | None,
        column: int | None,
        chance: random.Random,
    ) -> list[Listed]:
        recipe = self._recipe

        def asked(pools: Pools) -> str:
            return chance.choice(tuple(pools.own)) if column is None else recipe.types[column]

        if self._near and pools and sentence:
            most, others = recipe.dbr_terms, recipe.dbr_others
            return self._near.draw(sentence, asked(pools), pools, most=most, others=others, chance=chance)
        names: list[Listed] = []
        if pools and recipe.dbr_terms and (entity_type := asked(pools)) in pools.own:
            names += pools.draw(entity_type, recipe.dbr_terms, chance)
        mentions = self._mentions.get(source.corpus, ())
        names += chance.sample(mentions, min(recipe.dbr_mentions, len(mentions)))
        chance.shuffle(names)
        return names


class Frames:
    """The frames in which a recipe's network reads windows: one for all types, or an instruction for each type.

    Args:
        recipe: the recipe of the network.
        reader: the word reader of its tokenizer.

    Raises:
        UsageError: if an instruction leaves too little room for words.
    """

    def __init__(self, recipe: TaggingRecipe, reader: WordReader) -> None:
        self._recipe = recipe
        self._reader = reader
        self._known: dict[tuple[int | None, str], Frame] = {}
        for column in range(len(recipe.types)) if recipe.instruction else (None,):
            for name in ("", *named_corpora(recipe)):
                room = recipe.max_pieces - len(self._frame(column, name))
                if room < LEAST_ROOM:
                    raise UsageError(
                        f"recipe {recipe.name}: max_pieces is {recipe.max_pieces}, of which the instruction leaves "
                        f"{max(room, 0)} for words; set it to at least {recipe.max_pieces - room + LEAST_ROOM}"
                    )

    def asked(self, source: TrainingDocument) -> tuple[int | None, ...]:
        """Return the indexes of the types that each window of a source is read for; None means all types at once."""
        if not self._recipe.instruction:
            return (None,)
        return tuple(column for column, known in enumerate(source.known) if known)

    def examples(
        self, passage: TrainingPassage, source: TrainingDocument, share: float, chance: random.Random
    ) -> Iterator[LabelledWindow]:
        """Yield the examples of a passage; see `biomark.tagging.text.windows` for `share`."""
        for column in self.asked(source):
            named = self._recipe.corpus_name and chance.random() < self._recipe.corpus_name
            for example in self.windows(passage, column, source.corpus if named else "", share):
                yield replace(example, corpus=source.corpus)

    def windows(
        self, passage: TrainingPassage, column: int | None, corpus: str, share: float
    ) -> Iterator[LabelledWindow]:
        """Yield the windows over a passage in one frame, labelled for the type of a column, or for all types."""
        tags = passage.tags if column is None else passage.tags[:, column : column + 1]
        frame = self._frame(column, corpus)
        for window in windows(passage.words, passage.ends, self._recipe.max_pieces, frame, share=share):
            yield LabelledWindow(window, tags)

    def _frame(self, column: int | None, corpus: str) -> Frame:
        key = (column, corpus)
        if key not in self._known:
            self._known[key] = self._reader.frame("" if column is None else self._recipe.types[column], corpus)
        return self._known[key]


def guidelines_of(recipe: TaggingRecipe) -> dict[str, tuple[str, ...]]:
    """Return the types that each corpus of a recipe annotates; empty if the recipe has no `corpus_heads`."""
    annotated: dict[str, tuple[str, ...]] = {}
    for name in recipe.train if recipe.corpus_heads else ():
        corpus = corpus_name(name)
        types = (*annotated.get(corpus, ()), *corpora.corpus_types(name, recipe.types))
        annotated[corpus] = tuple(dict.fromkeys(types))
    return annotated


def named_corpora(recipe: TaggingRecipe) -> tuple[str, ...]:
    """Return the corpora that a recipe's instructions may name; empty if its instructions name no corpora."""
    named = recipe.instruction and recipe.corpus_name
    return tuple(dict.fromkeys(map(corpus_name, recipe.train))) if named else ()


def devel_name(recipe: TaggingRecipe, split: str) -> str:
    """Return the corpus name in the instructions for a development split; empty unless all instructions name one."""
    name = corpus_name(split)
    return name if recipe.corpus_name == 1 and name in named_corpora(recipe) else ""


def has_mention(example: LabelledWindow) -> bool:
    """Return whether a window has a mention of any type."""
    return bool((example.labels > OUTSIDE).any())


def corpus_name(name: str) -> str:
    """Return the name of a corpus in instructions: its name in the catalogue, or a file's name without extensions."""
    corpus = name.partition(":")[0]
    return corpus if corpus in corpora.catalogue() else Path(name).name.partition(".")[0]


def read_passages(
    document: Document, types: Sequence[str], known: Sequence[bool], reader: WordReader
) -> tuple[TrainingPassage, ...]:
    """Return the passages of a document that have words, with the tags of its known types.

    Args:
        document: the document, with biomark's names of types.
        types: the types of the recipe.
        known: for each type, whether the document's corpus annotates it; other types are UNLABELLED.
        reader: the word reader of the network's tokenizer.
    """
    document = with_sentences(document)
    parts = whole_text(document)
    passages = []
    for part, words in zip(parts, reader.words(document.text, parts), strict=True):
        tags = np.full((len(words), len(types)), UNLABELLED, dtype=np.int64)
        for n, entity_type in enumerate(types):
            if known[n]:
                inside = [e for e in document.entities if e.type == entity_type and part.contains(e.extent)]
                tags[:, n] = encode_tags(inside, words)
        if len(words):
            passages.append(TrainingPassage(words, tuple(sentence_ends(document, part, words)), tags))
    return tuple(passages)


def list_passage(names: Sequence[Listed], types: Sequence[str], reader: WordReader, separator: str) -> TrainingPassage:
    """Return the passage that lists names, each labelled with its types, and UNLABELLED for types its source lacks."""
    text, spans = as_list(names, separator)
    (words,) = reader.words(text, [Span(0, len(text))])
    first = np.searchsorted(words.starts, [span.start for span in spans], side="left")
    last = np.searchsorted(words.starts, [span.end for span in spans], side="left")
    tags = np.zeros((len(words), len(types)), dtype=np.int64)
    for n, entity_type in enumerate(types):
        tags[:, n] = encode_tags(
            [
                Entity((span,), entity_type)
                for span, name in zip(spans, names, strict=True)
                if entity_type in name.types
            ],
            words,
        )
        for begin, end, name in zip(first, last, names, strict=True):
            if name.known is not None and entity_type not in name.known:
                tags[begin:end, n] = UNLABELLED
    return TrainingPassage(words, (*map(int, first[1:]), len(words)), tags)


def batched(
    examples: Sequence[LabelledWindow], recipe: TaggingRecipe, chance: random.Random
) -> list[list[LabelledWindow]]:
    """Return batches of examples of similar length, of the size that the recipe sets, in random order."""
    by_length: dict[int, list[LabelledWindow]] = {}
    for example in examples:
        by_length.setdefault(-(-example.window.length // LENGTH_STEP), []).append(example)
    batches = []
    for steps, alike in by_length.items():
        size = recipe.batch_windows or max(recipe.batch_pieces // (steps * LENGTH_STEP), 1)
        batches += [alike[n : n + size] for n in range(0, len(alike), size)]
    chance.shuffle(batches)
    return batches
