"""Marked sentences: texts and offsets without the tags, and what is wrong with them told by line."""

from __future__ import annotations

from pathlib import Path

from biomark import formats
from biomark.marks import CLOSE, OPEN
from biomark.spans import Rejected

LINES = """\
<mark>Zileuton</mark> eased <mark>gout</mark> in two men.

No mention, but p < 0.05 & n > 3.
<mark>Colchicine</mark>-induced <mark> fever </mark>
A <mark>tag that is never closed.
Nothing</mark> opened it.
The last one has <mark>pain</mark>"""


def test_sentences_are_documents_with_exact_offsets(tmp_path: Path) -> None:
    path = tmp_path / "release.txt"
    path.write_text(LINES, "utf-8")
    rejects: list[Rejected] = []
    documents = list(formats.read(path, reject=rejects.append))
    assert [(d.id, [e.mention(d.text) for e in d.entities]) for d in documents] == [
        ("1", ["Zileuton", "gout"]),
        ("3", []),
        ("4", ["Colchicine", "fever"]),
        ("7", ["pain"]),
    ]
    assert documents[0].text == "Zileuton eased gout in two men."
    assert documents[1].text == "No mention, but p < 0.05 & n > 3."
    for document in documents:
        assert OPEN not in document.text
        assert CLOSE not in document.text
        assert {entity.type for entity in document.entities} <= {"entity"}
        assert [sentence.of(document.text) for sentence in document.sentences] == [document.text]
    assert [(reject.line, reject.document_id, reject.source) for reject in rejects] == [
        (5, "5", str(path)),
        (6, "6", str(path)),
    ]
    assert [reject.reason for reject in rejects] == [
        "a mark is opened but not closed",
        "a mark is closed but not opened",
    ]


def test_bytes_that_are_no_text_cost_their_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "release.txt"
    path.write_bytes(b"<mark>gout</mark>\n<mark>g\xffut</mark>\n<mark>fever</mark>\n")
    rejects: list[Rejected] = []
    assert [d.id for d in formats.read(path, reject=rejects.append)] == ["1", "3"]
    assert rejects[0].line == 2
    assert "not UTF-8" in rejects[0].reason


def test_text_without_marks_stays_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("Gout.\nFever.\n")
    assert [d.text for d in formats.read(path)] == ["Gout.\nFever.\n"]
