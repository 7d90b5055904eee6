"""Identifiers for mentions: the steps together, documents, species, the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark import formats
from biomark.errors import UsageError
from biomark.evaluation.identifiers import candidates, identifiers
from biomark.knowledge.building import build
from biomark.knowledge.context import DocumentContext
from biomark.knowledge.entries import Entry, Link, Name, NameKind
from biomark.knowledge.normalization import Normalizer, parse_namespaces
from biomark.knowledge.store import Store
from biomark.recognizers import Annotated
from biomark.recognizers.existing import ExistingRecognizer
from biomark.recognizers.normalizing import NormalizingRecognizer
from biomark.spans import Document, Entity, Infons, Span
from conftest import Outcome
from knowledge_cases import Terms

Biomark = Callable[..., Outcome]


def seen(identifier: str, type: str, **counts: int) -> Entry:
    """An entry of an annotated corpus; `_` is a blank."""
    names = (Name(text.replace("_", " "), NameKind.MENTION, count) for text, count in counts.items())
    return Entry(identifier, type, tuple(names))


def concept(identifier: str, type: str, *names: str, **more: object) -> Entry:
    kinds = [NameKind.PREFERRED] + [NameKind.EXACT] * len(names)
    return Entry(identifier, type, tuple(map(Name, names, kinds)), **more)  # type: ignore[arg-type]


ENTRIES = [
    concept("DOID:1", "disease", "moss fever", "muscoid pyrexia", links=((Link.SAME, "MESH:D000001"),)),
    concept("DOID:2", "disease", "stone fever", links=((Link.PARENT, "DOID:1"),)),
    concept("DOID:3", "disease", "gravel fever"),
    seen("MESH:D000001", "disease", Moss_Fever=5, MF=2),
    seen("MESH:D000002", "disease", breast_cancer=9, cancer_of_the_breast=1, BC=1),
    seen("MESH:D000003", "disease", ovarian_cancer=7, ovary_carcinoma=1),
    seen("MESH:D000004", "disease", kidney_failure=8),
    seen("MESH:D000005", "disease", kidney_cancer=2, BC=3),
    seen("MESH:D000006|MESH:D000007", "disease", fibrous_gloom=2),
    seen("MESH:D000008", "disease", hyperglomeria=4),
    seen("MESH:D000009", "disease", nephrotoxicity=4),
    seen("MESH:C000001", "chemical", glomerazine=3),
    concept("NCBIGene:1", "gene", "GLM1", taxon="NCBITaxon:9606"),
    concept("NCBIGene:2", "gene", "Glm1", taxon="NCBITaxon:10090"),
    concept("NCBIGene:3", "gene", "glm1", taxon="NCBITaxon:7955"),
    concept("NCBIGene:4", "gene", "QRT2", taxon="NCBITaxon:9606"),
]


@pytest.fixture(scope="module")
def store_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "terms.db"
    build([Terms(ENTRIES)], path, reject=lambda rejected: pytest.fail(str(rejected)))
    return path


@pytest.fixture
def store(store_file: Path) -> Iterator[Store]:
    with Store(store_file) as opened:
        yield opened


def document(text: str, *mentions: tuple[str, str], id: str = "1") -> Document:
    """A document with the first occurrence of each mention that is not yet taken."""
    entities: list[Entity] = []
    place: dict[str, int] = {}
    for mention, type in mentions:
        start = text.index(mention, place.get(mention, 0))
        place[mention] = start + 1
        entities.append(Entity((Span(start, start + len(mention)),), type))
    return Document(id, text, entities=tuple(entities))


def steps(found: Document) -> list[tuple[tuple[str, ...], str | None]]:
    return [(entity.ids, entity.infons.get("normalized")) for entity in found.entities]


class TestSteps:
    @pytest.mark.parametrize(
        ("mention", "identifiers", "step"),
        [
            ("Moss Fever", ("MESH:D000001",), "exact"),
            ("moss fevers", ("MESH:D000001",), "normalised"),
            ("moss-fever", ("MESH:D000001",), "normalised"),
            ("muscoid pyrexia", ("MESH:D000001",), "exact"),  # by a cross-reference
            ("fever of the moss", ("MESH:D000001",), "order"),
            ("renal insufficiency", ("MESH:D000004",), "words"),
            ("renal toxicity", ("MESH:D000009",), "words"),
            ("breast and ovarian cancer", ("MESH:D000002", "MESH:D000003"), "composite"),
            ("fibrous glooms", ("MESH:D000006", "MESH:D000007"), "normalised"),  # as a corpus has it
            ("acute hyperglomeria", ("MESH:D000008",), "fuzzy"),
            ("hyperglomria", ("MESH:D000008",), "fuzzy"),
        ],
    )
    def test_examples(self, store: Store, mention: str, identifiers: tuple[str, ...], step: str) -> None:
        best = Normalizer(store).candidates(mention, "disease")[0]
        assert (best.identifiers, best.step) == (identifiers, step)
        assert 0 < best.score <= 1

    @pytest.mark.parametrize("mention", ["", " ", "-", "(", "'", "%", '"', "NEAR(", "*", "\x00", "∅", "zzz qqq"])
    def test_nothing_alike(self, store: Store, mention: str) -> None:
        assert Normalizer(store).candidates(mention, "disease") == ()

    @given(st.text(max_size=30))
    def test_any_text(self, store_file: Path, text: str) -> None:
        with Store(store_file) as store:
            for found in Normalizer(store).candidates(text, "disease"):
                assert found.identifiers
                assert 0 <= found.score <= 1

    def test_types_are_apart(self, store: Store) -> None:
        normalizer = Normalizer(store)
        assert normalizer.candidates("glomerazine", "disease") == ()
        assert normalizer.candidates("glomerazine", "chemical")[0].identifiers == ("MESH:C000001",)
        assert normalizer.candidates("glomerazine", "device") == ()

    def test_ambiguous_names_go_by_how_often_corpora_have_them(self, store: Store) -> None:
        first, second = Normalizer(store).candidates("BC", "disease")
        assert (first.identifiers, second.identifiers) == (("MESH:D000005",), ("MESH:D000002",))
        assert first.score > second.score

    def test_namespaces_are_those_of_the_corpora(self, store: Store) -> None:
        normalizer = Normalizer(store)
        # Stone fever has no cross-reference, but its parent has
        assert normalizer.candidates("stone fever", "disease")[0].identifiers == ("MESH:D000001",)

    @pytest.mark.parametrize(
        ("mention", "identifiers", "step"),
        [
            ("gravel fever", ("DOID:3",), "exact"),
            ("Gravel Fevers", ("DOID:3",), "normalised"),
            ("fever of the gravel", ("DOID:3",), "order"),
            ("moss and gravel fever", ("MESH:D000001", "DOID:3"), "composite"),
        ],
    )
    def test_a_name_without_an_identifier_of_the_corpora_has_its_own(
        self, store: Store, mention: str, identifiers: tuple[str, ...], step: str
    ) -> None:
        normalizer = Normalizer(store)
        best = normalizer.candidates(mention, "disease")[0]
        assert (best.identifiers, best.step) == (identifiers, step)
        assert normalizer.normalize(document(mention, (mention, "Disease"))).entities[0].ids == identifiers
        assert not normalizer.left_out

    @pytest.mark.parametrize("mention", ["gravel fever", "fever of the gravel", "moss and gravel fever"])
    def test_what_the_namespaces_asked_for_leave_out_is_counted(self, store: Store, mention: str) -> None:
        normalizer = Normalizer(store, namespaces={"disease": ["OMIM", "MONDO"]})
        given = document(f"{mention}, zzz qqq", (mention, "Disease"), ("zzz qqq", "Disease"))
        assert steps(normalizer.normalize(given)) == [((), None), ((), None)]
        what = "mentions of disease whose name the store has, but not with an identifier of OMIM, MONDO"
        assert normalizer.left_out == {what: 1}

    def test_composite_mentions_of_corpora_are_in_the_namespaces_too(self, tmp_path: Path) -> None:
        entries = [
            seen("NCBIGene:11|NCBIGene:12|NCBIGene:13", "gene", GLM6=2),
            concept("NCBIGene:11", "gene", "glomin 6", links=((Link.SAME, "HGNC:6"),)),
            concept("NCBIGene:12", "gene", "glomin six", links=((Link.SAME, "HGNC:6"),)),
            concept("NCBIGene:13", "gene", "glomin VI", links=((Link.SAME, "HGNC:7"),)),
        ]
        build([Terms(entries)], tmp_path / "genes.store", reject=lambda rejected: pytest.fail(str(rejected)))
        with Store(tmp_path / "genes.store") as opened:
            found = {
                name: Normalizer(opened, namespaces={"gene": [name]}).candidates("GLM6", "gene")
                for name in ("NCBIGene", "HGNC", "MESH")
            }
        assert [one.identifiers for one in found["NCBIGene"]] == [("NCBIGene:11", "NCBIGene:12", "NCBIGene:13")]
        assert [one.identifiers for one in found["HGNC"]] == [("HGNC:6", "HGNC:7")]
        assert found["MESH"] == ()

    def test_namespaces_that_are_asked_for(self, store: Store) -> None:
        normalizer = Normalizer(store, namespaces={"disease": ["MESH", "DOID"]})
        assert normalizer.candidates("gravel fever", "disease")[0].identifiers == ("DOID:3",)
        assert normalizer.candidates("stone fever", "disease")[0].identifiers == ("DOID:2",)
        assert normalizer.candidates("Moss Fever", "disease")[0].identifiers == ("MESH:D000001",)
        normalizer = Normalizer(store, namespaces={"disease": ["DOID"]})
        assert normalizer.candidates("Moss Fever", "disease")[0].identifiers == ("DOID:1",)
        assert normalizer.candidates("glomerazine", "chemical")[0].identifiers == ("MESH:C000001",)

    def test_options(self) -> None:
        types = ("chemical", "disease")
        assert parse_namespaces(["mesh, omim", "Chemical=chebi"], types) == {
            "chemical": ("CHEBI",),
            "disease": ("MESH", "OMIM"),
        }
        assert parse_namespaces([], types) == {}
        for wrong in ("", ",", "device=MESH", "disease=", "foo", "MESH,foo", "disease=DOID,foo"):
            with pytest.raises(UsageError, match="`identifiers`"):
                parse_namespaces([wrong], types)

    def test_namespaces_of_the_store_alone(self, store: Store) -> None:
        assert store.has_namespace("DOID")
        assert store.has_namespace("MESH")
        for name in ("DOI", "DOIDS", "foo", "", "doid", "DOID:1"):
            assert not store.has_namespace(name)
        assert parse_namespaces(["foo"], ("disease",), held=lambda name: name == "foo") == {"disease": ("foo",)}


class TestDocuments:
    def test_defined_short_forms(self, store: Store) -> None:
        text = "Hyperglomeria, breast cancer (BC) and moss fever (XY). BC, BCs and XY-like disease; severe BC."
        mentions = [("BC", "Disease"), ("BC", "Disease"), ("BCs", "Disease"), ("XY", "Disease")]
        found = Normalizer(store).normalize(document(text, *mentions, ("severe BC", "Disease")))
        assert steps(found)[:3] == [(("MESH:D000002",), "abbreviation")] * 3
        assert steps(found)[4][0] == ("MESH:D000002",)
        assert "XY" not in DocumentContext.of(document(text)).long_forms  # its letters are not in moss fever

    def test_two_mentions_define_a_short_form(self, store: Store) -> None:
        text = "Moss fever (XY) is rare. XY hurts."
        given = document(text, ("Moss fever", "Disease"), ("XY", "Disease"), ("XY", "Disease"))
        assert steps(Normalizer(store).normalize(given))[1:] == [(("MESH:D000001",), "abbreviation")] * 2

    def test_what_the_document_speaks_of_counts(self, store: Store) -> None:
        alone = document("BC hurts.", ("BC", "Disease"))
        beside = document("Breast cancer hurts, BC too.", ("Breast cancer", "Disease"), ("BC", "Disease"))
        normalizer = Normalizer(store)
        assert normalizer.normalize(alone).entities[0].ids == ("MESH:D000005",)
        assert normalizer.normalize(beside).entities[1].ids == ("MESH:D000002",)

    def test_infons_and_what_stays(self, store: Store) -> None:
        entity = Entity((Span(0, 4), Span(10, 15)), "Disease", ("old",), 0.25, Infons({"a": "b", "candidates": "x"}))
        other = Entity((Span(0, 4),), "device", ("kept",))
        given = Document("1", "moss and  fever", entities=(entity, other))
        mine, theirs = Normalizer(store).normalize(given).entities
        assert (mine.ids, mine.score, mine.type, mine.spans) == (("MESH:D000001",), 0.25, "Disease", entity.spans)
        assert mine.infons["a"] == "b"
        assert mine.infons["candidates"].split()[0] == "MESH:D000001"
        assert mine.infons["normalized"] == "exact"
        assert 0 < float(mine.infons["identifier_score"]) <= 1
        assert theirs == other

    def test_no_identifier(self, store: Store) -> None:
        given = document("Mossy people.", ("Mossy people", "Disease"))
        given = replace(given, entities=(replace(given.entities[0], ids=("MESH:D000001",)),))
        found = Normalizer(store, threshold=0.999).normalize(given).entities[0]
        assert found.ids == ()
        assert "normalized" not in found.infons

    def test_composite_candidates_are_read_by_the_scorer(self, store: Store) -> None:
        given = document("Breast and ovarian cancer.", ("Breast and ovarian cancer", "disease"))
        found = Normalizer(store).normalize(given)
        assert found.entities[0].infons["candidates"] == "MESH:D000002|MESH:D000003"
        gold = replace(given, entities=(replace(given.entities[0], ids=("D000003|D000002",)),))
        assert candidates(found.entities[0]) == (identifiers(gold.entities[0]),)

    def test_twice_is_once(self, store: Store) -> None:
        given = document("Moss fever and BC.", ("Moss fever", "Disease"), ("BC", "Disease"))
        normalizer = Normalizer(store)
        once = normalizer.normalize(given)
        assert normalizer.normalize(once) == once


class TestSpecies:
    @pytest.mark.parametrize(
        ("text", "gene"),
        [
            ("GLM1 is a gene.", "NCBIGene:1"),
            ("In mice, GLM1 is lost.", "NCBIGene:2"),
            ("Murine GLM1.", "NCBIGene:2"),
            ("Danio rerio has glm1.", "NCBIGene:3"),
            ("Zebrafish GLM1 differs. Zebrafish swim. Patients have GLM1.", "NCBIGene:3"),
            ("Yeast GLM1.", "NCBIGene:1"),
        ],
    )
    def test_common_names(self, store: Store, text: str, gene: str) -> None:
        name = "glm1" if "glm1" in text else "GLM1"
        assert Normalizer(store).normalize(document(text, (name, "gene"))).entities[0].ids == (gene,)

    def test_the_parts_of_a_composite_mention_too(self, store: Store) -> None:
        for text, gene in (("glm1 and QRT2.", "NCBIGene:1"), ("Zebrafish glm1 and QRT2.", "NCBIGene:3")):
            found = Normalizer(store).normalize(document(text, ("glm1 and QRT2", "gene"))).entities[0]
            assert (found.ids, found.infons.get("normalized")) == ((gene, "NCBIGene:4"), "composite")

    def test_the_sentence_goes_first(self, store: Store) -> None:
        text = "Mice, mice, mice. Zebrafish GLM1."
        given = document(text, ("GLM1", "gene"))
        found = Normalizer(store).normalize(given)
        assert (found.entities[0].ids, found.sentences) == (("NCBIGene:3",), ())  # nobody has split it yet
        split = replace(given, sentences=(Span(0, 11), Span(12, 17), Span(18, len(text))))
        assert Normalizer(store).normalize(split).entities[0].ids == ("NCBIGene:3",)
        elsewhere = document("Mice, mice, mice. Zebrafish. So GLM1.", ("GLM1", "gene"))
        assert Normalizer(store).normalize(elsewhere).entities[0].ids == ("NCBIGene:2",)

    def test_mentions_of_species(self, store: Store) -> None:
        given = document("In D. rerio strain X, GLM1.", ("strain X", "Species"), ("GLM1", "Gene"))
        mouse = replace(given, entities=(replace(given.entities[0], ids=("10090",)), given.entities[1]))
        text = mouse.text.replace("D. rerio", "some odd")
        assert Normalizer(store).normalize(replace(mouse, text=text)).entities[1].ids == ("NCBIGene:2",)


class TestRecognizers:
    def test_given(self) -> None:
        one = Entity((Span(0, 1),), "Disease", score=0.2)
        two = Entity((Span(2, 3),), "Chemical")
        given = Document("1", "a b", entities=(one, two))
        (kept,) = ExistingRecognizer().annotate([given], ["disease", "chemical"], min_score=0.5)
        assert [entity.type for entity in kept.document.entities] == ["chemical"]
        (kept,) = ExistingRecognizer().annotate([given], ["disease"])
        assert [entity.type for entity in kept.document.entities] == ["disease"]

    def test_one_bad_document_does_not_stop_the_rest(self, store: Store) -> None:
        class Failing(Normalizer):
            def normalize(self, document: Document) -> Document:
                if document.id == "2":
                    raise RuntimeError("no luck")
                return super().normalize(document)

        documents: Sequence[Document] = [
            document("Moss fever.", ("Moss fever", "disease"), id=id) for id in ("1", "2", "3")
        ]
        found: list[Annotated] = list(NormalizingRecognizer(ExistingRecognizer(), Failing(store)).annotate(documents))
        assert [one.document.entities[0].ids for one in found] == [("MESH:D000001",), (), ("MESH:D000001",)]
        assert [str(reject) for one in found for reject in one.rejected] == [
            "document 2: the mentions could not be normalised (RuntimeError: no luck)"
        ]


PUBTATOR = """1|t|Breast and ovarian cancer, moss fever (MF).
1|a|Unheard of.
1\t0\t25\tBreast and ovarian cancer\tDisease\tD000002|D000003
1\t27\t37\tmoss fever\tDisease\tD000001
1\t39\t41\tMF\tDisease\tD000001
1\t44\t51\tUnheard\tDisease\t-1

"""


class TestCommandLine:
    def test_given_mentions(self, tmp_path: Path, store_file: Path, biomark: Biomark) -> None:
        gold, out = tmp_path / "gold.pubtator", tmp_path / "out.pubtator"
        gold.write_text(PUBTATOR, "utf-8")
        done = biomark("annotate", gold, "--model", "given", "--normalize", store_file, "-o", out)
        assert done.status == 0, done.err
        (found,) = formats.read(out)
        assert [entity.ids for entity in found.entities] == [
            ("MESH:D000002", "MESH:D000003"),
            ("MESH:D000001",),
            ("MESH:D000001",),
            (),
        ]

    def test_wrong_usage(self, tmp_path: Path, store_file: Path, biomark: Biomark) -> None:
        gold = tmp_path / "gold.pubtator"
        gold.write_text(PUBTATOR, "utf-8")
        call = ("annotate", gold, "--model", "given")
        assert "(--normalize)" in biomark(*call, "--identifiers", "MESH").err
        assert biomark(*call, "--normalize", store_file, "--identifiers", "device=MESH").status == 2
        assert "no such store" in biomark(*call, "--normalize", tmp_path / "none.db").err
        unknown = biomark(*call, "--normalize", store_file, "--identifiers", "foo")
        assert (unknown.status, "the store has no identifiers of foo" in unknown.err) == (2, True)

    def test_what_is_left_out_is_told(self, tmp_path: Path, store_file: Path, biomark: Biomark) -> None:
        gold = tmp_path / "gold.pubtator"
        gold.write_text(PUBTATOR, "utf-8")
        call = ("annotate", gold, "--model", "given", "--normalize", store_file, "--to", "jsonl")
        told = "left out: {} mentions of disease whose name the store has, but not with an identifier of {}\n"
        assert told.format(3, "OMIM") in biomark(*call, "--identifiers", "omim").err
        assert told.format(1, "DOID") in biomark(*call, "--identifiers", "disease=DOID").err
        assert "whose name" not in biomark(*call).err


def test_benchmark(tmp_path: Path, biomark: Biomark) -> None:
    gold, names = tmp_path / "gold.pubtator", tmp_path / "names.tsv"
    gold.write_text(PUBTATOR, "utf-8")
    names.write_text("id\tname\ttype\nD000001\tmoss fever\tdisease\nD000002\tbreast cancer\tdisease\n", "utf-8")
    beside = ("--beside", "lower case", "--beside", "rapidfuzz", "--beside", "tf-idf")
    done = biomark("bench", "normalization", gold, names, "--terms", "50", *beside)
    found = json.loads(done.out)
    assert (found["mentions"], found["with_identifiers"], found["held"]) == (4, 3, 2)
    assert found["contestants"]["biomark"]["disease"]["accuracy_at_1"] == 1
    assert found["contestants"]["lower case"]["disease"] == {"mentions": 2, "accuracy_at_1": 0.5}
    assert set(found["contestants"]) == {"biomark", "lower case", "rapidfuzz", "tf-idf"}
    assert "unknown contestant" in biomark("bench", "normalization", gold, names, "--beside", "luck").err
