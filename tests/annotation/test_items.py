"""What users pass to `annotate`, `read` and `write`: right things, odd things, and models that are kept."""

from __future__ import annotations

import io
import os
import threading
from collections import UserDict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import biomark
from biomark import models
from biomark.errors import BiomarkError, FormatError, UsageError
from biomark.models import WEIGHTS
from biomark.spans import Document, Rejected
from conftest import TermRecognizer


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").mkdir()
    for name in ("abstract.txt", "aspirin", "notes/one.txt"):
        (tmp_path / name).write_text("Asthma.\n")
    return tmp_path


def annotated(items: object, recognizer: TermRecognizer) -> tuple[list[Document], list[Rejected]]:
    rejects: list[Rejected] = []
    return list(biomark.annotate(items, model=recognizer, reject=rejects.append)), rejects  # type: ignore[arg-type]


ODD: list[tuple[object, str]] = [
    (None, "None is not a text"),
    (float("nan"), r"nan \(float\) is not a text"),
    (np.float32("nan"), "is not a text"),
    (np.int64(3), "is not a text"),
    (7, r"7 \(int\) is not a text"),
    (b"asthma", "these are bytes, not a text; decode them"),
    (bytearray(b"asthma"), "these are bytes"),
    ({"text": "asthma"}, "is not a text"),
    (["asthma"], r"\['asthma'\] \(list\) is not a text"),
    (object(), "is not a text"),
    ("asthma \ud83d and", r"half a character \(U\+D83D\) at offset 7"),
    (Document("3", "asthma \udc80"), r"half a character \(U\+DC80\) at offset 7"),
    ("abstract.txt", r"'abstract\.txt' is the path of a file.*pass Path\('abstract\.txt'\) for the file, or Document"),
    ("aspirin", "is the path of a file"),
    ("./notes", "is the path of a file"),
    ("notes/", "is the path of a file"),
    (Path("missing.txt"), "missing.txt: there is no such file or folder"),
]


@pytest.mark.parametrize(("odd", "told"), ODD)
def test_what_is_no_text_is_rejected_by_its_place_and_the_rest_goes_on(
    odd: object, told: str, folder: Path, recognizer: TermRecognizer
) -> None:
    found, (rejected,) = annotated(["asthma", "gout", odd, "zileuton"], recognizer)
    assert [document.id for document in found] == ["1", "2", "4"]
    assert [len(document.entities) for document in found] == [1, 0, 1]
    assert rejected.document_id == (None if isinstance(odd, Path) else "3")
    with pytest.raises(FormatError, match=told):
        list(biomark.annotate([odd], model=recognizer))  # type: ignore[list-item]


@pytest.mark.parametrize("odd", [None, float("nan"), 7, b"asthma", {"text": "asthma"}, UserDict(), Path("missing.txt")])
def test_one_odd_thing_alone_is_rejected_too(odd: object, folder: Path, recognizer: TermRecognizer) -> None:
    found, rejects = annotated(odd, recognizer)
    assert (found, len(rejects)) == ([], 1)


def test_words_that_are_no_path_are_texts(folder: Path, recognizer: TermRecognizer) -> None:
    texts = [
        "",
        ".",
        "/",
        "..",
        "notes",
        "abstract",
        "no.txt",
        "a\0b",
        "asthma\nabstract.txt",
        "x" * 5000,
        np.str_("İ"),
    ]
    found, rejects = annotated(texts, recognizer)
    assert [document.text for document in found] == texts
    assert rejects == []
    assert type(found[-1].text) is str


def test_a_path_of_any_kind_is_a_file(folder: Path, recognizer: TermRecognizer) -> None:
    class Named(os.PathLike):  # type: ignore[type-arg]
        def __fspath__(self) -> str:
            return "abstract.txt"

    found, rejects = annotated([Path("abstract.txt"), Named(), Document("own", "abstract.txt")], recognizer)
    assert [document.text for document in found] == ["Asthma.\n", "Asthma.\n", "abstract.txt"]
    assert rejects == []


def test_errors_of_a_users_own_generator_are_not_hidden(recognizer: TermRecognizer) -> None:
    def broken() -> Iterator[str]:
        yield "asthma"
        raise TypeError("of the user")

    with pytest.raises(TypeError, match="of the user"):
        annotated(broken(), recognizer)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"types": 5}, "`types` must be names"),
        ({"types": [None]}, "`types` must be names"),
        ({"types": b"disease"}, "`types` must be names"),
        ({"types": []}, "names no type"),
        ({"model": None}, "a name, a folder or a recognizer, got None"),
        ({"model": 5}, "a name, a folder or a recognizer, got 5"),
        ({"model": "no such model"}, "unknown model 'no such model'"),
        ({"model": Path("no such model")}, "unknown model 'no such model'"),
        ({"min_score": "0.5"}, r"must be in \[0, 1\].*'0\.5'"),
        ({"min_score": float("nan")}, r"must be in \[0, 1\].*nan"),
        ({"reject": None}, "`reject` must be a function"),
    ],
)
def test_odd_options_are_told_at_once(options: dict, told: str, recognizer: TermRecognizer) -> None:
    with pytest.raises(UsageError, match=told):
        biomark.annotate("asthma", **{"model": recognizer, **options})


@pytest.mark.parametrize("path", [None, 5, "", b"in.jsonl", ["in.jsonl"], "a\0b.jsonl", io.StringIO("{}")])
def test_odd_files_are_told(path: object) -> None:
    with pytest.raises(UsageError, match="is not a file; give a str, a Path"):
        list(biomark.read(path, "jsonl"))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="is not a file; give a str, a Path"):
        biomark.write([], path, "jsonl")  # type: ignore[arg-type]


@pytest.mark.parametrize("documents", [None, 5, "gout", b"gout", {"id": "1"}])
def test_odd_documents_are_told(documents: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"documents must be one or more biomark\.Document objects"):
        biomark.write(documents, tmp_path / "out.jsonl")  # type: ignore[arg-type]
    with pytest.raises(FormatError, match=r"is not a biomark\.Document"):
        biomark.write([documents], tmp_path / "out.jsonl")  # type: ignore[list-item]
    assert list(tmp_path.iterdir()) == []


def test_one_document_is_written_like_many(tmp_path: Path) -> None:
    gout = Document("1", "gout")
    biomark.write(gout, tmp_path / "one.jsonl")
    assert list(biomark.read(tmp_path / "one.jsonl")) == [gout]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models that were loaded, each into a recognizer of its own."""
    names: list[str] = []

    def load(name: str) -> TermRecognizer:
        names.append(name)
        return TermRecognizer()

    monkeypatch.setattr(models, "load", load)
    monkeypatch.setattr(models, "_KEPT", {})
    return names


def model(path: Path, *files: str) -> str:
    path.mkdir()
    for file in files:
        (path / file).write_text(file)
    return str(path)


def test_a_model_is_loaded_once_whatever_is_asked_in_between(loaded: list[str], tmp_path: Path) -> None:
    other = model(tmp_path / "other", WEIGHTS)
    calls: list[Callable[[], object]] = [
        lambda: biomark.annotate("asthma"),
        lambda: biomark.annotate("asthma", "disease"),
        lambda: biomark.annotate("asthma", min_score=0.5),
        lambda: biomark.annotate("asthma", model=other),
        lambda: biomark.annotate("asthma", model=Path(other)),
        lambda: biomark.annotate(["asthma"], "gene", min_score=0.1),
    ]
    for call in calls:
        assert len(list(call())) == 1  # type: ignore[call-overload]
    assert loaded == ["default", other]


def test_a_model_whose_files_have_changed_is_loaded_anew(loaded: list[str], tmp_path: Path) -> None:
    name = model(tmp_path / "own", WEIGHTS)
    first = models.kept(name)
    assert models.kept(name) is first
    (tmp_path / "own" / WEIGHTS).write_text("trained again")
    assert models.kept(name) is not first
    assert loaded == [name, name]


def test_few_models_are_kept_and_one_alone_of_those_that_may_fill_a_gpu(loaded: list[str], tmp_path: Path) -> None:
    small = [model(tmp_path / f"small{n}", WEIGHTS) for n in range(4)]
    large = [model(tmp_path / f"large{n}", "recipe.toml") for n in range(2)]
    for name in (*small[:3], small[0], large[0], small[3], large[1], large[0]):
        models.kept(name)
    assert loaded == [*small[:3], large[0], small[3], large[1], large[0]]
    loaded.clear()
    for name in (small[0], small[2], small[3], large[0]):
        models.kept(name)
    assert loaded == []  # of four, the one asked for longest ago is gone
    models.kept(small[1])
    assert loaded == [small[1]]


def test_prompted_models_are_not_kept(loaded: list[str]) -> None:
    for name in ("openai:x", "default+openai:x", "given"):
        assert models.kept(name) is not models.kept(name)


def test_threads_load_a_model_once(loaded: list[str]) -> None:
    threads = [threading.Thread(target=models.kept) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loaded == ["default"]


def test_a_model_that_cannot_be_loaded_is_not_kept(tmp_path: Path) -> None:
    name = model(tmp_path / "broken", WEIGHTS)
    for _ in range(2):
        with pytest.raises(BiomarkError, match=r"is missing"):
            biomark.annotate("asthma", model=name)


def test_the_default_model_answers_from_memory_as_it_did_from_the_disk() -> None:
    (first,) = biomark.annotate("Aspirin-induced asthma is rare.")
    streams = [biomark.annotate("Aspirin-induced asthma is rare."), biomark.annotate(["Gout.", "No."], "disease")]
    assert next(streams[0]) == first
    assert [len(document.entities) for document in streams[1]] == [1, 0]
