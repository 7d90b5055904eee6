"""Which format a name and the first bytes speak for."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from biomark import formats
from biomark.errors import FormatError
from format_cases import MEDLINE


class Slow(io.RawIOBase):
    """A pipe, which cannot be read again and gives a byte at a time."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        piece, self.data = self.data[:1], self.data[1:]
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["gout.pubtator", "gout.bioc.xml", "gout.bioc.json", "gout.jsonl"])
def test_a_stream_is_recognised_as_a_file_is(name: str, packed: bool) -> None:
    golden = Path(__file__).parent.parent / "golden" / name
    data = gzip.compress(golden.read_bytes()) if packed else golden.read_bytes()
    for stream in (Slow(data), io.BytesIO(data)):
        assert list(formats.read(stream)) == list(formats.read(golden))  # type: ignore[arg-type]
    with pytest.raises(FormatError, match=r"unknown format; name the format \(`input format`\)"):
        list(formats.read(io.BytesIO(b"Gout.\n")))


PUBTATOR = b"1|t|Gout\n1|a|\n"
BIOC = b'<?xml version="1.0"?>\n<collection><document><id>1</id></document></collection>'


@pytest.mark.parametrize(
    ("name", "data", "format"),
    [
        ("x.xml", BIOC, "bioc_xml"),
        ("x.XML", BIOC, "bioc_xml"),
        ("x.xml", MEDLINE.encode(), "medline_xml"),
        ("x.xml.gz", gzip.compress(MEDLINE.encode()), "medline_xml"),
        ("x.json", b'{"documents": [{"id": "1", "passages": []}]}', "bioc_json"),
        ("x.json", b'{"PubTator3": []}', "bioc_json"),
        ("x.json", b'{"id": "1", "text": "a"}\n', "jsonl"),
        ("x.jsonl", b'{"id": "1", "text": "a"}\n', "jsonl"),
        ("x.jsonl", b'{"id": "1", "tokens": ["a"], "tags": ["O"]}\n', "jsonl"),
        ("x.jsonl", b'{"id": "1", "passages": [{"offset": 0, "text": "a"}]}\n', "bioc_json"),
        ("x.txt", b"Plain text about gout.\n", "text"),
        ("x.txt", b"{Not} JSON: text.\n", "text"),
        ("x.txt", PUBTATOR, "pubtator"),
        ("x.txt", b"\xef\xbb\xbf" + PUBTATOR, "pubtator"),
        ("x.PubTator.txt", PUBTATOR, "pubtator"),
        ("x.tsv", b"Gout\tB-Disease\nis\tO\n", "conll"),
        ("x.conll", b"Gout NN B-Disease\n", "conll"),
        ("x.iob", b"", "conll"),
        ("x.bio", b"Gout\tO\n", "conll"),
        ("x", b"Gout\tO\n", "conll"),
        ("x.txt", b"Gout B-Disease\nis O\n\n", "conll"),
        ("x.txt", b"Gout\tB-Disease\n", "conll"),
        ("x.txt", b"Chronic hepatitis B\nThe patient has fever.\nGiven aspirin.\n", "text"),
        ("x.txt", b"Angiotensin I\n", "text"),
        ("x.txt", b"Blood of type O\n", "text"),
        ("x.txt", b"Vitamin E\nVitamin B\n", "text"),
        ("x.json", b'\xef\xbb\xbf{"source":"x","documents":[{"id":"1","passages":[]}]}', "bioc_json"),
        ("x.json", b'{"id":"1","passages":[{"text":"' + b"gout " * 2000 + b'","offset":0}]}', "bioc_json"),
        ("x.json", b'{"id":"1","text":"gout","passages":[{"start":0,"end":4}]}', "jsonl"),
        ("x.in", b"S1 Gout\n", "bc2gm"),
        ("x.unknown", PUBTATOR, "pubtator"),
        ("x.unknown", b"Gout\n", None),
    ],
)
def test_format_of_a_file(name: str, data: bytes, format: str | None, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    if format:
        assert formats.guess_format(path).name == format
    else:
        with pytest.raises(FormatError, match="`input format`"):
            formats.guess_format(path)


@pytest.mark.parametrize(
    ("name", "format"),
    [("x.xml", "bioc_xml"), ("x.json", "bioc_json"), ("x.tsv.gz", "conll"), ("x.txt", "text"), ("x.jsonl", "jsonl")],
)
def test_format_to_write(name: str, format: str) -> None:
    assert formats.guess_format(Path(name), writing=True).name == format
