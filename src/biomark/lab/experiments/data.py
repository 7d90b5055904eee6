"""The data of experiments: sentences drawn from splits, and checksums of all inputs."""

from __future__ import annotations

import hashlib
import json
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from pathlib import Path

from biomark import corpora
from biomark.errors import CorpusError, UsageError
from biomark.knowledge.building import build as build_store
from biomark.knowledge.sources import open_source
from biomark.recognizers import Annotated, Recognizer
from biomark.runtime import files
from biomark.spans import Document, Rejected, Span
from biomark.text.sentences import OWN, with_sentences

DRAW = 0  # the seed for drawing from development and test splits, the same for all cells


class BySentence:
    """A recognizer that passes single sentences to another one and joins the results into documents.

    Args:
        inner: the other one.
    """

    def __init__(self, inner: Recognizer) -> None:
        self._inner = inner

    @property
    def types(self) -> tuple[str, ...] | None:
        """The types of the other recognizer."""
        return self._inner.types

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `biomark.recognizers.Recognizer`; a mention lies within a sentence."""
        waiting: deque[Document] = deque()

        def parts() -> Iterator[Document]:
            for document in map(with_sentences, documents):
                waiting.append(document)
                for number, span in enumerate(document.sentences):
                    yield Document(f"{document.id}:{number}", span.of(document.text))

        def finished(pieces: list[Annotated]) -> Iterator[Annotated]:
            """Yield the documents whose sentences are all annotated, including those without sentences."""
            while waiting and len(pieces) == len(waiting[0].sentences):
                yield _joined(waiting.popleft(), pieces)
                pieces.clear()

        pieces: list[Annotated] = []
        for piece in self._inner.annotate(parts(), types, min_score=min_score):
            yield from finished(pieces)
            pieces.append(piece)
            yield from finished(pieces)
        yield from finished(pieces)


def _joined(document: Document, pieces: Sequence[Annotated]) -> Annotated:
    """Join the annotated sentences of a document."""
    places = list(zip(document.sentences, pieces, strict=True))
    entities = tuple(entity.shift(span.start) for span, piece in places for entity in piece.document.entities)
    rejected = tuple(
        replace(one, document_id=document.id, window=span) for span, piece in places for one in piece.rejected
    )
    return Annotated(replace(document.bare(), entities=entities), rejected)


def sentence_documents(documents: Sequence[Document]) -> Iterator[Document]:
    """Yield each sentence as a document; mentions that cross the end of a sentence are left out."""
    for document in map(with_sentences, documents):
        for number, span in enumerate(document.sentences):
            part = document.slice(span)
            whole = (Span(0, len(part.text)),)
            yield Document(f"{document.id}:{number}", part.text, sentences=whole, entities=part.entities)


def read_documents(name: str, splitter: str = OWN) -> tuple[Document, ...]:
    """Read the documents of a split, with sentences; `rejects` returns the parts that cannot be read."""
    return _read(name, splitter)[0]


def rejects(name: str) -> tuple[str, ...]:
    """Return the reasons for the rejected parts of a split, without their text."""
    return _read(name, OWN)[1]


@lru_cache(maxsize=8)
def _read(name: str, splitter: str) -> tuple[tuple[Document, ...], tuple[str, ...]]:
    rejected: list[Rejected] = []
    documents = tuple(
        with_sentences(document, splitter) for document in corpora.read_split(name, reject=rejected.append)
    )
    return documents, tuple(str(replace(one, raw="", source=name)) for one in rejected)


@lru_cache(maxsize=64)
def count_sentences(name: str) -> int:
    """Return the number of sentences of a split."""
    return sum(len(document.sentences) for document in read_documents(name))


def draw(name: str, sentences: int, fraction: float, seed: int) -> list[Document]:
    """Draw sentences of a split, each as a document, in text order; see `Place.drawn` in `workspace`."""
    every = list(sentence_documents(read_documents(name)))
    places = list(range(len(every)))
    random.Random(f"{seed} {name}").shuffle(places)
    wanted = min(sentences or len(every), len(every))
    return [every[place] for place in sorted(places[: max(1, round(wanted * fraction))])]


def draw_facts(sentences: int, fraction: float, seed: int, repeats: int) -> list[float]:
    """Return the facts that determine a draw, for checksums; empty if a split is read completely."""
    if not sentences and fraction == 1 and repeats == 1:
        return []
    return [sentences, fraction, seed, *([repeats] if repeats > 1 else [])]


def splits_of_types(names: Sequence[str], types: Sequence[str]) -> list[str]:
    """Return the splits that annotate at least one of the types, or all splits if there are no types."""
    kept = [name for name in names if not types or set(types).intersection(corpora.parse_split(name)[0].types)]
    if names and not kept:
        raise UsageError(f"none of {', '.join(names)} annotates {', '.join(types)}")
    return kept


def types_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return the distinct types that splits annotate."""
    return tuple(dict.fromkeys(entity_type for name in names for entity_type in corpora.corpus_types(name)))


def test_documents(name: str, sentences: int, splitter: str) -> tuple[Document, ...]:
    """Draw whole documents from a split until they have a number of sentences; 0: all documents.

    Raises:
        MissingExtraError: if the splitter needs a library that is not installed.
    """
    documents = read_documents(name, splitter)
    if not sentences:
        return documents
    order = list(range(len(documents)))
    random.Random(f"{DRAW} {name}").shuffle(order)
    chosen: list[int] = []
    count = 0
    for place in order:
        if count >= sentences:
            break
        chosen.append(place)
        count += len(documents[place].sentences)
    return tuple(documents[place] for place in sorted(chosen))


def write_json(path: Path, value: object) -> None:
    """Write a value to a JSON file, atomically: the file is never incomplete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")
    part.replace(path)


@lru_cache(maxsize=256)
def data_sum(split: str) -> str:
    """Return the checksum of a split's files."""
    return checksum([[name, file_sum(path)] for name, path in data_files(split)])


def data_files(split: str) -> list[tuple[str, Path]]:
    """Return the files of one split or several (`bc2gm:train+devel`), by their names in the catalogue.

    Raises:
        CorpusError: if one is missing.
    """
    corpus, splits = corpora.parse_split(split)
    return [(name, corpora.locate(corpus, one) / name) for one in splits for name in corpus.splits[one].files]


file_sum = lru_cache(maxsize=256)(files.file_sum)
"""The SHA-256 of a file, cached, for files that do not change while experiments run."""


def source_path(name: str) -> str:
    """Return the source of knowledge with a name: a split, or a file in the first corpora folder that has it."""
    if ":" in name:
        return name
    if path := _held(name):
        return str(path)
    raise CorpusError(f"{name} is in none of {', '.join(map(str, corpora.corpus_folders()))}; put it into one of them")


def sums_of(sources: Sequence[str]) -> list[object]:
    """Return each source of knowledge with its checksum."""
    return [[source, source_sum(source)] for source in sources]


def knowledge_store(path: Path, sources: Sequence[str], own: Sequence[str], say: Callable[[str], None]) -> Path:
    """Return the knowledge store of some sources; it is built if it does not exist.

    Args:
        path: the path of the store.
        sources: see `source_path`.
        own: files or splits of annotated sentences, whose mentions are in it, too.
        say: is called with a line about what is done.
    """
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        say(f"a knowledge store of {', '.join((*sources, *(['the sentences to learn from'] if own else [])))}")
        files = [*map(source_path, sources), *own]
        build_store([open_source(file) for file in files], path, reject=lambda rejected: None)
    return path


def missing_sources(names: Iterable[str]) -> tuple[str, ...]:
    """Return the files among sources of knowledge that no corpora folder has."""
    return tuple(name for name in dict.fromkeys(names) if ":" not in name and _held(name) is None)


def source_sum(name: str) -> str:
    """Return the checksum of a source of knowledge, or "" for a missing file."""
    if ":" in name:
        return data_sum(name)
    path = _held(name)
    return file_sum(path) if path else ""


def recipe_folder() -> Path:
    """Return the folder with recipes: that of the checkout that biomark runs from, else of the working folder."""
    beside = Path(str(resources.files("biomark"))).resolve().parents[1] / "recipes"
    return beside if beside.is_dir() else Path("recipes")


def _held(name: str) -> Path | None:
    return next((folder / name for folder in corpora.corpus_folders() if (folder / name).is_file()), None)


def checksum(value: object) -> str:
    """Return a checksum of values, for naming a result by the inputs that determine it."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
