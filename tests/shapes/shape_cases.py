"""Texts, mentions and types that tests of several shapes share."""

from hypothesis import strategies as st

from biomark.shapes import SHAPES
from biomark.spans import Entity, Span

TYPES = ("disease", "cell_line")


LISTED = ["dice", "dictionary", "dialogue", "prompt-ner"]
# Small alphabets make repeated words, and signs beside signs, likely.
PIECES = [
    *("The labeled sentence:", "The given sentence: ", "Text: "),
    *("<mark>", "</mark>", '<span class="', 'disease">', '<span class="disease">', "</span>", "<entity>", "[SEP]"),
    *("@", "@@", "#", "##", "[ ", "[", " | ", "|", " ]", " | disease ]", "cell line", '"', "'", "\\", "{", "}", "`"),
    *(
        " ",
        ",",
        ", ",
        ".",
        "\n",
        "\u2028",
        "a",
        "A",
        "İ",
        "β",
        "e\u0301",
        "👩‍🔬",
        "1,25-D3",
        "p53",
        " p53 ",
        "Entity is ",
        "Entity type is ",
        "\nPassage:",
        " | True",
        " - no ",
    ),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def asked(name):
    return TYPES[:1] if SHAPES[name].single else TYPES


@st.composite
def annotated(draw, texts=TEXTS):
    text = draw(texts)
    ends = st.integers(0, len(text))
    found = []
    for start, end, type in draw(st.lists(st.tuples(ends, ends, st.sampled_from(TYPES)), max_size=5)):
        if start != end:
            found.append(Entity((Span(min(start, end), max(start, end)),), type))
    if len(text) > 3 and draw(st.booleans()):
        found.append(Entity((Span(0, 1), Span(2, 3)), TYPES[0]))
    return text, found


SOURCE = "Fever and chest pain after HeLa [1] treatment; fever fell."


PROBLEMS = ("problem", "treatment")
NOTE = 'She denies chest pain , takes "low-dose" aspirin & rests .'
PAIN, ASPIRIN = Entity((Span(11, 21),), "problem"), Entity((Span(41, 48),), "treatment")


CLINICAL = ("problem", "treatment", "test")
