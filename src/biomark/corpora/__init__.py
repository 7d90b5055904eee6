"""The catalogue of corpora: their files, splits and annotated entity types.

`corpora.toml` holds the facts; `read_split("ncbi_disease:train")` returns the documents. A corpus is
read from the first of the folders of `corpus_folders` that has its files.
`biomark.corpora.fetching` fetches the files.
"""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from biomark import formats
from biomark.entity_types import distinct, with_canonical_types
from biomark.errors import CorpusError, UsageError
from biomark.formats import Reject, raise_rejected
from biomark.runtime.files import cache_folder
from biomark.runtime.toml import packaged
from biomark.spans import Document, Rejected


@dataclass(frozen=True, slots=True)
class Split:
    """A split of a corpus.

    Attributes:
        file: the path to read, relative to a corpora folder: a file, or a folder of pairs of files.
        documents: the number of documents (sentences, for corpora of sentences); None: unknown, because the files
            were not available.
        mentions: the number of mentions of the corpus' types; None: unknown.
        beside: further files that the reader of `file` needs and locates itself.
        sentences_of: a tokenised file; the split consists of the documents of `file` whose texts this file has.
        all_but: a tokenised file; the split consists of the documents of `file` whose texts this file lacks.
        tenths: the tenths of the documents of `file` in the split, numbered 0 to 9 by a checksum of their ids;
            empty: all documents.
        article: the number of characters of an id that identify the article, whose documents stay in one tenth;
            0: the whole id.
    """

    file: str
    documents: int | None = None
    mentions: int | None = None
    beside: tuple[str, ...] = ()
    sentences_of: str | None = None
    all_but: str | None = None
    tenths: tuple[int, ...] = ()
    article: int = 0

    @property
    def files(self) -> tuple[str, ...]:
        """All files that are needed to read the split."""
        return (self.file, *self.beside, *(name for name in (self.sentences_of, self.all_but) if name))


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """A file of a corpus, or a folder that is copied as a whole, and its origin.

    Attributes:
        sha256: the checksum in hexadecimal; "" if unknown, and for folders.
        url: the address of the file or of the archive that contains it; "" if there is none.
        member: the path inside the archive; "" if `url` is the file itself.
    """

    sha256: str = ""
    url: str = ""
    member: str = ""


@dataclass(frozen=True, slots=True)
class Corpus:
    """A row of `corpora.toml`, which explains the fields.

    Attributes:
        name: the name for users, such as `ncbi_disease`.
        names: spelling in the files → biomark's name of the type; mentions of other types, which are not
            annotated throughout or are not of interest, are left out when the corpus is read.
    """

    name: str
    title: str
    homepage: str
    licence: str
    citation: str
    names: Mapping[str, str]
    splits: Mapping[str, Split]
    files: Mapping[str, CorpusFile]
    format: str | None = None
    notes: str = ""
    verified: bool = True

    @property
    def types(self) -> tuple[str, ...]:
        """The annotated types, under biomark's names."""
        return tuple(dict.fromkeys(self.names.values()))


TESTS = ("test", "held_out")
"""The splits that are only for scoring, never for training."""


@cache
def catalogue() -> Mapping[str, Corpus]:
    """Return all corpora by name."""
    return packaged("biomark.corpora", "corpora.toml", dict[str, Corpus], named=True)


def corpus_named(name: str) -> Corpus:
    """Return the corpus of the catalogue with a name.

    Raises:
        UsageError: if the name is unknown; the message lists all corpora.
    """
    corpus = catalogue().get(name)
    if corpus is None:
        raise UsageError(f"unknown corpus {name!r}; choose from {', '.join(catalogue())}")
    return corpus


def parse_split(name: str) -> tuple[Corpus, tuple[str, ...]]:
    """Return the corpus and the splits of a name such as `bc2gm:train`, `bc2gm:train+devel` or `bc2gm:all`.

    `all` stands for all data from which a model may learn: train and devel, but neither test nor held_out. No
    document is in `all` twice, even if one split is a part of another one.

    Raises:
        UsageError: if the corpus or a split is unknown, or the name has no split.
    """
    corpus_name, colon, wanted = name.partition(":")
    corpus = corpus_named(corpus_name)
    splits = tuple(wanted.split("+"))
    if wanted == "all":
        parts = "held_out" in corpus.splits  # held_out is a part of train
        splits = tuple(n for n, split in corpus.splits.items() if n not in TESTS and bool(split.tenths) == parts)
    if not colon or not splits or any(split not in corpus.splits for split in splits):
        if not corpus.splits:
            raise UsageError(f"{name}: the catalogue has no splits of {corpus.name}; name a file instead")
        raise UsageError(
            f"{name}: name a split of {corpus.name}, such as {corpus.name}:train; "
            f"choose from {', '.join(corpus.splits)} (joined by +), or all for the data to learn from"
        )
    return corpus, splits


def read_split(name: str, *, reject: Reject = raise_rejected) -> Iterator[Document]:
    """Yield the documents of a split such as `ncbi_disease:train`.

    Entities have biomark's names of types; those of types that the corpus does not annotate are left out.

    Args:
        name: the name of one or several splits, see `parse_split`.
        reject: as for `biomark.formats.read`.

    Raises:
        UsageError: if the catalogue has no such corpus or split.
        CorpusError: if its files do not exist; the message lists the folders that were searched.
        FormatError: on the first reject, unless `reject` accepts it.
    """
    corpus, splits = parse_split(name)
    places = [(corpus.splits[split], locate(corpus, split)) for split in splits]
    return (document for split, folder in places for document in _documents(corpus, split, folder, reject))


def read_corpus(corpus: str, format_name: str | None = None, *, reject: Reject = raise_rejected) -> Iterator[Document]:
    """Yield the documents of a file, with its own spelling of types, or of a split of the catalogue.

    Args:
        corpus: the path of a file or folder, which takes precedence, or a split such as `ncbi_disease:train`.
        format_name: the format of the file; None: inferred.
        reject: as for `biomark.formats.read`.

    Raises:
        UsageError: if `corpus` is neither a path nor a split.
        FormatError: if the file cannot be read.
        CorpusError: if the files of the split do not exist.
    """
    if _is_file(corpus):
        return formats.read(corpus, format_name, reject=reject)
    return read_split(corpus, reject=reject)


def corpus_types(corpus: str, names: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the types that a corpus annotates; a file is read, and its types are those that occur.

    Args:
        corpus: as for `read_corpus`.
        names: preferred spellings of types, which replace spellings of a file that differ in case alone.
    """
    if not _is_file(corpus):
        return parse_split(corpus)[0].types
    names = tuple(names)
    documents = (with_canonical_types(document, names=names) for document in read_corpus(corpus, reject=_ignore))
    return distinct(entity.type for document in documents for entity in document.entities)


def wanted_types(corpora: Iterable[str], types: Sequence[str] | None) -> dict[str, tuple[str, ...]]:
    """Return the annotated types of each corpus, restricted to `types`; None: no restriction.

    Raises:
        UsageError: if a corpus is unknown, or annotates none of the types.
    """
    wanted = {}
    for corpus in corpora:
        annotated = corpus_types(corpus, types or ())
        wanted[corpus] = tuple(entity_type for entity_type in annotated if types is None or entity_type in types)
        if not wanted[corpus]:
            asked = ", ".join(types or ())
            raise UsageError(
                f"{corpus} annotates {', '.join(annotated) or 'no type'}, but none of the requested types: {asked}"
            )
    return wanted


def describe(name: str) -> dict[str, object]:
    """Return the facts about a corpus and the folder of each split as a JSON object.

    Raises:
        UsageError: if the corpus is unknown.
    """
    corpus = corpus_named(name)
    splits = {
        split: {
            "documents": facts.documents,
            "mentions": facts.mentions,
            "files": list(facts.files),
            "folder": str(folder) if (folder := folder_of(corpus, split)) else None,
        }
        for split, facts in corpus.splits.items()
    }
    return {
        "name": name,
        "title": corpus.title,
        "types": list(corpus.types),
        "type_names": dict(corpus.names),
        "splits": splits,
        "licence": corpus.licence,
        "citation": corpus.citation,
        "homepage": corpus.homepage,
        "addresses": list(dict.fromkeys(file.url for file in corpus.files.values() if file.url)),
        "verified": corpus.verified,
        "notes": corpus.notes,
    }


def summary(name: str) -> list[tuple[str, str]]:
    """Return the facts about a corpus for people, as names and values.

    Raises:
        UsageError: if the corpus is unknown.
    """
    corpus = corpus_named(name)
    spellings = ", ".join(f"{spelling} → {entity_type}" for spelling, entity_type in corpus.names.items())
    lines = [("corpus", corpus.name), ("title", corpus.title), ("types", spellings)]
    for split, facts in corpus.splits.items():
        place = folder_of(corpus, split) or f"not at hand: {_how_to_fetch(corpus)}"
        counts = [f"{counted(facts.documents)} documents", f"{counted(facts.mentions)} mentions"]
        lines.append((split, f"{', '.join(counts) if facts.documents else 'not counted'}; {place}"))
    addresses = dict.fromkeys(file.url for file in corpus.files.values() if file.url)
    lines += [("address", address + ("" if corpus.verified else " (not tried yet)")) for address in addresses]
    lines += [("licence", corpus.licence), ("citation", corpus.citation), ("homepage", corpus.homepage)]
    return [*lines, ("notes", corpus.notes)] if corpus.notes else lines


def counted(number: int | None) -> str:
    """Format a number of documents or mentions for people."""
    return "not counted" if number is None else f"{number:,}"


def _is_file(corpus: str) -> bool:
    """Return whether a name is that of a file or folder rather than of a corpus in the catalogue.

    Raises:
        UsageError: if it is neither.
    """
    if formats.exists(Path(corpus)):
        return True
    if corpus.partition(":")[0] not in catalogue():
        raise UsageError(f"{corpus}: neither a file nor a corpus of the catalogue ({', '.join(catalogue())})")
    return False


def corpus_folders() -> tuple[Path, ...]:
    """Return the folders that are searched for corpora, in this order.

    They are `$BIOMARK_CORPORA`, if it is set, and the user's cache folder (`cache_folder`). If the variable is not
    set and biomark is a source checkout that is installed in place, `shared/corpora` beside the checkout follows.
    """
    folder = os.environ.get("BIOMARK_CORPORA")
    if folder:
        return Path(folder), kept_corpora()
    folders = [kept_corpora()]
    package = Path(__file__).resolve().parent.parent
    checkout = package.parent.parent
    if package.parent.name == "src" and (checkout / "pyproject.toml").is_file():
        folders.append(checkout.parent / "shared" / "corpora")
    return tuple(folders)


def kept_corpora() -> Path:
    """Return the folder of fetched corpora in the user's cache."""
    return cache_folder() / "corpora"


def folder_of(corpus: Corpus, split: str) -> Path | None:
    """Return the first corpora folder that has all files of a split, or None."""
    return next((f for f in corpus_folders() if not _absent(corpus.splits[split], f)), None)


def locate(corpus: Corpus, split: str) -> Path:
    """Return the first corpora folder that has all files of a split.

    Raises:
        CorpusError: if no folder has them; the message lists the missing files and how to get them.
    """
    folder = folder_of(corpus, split)
    if folder:
        return folder
    missing = [f"{folder} lacks {', '.join(_absent(corpus.splits[split], folder))}" for folder in corpus_folders()]
    raise CorpusError(
        f"{corpus.name}:{split} is not available ({'; '.join(missing)}); get it with "
        f"{_how_to_fetch(corpus)}, or set $BIOMARK_CORPORA to a folder that has it"
    )


def _how_to_fetch(corpus: Corpus) -> str:
    """Return the command that fetches a corpus; a corpus without addresses is copied from a folder."""
    has_addresses = any(file.url for file in corpus.files.values())
    return f"biomark corpora fetch {corpus.name}" + ("" if has_addresses else ", from a local folder")


def _absent(split: Split, folder: Path) -> list[str]:
    return [name for name in split.files if not (folder / name).exists()]


def _documents(corpus: Corpus, split: Split, folder: Path, reject: Reject) -> Iterator[Document]:
    path = folder / split.file
    documents = formats.read(path, corpus.format, reject=reject)
    for name, inside in ((split.sentences_of, True), (split.all_but, False)):
        if name:
            documents = _members(list(documents), folder / name, inside=inside)
    if split.tenths:
        documents = (d for d in documents if _tenth(d.id, split.article) in split.tenths)
    for document in documents:
        kept = tuple(replace(e, type=corpus.names[e.type]) for e in document.entities if e.type in corpus.names)
        yield replace(document, entities=kept)


def _tenth(document_id: str, article: int) -> int:
    return zlib.crc32(document_id[: article or None].encode()) % 10


def _members(documents: list[Document], tokenised: Path, *, inside: bool) -> Iterator[Document]:
    """Yield the documents whose texts a tokenised file has, or all others if `inside` is False.

    Of several documents with one text, the first ones match, as many as the tokenised file has.

    Raises:
        CorpusError: if sentences of the tokenised file do not add up to a document.
    """
    texts = [_squeezed(document.text) for document in documents]
    left = Counter(_texts_in(tokenised, set(texts)))
    for document, text in zip(documents, texts, strict=True):
        member = left[text] > 0
        left[text] -= member
        if member == inside:
            yield document


def _texts_in(tokenised: Path, known: set[str]) -> Iterator[str]:
    """Yield the texts of documents in a tokenised file, without white space.

    The file may split a document into several sentences; consecutive sentences are joined until they
    equal one of the known texts.
    """
    longest = max(map(len, known), default=0)
    text = ""
    for sentence in formats.read(tokenised, "conll", reject=_ignore):
        text += _squeezed(sentence.text)
        if text in known:
            yield text
            text = ""
        elif len(text) > longest:
            break
    if text:
        raise CorpusError(
            f"{tokenised}: from {text[:60]!r} on, the sentences differ from those of the corpus; fetch both again"
        )


def _ignore(rejected: Rejected) -> None:
    """Discard a reject, which is reported when the documents themselves are read."""


def _squeezed(text: str) -> str:
    return "".join(text.split())
