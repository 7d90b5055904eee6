"""Stores that are damaged, or were made to harm: one error in bounded time, whatever is done with them."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from biomark.errors import KnowledgeError
from biomark.knowledge import database as database_module
from biomark.knowledge import output
from biomark.knowledge.building import build
from biomark.knowledge.normalization import Normalizer
from biomark.knowledge.store import Store
from biomark.recognizers.dictionary import DictionaryRecognizer
from biomark.spans import Document
from conftest import Outcome
from knowledge_cases import Terms, entry

PAGE = 4096


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("stores") / "whole.store"
    names = [
        entry("MESH:D001249", "disease", "Asthma", "Bronchial asthma", "asthmatic disease"),
        entry("MESH:D012559", "disease", "Schizophrenia", "Schizophrenic disorder"),
        entry("MESH:D001241", "chemical", "Aspirin", "acetylsalicylic acid"),
    ]
    build([Terms(names)], path, reject=lambda rejected: None)
    return path.read_bytes()


def use(path: Path) -> None:
    """All that is done with a store."""
    with Store(path) as store:
        output.store_json(store)
        store.search("bronchial asthma")
        if concept := store.concept("MESH:D001249"):
            output.concept_json(store, concept)
        list(DictionaryRecognizer(store).annotate([Document("1", "Asthma, shizofrenia and aspirin.")]))
        normalizer = Normalizer(store)
        for text in ("asthma", "shizofrenia", "disease asthmatic", "nothing of the kind"):
            normalizer.candidates(text, "disease")


def damaged(whole: bytes, seed: int) -> bytes:
    """A store with some bytes changed, a page in another's place, or its end cut off."""
    some = random.Random(seed)
    found = bytearray(whole)
    if seed % 4 == 0:
        return whole[: some.randrange(len(whole))]
    if seed % 4 == 1:
        start, end = (PAGE * some.randrange(len(whole) // PAGE) for _ in range(2))
        found[start : start + PAGE] = whole[end : end + PAGE]
    used = [place for place, byte in enumerate(whole) if byte]
    for place in some.sample(used, some.choice((1, 3, 10))):
        found[place] = some.randrange(256)
    return bytes(found)


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_store_is_used_or_refused(whole: bytes, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "damaged.store"
    path.write_bytes(damaged(whole, seed))
    with suppress(KnowledgeError):
        use(path)


@pytest.mark.parametrize(
    ("before", "after"), [(b"PRIMARY KEY, v) WITHOUT", b"PRIMARY KEY\xac v) WITHOUT"), (b"Asthma", b"\xffsthma")]
)
def test_bytes_that_are_no_text(whole: bytes, tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / "damaged.store"
    path.write_bytes(whole.replace(before, after))
    with pytest.raises(KnowledgeError, match="damaged"):
        use(path)


HARM = {
    "a view that does not end": (
        "ALTER TABLE concept RENAME TO other;"
        "CREATE VIEW concept AS WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r)"
        " SELECT x AS id, 'MESH:D1' AS identifier, 'disease' AS type, '' AS definition, '' AS taxon FROM r"
    ),
    "a column that is computed": (
        "DROP TABLE about; CREATE TABLE about (key TEXT, value TEXT AS (hex(zeroblob(500000000))))"
    ),
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON name BEGIN SELECT 1; END",
    "another table": "CREATE TABLE mine (a)",
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_what_biomark_does_not_write_is_refused(
    whole: bytes, tmp_path: Path, harm: str, biomark: Callable[..., Outcome]
) -> None:
    path = tmp_path / "hostile.store"
    path.write_bytes(whole)
    with closing(sqlite3.connect(path)) as opened:
        opened.executescript(harm)
    with pytest.raises(KnowledgeError, match="is damaged, or not a term store: it contains a statement"):
        Store(path)
    for command in (("knowledge", "show", path), ("annotate", "--model", "dictionary", "--store", path)):
        done = biomark(*command, stdin=b"Asthma.")
        assert (done.status, done.err.startswith(f"biomark: {path}: is damaged")) == (2, True)


def test_a_search_that_does_not_end_is_stopped(whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.store"
    path.write_bytes(whole)
    monkeypatch.setattr(database_module, "_STEPS_AT_LEAST", 2_000_000)
    with closing(database_module.Database(path)) as opened:
        assert opened.rows((int,), "SELECT count(*) FROM concept") == [(3,)]
        endless = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT count(*) FROM r"
        with pytest.raises(KnowledgeError, match="is damaged \\(a search does not end\\); rebuild it"):
            opened.rows((int,), endless)
        assert opened.rows((int,), "SELECT count(*) FROM concept") == [(3,)]


CELLS = {
    "a kind that there is not": "UPDATE name SET kind = 99",
    "a name that is no text": "UPDATE name SET text = x'00ff'",
    "a form that is no text": "UPDATE name SET form = x'00ff'",
    "a count that is none": "UPDATE name SET count = 'many'",
    "an identifier that is no text": "UPDATE concept SET identifier = randomblob(8)",
    "a definition that is no text": "UPDATE concept SET definition = x'07'",
    "no type": "UPDATE concept SET type = NULL",
    "no concepts": "DELETE FROM concept",
    "a source without a number": "UPDATE source SET entries = 'x'",
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_cells_of_another_kind_are_damage(whole: bytes, tmp_path: Path, cell: str) -> None:
    path = tmp_path / "damaged.store"
    path.write_bytes(whole)
    with closing(sqlite3.connect(path)) as opened:
        opened.execute(cell)
        opened.commit()
    with pytest.raises(KnowledgeError, match="is damaged"):
        use(path)
