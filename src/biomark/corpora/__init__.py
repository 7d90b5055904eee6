"""The catalogue of corpora: where each one lies, how it is split and what it annotates.

`corpora.toml` holds the facts; `read_split("ncbi_disease:train")` gives the documents. A corpus is
looked for in the folders of `corpus_folders`, in this order, and taken from the first that has it.
Fetching is in `biomark.corpora.fetching`.
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
        file: what is read, relative to a corpora folder: a file, or a folder of pairs of files.
        documents: how many documents it has; for corpora of sentences, sentences. None: nobody has counted them, since
            the files were not at hand.
        mentions: how many mentions of the corpus' types it has; None: as for `documents`.
        beside: files that its reader finds by itself and that have to be there too.
        sentences_of: a tokenised file; the split is those documents of `file` whose text it holds.
        all_but: a tokenised file; the split is the documents of `file` that `sentences_of` would leave out.
        tenths: which tenths of the documents of `file` it has, of those numbered 0 to 9 by a checksum of their
            ids; none: all of them.
        article: how many characters of an id name the article; its documents stay together. 0: all.
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
        """All files that reading it needs."""
        return (self.file, *self.beside, *(name for name in (self.sentences_of, self.all_but) if name))


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """A file of a corpus, or a folder that is copied as a whole, and where it comes from.

    Attributes:
        sha256: its checksum in hexadecimal, or "" where nobody has computed one, and for folders.
        url: the file itself or the archive that has it; "" where none has it in this form.
        member: its path inside the archive; "" where `url` is the file itself.
    """

    sha256: str = ""
    url: str = ""
    member: str = ""


@dataclass(frozen=True, slots=True)
class Corpus:
    """A row of `corpora.toml`, which explains the fields.

    Attributes:
        name: as the command line takes it.
        names: the types as its files spell them, and biomark's name of each; a type that is not
            here is not annotated throughout, or is none of ours, and is left out when read.
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
        """The types that it annotates, under biomark's names."""
        return tuple(dict.fromkeys(self.names.values()))


TESTS = ("test", "held_out")
"""Splits for scores alone."""


@cache
def catalogue() -> Mapping[str, Corpus]:
    """All corpora by name."""
    return packaged("biomark.corpora", "corpora.toml", dict[str, Corpus], named=True)


def corpus_named(name: str) -> Corpus:
    """The catalogue's row for a name.

    Raises:
        UsageError: if there is none; the message lists those that there are.
    """
    found = catalogue().get(name)
    if found is None:
        raise UsageError(f"no corpus {name!r} in the catalogue; there are {', '.join(catalogue())}")
    return found


def parse_split(name: str) -> tuple[Corpus, tuple[str, ...]]:
    """The corpus and the splits of a name such as `bc2gm:train`, `bc2gm:train+devel` or `bc2gm:all`.

    `all` is what a model may learn from: train and devel, never test or held_out. Parts of another split that is in it
    are not in it twice.

    Raises:
        UsageError: if the corpus or a split is unknown, or no split is named.
    """
    corpus_name, colon, wanted = name.partition(":")
    corpus = corpus_named(corpus_name)
    splits = tuple(wanted.split("+"))
    if wanted == "all":
        parts = "held_out" in corpus.splits  # what is held out is a part of train
        splits = tuple(n for n, split in corpus.splits.items() if n not in TESTS and bool(split.tenths) == parts)
    if not colon or not splits or any(split not in corpus.splits for split in splits):
        raise UsageError(
            f"name a split of {corpus.name}, such as {corpus.name}:train; "
            f"there are {', '.join(corpus.splits) or 'none'}, joined by +, and all for those but test"
        )
    return corpus, splits


def read_split(name: str, *, reject: Reject = raise_rejected) -> Iterator[Document]:
    """The documents of a split such as `ncbi_disease:train`.

    Their types have biomark's names, and only the types that the corpus annotates are there.

    Args:
        name: see `parse_split`.
        reject: as for `biomark.formats.read`.

    Raises:
        UsageError: if the catalogue has no such corpus or split.
        CorpusError: if its files are not there; the message says where they were looked for.
        FormatError: on the first reject, unless `reject` takes it.
    """
    corpus, splits = parse_split(name)
    places = [(corpus.splits[split], locate(corpus, split)) for split in splits]
    return (document for split, folder in places for document in _documents(corpus, split, folder, reject))


def read_corpus(corpus: str, format: str | None = None, *, reject: Reject = raise_rejected) -> Iterator[Document]:
    """The documents of a file, with types as it spells them, or of a split of the catalogue.

    Args:
        corpus: the path of a file or folder, which goes first, or such as `ncbi_disease:train`.
        format: of a file; None: guessed.
        reject: as for `biomark.formats.read`.

    Raises:
        UsageError: if it is neither.
        FormatError: if the file cannot be read.
        CorpusError: if the files of the split are not there.
    """
    if _is_file(corpus):
        return formats.read(corpus, format, reject=reject)
    return read_split(corpus, reject=reject)


def corpus_types(corpus: str, names: Iterable[str] = ()) -> tuple[str, ...]:
    """The types that a corpus annotates; of a file, those that occur in it, for which it is read.

    Args:
        corpus: as for `read_corpus`.
        names: spellings of types, which those of a file may differ from in case; the result has these.
    """
    if not _is_file(corpus):
        return parse_split(corpus)[0].types
    names = tuple(names)
    documents = (with_canonical_types(document, names=names) for document in read_corpus(corpus, reject=_ignore))
    return distinct(entity.type for document in documents for entity in document.entities)


def wanted_types(corpora: Iterable[str], types: Sequence[str] | None) -> dict[str, tuple[str, ...]]:
    """For each corpus those of some types that it annotates; None: all of them.

    Raises:
        UsageError: if a corpus is unknown, or annotates none of the types.
    """
    wanted = {}
    for corpus in corpora:
        annotated = corpus_types(corpus, types or ())
        wanted[corpus] = tuple(type for type in annotated if types is None or type in types)
        if not wanted[corpus]:
            raise UsageError(f"{corpus} annotates {', '.join(annotated) or 'nothing'}, none of the types asked for")
    return wanted


def describe(name: str) -> dict[str, object]:
    """What the catalogue says of a corpus and where each split lies, as JSON can hold it.

    Raises:
        UsageError: if there is no such corpus.
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
    """The same for people, as names and values.

    Raises:
        UsageError: if there is no such corpus.
    """
    corpus = corpus_named(name)
    spellings = ", ".join(f"{spelling} → {type}" for spelling, type in corpus.names.items())
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
    """A number of documents or mentions for people."""
    return "not counted" if number is None else f"{number:,}"


def _is_file(corpus: str) -> bool:
    """Whether it names a file or folder, not a corpus of the catalogue."""
    if formats.exists(Path(corpus)):
        return True
    if corpus.partition(":")[0] not in catalogue():
        raise UsageError(f"{corpus}: neither a file nor a corpus of the catalogue ({', '.join(catalogue())})")
    return False


def corpus_folders() -> tuple[Path, ...]:
    """Where corpora are looked for, in this order.

    `$BIOMARK_CORPORA`, if it is set, and the user's cache folder (`cache_folder`). Where it is not set, and
    biomark is a checkout of the source that is installed in place, also `shared/corpora` beside the checkout.
    """
    named = os.environ.get("BIOMARK_CORPORA")
    if named:
        return Path(named), kept_corpora()
    folders = [kept_corpora()]
    package = Path(__file__).resolve().parent.parent
    checkout = package.parent.parent
    if package.parent.name == "src" and (checkout / "pyproject.toml").is_file():
        folders.append(checkout.parent / "shared" / "corpora")
    return tuple(folders)


def kept_corpora() -> Path:
    """The folder of fetched corpora, in the user's cache."""
    return cache_folder() / "corpora"


def folder_of(corpus: Corpus, split: str) -> Path | None:
    """The first corpora folder that has all files of a split, or None."""
    return next((f for f in corpus_folders() if not _absent(corpus.splits[split], f)), None)


def locate(corpus: Corpus, split: str) -> Path:
    """The first corpora folder that has all files of a split.

    Raises:
        CorpusError: if none has; the message says what is missing where, and how to get it.
    """
    folder = folder_of(corpus, split)
    if folder:
        return folder
    missing = [f"{folder} lacks {', '.join(_absent(corpus.splits[split], folder))}" for folder in corpus_folders()]
    raise CorpusError(
        f"{corpus.name}:{split} is not there ({'; '.join(missing)}); get it with "
        f"{_how_to_fetch(corpus)}, or name a folder that has it in $BIOMARK_CORPORA"
    )


def _how_to_fetch(corpus: Corpus) -> str:
    """The command that brings the files of a corpus; a corpus without addresses is copied from a folder."""
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


def _tenth(id: str, article: int) -> int:
    return zlib.crc32(id[: article or None].encode()) % 10


def _members(documents: list[Document], tokenised: Path, *, inside: bool) -> Iterator[Document]:
    """The documents whose text a tokenised file holds, or (`inside` False) those that this leaves.

    Of documents with one text as many as it holds are members, from the first on.

    Raises:
        CorpusError: if the tokenised file has a sentence that begins no document.
    """
    texts = [_squeezed(document.text) for document in documents]
    left = Counter(_texts_in(tokenised, set(texts)))
    for document, text in zip(documents, texts, strict=True):
        member = left[text] > 0
        left[text] -= member
        if member == inside:
            yield document


def _texts_in(tokenised: Path, known: set[str]) -> Iterator[str]:
    """The texts of documents that a tokenised file holds, without white space.

    It may have split a document into several sentences: these are joined, fewest first, until they
    make one of the known texts.
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
            f"{tokenised}: from {text[:60]!r} on, its sentences are not those of the corpus; fetch both again"
        )


def _ignore(rejected: Rejected) -> None:
    """What the reading of the documents themselves tells is not told twice."""


def _squeezed(text: str) -> str:
    return "".join(text.split())
