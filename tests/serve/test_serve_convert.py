"""Documents that the service reads without annotating them, and what it tells about its models."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from biomark import formats, models
from biomark.recognizers import types_by_default
from biomark.recognizers.combined import CombinedRecognizer
from biomark.recognizers.existing import ExistingRecognizer
from biomark.serve.app import ServedModel, Service
from biomark.spans import Document, Entity, Passage, Span
from service import Address, served, service
from terms import TermRecognizer

TEXT = "Zileuton (İ) in 😀 asthma."
NOTE = Document(
    "7",
    TEXT,
    (Passage(Span(0, len(TEXT)), "title"),),
    entities=(Entity((Span(0, 8),), "treatment", ("MESH:C063449",)), Entity((Span(18, 24),), "problem")),
)


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    with served(service(max_documents=2)) as found:
        yield found


def written(name: str) -> str:
    stream = io.BytesIO()
    formats.write(NOTE, stream, name)
    return stream.getvalue().decode()


@pytest.mark.parametrize("name", ["jsonl", "bioc_xml", "bioc_json", "pubtator"])
def test_the_mentions_of_a_file_are_returned_as_they_are(address: Address, name: str) -> None:
    reply = address.post({"content": written(name)}, "/v1/convert")
    assert reply.status == 200
    assert set(reply.json) == {"documents", "rejects"}
    found = [Document.from_dict(values) for values in reply.json["documents"]]
    assert found == list(formats.read(io.BytesIO(written(name).encode()), name))
    assert [(e.mention(TEXT), e.type) for e in found[0].entities] == [("Zileuton", "treatment"), ("asthma", "problem")]


@pytest.mark.parametrize("name", ["bioc_json", "pubtator"])
def test_the_answer_has_the_form_that_is_asked_for(address: Address, name: str) -> None:
    assert address.post({"documents": [NOTE.to_dict()], "to": name}, "/v1/convert").body.decode() == written(name)


def test_sentences_are_added_and_rejects_are_named(address: Address) -> None:
    reply = address.post({"texts": ["One is. Two are.", "half \ud83d"], "sentences": True}, "/v1/convert")
    assert reply.json["documents"][0]["sentences"] == [[0, 7], [8, 16]]
    assert [(one["document"], one["start"]) for one in reply.json["rejects"]] == [("2", 5)]


@pytest.mark.parametrize(
    ("values", "status"), [({}, 422), ({"text": "a", "model": "terms"}, 422), ({"texts": ["a"] * 3}, 413)]
)
def test_a_wrong_request_is_a_problem(address: Address, values: dict[str, object], status: int) -> None:
    reply = address.post(values, "/v1/convert")
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")


def test_a_model_is_listed_with_the_types_that_it_looks_for_anyway() -> None:
    default = models.kept("default")
    own = ("disease", "chemical", "gene", "species", "cell_line", "variant")
    assert (default.types, types_by_default(default)) == ((*own, "problem", "treatment", "test"), own)
    assert types_by_default(CombinedRecognizer(default, TermRecognizer())) == own
    assert types_by_default(ExistingRecognizer()) is None
    served_models = {"default": ServedModel(default), "any": ServedModel(ExistingRecognizer())}
    with served(Service(served_models)) as address:
        found = address.get("/v1/models").json["models"]
    assert [(one["types"] and len(one["types"]), one["default_types"]) for one in found] == [
        (9, list(own)),
        (None, None),
    ]
