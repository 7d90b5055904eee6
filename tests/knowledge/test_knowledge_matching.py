"""Names of a store in texts: where they begin and end, which are passed over, and by whom they are marked."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark.errors import UsageError
from biomark.formats import raise_rejected
from biomark.knowledge.building import build
from biomark.knowledge.caution import Caution, caution, rules
from biomark.knowledge.entries import Entry, Name, NameKind
from biomark.knowledge.forms import words
from biomark.knowledge.matcher import Matcher
from biomark.knowledge.store import Store
from biomark.recognizers import Annotated
from biomark.recognizers.combined import CombinedRecognizer
from biomark.recognizers.dictionary import DictionaryRecognizer
from biomark.spans import Document, Entity, Passage, Span
from biomark.text.sentences import split
from conftest import TermRecognizer
from knowledge_cases import Terms, entry

StoreOf = Callable[..., Store]


@pytest.fixture
def store_of(tmp_path: Path) -> Iterable[StoreOf]:
    opened: list[Store] = []

    def make(*entries: Entry) -> Store:
        path = tmp_path / f"{len(opened)}.store"
        build([Terms(entries)], path, reject=raise_rejected)
        opened.append(Store(path))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def found(store: Store, text: str, **settings: bool) -> list[str]:
    return [match.span.of(text) for match in Matcher(store, **settings).find(text)]


def test_leftmost_then_longest_for_each_type(store_of: StoreOf) -> None:
    store = store_of(
        entry("A:1", "disease", "breast cancer", "cancer"),
        entry("A:2", "disease", "cancer syndrome", "hereditary breast cancer syndrome"),
        entry("A:3", "tissue", "breast"),
    )
    text = "Hereditary breast cancer syndrome, breast cancer syndrome and cancer"
    assert found(store, text) == ["Hereditary breast cancer syndrome", "breast", "breast", "breast cancer", "cancer"]
    assert [m.span.of(text) for m in Matcher(store, ["tissue"]).find(text)] == ["breast", "breast"]
    with pytest.raises(UsageError, match="unknown type 'gene'; choose from disease, tissue"):
        Matcher(store, ["gene"])


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("IL", "IL2 IL-2 IL αIL ILα IL_2 ILa\u0301", ["IL", "IL", "IL"]),
        ("IL2", "IL2 il2 IL-2 IL 2 xIL2 IL23", ["IL2", "IL-2", "IL 2"]),
        ("interferon gamma", "Interferon-γ, interferon-gamma and interferon γ2", ["Interferon-γ", "interferon-gamma"]),
        ("haemophilia", "HEMOPHILIAS haemophiliac", ["HEMOPHILIAS"]),
        ("Sjögren syndrome", "Sjo\u0308gren's syndromes", ["Sjo\u0308gren's syndromes"]),
        ("Sjögren syndrome", "a Sjogren\nsyndrome", ["Sjogren\nsyndrome"]),
        ("TNFα", "TNF-α TNFα\u0301 tnfα", ["TNF-α", "TNFα\u0301"]),
        ("Crohn's", "Crohn's, Crohn's disease and Crohn", ["Crohn's", "Crohn's", "Crohn"]),
        ("liver failure", "liver, failure; liver failure", ["liver failure"]),
        ("liver failure", "Liver (failure) and liver.Failure", ["liver.Failure"]),
        ("liver failure", "The liver. Failure was seen. A liver - failure", []),
        ("2,4-dinitrophenyl", "2,4-dinitrophenyl (DNP) 2, 4-dinitrophenyl", ["2,4-dinitrophenyl"]),
        ("2,4-dinitrophenyl", "2 4 dinitrophenyl", ["2 4 dinitrophenyl"]),
        ("G6PD (red) defect", "G6PD (red) defect, G6PD red defect", ["G6PD (red) defect", "G6PD red defect"]),
        ("alpha 1 antitrypsin", "alpha(1)-antitrypsin and α1-antitrypsin", ["alpha(1)-antitrypsin", "α1-antitrypsin"]),
        ("poly ADP ribose", "(poly(ADP-ribose)) poly(ADP)ribose", ["poly(ADP-ribose)", "poly(ADP)ribose"]),
        ("(+)-catechin", "(+)-catechin, (-)-catechin", ["(+)-catechin", "catechin"]),
        ("NADP+", "NADP+ NADP NADP+x", ["NADP+", "NADP", "NADP+"]),
        ("fever (sign)", "<mark>fever (sign)</mark> fever sign", ["fever (sign)", "fever sign"]),
        ("E. coli sepsis", "E. coli sepsis, E coli sepsis", ["E. coli sepsis", "E coli sepsis"]),
    ],
)  # fmt: skip
def test_where_a_name_begins_and_ends(store_of: StoreOf, name: str, text: str, expected: list[str]) -> None:
    assert found(store_of(entry("A:1", "thing", name, count=rules().attested)), text) == expected


@pytest.mark.parametrize(
    "name", [".*", "a|b", "(", "[a-z]+", "ab.*cd", "\\d", "^fever$", "fever%", "'; DROP TABLE name; --"]
)
def test_names_are_no_patterns(store_of: StoreOf, name: str, tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "odd.store"
    build(
        [Terms([entry("A:1", "thing", name), entry("A:2", "thing", "cough")])],
        path,
        reject=lambda r: told.append(r.raw),
    )
    with closing(Store(path)) as store:
        assert found(store, "abcd xyz ab12cd 5 cough") == ["cough"]
    assert told == ([] if any(map(str.isalnum, name)) else [name])


def test_cautions(store_of: StoreOf) -> None:
    store = store_of(
        entry("A:1", "disease", "ALD", "adrenoleukodystrophy"),
        entry("A:2", "disease", "MSA2", "death", "deaths", "x", "12"),
        entry("A:4", "disease", "WAS", count=rules().attested - 1),
        entry("A:3", "disease", "CAD", count=rules().attested),
    )
    assert found(store, "ALD was seen, MSA2 and msa2; deaths by x and 12. WAS it CAD or CADs or cad?") == [
        "MSA2",
        "CAD",
        "CADs",
    ]
    text = "ALD is adrenoleukodystrophy. Ald, ald or ALDs."
    assert found(store, text) == ["ALD", "adrenoleukodystrophy", "ALDs"]
    kinds = {
        name: caution(name) for name in ("ALS", "IL2", "Cat", "CAT", "Cats", "Ca2+", "fever", "β", "Fever", "BRCA1")
    }
    assert kinds == {
        "ALS": Caution.BESIDE, "IL2": Caution.CASE, "Cat": Caution.NEVER, "CAT": Caution.BESIDE, "Cats": Caution.NEVER,
        "Ca2+": Caution.CASE, "fever": Caution.NONE, "β": Caution.NEVER, "Fever": Caution.CASE, "BRCA1": Caution.CASE,
    }  # fmt: skip
    assert caution("ALS", rules().attested) is Caution.CASE


def test_any_order(store_of: StoreOf) -> None:
    store = store_of(entry("A:1", "disease", "breast cancer"), entry("A:2", "disease", "hepatitis b b"))
    text = "Cancer of the breast, cancer, breast, breast and cancer of breast; hepatitis B B"
    assert found(store, text) == ["hepatitis B B"]
    assert found(store, text, any_order=True) == ["Cancer of the breast", "breast and cancer", "hepatitis B B"]
    assert found(store, "cancer breast breast cancer of", any_order=True) == ["cancer breast", "breast cancer"]


def test_all_concepts_with_a_name_the_most_used_first(store_of: StoreOf) -> None:
    store = store_of(
        Entry("A:1", "disease", (Name("anemia", NameKind.MENTION, 1),)),
        Entry("A:2", "disease", (Name("anaemia", NameKind.MENTION, 4), Name("Anemias", NameKind.EXACT, 2))),
        Entry("A:3", "disease", (Name("Anemia", NameKind.PREFERRED),)),
    )
    (match,) = Matcher(store).find("anaemias")
    assert [term.concept.identifier for term in match.terms] == ["A:2", "A:2", "A:1", "A:3"]
    (entity,) = next(DictionaryRecognizer(store).annotate([Document("1", "Anaemia")])).document.entities
    assert entity.ids == ("A:2",)
    assert entity.infons["candidates"] == "A:2 A:1 A:3"
    assert entity.score == pytest.approx((6 + 1) / (7 + 3))
    assert not next(DictionaryRecognizer(store).annotate([Document("1", "Anaemia")], min_score=0.8)).document.entities


NAMES = {
    "TNFα": "gene",
    "tumour necrosis factors": "gene",
    "necrosis": "gene",
    "breast cancer": "disease",
    "cancer": "disease",
    "male breast cancer": "disease",
    "cancer family": "disease",
    "straße": "place",
    "istanbul": "place",
    "ﬁbrosis": "disease",
    "γ-globin": "gene",
}
PIECES = [
    *NAMES, *"TNF α İstanbul ISTANBUL STRASSE fibroses breast male family necrosis-factor Γ globins 😀 <mark>".split(),
    "</mark>",
    "e\u0301", "\u0301", "ß", "İ", "-", " ", " ", "  ", "\n", ". The ", "\n\n", ", ", "(", ") ", "'s ", "_", "2", "x",
]  # fmt: skip


@pytest.fixture(scope="module")
def unicode_store(tmp_path_factory: pytest.TempPathFactory) -> Iterable[Store]:
    path = tmp_path_factory.mktemp("unicode") / "a.store"
    build(
        [Terms([entry(f"A:{n}", type, name, count=3) for n, (name, type) in enumerate(NAMES.items())])],
        path,
        reject=raise_rejected,
    )
    with closing(Store(path)) as store:
        yield store


def naive(text: str) -> set[tuple[int, int, str]]:
    """All names of all stretches of words, then the leftmost and longest of each type."""
    names = {tuple(w.form for w in words(name)): type for name, type in NAMES.items()}
    parting = set(",.;:!?()[]{}<>=|•…")

    def in_word(place: int) -> bool:
        sides = text[place - 1 : place + 1] if 0 < place < len(text) else " "
        return len(sides) == 2 and all(unicodedata.category(c)[0] in "LMN" for c in sides)

    everything = []
    for sentence in split(text):
        row = list(words(sentence.of(text)))
        for first, last in combinations(range(len(row) + 1), 2):
            some = row[first:last]
            start, end = some[0].start + sentence.start, some[-1].end + sentence.start
            gaps = [sentence.of(text)[a.end : b.start] for a, b in pairwise(some)]
            apart = any(
                " " in gap.replace("\n", " ") and (parting & set(gap) or " - " in gap.replace("\n", " "))
                for gap in gaps
            )
            type = names.get(tuple(w.form for w in some))
            if type and not apart and not in_word(start) and not in_word(end):
                everything.append((start, -end, type))
    kept: list[tuple[int, int, str]] = []
    for start, end, type in sorted(everything):
        if not any(type == other and start < last for _, last, other in kept):
            kept.append((start, -end, type))
    return set(kept)


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_the_same_as_trying_everything(unicode_store: Store, text: str) -> None:
    matches = Matcher(unicode_store).find(text)
    assert {(m.span.start, m.span.end, m.type) for m in matches} == naive(text)
    assert [m.span for m in matches] == sorted(m.span for m in matches)


@given(st.text(max_size=60), st.sampled_from(sorted(NAMES)), st.text(max_size=60))
def test_a_name_between_blanks_is_found_wherever_it_stands(
    unicode_store: Store, before: str, name: str, after: str
) -> None:
    text = f"{before}\n\n{name}\n\n{after}"
    place = len(before) + 2
    spans = {(m.span, m.type) for m in Matcher(unicode_store).find(text)}
    assert (Span(place, place + len(name)), NAMES[name]) in spans


def test_matches_stay_in_passages_and_given_sentences(store_of: StoreOf) -> None:
    recognizer = DictionaryRecognizer(store_of(entry("A:1", "disease", "breast cancer", "cancer")))
    passages = (Passage(Span(0, 10), "title"), Passage(Span(11, 24), "abstract"))
    document = Document("1", "The breast cancer, lump", passages[:1], entities=(Entity((Span(0, 3),), "disease"),))
    assert next(recognizer.annotate([document])).document.entities == ()
    document = Document("1", "The breast cancer was in", passages)
    (entity,) = next(recognizer.annotate([document])).document.entities
    assert entity.mention(document.text) == "cancer"
    document = Document("1", "The breast cancer", sentences=(Span(0, 17),))
    assert next(recognizer.annotate([document], ["disease"])).document.entities[0].spans == (Span(4, 17),)
    with pytest.raises(UsageError, match="unknown type 'gene'; choose from "):
        recognizer.annotate([document], ["gene"])


def test_a_pickled_recognizers_store_opens_anew(store_of: StoreOf) -> None:
    import pickle

    with pickle.loads(pickle.dumps(store_of(entry("A:1", "disease", "cancer")))) as store:
        assert found(store, "cancer") == ["cancer"]


def test_the_concept_that_is_used_most_wins_over_the_commonest_spelling(store_of: StoreOf) -> None:
    spellings = tuple(Name(text, NameKind.MENTION, 3) for text in ("big tumor", "Big tumor", "big tumors"))
    store = store_of(
        Entry("A:1", "disease", spellings),
        Entry("A:2", "disease", (Name("big tumour", NameKind.MENTION, 4),)),
    )
    (entity,) = next(DictionaryRecognizer(store).annotate([Document("1", "a big tumor")])).document.entities
    assert (entity.ids, entity.infons["candidates"]) == (("A:1",), "A:1 A:2")
    assert entity.score == pytest.approx((9 + 1) / (13 + 2))


def test_a_mention_gives_way_only_to_one_that_stays() -> None:
    class Fixed:
        types = ("disease",)

        def __init__(self, *places: tuple[int, int]) -> None:
            self.entities = tuple(Entity((Span(*place),), "disease") for place in places)

        def annotate(self, documents, types=None, *, min_score=None):  # type: ignore[no-untyped-def]
            return (Annotated(replace(document, entities=self.entities)) for document in documents)

    (found,) = CombinedRecognizer(Fixed((0, 5), (9, 20)), Fixed((3, 10))).annotate([Document("1", "x" * 20)])
    assert [(e.start, e.end) for e in found.document.entities] == [(0, 5), (9, 20)]
    (found,) = CombinedRecognizer(Fixed((0, 5), (0, 2)), Fixed((0, 5), (6, 8))).annotate([Document("1", "x" * 20)])
    # What one of them nests by itself stays nested.
    assert [(e.start, e.end) for e in found.document.entities] == [(0, 2), (0, 5), (6, 8)]


def test_two_recognizers_together(store_of: StoreOf, recognizer: TermRecognizer) -> None:
    store = store_of(
        entry("A:1", "disease", "asthma", "severe asthma"),
        entry("A:2", "disease", "respiratory disease", "pain syndrome"),
        entry("A:3", "place", "clinic"),
    )
    together = CombinedRecognizer(recognizer, DictionaryRecognizer(store))
    assert together.types == ("disease", "chemical", "gene", "place")
    text = "Asthma, severe asthma, aspirin-exacerbated respiratory disease, pain syndrome: aspirin; clinic"
    document = Document("1", text)
    (both,) = together.annotate([document])
    mentions = [(e.mention(text), e.type, e.ids) for e in both.document.entities]
    assert mentions == [
        ("Asthma", "disease", ("A:1",)),
        ("severe asthma", "disease", ("A:1",)),
        ("aspirin", "chemical", ()),
        ("aspirin-exacerbated respiratory disease", "disease", ()),
        ("pain syndrome", "disease", ("A:2",)),
        ("aspirin", "chemical", ()),
        ("clinic", "place", ("A:3",)),
    ]
    (both,) = together.annotate([document], ["place"])
    assert [e.type for e in both.document.entities] == ["place"]
    with pytest.raises(UsageError, match="unknown type 'species'; choose from disease, chemical, gene, place"):
        together.annotate([document], ["species"])
    broken = [Document("2", "BROKEN clinic"), document]
    first, second = together.annotate(broken)
    assert (first.document.id, len(first.rejected), len(first.document.entities)) == ("2", 1, 1)
    assert second.document.entities


def test_together_they_read_no_further_than_each_alone(store_of: StoreOf, recognizer: TermRecognizer) -> None:
    read = 0

    def documents() -> Iterator[Document]:
        nonlocal read
        for number in range(1000):
            read += 1
            yield Document(str(number), "asthma")

    together = CombinedRecognizer(DictionaryRecognizer(store_of(entry("A:1", "disease", "asthma"))), recognizer)
    stream = together.annotate(documents())
    for _ in range(10):
        next(stream)
    assert read == 10
