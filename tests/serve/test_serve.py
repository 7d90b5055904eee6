"""What the service answers: the right documents, in the right form, and problems that say what is wrong."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import biomark
from biomark import evaluation, formats
from biomark.formats import html
from biomark.knowledge.building import build
from biomark.knowledge.normalization import Normalizer
from biomark.knowledge.store import Store
from biomark.recognizers.normalizing import NormalizingRecognizer
from biomark.serve.app import ServedModel, Service
from biomark.serve.examples import PROBLEMS as PROBLEM_STATUSES
from biomark.serve.outputs import form_of
from biomark.serve.problems import Problem
from biomark.serve.settings import ServeOptions
from biomark.spans import Document
from biomark.text.sentences import with_sentences
from conftest import ROOT, Outcome, TermRecognizer
from knowledge_cases import Terms, entry
from service import Address, served, service

TEXT = "😀 Zileuton (İ) blocks ALOX5; asthma and TNF-α, then asthma."
PUBTATOR = "7|t|Zileuton.\n7|a|No asthma.\n\n8|t|Gout\n8|a|None.\n\n"


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    with served(service(max_body=1, max_documents=3, max_characters=500)) as found:
        yield found


def offline(*items: Any, **options: Any) -> list[Any]:
    return [document.to_dict() for document in biomark.annotate(items, model=TermRecognizer(), **options)]


def test_a_text_is_annotated_as_offline(address: Address) -> None:
    reply = address.post({"text": TEXT})
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json == {"model": "terms", "documents": offline(TEXT), "rejects": []}
    (document,) = reply.json["documents"]
    assert [(e["text"], e["type"], e["spans"]) for e in document["entities"]] == [
        ("Zileuton", "chemical", [[2, 10]]),
        ("ALOX5", "gene", [[22, 27]]),
        ("asthma", "disease", [[29, 35]]),
        ("TNF-α", "gene", [[40, 45]]),
        ("asthma", "disease", [[52, 58]]),
    ]


def test_texts_keep_their_order_and_have_their_places_as_ids(address: Address) -> None:
    assert address.post({"texts": [TEXT, "", "asthma"]}).json["documents"] == offline(TEXT, "", "asthma")


def test_sentences_come_with_a_document_that_has_none(address: Address) -> None:
    text = "😀 Gout is old. No asthma (see Fig. 2).\nZileuton helped."
    own = {"id": "own", "text": "Gout. Gout.", "sentences": [[0, 11]]}
    asked = {"documents": [{"id": "d", "text": text}, own], "sentences": True}
    document, kept = address.post(asked).json["documents"]
    assert document["sentences"] == [[s.start, s.end] for s in with_sentences(Document("d", text)).sentences]
    assert [text[start:end] for start, end in document["sentences"]] == [
        "😀 Gout is old.",
        "No asthma (see Fig. 2).",
        "Zileuton helped.",
    ]
    assert kept["sentences"] == own["sentences"]
    assert "sentences" not in address.post({"text": text}).json["documents"][0]
    as_bioc = address.post({"text": text, "sentences": True, "to": "bioc_json"}).body.decode()
    (read,) = formats.read(stream(as_bioc), "bioc_json")
    assert [[s.start, s.end] for s in read.sentences] == document["sentences"]
    left_out = address.post({"text": text, "sentences": True, "to": "pubtator"}).headers["biomark-left-out"]
    assert "3 sentence offsets" in left_out


def test_documents_come_back_with_all_that_they_have(address: Address) -> None:
    given = {
        "id": "note 7",
        "text": TEXT,
        "infons": {"ward": "3"},
        "passages": [{"start": 0, "end": 20, "kind": "title"}],
    }
    assert address.post({"documents": [given]}).json["documents"] == offline(Document.from_dict(offline_form(given)))


def offline_form(given: dict[str, Any]) -> dict[str, Any]:
    (document,) = formats.read(stream(json.dumps(given)), "jsonl")
    return document.to_dict()


def stream(text: str) -> Any:
    import io

    return io.BytesIO(text.encode())


def test_the_text_of_a_file_is_read_in_its_format_or_in_one_that_is_guessed(address: Address) -> None:
    expected = [
        d.to_dict() for d in biomark.annotate(list(formats.read(stream(PUBTATOR), "pubtator")), model=TermRecognizer())
    ]
    assert address.post({"content": PUBTATOR, "format": "pubtator"}).json["documents"] == expected
    assert address.post({"content": PUBTATOR}).json["documents"] == expected


@pytest.mark.parametrize("declared", ["UTF-8", "ISO-8859-1", "UTF-16"])
def test_xml_that_a_browser_has_decoded_is_not_decoded_again(address: Address, declared: str) -> None:
    passage = "<passage><offset>0</offset><text>TNF-α 😀 asthma</text></passage>"
    content = (
        f'<?xml version="1.0" encoding="{declared}"?><collection><document><id>é</id>{passage}</document></collection>'
    )
    (document,) = address.post({"content": content}).json["documents"]
    assert (document["id"], document["text"]) == ("é", "TNF-α 😀 asthma")
    assert [e["spans"] for e in document["entities"]] == [[[0, 5]], [[8, 14]]]


def test_types_and_a_least_score(address: Address) -> None:
    found = address.post({"text": TEXT, "types": ["Disease", "gene"], "min_score": 0.2}).json
    assert found["documents"] == offline(TEXT, types="disease,gene", min_score=0.2)
    assert {e["type"] for e in found["documents"][0]["entities"]} == {"gene"}
    assert address.post({"text": TEXT, "min_score": 1}).json["documents"][0]["entities"] == []


@pytest.mark.parametrize("to", ["pubtator", "bioc_json"])
def test_other_forms_are_those_that_writers_make(address: Address, to: str) -> None:
    out = stream("")
    formats.write(biomark.annotate([TEXT, "asthma"], model=TermRecognizer()), out, to)
    reply = address.post({"texts": [TEXT, "asthma"], "to": to})
    assert reply.body == out.getvalue()
    assert reply.headers["biomark-rejects"] == "0"
    assert ("biomark-left-out" in reply.headers) == (to == "pubtator")
    media = {"pubtator": "text/plain; charset=utf-8", "bioc_json": "application/vnd.bioc+json"}
    assert reply.headers["content-type"] == media[to]
    assert address.post({"texts": [TEXT, "asthma"]}, Accept=media[to].partition(";")[0]).body == reply.body


@pytest.mark.parametrize(
    ("to", "accept", "form"),
    [
        (None, None, "json"),
        (None, "*/*", "json"),
        ("pubtator", "application/json", "pubtator"),
        (None, "text/*", "pubtator"),
        (None, "application/json;q=0.2, text/plain", "pubtator"),
        (None, "application/json, text/plain", "json"),
        (None, "text/html, application/*;q=0.5", "json"),
        (None, "text/plain;q=0, application/vnd.bioc+json", "bioc_json"),
        (None, "application/json;q=nonsense, TEXT/PLAIN", "pubtator"),
    ],
)
def test_the_form_is_what_the_request_says_or_its_header_prefers(to: str | None, accept: str | None, form: str) -> None:
    assert form_of(to, accept) == form


@pytest.mark.parametrize("accept", ["image/png", "text/plain;q=0", "nonsense"])
def test_a_form_that_there_is_not_is_406(address: Address, accept: str) -> None:
    with pytest.raises(Problem):
        form_of(None, accept)
    assert address.post({"text": "x"}, Accept=accept).status == 406


def test_what_cannot_be_used_is_told_and_the_rest_is_done(address: Address) -> None:
    reply = address.post({"texts": ["half \ud83d", "BROKEN", "asthma"]})
    assert reply.status == 200
    assert [document["id"] for document in reply.json["documents"]] == ["2", "3"]
    half, broken = reply.json["rejects"]
    assert (half["document"], half["start"], half["end"]) == ("1", 5, 6)
    assert "half a character (U+D83D)" in half["reason"]
    assert broken == {"document": "2", "reason": "the text is broken", "line": None, "start": None, "end": None}
    twice = [{"id": "a", "text": "asthma"}, {"id": "a", "text": "gout"}]
    assert [(r["document"], r["line"]) for r in address.post({"documents": twice}).json["rejects"]] == [("a", 2)]
    assert address.post({"texts": ["\ud83d", "asthma"], "to": "pubtator"}).headers["biomark-rejects"] == "1"


LONG = {"documents": [{"id": "a", "text": "x" * 400}, {"id": "b", "text": "y" * 101}]}
PROBLEMS: list[tuple[Any, int, str, dict[str, Any]]] = [
    ({}, 422, "exactly one of text, texts, documents, content", {}),
    ({"text": "a", "texts": ["b"]}, 422, "exactly one of", {}),
    ({"texts": []}, 422, "/texts: ", {}),
    ({"texts": ["a", 7]}, 422, "/texts/1: ", {}),
    ({"text": "a", "format": "jsonl"}, 422, "`format` applies to `content` only", {}),
    ({"text": "a", "tpyes": ["gene"]}, 422, "/tpyes: ", {}),
    ({"text": "a", "types": ["unicorn"]}, 422, "unknown type 'unicorn'; choose from disease, chemical, gene", {}),
    ({"text": "a", "types": [" "]}, 422, "/types/0: ", {}),
    ({"text": "a", "types": ["a,b"]}, 422, "/types/0: ", {}),
    ({"text": "a", "min_score": 1.5}, 422, "/min_score: ", {}),
    ({"text": "a", "min_score": float("nan")}, 422, "/min_score: ", {}),
    ({"text": "a", "to": "brat"}, 422, "/to: ", {}),
    ({"text": "a", "model": "none"}, 422, "unknown model 'none'; choose from terms", {}),
    ({"text": "a", "identifiers": True}, 422, "a term store", {}),
    ({"text": "\udc00"}, 422, "half a character", {"document": "1", "start": 0, "end": 1}),
    ({"content": "", "format": "pubtator"}, 422, "the file holds no document", {}),
    ({"content": "hm"}, 422, "name it in `format`: pubtator", {}),
    ({"content": "hm", "format": "brat"}, 422, "unknown format 'brat'; choose from", {}),
    ({"content": "hm", "format": "/etc/passwd"}, 422, "unknown format '/etc/passwd'", {}),
    ({"content": "{}\n", "format": "jsonl"}, 422, "", {"line": 1}),
    ({"documents": [{"id": "a"}]}, 422, "", {"document": "a", "line": 1}),
    ({"documents": [{"id": "\ud800", "text": "a"}]}, 422, "", {}),
    ({"texts": ["a"] * 4}, 413, "more than 3 documents", {"document": "4"}),
    (LONG, 413, "500 characters, from offset 100 of document b on", {"document": "b", "start": 100, "end": 101}),
    ([], 422, "", {}),
    ("text", 422, "", {}),
    (7, 422, "", {}),
]  # fmt: skip


@pytest.mark.parametrize(("values", "status", "detail", "more"), PROBLEMS)
def test_a_problem_says_what_is_wrong_and_where(
    address: Address, values: Any, status: int, detail: str, more: dict[str, Any]
) -> None:
    reply = address.post(values)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")
    assert {"type", "title", "status", "detail"} <= set(reply.json)
    assert reply.json["status"] == status
    assert detail in reply.json["detail"]
    assert {key: reply.json[key] for key in more} == more


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/v1/annotate", b'{"text": "as', {}, 400),
        ("POST", "/v1/annotate", b"\xff\xfe", {}, 400),
        ("POST", "/v1/annotate", b'{"text":' + b"[" * 50_000, {}, 400),
        ("POST", "/v1/annotate", b'{"min_score":' + b"1" * 5_000 + b"}", {}, 400),
        ("POST", "/v1/annotate", b"", {}, 422),
        ("POST", "/v1/annotate", b"text=a", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("POST", "/v1/annotate", b'{"text": "a"}', {"Content-Type": "text/plain"}, 415),
        ("POST", "/v1/annotate", b"x" * (2**20 + 1), {}, 413),
        ("POST", "/v1/annotate", [b"x" * 2**19] * 3, {}, 413),
        ("GET", "/v1/annotate", None, {}, 405),
        ("GET", "/v1/nothing", None, {}, 404),
        ("GET", "/docs", None, {}, 404),
        ("GET", "/v1/models", None, {"Host": "evil.example"}, 421),
        ("GET", "/v1/models", None, {"Host": "localhost.evil.example:80"}, 421),
        ("GET", "/v1/models", None, {"Host": "localhost"}, 200),
        ("GET", "/v1/models", None, {"Host": "[::1]:8765"}, 200),
    ],
)
def test_requests_that_are_none(
    address: Address, method: str, path: str, body: Any, headers: dict[str, str], status: int
) -> None:
    reply = address.ask(method, path, body=body, headers={"Content-Type": "application/json", **headers})
    assert reply.status == status
    assert reply.headers["content-type"] == ("application/json" if status == 200 else "application/problem+json")
    assert address.post({"text": "asthma"}).status == 200


def test_a_text_that_is_the_path_of_a_file_is_a_text(address: Address) -> None:
    path = str(Path(__file__))
    assert address.post({"texts": [path, "/etc/passwd"]}).json["documents"] == [
        {"id": "1", "text": path, "entities": []},
        {"id": "2", "text": "/etc/passwd", "entities": []},
    ]


def test_models_types_and_whether_it_is_well(address: Address) -> None:
    types = ["disease", "chemical", "gene"]
    known = {"name": "terms", "types": types, "default_types": types, "identifiers": False}
    assert address.get("/v1/models").json == {"models": [known]}
    types = address.get("/v1/types").json["types"]
    assert [one["name"] for one in types] == ["disease", "chemical", "gene"]
    assert types[0]["definition"].startswith("a disease")
    assert address.get("/healthz").json == {"status": "ok"}
    assert address.get("/readyz").json == {"status": "ready"}


def test_a_model_that_takes_any_type_is_served_with_types_of_the_users_own() -> None:
    class Instructed(TermRecognizer):
        types = None

    with served(service(Instructed())) as address:
        assert address.get("/v1/models").json["models"][0]["types"] is None
        assert "variant" in [one["name"] for one in address.get("/v1/types").json["types"]]
        assert address.post({"text": "asthma", "types": ["frailty"]}).json["documents"][0]["entities"] == []


def test_the_page_is_that_of_the_html_format(address: Address) -> None:
    reply = address.get("/")
    if not hasattr(html, "page"):
        assert reply.status == 404
        return
    assert reply.body.decode() == html.page(api="v1")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"


def test_browsers_are_told_to_be_careful(address: Address) -> None:
    for reply in (address.get("/healthz"), address.post({})):
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
        assert "default-src 'self'" in reply.headers["content-security-policy"]
        assert "access-control-allow-origin" not in reply.headers


def test_metrics_count_requests_and_documents() -> None:
    with served(service()) as address:
        address.post({"texts": [TEXT, "asthma"]})
        address.post({})
        address.get("/asthma?asthma=asthma")
        shown = address.get("/metrics").body.decode()
    for line in (
        'biomark_requests_total{path="/v1/annotate",status="200"} 1.0',
        'biomark_requests_total{path="/v1/annotate",status="422"} 1.0',
        'biomark_requests_total{path="other",status="404"} 1.0',
        "biomark_documents_total 2.0",
        f"biomark_characters_total {len(TEXT) + 6:.1f}",
        "biomark_mentions_total 6.0",
        "biomark_open_requests 0.0",
    ):
        assert f"\n{line}\n" in shown
    assert "process_resident_memory_bytes" in shown
    assert "asthma" not in shown


def test_the_examples_of_the_openapi_document_run(address: Address) -> None:
    paths = address.get("/openapi.json").json["paths"]
    posted = []
    for path, methods in paths.items():
        if "post" in methods:
            examples = methods["post"]["requestBody"]["content"]["application/json"]["examples"]
            posted += [(path, name, address.post(example["value"], path)) for name, example in examples.items()]
    assert [(path, name, reply.status) for path, name, reply in posted] == [
        ("/v1/annotate", "text", 200),
        ("/v1/annotate", "texts", 200),
        ("/v1/annotate", "documents", 200),
        ("/v1/annotate", "content", 200),
        ("/v1/convert", "content", 200),
        ("/v1/evaluate", "pubtator", 200),
        ("/v1/evaluate", "strict", 200),
    ]
    scores = posted[-2][2].json
    assert (scores["strict"]["tp"], scores["strict"]["fp"], scores["strict"]["fn"]) == (1, 0, 1)


GOLD = f"{PUBTATOR[:-1]}".replace("\n\n8", "\n7\t0\t8\tZileuton\tChemical\n7\t13\t19\tasthma\tDisease\n\n8")
PREDICTED = GOLD.replace("7\t13\t19\tasthma", "7\t10\t19\tNo asthma")


@pytest.mark.parametrize("match", [None, "strict", "partial"])
def test_scores_are_those_of_the_command(
    address: Address, biomark: Callable[..., Outcome], tmp_path: Path, match: str | None
) -> None:
    for name, content in (("gold", GOLD), ("predicted", PREDICTED)):
        (tmp_path / f"{name}.pubtator").write_text(content)
    done = biomark("evaluate", tmp_path / "gold.pubtator", tmp_path / "predicted.pubtator", "--json")
    expected = json.loads(done.out)
    more = {} if match is None else {"match": match}
    reply = address.post({"gold": {"content": GOLD}, "predicted": {"content": PREDICTED}, **more}, "/v1/evaluate")
    assert reply.status == 200
    found = reply.json
    assert found.pop("rejects") == []
    assert found.pop("signature").partition("|")[2] == expected.pop("signature").partition("|")[2]
    left = {"strict", "partial", "semeval"} - {match} if match else set()
    expected = {key: value for key, value in expected.items() if key not in left}
    expected["types"] = {
        type: {key: value for key, value in scores.items() if key not in left}
        for type, scores in expected["types"].items()
    }
    assert found == expected


def test_sets_that_do_not_belong_together_are_a_problem(address: Address) -> None:
    gold = {"documents": [{"id": "1", "text": "asthma"}]}
    for other, told in (("gout!!", "1"), (None, "gold has no document"), ("asthma", "")):
        values = {"gold": gold if other else {"content": ""}, "predicted": {"texts": [other or "asthma"]}}
        reply = address.post(values, "/v1/evaluate")
        assert (reply.status, told in reply.json.get("detail", "")) == (200 if other == "asthma" else 422, True)


def test_identifiers_are_given_where_a_request_asks_for_them(tmp_path: Path) -> None:
    build([Terms([entry("MESH:D001249", "disease", "asthma")])], tmp_path / "store", reject=pytest.fail)
    recognizer = TermRecognizer()
    normalizing = NormalizingRecognizer(recognizer, Normalizer(Store(tmp_path / "store")))
    with served(Service({"terms": ServedModel(recognizer, normalizing)})) as address:
        assert address.get("/v1/models").json["models"][0]["identifiers"] is True
        plain, named = (address.post({"text": "asthma", "identifiers": wanted}).json for wanted in (False, True))
    assert "ids" not in plain["documents"][0]["entities"][0]
    assert named["documents"][0]["entities"][0]["ids"] == ["MESH:D001249"]


def test_one_of_several_models_is_chosen_by_name() -> None:
    class Nothing(TermRecognizer):
        def annotate(self, documents: Any, types: Any = None, *, min_score: Any = None) -> Any:
            for found in super().annotate(documents, types, min_score=min_score):
                yield replace(found, document=replace(found.document, entities=()))

    with served(Service({"terms": ServedModel(TermRecognizer()), "nothing": ServedModel(Nothing())})) as address:
        assert [model["name"] for model in address.get("/v1/models").json["models"]] == ["terms", "nothing"]
        for name, count in (("terms", 1), ("nothing", 0)):
            reply = address.post({"text": "asthma", "model": name}).json
            assert (reply["model"], len(reply["documents"][0]["entities"])) == (name, count)


def test_evaluation_of_the_service_is_the_librarys(address: Address) -> None:
    gold = [Document.from_dict(one) for one in offline("asthma", "gout")]
    values = {"documents": [document.to_dict() for document in gold]}
    found = address.post({"gold": values, "predicted": values, "types": ["disease"]}, "/v1/evaluate").json
    expected = evaluation.evaluation_json(evaluation.evaluate(gold, gold, types=("disease",), corpus="gold"))
    assert {key: value for key, value in found.items() if key != "rejects"} == expected


def documented() -> list[tuple[str, str, dict[str, str]]]:
    """Address, body and headers of each curl command of docs/serve.md."""
    blocks = re.findall(
        r"^```\n(curl .*?)^```", (ROOT / "docs" / "serve.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    found = []
    for block in blocks:
        words = shlex.split(block)
        pairs = list(itertools.pairwise(words))
        headers = dict(value.split(": ") for option, value in pairs if option == "-H")
        (body,) = (value for option, value in pairs if option == "-d")
        found.append((words[2].partition(":8765")[2], body, headers))
    return found


@pytest.mark.parametrize(("path", "body", "headers"), documented())
def test_what_the_page_on_the_service_shows_runs(
    address: Address, path: str, body: str, headers: dict[str, str]
) -> None:
    reply = address.ask("POST", path, body=body.encode(), headers=headers)
    assert reply.status == 200
    assert "asthma" in reply.body.decode() or reply.json["errors"]["boundary"] == 1


def test_the_page_on_the_service_names_all_limits_and_statuses() -> None:
    page = (ROOT / "docs" / "serve.md").read_text("utf-8")
    for status in PROBLEM_STATUSES:
        assert f"\n| {status} | " in page
    options = ServeOptions()
    limits = ("max_body", "max_documents", "max_characters", "time_limit", "queue")
    for name in limits:
        assert re.search(rf"\n\| `--{name.replace('_', '-')}` \| .* \| {getattr(options, name):,.0f} \|\n", page), name
    assert len(documented()) == 5
