"""Synthetic clinical notes with their mentions, to train on: no real persons, no text of real notes.

    python recipes/clinical_notes.py -o runs/clinical_notes.jsonl --count 4000 --seed 14 --terms terms

writes biomark JSON Lines with mentions of diseases, chemicals, genes, species and variants. The notes come from the
patterns and vocabularies of `recipes/clinical/`; with `--terms`, the folder that `recipes/terms.py` wrote, about a
third of the diseases and drugs are names of open terminologies. What a mention is, and where it ends, is described in
docs/tuning.md (*Clinical notes*). The same seed and terms give the same notes.
"""

import argparse
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from clinical.notes import NoteWriter

import biomark

# Words that the guideline leaves outside of mentions, or that make a name unlike those of notes.
OUTSIDE = re.compile(
    r"\b(acute|subacute|chronic|recurrent|severe|mild|moderate|left|right|bilateral|unilateral|end|stage|grade|type|"
    r"class|with|without|due|to|in|of|by|and|or|the|on|after|nos|other|unspecified|finding|personal|abnormality|"
    r"morphology|aplasia|hypoplasia|susceptibility|early|late|onset|progressive|level|index|test|"
    r"hiv|virus|cmv|malignant|metastatic)\b|\d|[,()/\[\]]"
)
# What names of diseases and of drugs look like; the term lists also hold "remedial teaching" and "krypton".
LIKE = {
    "disease": re.compile(
        r"(itis|osis|emia|aemia|oma|pathy|plegia|algia|uria|cele|rrhea|phobia|trophy|plasia|penia|megaly|asis|"
        r"ectasia|syndrome|disease|disorder|cancer|carcinoma|failure|fracture|pain|tumor|neoplasm|ulcer|abscess|"
        r"h(a)?emorrhage|palsy|stenosis|rupture|hernia|edema|atrophy|dystrophy|seizures?|epilepsy|deafness|blindness|"
        r"insufficiency|malformation|obstruction|an(a)?emia|fever|cyst|polyp|lesion|mass|spasm|rash)$"
    ),
    "chemical": re.compile(r"^[A-Za-z][A-Za-z-]{4,}( [a-z]{4,})?$"),
}


def names(folder: Path | None, type: str, words: int) -> list[str]:
    """The names of a type in a folder of `recipes/terms.py` that may stand in a note as they are."""
    if folder is None:
        return []
    path = folder / f"{type}.tsv"
    if not path.exists():
        raise SystemExit(f"{path} does not exist; write it with python recipes/terms.py -o {folder}")
    lines = path.read_text("utf-8").splitlines()[1:]
    kept = dict.fromkeys(line.split("\t")[0].strip() for line in lines)
    fitting = (name for name in kept if len(name.split()) <= words and LIKE[type].search(name))
    return [name for name in fitting if not OUTSIDE.search(name.lower())]


def notes(writer: NoteWriter, count: int, seed: int) -> Iterator[biomark.Document]:
    """So many notes; each has its own source of chance, so that more notes begin with the same ones."""
    for number in range(count):
        yield writer.note(f"clinical-{number:05d}", random.Random(f"{seed} {number}"))


def main() -> None:
    """Write notes."""
    parser = argparse.ArgumentParser(description="Synthetic clinical notes with their mentions, to train on.")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/clinical_notes.jsonl"))
    parser.add_argument("--count", type=int, default=4000, help="notes to write (default: 4000)")
    parser.add_argument("--seed", type=int, default=13, help="seed of chance (default: 13)")
    parser.add_argument("--terms", type=Path, help="folder with the tables of recipes/terms.py")
    options = parser.parse_args()
    writer = NoteWriter(names(options.terms, "disease", 3), names(options.terms, "chemical", 2))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    biomark.write(notes(writer, options.count, options.seed), options.output)
    sys.stdout.write(f"{options.output}: {options.count} notes\n")


if __name__ == "__main__":
    main()
