"""Building stores: contradictions, odd names, sources that break off, builds that are stopped."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from biomark.errors import KnowledgeError, UsageError
from biomark.formats import Reject
from biomark.knowledge.building import LONGEST_NAME, Built, build
from biomark.knowledge.database import schema
from biomark.knowledge.entries import Entry, Link, Name, NameKind
from biomark.knowledge.matcher import Matcher
from biomark.knowledge.normalization import Normalizer
from biomark.knowledge.store import Store
from biomark.recognizers.dictionary import DictionaryRecognizer
from biomark.spans import Rejected
from conftest import Outcome
from knowledge_cases import Terms, entry


def built(path: Path, *sources: Terms, type: str | None = None) -> tuple[Built, list[Rejected]]:
    rejects: list[Rejected] = []
    return build(sources, path, entity_type=type, reject=rejects.append), rejects


@pytest.mark.parametrize("name", ["A-A", "A/A", "To-to", "with or with"])
def test_names_of_small_words_alone(name: str, tmp_path: Path) -> None:
    result, rejects = built(tmp_path / "a.store", Terms([entry("X:1", "gene", name), entry("X:2", "gene", "BRCA1")]))
    assert (result.names, rejects) == (2, [])


def test_a_source_is_not_overwritten(tmp_path: Path, biomark: Callable[..., Outcome]) -> None:
    table = tmp_path / "terms.tsv"
    table.write_text("id\tname\ttype\nX:1\tfever\tdisease\n")
    before = table.read_bytes()
    asking = ("invent", "--model", "openai:x", "--types", "disease")
    for command in (("knowledge", "build"), ("demonstrations",), asking):
        done = biomark(*command, table, "-o", table)
        assert (done.status, "is both input and output" in done.err) == (2, True)
    assert table.read_bytes() == before


def test_entries_with_one_identifier_add_up(tmp_path: Path) -> None:
    path = tmp_path / "a.store"
    links = ((Link.SAME, "Y:1"), (Link.PARENT, "X:9"))
    first = Entry("X:1", None, (Name("flu"),), "An infection.", links)
    second = Entry(
        "X:1", "disease", (Name("flu", NameKind.MENTION, 3), Name("Grippe", NameKind.PREFERRED)), "Other words."
    )
    third = Entry(
        "X:1", "disease", (Name("flu", NameKind.MENTION, 4),), taxon="NCBITaxon:1", links=((Link.SAME, "Y:1"),)
    )
    result, rejects = built(path, Terms([first, second]), Terms([third], "more.tsv"))
    assert (result.concepts, result.names, result.notes, rejects) == (1, 2, [], [])
    with closing(Store(path)) as store:
        concept = store.concept("X:1")
        assert concept is not None
        assert (concept.type, concept.definition, concept.taxon) == ("disease", "An infection.", "NCBITaxon:1")
        told = [(t.text, t.kind, t.count, t.source) for t in store.terms("X:1")]
        assert told == [("Grippe", NameKind.PREFERRED, 0, "mine.tsv"), ("flu", NameKind.EXACT, 7, "mine.tsv")]
        assert store.linked("X:1") == ("Y:1",)
        assert store.linked("X:1", Link.PARENT) == ("X:9",)
        assert [(u.description.licence, u.entries, u.names) for u in store.sources()] == [("CC0", 2, 3), ("CC0", 1, 1)]


def test_sources_that_contradict_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a.store"
    one = Terms([entry("X:1", "disease", "plague"), entry("X:2", "disease", "cold"), entry("Z:1", "disease", "plague")])
    other = Terms([entry("X:3", "disease", "Plagues"), entry("X:2", "chemical", "chill")], "other.tsv")
    result, rejects = built(path, one, other)
    assert rejects == []
    assert result.notes == [
        "1 identifiers have different types in different sources: X:2 (disease and chemical)",
        "1 names have different identifiers in different sources, and keep all of them: Plagues (X:1 and X:3)",
    ]
    with closing(Store(path)) as store:
        assert {term.concept.identifier for term in store.by_form("plague")} == {"X:1", "Z:1", "X:3"}
        assert {term.concept.type for term in store.terms("X:2")} == {"disease"}
        (match,) = Matcher(store).find("The plague.")
        assert match.terms[0].concept.identifier == "X:1"


def test_concepts_without_a_type(tmp_path: Path) -> None:
    source = Terms([entry("X:1", None, "widget"), entry("DOID:1", None, "fever"), entry("X:2", "tool", "gadget")])
    result, _ = built(tmp_path / "a.store", source)
    assert (result.concepts, len(result.notes)) == (2, 1)
    assert "1 concepts were left out: their type is unknown; name it (`type`)" in result.notes[0]
    result, _ = built(tmp_path / "b.store", source, type="thing")
    with closing(Store(tmp_path / "b.store")) as store:
        assert store.counts() == {"disease": (1, 1), "thing": (1, 1), "tool": (1, 1)}


OTHERS = [
    Entry("X:1", "disease", (Name("femur fracture"),), links=((Link.PARENT, "X:2"),), semantic_types=("Disease",)),
    Entry("X:2", "", (Name("femur", count=4), Name("cold")), "A pump.", ((Link.SAME, "Y:2"),), None, ("Body Part",)),
    Entry("X:3", "", (Name("length of the femur"),), semantic_types=("Organism Function", "Finding")),
]


def test_concepts_of_other_types_are_kept_for_prompts_alone(tmp_path: Path) -> None:
    path, plain = tmp_path / "a.store", tmp_path / "b.store"
    result, _ = built(path, Terms(OTHERS), type="thing")
    built(plain, Terms(OTHERS[:1]))
    assert (result.concepts, result.names) == (3, 4)
    assert "2 concepts have none of biomark's types" in result.notes[0]
    with closing(Store(path)) as store, closing(Store(plain)) as alone:
        assert store.types == ("disease",)
        assert store.counts() == {"": (2, 3), "disease": (1, 1)}
        concept = store.concept("X:3")
        assert concept is not None
        assert (concept.type, concept.semantic_types) == ("", ("Organism Function", "Finding"))
        text = "A femur fracture, the femur, and the femur length."
        assert [m.span.of(text) for m in Matcher(store).find(text)] == ["femur fracture"]
        assert [(m.span.of(text), m.type) for m in Matcher(store, others=True).find(text)] == [
            ("femur", ""), ("femur fracture", "disease"), ("femur", ""), ("femur", "")
        ]  # fmt: skip
        # What gives identifiers sees the same store as without them
        assert store.namespaces == alone.namespaces == {}
        assert store.names == alone.names == 1
        assert (store.holders("femur"), store.spelled_like("femur")) == (1, alone.spelled_like("femur"))
        assert store.linked("X:2") == ()
        assert store.sample("disease", 9, 0, other=True) == ()
        for mention in ("femur fracture", "femur", "femurs length", "the cold"):
            asked = mention, "disease"
            assert Normalizer(store).candidates(*asked) == Normalizer(alone).candidates(*asked)


def test_a_type_that_another_source_tells_goes_before_none(tmp_path: Path) -> None:
    said = Terms([Entry("X:2", "organ", (Name("cor"),))], "mine.tsv")
    for number, sources in enumerate(([Terms(OTHERS), said], [said, Terms(OTHERS)])):
        result, _ = built(tmp_path / f"{number}.store", *sources)
        assert not any("different types" in note for note in result.notes)
        with closing(Store(tmp_path / f"{number}.store")) as store:
            concept = store.concept("X:2")
            assert concept is not None
            assert (concept.type, concept.semantic_types) == ("organ", ("Body Part",))
            assert store.linked("X:2") == ("Y:2",)


def test_a_store_may_have_other_types_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.store"
    built(path, Terms(OTHERS[1:]))
    with closing(Store(path)) as store:
        assert store.types == ()
        assert Matcher(store).find("The femur.") == ()
        with pytest.raises(UsageError, match="build it again with a type"):
            list(DictionaryRecognizer(store).annotate([]))


def test_names_that_cannot_be_used(tmp_path: Path) -> None:
    names = ("  ", "...", "(*)", "x" * (LONGEST_NAME + 1), "x" * LONGEST_NAME, "α", "7", "a", ".+", "fever")
    result, rejects = built(tmp_path / "a.store", Terms([entry("X:1", "thing", *names)]))
    assert [r.raw for r in rejects] == ["  ", "...", "(*)", "x" * (LONGEST_NAME + 1), ".+"]
    assert all(r.source == "mine.tsv" and "X:1" in r.reason for r in rejects)
    assert result.names == 5
    with closing(Store(tmp_path / "a.store")) as store:
        assert [m.span.start for m in Matcher(store).find("a 7 α: fever .+ " + "X" * LONGEST_NAME)] == [7, 16]


def test_a_source_that_breaks_off_is_told_and_the_rest_is_built(tmp_path: Path) -> None:
    broken = Terms([entry("X:1", "thing", "widget")], "broken.xml", broken=True)
    result, rejects = built(tmp_path / "a.store", broken, Terms([entry("X:2", "thing", "gadget")]))
    assert [str(r) for r in rejects] == ["broken.xml:3: a line is cut off", "broken.xml: ends in the middle"]
    assert result.names == 2


def test_nothing_to_build_and_nowhere_to_write(tmp_path: Path) -> None:
    path = tmp_path / "a.store"
    with pytest.raises(KnowledgeError, match="no usable name"):
        built(path, Terms([]))
    assert not list(tmp_path.iterdir())
    with pytest.raises(KnowledgeError, match="cannot be written"):
        built(tmp_path / "none" / "a.store", Terms([entry("X:1", "thing", "widget")]))
    (tmp_path / "folder").mkdir()
    with pytest.raises(KnowledgeError, match="cannot be written"):
        built(tmp_path / "folder", Terms([entry("X:1", "thing", "widget")]))
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_what_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="biomark knowledge build"):
        Store(tmp_path / "none.store")
    (tmp_path / "text").write_text("no store " * 100)
    with pytest.raises(KnowledgeError, match="is not a term store"):
        Store(tmp_path / "text")
    path = tmp_path / "old.store"
    built(path, Terms([entry("X:1", "thing", "widget")]))
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE about SET value = '0'")
        database.commit()
    with pytest.raises(KnowledgeError, match=r"built by another version of biomark \(format 0, not 3\); rebuild it"):
        Store(path)


def test_a_store_of_an_older_biomark(tmp_path: Path) -> None:
    path = tmp_path / "old.store"
    with closing(sqlite3.connect(path)) as database:
        about, *_ = (part for part in schema().split(";") if "CREATE TABLE about" in part)
        database.execute(about[about.index("CREATE") :])
        database.execute("CREATE TABLE concept (id INTEGER PRIMARY KEY, identifier TEXT NOT NULL UNIQUE, type TEXT)")
        database.execute("INSERT INTO about VALUES ('format', '2')")
        database.commit()
    with pytest.raises(KnowledgeError, match=r"format 2, not 3\); rebuild it: biomark knowledge build SOURCE"):
        Store(path)


def test_an_older_store_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.store"
    built(path, Terms([entry("X:1", "thing", "widget")]))
    before = path.read_bytes()

    class Stopped(Terms):
        def entries(self, reject: Reject) -> Iterator[Entry]:
            yield from self.given
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built(path, Stopped([entry("X:2", "thing", "gadget")]))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.store"]


# Builds a store of ever more names and says so; the test kills it.
_ENDLESS = """
    import itertools, sys
    from collections import Counter
    from pathlib import Path
    from biomark.knowledge.building import build
    from biomark.knowledge.entries import Description, Entry, Name

    class Many:
        left_out = Counter()
        description = Description("many", "table")
        def __init__(self, count): self.count = count
        def entries(self, reject):
            for n in range(0, self.count, 1000) if self.count else itertools.count(0, 1000):
                yield Entry("X:1", "thing", tuple(Name(f"widget {m} of the ward") for m in range(n, n + 1000)))
                print(n, flush=True)
        def position(self): return 0

    print(build([Many(int(sys.argv[2]))], Path(sys.argv[1]), reject=print), flush=True)
    # Not what getrusage says, which is never less than the memory of the process that started this one.
    (peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    print(peak.split()[1], flush=True)
"""


def _many(path: Path, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", textwrap.dedent(_ENDLESS), str(path), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def test_a_killed_build_leaves_the_older_store(tmp_path: Path) -> None:
    path = tmp_path / "a.store"
    built(path, Terms([entry("X:1", "thing", "widget")]))
    before = path.read_bytes()
    with _many(path, 0) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert path.read_bytes() == before
    built(path, Terms([entry("X:2", "thing", "gadget")]))
    assert [p.name for p in tmp_path.iterdir()] == ["a.store"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process its peak of memory")
@pytest.mark.long
@pytest.mark.parametrize("names", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_very_many_synonyms_of_one_concept_take_little_memory(tmp_path: Path, names: int) -> None:
    path = tmp_path / "a.store"
    with _many(path, names) as process:
        assert process.stdout is not None
        *_, last, peak = process.stdout.read().splitlines()
    assert process.returncode == 0
    assert f"names={names}".encode() in last
    assert int(peak) < 300_000  # kB; 40,000 are Python and the library
    with closing(Store(path)) as store:
        text = "In widget 99999 of the wards, widget 5"
        assert [m.span.of(text) for m in Matcher(store).find(text)] == ["widget 99999 of the wards"]
        assert len(store.search("widget", 5)) == 5
