"""A spaCy `tok2vec` NER as a baseline, trained on the corpora of a biomark model."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biomark import corpora
from biomark.entity_types import types_wanted, with_canonical_types
from biomark.errors import MissingExtraError, ModelError, UsageError
from biomark.formats import Reject
from biomark.recognizers import Annotated, in_groups
from biomark.spans import Document, Entity, Span, flat, whole_text

if TYPE_CHECKING:
    from spacy.language import Language

log = logging.getLogger(__name__)
SETTINGS: dict[str, Any] = {"epochs": 5, "batch_words": (100.0, 1000.0, 1.001), "dropout": 0.2}
"""Settings of training, as in spaCy's recipes.

`batch_words` are the first and the largest batch size, in words, and the factor of growth from batch to batch.
"""
_CHARACTERS = 1_000_000  # the code points of the documents that are read together


class SpacyRecognizer:
    """A recognizer that runs the NER of a spaCy pipeline.

    Args:
        folder: the folder of the pipeline, which `train` or other software wrote.

    Raises:
        MissingExtraError: if spaCy is not installed.
        ModelError: if the folder has no pipeline with an NER.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._pipeline: Language = _spacy().load(folder)
            self._types = tuple(self._pipeline.get_pipe("ner").labels)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{folder}: is not a spaCy pipeline with an NER: {error}") from error

    @property
    def types(self) -> tuple[str, ...] | None:
        """The labels of its NER."""
        return self._types

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `biomark.recognizers.Recognizer`; passages are read in batches of 64, and mentions have no score."""
        wanted = types_wanted(types, self._types)
        for group in in_groups(documents, _CHARACTERS):
            parts = [(n, part, part.of(d.text)) for n, d in enumerate(group) for part in whole_text(d)]
            mentions: list[list[Entity]] = [[] for _ in group]
            docs = self._pipeline.pipe((text for *_, text in parts), batch_size=64)
            for (n, part, _), doc in zip(parts, docs, strict=True):
                spans = ((Span(part.start + e.start_char, part.start + e.end_char), e.label_) for e in doc.ents)
                mentions[n] += [Entity((span,), entity_type) for span, entity_type in spans if entity_type in wanted]
            for document, entities in zip(group, mentions, strict=True):
                yield Annotated(replace(document.bare(), entities=tuple(entities)))


def train(
    names: Sequence[str],
    types: Sequence[str],
    folder: Path,
    *,
    reject: Reject,
    epochs: int = SETTINGS["epochs"],
    seed: int = 13,
    progress: Callable[[str], None] = log.info,
) -> SpacyRecognizer:
    """Train a blank English pipeline with spaCy's default NER (hash embeddings, four layers of convolution).

    The result has the averaged weights after the last epoch. Of overlapping mentions the longer one is learnt, and
    mentions that begin or end inside a token of spaCy are left out, as in spaCy's own converters.

    Args:
        names: corpora, of which only those that annotate all of `types` are used.
        types: the types to learn.
        folder: the folder to save the pipeline in.
        reject: is called with each part of the corpora that cannot be read.
        epochs: the number of passes over all passages, in batches that grow from 100 to 1,000 words.
        seed: the seed of all random choices.
        progress: is called with a line of text for each epoch.

    Raises:
        MissingExtraError: if spaCy is not installed.
        UsageError: if no corpus annotates all types.
    """
    spacy = _spacy()
    from spacy.training import Example
    from spacy.training.batchers import minibatch_by_words
    from thinc.api import compounding, fix_random_seed

    taken = [name for name in names if set(types) <= set(corpora.corpus_types(name))]
    if not taken:
        raise UsageError(f"none of {', '.join(names)} annotates all of {', '.join(types)}")
    fix_random_seed(seed)
    pipeline = spacy.blank("en")
    ner = pipeline.add_pipe("ner")
    for entity_type in types:
        ner.add_label(entity_type)
    examples = []
    for text, entities in (p for name in taken for p in _passages(name, types, reject)):
        doc = pipeline.make_doc(text)
        spans = [doc.char_span(e.start, e.end, label=e.type) for e in entities]
        doc.set_ents([span for span in spans if span is not None])
        examples.append(Example(pipeline.make_doc(text), doc))
    # spaCy infers the shapes of the network from a sample of the examples.
    optimiser = pipeline.initialize(lambda: examples[:500] + examples[-500:])
    chance = random.Random(seed)
    sizes = compounding(*SETTINGS["batch_words"])
    for epoch in range(1, epochs + 1):
        chance.shuffle(examples)
        losses: dict[str, float] = {}
        for batch in minibatch_by_words(examples, size=sizes):  # type: ignore[arg-type]
            pipeline.update(batch, sgd=optimiser, drop=SETTINGS["dropout"], losses=losses)
        progress(f"spaCy: epoch {epoch}/{epochs} loss {losses['ner']:.0f}")
    folder.mkdir(parents=True, exist_ok=True)
    with pipeline.use_params(optimiser.averages):
        pipeline.to_disk(folder)
    return SpacyRecognizer(folder)


def _passages(name: str, types: Sequence[str], reject: Reject) -> Iterator[tuple[str, list[Entity]]]:
    """Yield the text and the mentions of each passage, without overlaps, with offsets from the start of the passage."""
    for document in map(with_canonical_types, corpora.read_corpus(name, reject=reject)):
        wanted = flat(entity for entity in document.entities if entity.type in types)
        for part in whole_text(document):
            inside = [e.shift(-part.start) for e in wanted if part.contains(e.extent)]
            if part.of(document.text).strip():
                yield part.of(document.text), inside


def _spacy() -> Any:
    try:
        import spacy
    except ImportError as error:
        raise MissingExtraError("spacy", "spacy") from error
    return spacy
