import gzip
import json
import re
from collections import Counter, defaultdict

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
from biomark.marks import CLOSE, OPEN
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


def read_marks(line):
    """The text of a released line, its mentions, and what is wrong with its tags; white space apart."""
    text, opened, mentions, problem = "", [], [], None
    for piece in re.split(f"({OPEN}|{CLOSE})", squeezed(line)):
        if piece == OPEN:
            problem = "nested" if opened else problem
            opened.append(len(text))
        elif piece == CLOSE:
            if not opened:
                return text, (), "unbalanced"
            mentions.append((opened.pop(), len(text)))
        else:
            text += piece
    return text, tuple(sorted(mentions)), "unbalanced" if opened else problem


def difference(ours, theirs):
    """Why a released line differs from ours.

    The release was made by putting tags around the first occurrence of "MENTION " in the sentence,
    so that one tag may lie inside another mention (nested) or around another occurrence, and the
    last word of a sentence without a full stop is missing.
    """
    text, right, _ = read_marks(ours)
    same_text, wrong, problem = read_marks(theirs)
    assert text == same_text
    words, marked = (Counter(text[a:b] for a, b in mentions) for mentions in (right, wrong))
    if problem:
        return problem
    if words == marked:
        return "another occurrence"
    missing = set(right) - set(wrong)
    if set(wrong) < set(right) and all(end == len(text) for _, end in missing):
        return "at the end of the sentence"
    return "other mentions"


def released(corpora, name):
    path = corpora / "bioner_llama_release" / f"{name}.txt"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return path.read_text("utf-8").removesuffix("\n").split("\n")


@pytest.mark.parametrize(
    ("split", "name", "sentences", "mentions", "without", "released_mentions", "differences"),
    [
        (
            "ncbi_disease_iob:train",
            "NCBI-disease_train",
            5424,
            5134,
            2501,
            5132,
            {"nested": 16, "another occurrence": 7, "at the end of the sentence": 2},
        ),
        (
            "ncbi_disease_iob:test",
            "NCBI-disease_test",
            940,
            960,
            401,
            957,
            {"another occurrence": 3, "at the end of the sentence": 3},
        ),
        (
            "bc5cdr_chemical_iob:train",
            "BC5CDR-chemical_train",
            4560,
            5203,
            1609,
            5203,
            {"nested": 6, "another occurrence": 2},
        ),
        (
            "bc5cdr_chemical_iob:test",
            "BC5CDR-chemical_test",
            4797,
            5385,
            1706,
            5385,
            {"nested": 3, "another occurrence": 3},
        ),
        (
            "bc5cdr_disease_iob:train",
            "BC5CDR-disease_train",
            4560,
            4182,
            1902,
            4182,
            {"nested": 3, "another occurrence": 2},
        ),
        (
            "bc5cdr_disease_iob:test",
            "BC5CDR-disease_test",
            4797,
            4424,
            1955,
            4424,
            {"nested": 2, "another occurrence": 2},
        ),
    ],
)
def test_tokenised_corpora_give_the_release_but_for_its_mistakes(
    corpora, split, name, sentences, mentions, without, released_mentions, differences
):
    theirs = released(corpora, name)
    ours, lost = made_from(split)
    assert not lost
    assert len(ours) == len(theirs) == sentences
    assert sum(d.output.count(OPEN) for d in ours) == mentions
    assert sum(d.output == d.input for d in ours) == without
    assert sum(line.count(OPEN) for line in theirs) == released_mentions
    found = Counter(
        difference(d.output, line) for d, line in zip(ours, theirs, strict=True) if squeezed(d.output) != squeezed(line)
    )
    assert found == differences
    # Nothing else explains that the release counts fewer mentions.
    assert mentions - released_mentions == differences.get("at the end of the sentence", 0)


@pytest.mark.parametrize(
    ("split", "sentences", "mentions", "overlapping", "tags", "differences", "other_than_gene_eval"),
    [
        (
            "train",
            12500,
            15203,
            7,
            15195,
            # The one line with other mentions has one that GENE.eval gives with a wrong offset.
            {"nested": 216, "another occurrence": 5, "at the end of the sentence": 2, "other mentions": 1},
            228,
        ),
        (
            "test",
            5000,
            6331,
            6,
            6324,
            {"nested": 84, "another occurrence": 2, "at the end of the sentence": 1},
            91,
        ),
    ],
)
def test_bc2gm_gives_the_release_but_for_its_mistakes(
    corpora, split, sentences, mentions, overlapping, tags, differences, other_than_gene_eval
):
    theirs = released(corpora, f"BC2GM_{split}")
    documents = list(read_split(f"bc2gm:{split}", reject=lambda _: None))
    lost = Counter()
    ours = list(demonstrations(documents, ["gene"], lost=lost))
    assert len(ours) == sentences
    assert sum(len(document.entities) for document in documents) == mentions
    assert lost == {"mentions that overlap another one": overlapping}
    assert sum(line.count(OPEN) for line in theirs) == tags
    # The release has another order, and misses one sentence of the test set. Of sentences with one
    # text, those with the same mentions go together.
    waiting = defaultdict(list)
    for demonstration, document in zip(ours, documents, strict=True):
        waiting[squeezed(document.text)].append((demonstration, document))
    found, other = Counter(), 0
    for line in theirs:
        text, marked, _ = read_marks(line)
        pairs = waiting[text]
        pairs.sort(key=lambda pair, line=line: squeezed(pair[0].output) != squeezed(line))
        demonstration, document = pairs.pop(0)
        if squeezed(demonstration.output) != squeezed(line):
            found[difference(demonstration.output, line)] += 1
        other += marked != tuple(
            sorted(
                (len(squeezed(document.text[: e.start])), len(squeezed(document.text[: e.end])))
                for e in document.entities
            )
        )
    assert found == differences
    # More lines differ from GENE.eval than from our demonstrations: marks cannot hold its overlaps. (Two
    # more differ, 230 in all, if of two sentences with one text and other mentions the wrong one is taken.)
    assert other == other_than_gene_eval
    assert sum(map(len, waiting.values())) == sentences - len(theirs)


def test_the_training_demonstrations_are_as_many_as_in_the_paper(corpora):
    splits = ["ncbi_disease_iob:train", "bc5cdr_chemical_iob:train", "bc2gm:train"]
    counts = [sum(1 for _ in from_corpora([split], reject=lambda _: None)) for split in splits]
    assert counts == [5424, 4560, 12500]
    assert sum(counts) == 22_484


@pytest.mark.parametrize(
    ("split", "own", "spacys"), [("ncbi_disease:train", 5376, 5729), ("bc5cdr_chemical:train", 4554, 4662)]
)
def test_texts_as_published_have_other_sentences_than_the_papers(corpora, split, own, spacys):
    pytest.importorskip("spacy")
    counts = [
        sum(1 for _ in from_corpora([split], style=Style(sentences=sentences), reject=lambda _: None))
        for sentences in ("biomark", "spacy")
    ]
    assert counts[0] == own
    assert counts[1] == pytest.approx(spacys, rel=0.01)  # spaCy's exceptions change with its versions


@pytest.mark.parametrize(
    ("split", "name", "sentences", "share"),
    [("nlm_chem:test", "NLMChem_test", 10916, 0.94), ("nlm_gene:test", "NLMGene_test", 1128, 0.87)],
)
def test_our_sentences_are_mostly_those_of_the_release(corpora, split, name, sentences, share):
    theirs = [read_marks(line)[0] for line in released(corpora, name) if line.strip()]
    assert len(theirs) == sentences
    ours, _ = made_from(split)
    common = Counter(theirs) & Counter(squeezed(d.input) for d in ours)
    assert common.total() / sentences >= share
    # Two hundred of ours are cells of NLM-Chem's tables.
    assert abs(len(ours) - sentences) / sentences < 0.05
