import gzip
import json
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomark.corpora import corpus_types, read_split
from biomark.demonstrations import (
    Sampler,
    Style,
    demonstrations,
    from_corpora,
    instruction,
    parse_guideline_text,
    prompt,
)
from biomark.errors import UsageError
from biomark.shapes import SHAPES
from biomark.spans import Document, Entity, Span

ABSTRACT = """1|t|Aspirin and asthma
1|a|Aspirin may worsen asthma. Zileuton helps. ALOX5 is its target in patients with asthma.
1\t0\t7\tAspirin\tChemical\tD001241
1\t12\t18\tasthma\tDisease\tD001249
1\t19\t26\tAspirin\tChemical\tD001241
1\t38\t44\tasthma\tDisease\tD001249
1\t46\t54\tZileuton\tChemical
1\t99\t105\tasthma\tDisease\tD001249

"""


def squeezed(text):
    return "".join(text.split())


def made_from(split):
    lost = Counter()
    found = list(demonstrations(read_split(split, reject=lambda _: None), corpus_types(split), lost=lost))
    return found, lost


# What the prompt says


def test_the_prompt_is_the_papers_to_the_byte():
    assert prompt(instruction("disease"), "A sentence.") == (
        "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
        "response that appropriately completes the request.\n"
        "\n"
        "### Instruction:\n"
        "Given a sentence extract disease entities from it by highlighting them with <mark> and </mark>. "
        "If not present output the same sentence.\n"
        "\n"
        "### Input:\n"
        "A sentence.\n"
        "\n"
        "### Response:"
    )


def test_braces_in_a_sentence_are_text():
    assert "\n{x} {input}\n" in prompt(instruction("gene"), "{x} {input}")


def test_instructions_name_the_type_and_may_say_what_to_mark():
    assert "extract cell line entities" in instruction("cell_line")
    assert "extract adverse event entities" in instruction("adverse_event")
    assert instruction("gene", Style(guidelines=True)).startswith(
        instruction("gene") + " Mark names and symbols of genes"
    )
    with pytest.raises(UsageError, match="adverse_event"):
        instruction("adverse_event", Style(guidelines=True))


def test_the_users_own_sentence_takes_the_place_of_the_guideline():
    own = "Include classes of diseases {and} composite mentions."
    assert instruction("disease", Style(guideline_text=own)) == f"{instruction('disease')} {own}"
    both = Style(guidelines=True, guideline_text={"disease": own})
    assert instruction("disease", both) == f"{instruction('disease')} {own}"
    assert instruction("gene", both) == instruction("gene", Style(guidelines=True))
    assert instruction("gene", Style(guideline_text={"disease": own})) == instruction("gene")
    assert instruction("adverse_event", Style(guideline_text=own)).endswith(f"same sentence. {own}")
    assert prompt(instruction("disease", both), "A.").split("### Input")[0].endswith(f"{own}\n\n")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["Mark a = b as well."], "Mark a = b as well."),
        (["disease=All of them.", "Gene=Names = symbols."], {"disease": "All of them.", "gene": "Names = symbols."}),
        (["frailty=All."], {"frailty": "All."}),
    ],
)
def test_guideline_texts_are_for_all_types_or_for_one_each(texts, expected):
    assert parse_guideline_text(texts) == expected


@pytest.mark.parametrize("texts", [["One.", "Two."], ["disease=One.", "Two."], ["disease=One.", "Disease=Two."], [" "]])
def test_guideline_texts_of_both_kinds_are_refused(texts):
    with pytest.raises(UsageError, match="guideline_text"):
        parse_guideline_text(texts)


def test_other_shapes_have_their_own_requests_and_answers():
    text = "Aspirin helps asthma. None here."
    entities = (Entity((Span(0, 7),), "chemical"), Entity((Span(14, 20),), "disease"))
    made = {
        shape: list(demonstrations([Document("d", text, entities=entities)], ["disease"], Style(shape=shape)))
        for shape in ("tanl", "dice")
    }
    assert [d.output for d in made["tanl"]] == ["Aspirin helps [ asthma | disease ].", "None here."]
    assert [d.output.rpartition("Entity is ")[2] for d in made["dice"]] == ["asthma.", "<entity>."]
    for shape, found in made.items():
        assert [d.input for d in found] == ["Aspirin helps asthma.", "None here."]
        assert {d.instruction for d in found} == {SHAPES[shape].request(("disease",))}
        for demonstration, gold in zip(found, [[Span(14, 20)], []], strict=True):
            decoded = SHAPES[shape].decode(demonstration.output, demonstration.input, ("disease",))
            assert [entity.extent for entity in decoded.entities] == gold
    short = {shape: instruction("cell_line", Style("short", shape)) for shape in ("mark", "tanl", "dice")}
    assert short == {"mark": "Mark cell line", "tanl": "Bracket cell line", "dice": "List cell line"}


def test_what_dice_cannot_list_is_counted():
    document = Document("d", "No asthma, no asthma.", entities=(Entity((Span(3, 9),), "disease"),))
    lost = Counter()
    (made,) = demonstrations([document], ["disease"], Style(shape="dice"), lost=lost)
    assert made.output.endswith("Entity is <entity>.")
    assert sum(lost.values()) == 1
    assert "whose words stand elsewhere without being a mention" in next(iter(lost))


# Sentences and mentions


def test_each_sentence_is_a_demonstration_of_each_type():
    text = "Aspirin helps. None here."
    document = Document("d", text, entities=(Entity((Span(0, 7),), "chemical"), Entity((Span(0, 7),), "gene")))
    found = list(demonstrations([document], ["chemical", "disease"]))
    assert [(d.input, d.output, d.window) for d in found] == [
        ("Aspirin helps.", "<mark>Aspirin</mark> helps.", Span(0, 14)),
        ("Aspirin helps.", "Aspirin helps.", Span(0, 14)),
        ("None here.", "None here.", Span(15, 25)),
        ("None here.", "None here.", Span(15, 25)),
    ]
    assert [re.search(r"extract (\w+)", d.instruction)[1] for d in found] == ["chemical", "disease"] * 2
    assert all(d.window.of(text) == d.input for d in found)
    assert prompt(found[0].instruction, found[0].input).endswith("### Input:\nAspirin helps.\n\n### Response:")


def test_mentions_that_no_demonstration_holds_are_counted():
    text = "breast and ovarian cancer. In it."
    spans = [(Span(0, 25),), (Span(11, 25),), (Span(0, 6), Span(19, 25)), (Span(19, 29),)]
    document = Document(
        "d",
        text,
        sentences=(Span(0, 26), Span(27, 33)),
        entities=tuple(Entity(s, "disease") for s in spans),
    )
    lost = Counter()
    found = list(demonstrations([document], ["disease"], lost=lost))
    assert [d.output for d in found] == ["<mark>breast and ovarian cancer</mark>.", "In it."]
    assert lost == {
        "mentions that overlap another one": 1,
        "discontinuous mentions": 1,
        "mentions that cross a sentence boundary": 1,
    }


# Samples


@given(st.integers(1, 400), st.floats(0.001, 1), st.text(max_size=5))
@settings(max_examples=60)
def test_a_sample_has_the_fractions_size_and_depends_on_the_seed_alone(count, fraction, seed):
    taken = [Sampler(fraction, seed) for _ in range(2)]
    first, second = ([sampler.takes_next() for _ in range(count)] for sampler in taken)
    assert first == second
    assert abs(sum(first) - count * fraction) <= 1


def test_samples_of_other_seeds_differ_and_cover_everything():
    takes = Counter()
    for seed in range(200):
        sampler = Sampler(0.1, str(seed))
        takes.update(index for index in range(100) if sampler.takes_next())
    assert len(takes) == 100
    assert max(takes.values()) < 60


@pytest.mark.parametrize("fraction", [0, -0.1, 1.1, float("nan")])
def test_a_fraction_is_a_share(fraction):
    with pytest.raises(UsageError, match="fraction"):
        Sampler(fraction, "")


# The command


@pytest.fixture
def abstract(tmp_path):
    path = tmp_path / "abstract.pubtator"
    path.write_text(ABSTRACT)
    return path


def test_the_command_writes_alpaca_json(biomark, abstract, tmp_path):
    out = tmp_path / "demos.json"
    result = biomark("demonstrations", abstract, "-o", out)
    assert result.status == 0, result.err
    rows = json.loads(out.read_text())
    assert len(rows) == 8
    assert set(rows[0]) == {"instruction", "input", "output", "document_id", "window"}
    assert rows[0]["output"] == "<mark>Aspirin</mark> and asthma"
    assert "8 demonstrations, 2 of them without a mention" in result.err


def test_the_command_takes_types_guidelines_and_a_fraction(biomark, abstract, tmp_path):
    out = tmp_path / "demos.jsonl.gz"
    options = ["--types", "Disease,gene", "--guidelines", "--fraction", "0.5", "--seed", "3", "-o", out]
    assert biomark("demonstrations", abstract, *options).status == 0
    with gzip.open(out, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    assert len(rows) == 2
    assert all("extract disease entities" in row["instruction"] for row in rows)
    assert all("leave out organisms" in row["instruction"] for row in rows)


def test_the_command_takes_the_users_own_sentence_for_a_type(biomark, abstract, tmp_path):
    out = tmp_path / "demos.json"
    options = ["--guideline-text", "disease=Classes of diseases as well.", "-o", out]
    assert biomark("demonstrations", abstract, *options).status == 0
    instructions = {row["instruction"] for row in json.loads(out.read_text())}
    assert instructions == {
        instruction("chemical"),
        instruction("disease") + " Classes of diseases as well.",
    }


@pytest.mark.parametrize(("shape", "without"), [("tanl", 2), ("dice", 2)])
def test_the_command_writes_other_shapes(biomark, abstract, tmp_path, shape, without):
    out = tmp_path / "demos.json"
    result = biomark("demonstrations", abstract, "--shape", shape, "-o", out)
    assert result.status == 0, result.err
    rows = json.loads(out.read_text())
    first = {"tanl": "[ Aspirin | chemical ] and asthma", "dice": "Entity is Aspirin."}[shape]
    assert rows[0]["output"].endswith(first)
    assert f"8 demonstrations, {without} of them without a mention" in result.err


def test_the_command_splits_sentences_as_spacy_does(biomark, tmp_path):
    pytest.importorskip("spacy")
    path, out = tmp_path / "notes.jsonl", tmp_path / "demos.jsonl"
    text = "Fever rose (see Fig. 3). It fell."
    path.write_text(json.dumps({"id": "1", "text": text, "entities": [{"spans": [[0, 5]], "type": "disease"}]}))
    found = {}
    for sentences in ("biomark", "spacy"):
        result = biomark("demonstrations", path, "--sentences", sentences, "-o", out)
        assert result.status == 0, result.err
        found[sentences] = [json.loads(line)["output"] for line in out.read_text().splitlines()]
    assert found == {
        "biomark": ["<mark>Fever</mark> rose (see Fig. 3).", "It fell."],
        "spacy": ["<mark>Fever</mark> rose (see Fig.", "3).", "It fell."],
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.pubtator"], "neither a file nor a corpus"),
        (["ncbi_disease"], "name a split"),
        (["ncbi_disease:tset"], "train, devel, test"),
        (["bc2gm:train", "--types", "disease"], "annotates gene"),
        (["bc2gm:train", "--fraction", "2"], "fraction"),
        (["bc2gm:train", "--shape", "span"], "shape must be one of mark, tanl, dice, got 'span'"),
        (["bc2gm:train", "--sentences", "nltk"], "sentences must be one of biomark, spacy, got 'nltk'"),
        (["bc2gm:train", "--guideline-text", "disease=All."], "text is for disease, but the types are gene"),
        (["bc2gm:train", "--guideline-text", "gene="], "the guideline text for gene is empty"),
    ],
)
def test_wrong_use_is_told_and_writes_nothing(biomark, tmp_path, arguments, message):
    result = biomark("demonstrations", *arguments, "-o", tmp_path / "demos.json")
    assert result.status == 2
    assert message in result.err
    assert not list(tmp_path.iterdir())


def test_a_corpus_keeps_its_proportion_whatever_stands_beside_it(abstract, tmp_path):
    other = tmp_path / "other.pubtator"
    other.write_text(ABSTRACT.replace("1|", "2|").replace("1\t", "2\t"))
    alone = list(from_corpora([str(other)], fraction=0.5, seed=7))
    both = list(from_corpora([str(abstract), str(other)], fraction=0.5, seed=7))
    assert both[-len(alone) :] == alone
    assert len(both) == 2 * len(alone) == 8


# Against the demonstrations that the authors of BioNER-LLaMA released
