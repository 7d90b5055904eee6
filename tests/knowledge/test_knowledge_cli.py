"""The commands around stores of terms, run as people run them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Outcome

Biomark = Callable[..., Outcome]

OBO = """format-version: 1.2
data-version: 7
[Term]
id: DOID:1
name: hay fever
def: "A sneezing [in] spring." []
synonym: "pollinosis" EXACT []
synonym: "HF" EXACT []
xref: MESH:D006255
alt_id: DOID:8
"""
TABLE = "id\ttype\tname\tsynonyms\nG:1\tgadget\tblue widget\tazure widget|BW7\n\tgadget\tcog\t\n"
ANNOTATED = "1|t|Hayfever by pollen\n1|a|\n1\t0\t8\tHayfever\tDisease\tD006255\n1\t12\t18\tpollen\tChemical\t-\n\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.obo").write_text(OBO)
    Path("b.tsv").write_text(TABLE)
    Path("c.pubtator").write_text(ANNOTATED)
    return tmp_path


def test_build_and_show(biomark: Biomark) -> None:
    built = biomark("knowledge", "build", "a.obo", "b.tsv", "c.pubtator", "-o", "my.store", "--progress")
    assert (built.status, built.out) == (0, "")
    assert "my.store: 8 names of 4 concepts" in built.err
    assert "note: c.pubtator: 1 mentions without an identifier left out" in built.err
    shown = json.loads(biomark("knowledge", "show", "my.store", "--json").out)
    assert [(s["name"], s["format"], s["version"], s["entries"]) for s in shown["sources"]] == [
        ("a.obo", "obo", "7", 1),
        ("b.tsv", "table", "", 2),
        ("c.pubtator", "corpus", "", 1),
    ]
    assert shown["types"] == {"disease": {"concepts": 2, "names": 4}, "gadget": {"concepts": 2, "names": 4}}
    table = biomark("knowledge", "show", "my.store").out
    assert "gadget" in table
    assert "c.pubtator" in table


def test_one_concept(biomark: Biomark) -> None:
    biomark("knowledge", "build", "a.obo", "-o", "my.store")
    for spelling in ("DOID:1", "DO:1", "DOID:8"):
        shown = json.loads(biomark("knowledge", "show", "my.store", spelling, "--json").out)
        assert shown["identifier"] == "DOID:1"
        assert shown["links"] == {"same as": ["MESH:D006255"], "formerly": ["DOID:8"], "is a": []}
        names = {name["name"]: (name["kind"], name["caution"]) for name in shown["names"]}
        assert names == {
            "hay fever": ("preferred", ""),
            "pollinosis": ("exact", ""),
            "HF": ("exact", "only as written, beside a longer name"),
        }
    assert "A sneezing [in] spring." in biomark("knowledge", "show", "my.store", "DOID:1").out
    unknown = biomark("knowledge", "show", "my.store", "DOID:2")
    assert (unknown.status, unknown.err) == (
        2,
        "biomark: my.store has no DOID:2; search by name with: biomark knowledge search\n",
    )


def test_search(biomark: Biomark) -> None:
    biomark("knowledge", "build", "a.obo", "b.tsv", "-o", "my.store")
    found = json.loads(biomark("knowledge", "search", "my.store", "Blue-Widgets", "--json").out)
    assert [(term["identifier"], term["name"]) for term in found] == [("G:1", "blue widget"), ("G:1", "azure widget")]
    for options, names in ((("--limit", "1"), ["blue widget"]), (("--types", "disease"), [])):
        found = json.loads(biomark("knowledge", "search", "my.store", "widget blue", "--json", *options).out)
        assert [term["name"] for term in found] == names
    table = biomark("knowledge", "search", "my.store", "fever").out
    assert "DOID:1" in table
    assert "[in]" in table
    nothing = biomark("knowledge", "search", "my.store", "(*) nonsense")
    assert (nothing.status, nothing.out) == (0, "")
    assert "has no name that shares a word" in nothing.err


def test_types_of_a_table_are_annotated_at_once(biomark: Biomark) -> None:
    assert biomark("knowledge", "build", "b.tsv", "-o", "my.store").status == 0
    text = b"Two azure-widgets, a BW7, a bw7, cogs."
    done = biomark("annotate", "--model", "dictionary", "--store", "my.store", "--types", "gadget", stdin=text)
    entities = json.loads(done.out)["entities"]
    assert [e["spans"] for e in entities] == [[[4, 17]], [[21, 24]], [[33, 37]]]
    assert [e["ids"] for e in entities] == [["G:1"], ["G:1"], ["user:gadget/cog"]]
    assert {e["type"] for e in entities} == {"gadget"}


def test_terms_of_other_types_are_shown_and_not_annotated(biomark: Biomark) -> None:
    rows = "X:1\tsneeze\t\tSign or Symptom|Organism Function\nX:2\thay fever\tdisease\tDisease or Syndrome\n"
    Path("d.tsv").write_text("id\tname\ttype\tsemantic_type\n" + rows)
    done = biomark("knowledge", "build", "d.tsv", "-o", "my.store")
    assert "note: 1 concepts have none of biomark's types: prompts with an ontology use them" in done.err
    shown = json.loads(biomark("knowledge", "show", "my.store", "--json").out)
    assert shown["types"] == {"disease": {"concepts": 1, "names": 1}}
    assert shown["other_types"] == {"concepts": 1, "names": 1}
    assert "none of biomark's" in biomark("knowledge", "show", "my.store").out
    concept = json.loads(biomark("knowledge", "show", "my.store", "X:1", "--json").out)
    assert (concept["type"], concept["semantic_types"]) == (None, ["Sign or Symptom", "Organism Function"])
    assert "Sign or Symptom; Organism Function" in biomark("knowledge", "show", "my.store", "X:1").out
    (found,) = json.loads(biomark("knowledge", "search", "my.store", "sneeze", "--json").out)
    assert (found["type"], found["semantic_types"]) == (None, ["Sign or Symptom", "Organism Function"])
    assert "Sign or Symptom" in biomark("knowledge", "search", "my.store", "sneeze").out
    annotated = biomark("annotate", "--model", "dictionary", "--store", "my.store", stdin=b"A sneeze in hay fever.")
    assert [e["spans"] for e in json.loads(annotated.out)["entities"]] == [[[12, 21]]]


def test_the_default_model_and_a_dictionary(biomark: Biomark) -> None:
    biomark("knowledge", "build", "a.obo", "b.tsv", "-o", "my.store")
    text = b"Aspirin for hay fever and a cog."
    done = biomark("annotate", "--model", "default+dictionary", "--store", "my.store", stdin=text)
    found = {tuple(e["spans"][0]): (e["type"], e.get("ids", [])) for e in json.loads(done.out)["entities"]}
    assert found[0, 7] == ("chemical", [])
    assert found[12, 21] == ("disease", ["DOID:1"])
    assert found[28, 31] == ("gadget", ["user:gadget/cog"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("annotate", "--model", "dictionary"), "(--store); biomark knowledge build"),
        (("annotate", "--model", "default", "--store", "x.store"), "--store applies to the models dictionary"),
        (("annotate", "--model", "dictionary", "--store", "x.store"), "x.store: no such store"),
        (("annotate", "--model", "dictionary", "--store", "b.tsv"), "b.tsv: is not a term store"),
        (("annotate", "--model", "default+nothing"), "unknown model 'nothing'"),
        (("annotate", "--model", "default+"), "unknown model 'default+'"),
        (("models", "show", "dictionary"), "biomark knowledge show STORE"),
        (("knowledge", "search", "x.store", "fever"), "x.store: no such store"),
        (("knowledge", "build", "x.obo", "-o", "x.store"), "x.obo: neither a file or folder"),
        (("knowledge", "build", "a.obo", "--from", "xyz", "-o", "x.store"), "unknown format of sources 'xyz'"),
        (("knowledge", "build", "a.obo", "-o", "none/x.store"), "none/x.store: cannot be written"),
        (("knowledge", "build", "c.pubtator", "--from", "obo", "-o", "x.store"), "no usable name"),
    ],
)
def test_wrong_usage(biomark: Biomark, arguments: tuple[str, ...], message: str) -> None:
    outcome = biomark(*arguments, stdin=b"text")
    assert outcome.status == 2
    assert message in outcome.err
    assert not Path("x.store").exists()


def test_bad_sources_are_told_and_the_rest_is_built(biomark: Biomark) -> None:
    Path("wrong.tsv").write_text("colour\tshape\nred\tround\n")
    Path("cut.xml").write_text("<?xml version='1.0'?>\n<DescriptorRecordSet><DescriptorRecord><DescriptorUI>D1")
    Path("rows.tsv").write_text("id\ttype\tname\nG:2\tgadget\n" + "G:3\tgadget\t(?:a|b)+$\nG:4\tgadget\tx\n")
    built = biomark("knowledge", "build", "wrong.tsv", "cut.xml", "rows.tsv", "b.tsv", "-o", "my.store")
    assert built.status == 1
    for told in ("rejected: wrong.tsv", "rejected: cut.xml", "rejected: rows.tsv:2"):
        assert told in built.err
    types = json.loads(biomark("knowledge", "show", "my.store", "--json").out)["types"]
    assert types["gadget"]["concepts"] == 4


def test_contradictions_are_told(biomark: Biomark) -> None:
    Path("d.tsv").write_text("id\ttype\tname\nG:9\tgadget\tBlue widgets\nDOID:1\tgadget\thay\n")
    built = biomark("knowledge", "build", "a.obo", "b.tsv", "d.tsv", "-o", "my.store")
    assert built.status == 0
    assert "note: 1 identifiers have different types in different sources: DOID:1 (disease and gadget)" in built.err
    assert "(G:1 and G:9)" in built.err
    found = json.loads(biomark("annotate", "--model", "dictionary", "--store", "my.store", stdin=b"blue widget").out)
    assert found["entities"][0]["infons"]["candidates"] == "G:1 G:9"
    assert found["entities"][0]["score"] == 0.5


def test_a_store_of_the_corpora(biomark: Biomark, corpora: Path) -> None:
    sources = sorted(map(str, (corpora / "knowledge").glob("*.obo")))
    biomark("knowledge", "build", *sources, "bc5cdr:train", "-o", "my.store")
    biomark(
        "annotate",
        corpora / "bc5cdr" / "devel.pubtator",
        "--model",
        "dictionary",
        "--store",
        "my.store",
        "-o",
        "o.pubtator",
    )
    scored = json.loads(biomark("evaluate", "bc5cdr:devel", "o.pubtator", "--json").out)["types"]
    assert scored["disease"]["strict"]["f1"] > 0.73
    assert scored["chemical"]["strict"]["precision"] > 0.92


def test_bench(biomark: Biomark) -> None:
    pytest.importorskip("ahocorasick")
    done = biomark("bench", "knowledge", "--terms", "500", "--sentences", "60", "--rounds", "1")
    found = json.loads(done.out)
    assert (found["terms"], found["sentences"]) == (500, 60)
    assert found["mentions"] >= 60
    assert set(found["sentences_per_second"]) >= {"biomark", "pyahocorasick"}
    assert found["opening_seconds"]["biomark"] >= 0
