"""The corpora of the default model's third edition, ready to learn from, without what test sets have.

    python recipes/more_corpora.py --from FOLDER -o runs/corpora

FOLDER holds further corpora as JSON Lines (`biored.jsonl.gz`, `craft.jsonl.gz` …: an `id`, a `text` and `entities` with
`spans` and a `type` in each line); the splits of the catalogue are looked for as always ($BIOMARK_CORPORA). Types get
biomark's names, annotations of the same texts come together, long texts are cut into paragraphs, and a checksum of the
ids decides what belongs to the parts `fit` and `devel`. The output has no sentence of 40 letters and digits or more
that also stands in a test split, or in a development split on which models are chosen, and no article with the PubMed
id of one.
"""

import argparse
import gzip
import json
import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from biomark.corpora import read_corpus
from biomark.spans import Document
from biomark.text.sentences import split

HELD_OUT = (
    "ncbi_disease:test bc5cdr:test bc2gm:test nlm_gene:test nlm_chem:test s800:test linnaeus:test bioid:held_out "
    "tmvar3:held_out mtsamples:test ncbi_disease:devel bc5cdr:devel_pick bc2gm:devel_pick nlm_gene:devel s800:devel "
    "linnaeus:devel bioid:devel tmvar3:devel"
).split()
CATALOGUE = (
    "ncbi_disease:train bc5cdr:train+devel_fit nlm_chem_marked:train bc2gm:train+devel_fit nlm_gene:fit "
    "gnormplus:train s800:fit linnaeus:fit bioid:fit tmvar3:fit"
).split()
# What each corpus is made of: files that annotate the same texts with one type each come together.
PARTS = {
    "biored": ["biored"],
    "chebi": ["chebi_chemical", "chebi_gene", "chebi_species"],
    "cellfinder": ["cellfinder_cell_line", "cellfinder_gene", "cellfinder_species"],
    "variome": ["variome_disease", "variome_gene"],
    "craft": ["craft"],
    "jnlpba": ["jnlpba"],
    "progene": ["progene"],
    "scai_chemical": ["scai_chemical"],
    "scai_disease": ["scai_disease"],
    "loctext": ["loctext_gene"],
    "cll": ["cll"],
    "osiris": ["osiris_gene"],
    "seth": ["seth"],
    "bionlp13cg": ["bionlp13cg"],
    "bionlp11id": ["bionlp11id"],
    "leaf": ["leaf_clinical_trials"],
    "raredis": ["raredis"],
    "chemdner": ["chemdner"],
}
TYPES = {
    "Gene": "gene",
    "Disease": "disease",
    "Chemical": "chemical",
    "Species": "species",
    "Variant": "variant",
    "CellLine": "cell_line",
    "Protein": "gene",
    "Organism": "species",
    "Gene_or_gene_product": "gene",
    "Simple_chemical": "chemical",
    "Condition": "disease",
    "Drug": "chemical",
    "RAREDISEASE": "disease",
    "DISEASE": "disease",
    "SKINRAREDISEASE": "disease",
    "SYMPTOM": "disease",
    "SIGN": "disease",
}
# Of these corpora only some types are annotated as ours are.
ONLY = {"jnlpba": {"Gene", "CellLine"}, "bionlp13cg": {"Gene_or_gene_product", "Simple_chemical", "Organism"}}
# Which tenths of a corpus are its part `devel`.
DEVEL = {"biored": 8, "craft": 8, "chemdner": 9, "seth": 9, "jnlpba": 9, "chebi": 9, "cellfinder": 9, "leaf": 9}
LETTERS, LONG_TEXT, FEW_SENTENCES = 40, 6000, 10
BLANK_LINE = re.compile(r"(?<=\n)\n+")


@dataclass
class Text:
    """A text with its mentions: `(start, end, type)`, code points."""

    id: str
    text: str
    mentions: list[tuple[int, int, str]] = field(default_factory=list)

    def cut(self, id: str, start: int, end: int) -> "Text":
        """The part between two offsets, with the mentions that lie in it."""
        inside = [(a - start, b - start, type) for a, b, type in self.mentions if start <= a and b <= end]
        return Text(id, self.text[start:end], inside)

    def line(self) -> str:
        """As a line of biomark's JSON Lines."""
        entities = [{"spans": [[start, end]], "type": type} for start, end, type in self.mentions]
        return json.dumps({"id": self.id, "text": self.text, "entities": entities}, ensure_ascii=False) + "\n"


class HeldOut:
    """The sentences and PubMed ids of the splits that nothing is learnt from."""

    def __init__(self, splits: Iterable[str]) -> None:
        self._sentences: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        for name in splits:
            for document in read_corpus(name, reject=lambda _: None):
                if len(document.id) > 5 and document.id.isdigit():
                    self._ids[document.id] = name
                for sentence in split(document.text):
                    key = squeezed(sentence.of(document.text))
                    if len(key) >= LETTERS:
                        self._sentences.setdefault(key, name)

    def without(self, text: Text, id: str, left_out: Counter[str]) -> Iterator[Text]:
        """What may be learnt from: a text as a whole, its parts between shared sentences if it is long, or nothing."""
        sentences = split(text.text)
        shared = [(s, where) for s in sentences if (where := self._sentences.get(squeezed(s.of(text.text))))]
        if id in self._ids or (shared and len(sentences) <= FEW_SENTENCES):
            left_out[self._ids.get(id) or shared[0][1]] += 1
            return
        if not shared:
            yield text
            return
        left_out.update(where for _, where in shared)
        edges = [0, *(edge for sentence, _ in shared for edge in (sentence.start, sentence.end)), len(text.text)]
        for number, (start, end) in enumerate(zip(edges[::2], edges[1::2], strict=True)):
            if text.text[start:end].strip():
                yield text.cut(f"{text.id}.{number}", start, end)


def squeezed(text: str) -> str:
    """The letters and digits of a text, in lower case."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def of_files(folder: Path, corpus: str) -> Iterator[Text]:
    """The texts of a corpus' files; long ones paragraph by paragraph."""
    texts: dict[str, Text] = {}
    for part in PARTS[corpus]:
        with gzip.open(folder / f"{part}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                text = texts.setdefault(row["text"], Text(row["id"], row["text"]))
                for entity in row["entities"]:
                    if entity["type"] in ONLY.get(corpus, TYPES) and entity["type"] in TYPES:
                        text.mentions.append((*entity["spans"][0], TYPES[entity["type"]]))
    for text in texts.values():
        yield from [text] if len(text.text) < LONG_TEXT else paragraphs(text)


def paragraphs(text: Text) -> Iterator[Text]:
    """The parts of a text between empty lines."""
    start = 0
    for number, part in enumerate(BLANK_LINE.split(text.text)):
        start = text.text.index(part, start)
        if part.strip():
            yield text.cut(f"{text.id}.{number}", start, start + len(part))
        start += len(part)


def of_document(document: Document) -> Text:
    """A document of the catalogue; discontinuous mentions are taken whole."""
    return Text(document.id, document.text, [(e.start, e.end, e.type) for e in document.entities])


def is_devel(corpus: str, text: Text) -> bool:
    """Whether a text belongs to the part `devel` of its corpus; an article's paragraphs stay together."""
    return zlib.crc32(text.id.split(".")[0].encode()) % 10 >= DEVEL.get(corpus, 10)


def write(path: Path, texts: Iterable[Text]) -> None:
    """A file of JSON Lines."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(text.line() for text in texts)


def main() -> None:
    """Write `NAME.fit.jsonl` and `NAME.devel.jsonl` for each corpus, and tell what was left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="folder", type=Path, required=True, help="folder of further corpora")
    parser.add_argument("-o", dest="output", type=Path, required=True, help="folder to write to")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    held_out = HeldOut(HELD_OUT)
    for corpus in PARTS:
        left_out: Counter[str] = Counter()
        kept = [
            part
            for t in of_files(options.folder, corpus)
            for part in held_out.without(t, t.id.split("-")[-1], left_out)
        ]
        write(options.output / f"{corpus}.fit.jsonl", (t for t in kept if not is_devel(corpus, t)))
        if corpus in DEVEL:
            write(options.output / f"{corpus}.devel.jsonl", (t for t in kept if is_devel(corpus, t)))
        sys.stderr.write(f"{corpus}: {len(kept)} texts; left out: {dict(left_out)}\n")
    for name in CATALOGUE:
        left_out = Counter()
        documents = read_corpus(name, reject=lambda _: None)
        kept = [part for d in documents for part in held_out.without(of_document(d), d.id, left_out)]
        write(options.output / f"{name.partition(':')[0]}.fit.jsonl", kept)
        sys.stderr.write(f"{name}: {len(kept)} texts; left out: {dict(left_out)}\n")


if __name__ == "__main__":
    main()
