"""What people look at in the terminal, and how the page is written."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomark import formats
from biomark.entity_types import entity_types
from biomark.formats.display import PALETTE, Colours, paragraphs, pieces
from biomark.formats.terminal import BASIC, INDEXED
from biomark.screen import visible
from biomark.spans import Document, Entity, Passage, Span
from conftest import contrast

TEXT = "Breast and ovarian cancer\nBRCA1 & BRCA2 <script>alert('x')</script> \x1b[31mTNF-α"
PASSAGES = (Passage(Span(0, 25), "title"), Passage(Span(26, len(TEXT)), "abstract"))


def entity(type: str, *mentions: str, score: float | None = None, ids: tuple[str, ...] = ()) -> Entity:
    spans = tuple(Span(TEXT.index(m), TEXT.index(m) + len(m)) for m in mentions)
    return Entity(spans, type, ids, score)


def document(*entities: Entity, passages: tuple[Passage, ...] = PASSAGES) -> Document:
    return Document("d<1>", TEXT, passages, entities=entities)


def render(format: str, *documents: Document) -> str:
    stream = io.BytesIO()
    assert formats.write(documents, stream, format) == {}
    return stream.getvalue().decode()


@pytest.fixture(autouse=True)
def no_terminal_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "TERM", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


@st.composite
def texts_with_mentions(draw: st.DrawFn) -> Document:
    text = draw(st.text(st.sampled_from("ab <&>\"'İß😀\u0301\n\t\x00\x1b"), min_size=1, max_size=30))
    cuts = st.lists(st.integers(0, len(text)), min_size=2, max_size=6, unique=True).map(sorted)
    entities = []
    for places in draw(st.lists(cuts, max_size=5)):
        spans = tuple(Span(a, b) for a, b in zip(places[::2], places[1::2], strict=False))
        entities.append(Entity(spans, draw(st.sampled_from(["disease", "gene", "x<y>"]))))
    return Document("d", text, entities=tuple(entities))


@settings(max_examples=150, deadline=None)
@given(texts_with_mentions())
def test_pieces_cut_a_paragraph_without_losing_anything(document: Document) -> None:
    whole = Span(0, len(document.text))
    (cut,) = pieces([whole], document.entities)
    assert "".join(piece.span.of(document.text) for piece in cut) == document.text
    for piece in cut:
        covering = [e for e in document.entities if any(s.overlaps(piece.span) for s in e.spans)]
        assert all(any(s.contains(piece.span) for s in e.spans) for e in covering)
        assert sorted(piece.entities, key=repr) == sorted(covering, key=repr)


@settings(max_examples=150, deadline=None)
@given(texts_with_mentions(), st.lists(st.integers(0, 30), max_size=6, unique=True).map(sorted))
def test_paragraphs_have_the_pieces_that_each_has_alone(document: Document, cuts: list[int]) -> None:
    cuts = [cut for cut in cuts if cut <= len(document.text)]
    paragraphs = [Span(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    found = list(pieces(paragraphs, document.entities))
    assert found == [cut for paragraph in paragraphs for cut in pieces([paragraph], document.entities)]
    assert [Span(cut[0].span.start, cut[-1].span.end) for cut in found] == paragraphs


def test_thousands_of_passages_are_shown_each_with_its_mentions() -> None:
    text = "gout is old\n" * 3000
    passages = tuple(Passage(Span(12 * n, 12 * n + 11), "paragraph") for n in range(3000))
    mentions = tuple(Entity((Span(12 * n, 12 * n + 4),), "disease") for n in range(3000))
    document = Document("d", text, passages, entities=mentions)
    assert render("terminal", document).count("[gout|disease] is old") == 3000


def test_plain_marks_where_there_is_no_colour() -> None:
    found = render("terminal", document(entity("disease", "ovarian cancer"), entity("gene", "TNF-α", score=0.5)))
    assert found.splitlines() == [
        "d<1>  1 disease  1 gene",
        "Breast and [ovarian cancer|disease]",
        "BRCA1 & BRCA2 <script>alert('x')</script> ␛[31m[TNF-α|gene]",
        "",
    ]


def test_plain_marks_are_not_wrapped_in_a_pipe() -> None:
    long = "a word " * 100
    assert long.strip() in render("terminal", Document("d", long.strip()))


def test_of_overlapping_mentions_the_longest_is_shown_and_the_rest_are_counted() -> None:
    found = render(
        "terminal", document(entity("disease", "ovarian cancer"), entity("disease", "cancer"), entity("gene", "BRCA1"))
    )
    assert "2 disease  1 gene  1 inside or across others, not shown" in found
    assert "[ovarian cancer|disease]" in found
    assert "[BRCA1|gene]" in found


def test_of_two_types_for_one_mention_the_surer_is_shown() -> None:
    unsure, sure = entity("chemical", "BRCA1", score=0.3), entity("gene", "BRCA1", score=0.7)
    assert "[BRCA1|gene]" in render("terminal", document(unsure, sure))
    assert "[BRCA1|gene]" in render("terminal", document(sure, unsure))


def test_thousands_of_mentions_are_shown() -> None:
    text = "gout and " * 3000
    mentions = [Entity((Span(9 * n, 9 * n + 4),), "disease") for n in range(3000)]
    whole = Entity((Span(0, 4), Span(9, 13)), "disease")
    found = render("terminal", Document("d", text, entities=(*mentions, whole)))
    assert found.count("[gout|disease]") == 3000
    assert "3001 disease  2 inside or across others" in found


def test_line_ends_of_windows_are_no_signs() -> None:
    assert visible("a\r\nb\rc\x07") == "a\r\nb␍c␇"


def test_parts_of_a_discontinuous_mention_are_all_shown() -> None:
    assert "[Breast|disease] and ovarian [cancer|disease]" in render(
        "terminal", document(entity("disease", "Breast", "cancer"))
    )


def test_text_between_and_without_passages_is_shown() -> None:
    middle = (Passage(Span(7, 10), "METHODS"),)
    found = render("terminal", document(passages=middle)).splitlines()
    assert found[1:4] == ["Breast ", "METHODS", "and"]
    assert "ovarian cancer" in found[4]


def test_colours_and_wrapping_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "30")
    found = render("terminal", document(entity("disease", "ovarian cancer")))
    pale = ";".join(str(int(PALETTE[0][0][i : i + 2], 16)) for i in (1, 3, 5))
    assert f"48;2;{pale}m" in found
    assert "[31m" not in found.replace("␛[31m", "")  # the text's own escape does not reach the terminal
    plain = re.sub(r"\x1b\[[0-9;]*m", "", found)
    assert "ovarian cancer▏disease" in plain.replace("\n", " ").replace("  ", " ")
    assert max(map(len, plain.splitlines())) <= 30


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    found = render("terminal", document(entity("disease", "ovarian cancer")))
    assert "[ovarian cancer|disease]" in found
    assert "48;" not in found


def test_an_empty_stream_shows_nothing() -> None:
    assert render("terminal") == ""


def test_the_page_is_written_as_documents_come(tmp_path: Path) -> None:
    written: list[int] = []
    part = tmp_path / "page.html.part"

    def documents() -> object:
        for number in range(2000):
            yield Document(str(number), "no mention " * 20)
            written.append(part.stat().st_size if part.exists() else 0)

    formats.write(documents(), tmp_path / "page.html")  # type: ignore[arg-type]
    assert 0 < written[1000] < written[1999] < (tmp_path / "page.html").stat().st_size


def test_known_types_keep_their_colours_and_own_ones_get_others() -> None:
    one, other = Colours(), Colours()
    assert one["mine"] != one["yours"]
    assert one["mine"] == one["mine"]
    assert all(one[name] == other[name] for name in entity_types())
    assert len({one[name] for name in entity_types()}) == len(entity_types())
    assert one["SpecificDisease"] == one["disease"]


@pytest.mark.parametrize(("depth", "colour"), [("truecolor", "24bit"), ("xterm-256color", ""), ("xterm", "")])
def test_types_can_be_told_apart_however_few_colours_there_are(
    depth: str, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = [*entity_types(), "mine", "yours", "theirs"]  # as many as there are colours
    assert len(types) == len(PALETTE) == len(INDEXED) == len(BASIC)
    text = "".join(f"word{n:02} " for n in range(len(types)))
    mentions = tuple(Entity((Span(7 * n, 7 * n + 6),), type) for n, type in enumerate(types))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "500")
    monkeypatch.setenv("COLORTERM", colour)
    monkeypatch.setenv("TERM", depth)
    found = render("terminal", Document("d", text, entities=mentions))
    styles = re.findall(r"\x1b\[([0-9;]*)mword\d\d", found)
    background = r"48;2;[0-9;]+|48;5;\d+" if depth != "xterm" else r"\b(?:4[0-7]|10[0-7])\b"
    assert len({re.search(background, style)[0] for style in styles}) == len(types)  # type: ignore[index]


def test_each_colour_can_be_read() -> None:
    def indexed(number: int) -> str:
        cube = (0, 95, 135, 175, 215, 255)
        grey = 8 + 10 * (number - 232)
        place = number - 16
        levels = (grey,) * 3 if number >= 232 else (cube[place // 36], cube[place // 6 % 6], cube[place % 6])
        return "#" + "".join(f"{level:02x}" for level in levels)

    for background, ink in INDEXED:
        assert contrast(indexed(background), indexed(233)) >= 7
        assert contrast(indexed(background), indexed(ink)) >= 4.5
    for pale, deep in PALETTE:
        assert contrast(pale, "#111111") >= 7
        assert contrast(deep, "#f6f7f8") >= 7
        assert contrast(pale, deep) >= 4.5


def test_symbols_for_control_characters_keep_every_offset() -> None:
    text = "a\x00\x1b\x7f\x9b\u202e\ud800\t\nb"
    assert visible(text) == "a␀␛\ufffd\ufffd\ufffd\ufffd\t\nb"


def test_paragraphs_leave_out_blank_gaps_only() -> None:
    gaps = Document("d", "one\n two", passages=(Passage(Span(0, 3), "title"), Passage(Span(5, 6), "x")))
    assert list(paragraphs(gaps)) == [("title", Span(0, 3)), ("x", Span(5, 6)), ("", Span(6, 8))]
