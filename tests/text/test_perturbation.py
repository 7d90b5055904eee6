"""Texts in other writing: mentions keep their order, and each is the old one in the new writing."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark.spans import Document, Entity, Passage, Span
from biomark.text import perturbation
from biomark.text.greek import NAMES, spelled_out
from biomark.text.perturbation import COLUMNS, PERTURBATIONS, Perturbation


def document(text: str, *mentions: str) -> Document:
    """A passage with the first occurrence of each mention."""
    entities = tuple(Entity((Span(text.index(m), text.index(m) + len(m)),), "x") for m in mentions)
    return Document("1", text, (Passage(Span(0, len(text)), "abstract"),), entities=entities)


def written(how: Perturbation, text: str, *mentions: str, seed: int = 0) -> tuple[str, list[str]]:
    changed = how(document(text, *mentions), random.Random(seed))
    return changed.text, [entity.mention(changed.text) for entity in changed.entities]


@pytest.mark.parametrize(
    ("how", "text", "new", "mention", "moved"),
    [
        (perturbation.upper_case, "weiß β-blocker", "WEISS Β-BLOCKER", "β-blocker", "Β-BLOCKER"),
        (perturbation.lower_case, "İ had TNF-Α", "i̇ had tnf-α", "TNF-Α", "tnf-α"),
        (
            perturbation.title_case,
            "loss of mRNA in Crohn's disease,\nwhich is p53-dependent",
            "Loss of mRNA in Crohn's Disease,\nWhich is p53-Dependent",
            "Crohn's disease",
            "Crohn's Disease",
        ),
        (perturbation.ligatures, "fibrosis, reflux and affliction", "ﬁbrosis, reﬂux and aﬄiction", "reflux", "reﬂux"),
        (perturbation.greek_letters, "NF-kappaB; betaine", "NF-κB; betaine", "NF-kappaB", "NF-κB"),
        (perturbation.greek_letters, "TNFalpha, Delta9-THC", "TNFα, Δ9-THC", "TNFalpha", "TNFα"),
        (perturbation.greek_letters, "Beta-blockers of it", "β-blockers of it", "Beta-blockers", "β-blockers"),
        (perturbation.greek_names, "5 μm of PPARγ, Δ9-THC", "5 μm of PPARgamma, Delta9-THC", "Δ9-THC", "Delta9-THC"),
        (perturbation.greek_names, "μ-opioid", "mu-opioid", "μ-opioid", "mu-opioid"),
    ],
)  # fmt: skip
def test_texts_in_other_writing(how: Perturbation, text: str, new: str, mention: str, moved: str) -> None:
    assert written(how, text, mention) == (new, [moved])


def test_signs_as_printers_set_them() -> None:
    text = "Crohn's \"disease\" of the 5' end: IL-2 (pre- and postnatal), 3-5 x +/-2, >=7 - or so"
    for seed in range(20):
        new, (crohn, il2) = written(perturbation.typographic, text, "Crohn's", "IL-2", seed=seed)
        assert crohn == "Crohn’s"
        hyphen = il2[2]
        assert hyphen in "‐‑–"
        plain = re.sub("[\u2009\u00a0\u202f]", " ", new)
        assert (
            plain == f"Crohn’s “disease” of the 5′ end: IL{hyphen}2 (pre{hyphen} and postnatal), 3–5 x ±2, ≥7 - or so"
        )
        blanks = set(new) & set("\u2009\u00a0\u202f")
        assert len(blanks) <= 1


def test_wide_letters() -> None:
    new, (mention,) = written(perturbation.full_width, "IL2 " * 30 + "(x)", "IL2 IL2")
    assert unicodedata.normalize("NFKC", new) == "IL2 " * 30 + "(x)"
    assert new.endswith(("（x）", "（ｘ）"))
    assert 3 < new.count("ＩＬ２") < 20
    assert unicodedata.normalize("NFKC", mention) == "IL2 IL2"


def test_the_noise_of_pdfs() -> None:
    sentence = "Antihypertensive treatment of glomerulonephritis with angiotensin-converting inhibitors. "
    text = sentence * 40
    new, (mention,) = written(perturbation.pdf_noise, text, "glomerulonephritis with angiotensin-converting inhibitors")
    lines = new.split("\n")
    assert max(map(len, lines)) <= COLUMNS
    cut = [line for line in lines if line.endswith("-")]
    assert len(cut) > 5
    breaks = re.findall(r"\n\n(\d+)\n\n(.+)\n\n", new)
    assert breaks
    without = re.sub(r"\n\n\d+\n\n.+\n\n", " ", new)
    assert re.sub(r"[-\s]", "", without) == re.sub(r"[-\s]", "", text)
    assert re.sub(r"[-\s]", "", mention) == "glomerulonephritiswithangiotensinconvertinginhibitors"


def test_pages_end_outside_of_mentions() -> None:
    mention = " ".join(["glomerulonephritis"] * 400)
    new, (moved,) = written(perturbation.pdf_noise, mention, mention)
    assert new == moved
    assert "\n\n" not in new


def test_emoji_before_mentions() -> None:
    found = [
        written(perturbation.emoji, "Asthma, type 2 diabetes", "Asthma", "type 2 diabetes", "diabetes", seed=n)
        for n in range(30)
    ]
    assert all(mentions == ["Asthma", "type 2 diabetes", "diabetes"] for _, mentions in found)
    texts = {text for text, _ in found}
    assert all(re.fullmatch(r"Asthma, [^\w\s] ?type 2 diabetes", text) for text in texts)
    assert len({text[9] == " " for text in texts}) == 2


def spelled(text: str) -> str:
    """Greek letters by their names, all in small letters."""
    return "".join(spelled_out(c) or c for c in text).casefold()


PLAIN: dict[str, Callable[[str], str]] = {
    "upper case": str.casefold,
    "lower case": lambda text: text.lower().casefold(),
    "title case": str.casefold,
    "typographic signs": lambda text: re.sub(r"\W", "", text.translate(str.maketrans("", "", "±≥≤+/->=<"))),
    "ligatures": lambda text: unicodedata.normalize("NFKC", text),
    "full-width letters": lambda text: unicodedata.normalize("NFKC", text),
    "Greek letters": spelled,
    "Greek names": spelled,
    "PDF noise": lambda text: re.sub(r"[-\s]", "", text),
    "emoji": str,
}
"""What the old and the new writing have in common."""

PIECES = [
    *"aB ß İ ﬁ 😀 ς α Δ μ µ ' \" - ( ) [ 5 é \n \t _ .".split(" "),
    "\n",
    " ",
    "fi",
    "ffl",
    "alpha",
    "Delta",
    "kappaB",
]
PIECES += [
    "glomerulonephritis",
    "TNF-α",
    "e\u0301",
    "+/-",
    ">=",
    "IL-2 ",
    "pre- and ",
    *map(str.title, list(NAMES)[:5]),
]


@given(
    st.sampled_from(sorted(PERTURBATIONS)), st.lists(st.sampled_from(PIECES), max_size=60), st.integers(0, 5), st.data()
)
def test_every_mention_is_the_old_one_in_the_new_writing(
    name: str, pieces: list[str], seed: int, data: st.DataObject
) -> None:
    text = "".join(pieces)
    ends = st.lists(st.integers(0, len(text)), min_size=2, max_size=4, unique=True).map(sorted)
    entities = []
    for places in data.draw(st.lists(ends, max_size=8)) if len(text) > 3 else []:
        spans = [Span(*pair) for pair in zip(places[::2], places[1::2], strict=False)]
        entities.append(Entity(tuple(spans), "x"))
    cut = len("".join(pieces[: len(pieces) // 2]))
    parts = (Span(0, cut), Span(cut, len(text))) if cut else ()
    passages, sentences = tuple(Passage(span, "part") for span in parts), parts
    old = Document("1", text, passages, sentences, tuple(entities), tuple(entities))
    new = PERTURBATIONS[name](old, random.Random(seed))
    plain = PLAIN[name]
    assert [plain(e.mention(new.text)) for e in new.entities] == [plain(e.mention(text)) for e in entities]
    assert new.alternatives == new.entities
    assert len(new.passages) == len(new.sentences) == len(parts)
    assert new == PERTURBATIONS[name](old, random.Random(seed))
