"""The routes of the service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from fastapi import Body, FastAPI, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from biomark import __version__, evaluation
from biomark.annotation import annotated
from biomark.entity_types import entity_types, label
from biomark.formats import html
from biomark.recognizers import Annotated as Found
from biomark.recognizers import Recognizer
from biomark.serve.examples import ANNOTATE, EVALUATE, PROBLEMS
from biomark.serve.guard import Guard
from biomark.serve.inputs import AnnotateRequest, EvaluateRequest, documents_of
from biomark.serve.metrics import Metrics
from biomark.serve.outputs import MEDIA_TYPES, AnnotateAnswer, Answer, form_of, response, scores_of
from biomark.serve.problems import Problem, add_handlers, as_json, reject_values
from biomark.serve.settings import ServeOptions
from biomark.serve.worker import Job, Worker
from biomark.spans import Document, Rejected


@dataclass(frozen=True, slots=True)
class Model:
    """A model that the service was started with.

    Attributes:
        recognizer: finds mentions.
        normalizing: finds the same and gives identifiers; None if there is no term store.
    """

    recognizer: Recognizer
    normalizing: Recognizer | None = None


class ModelFacts(BaseModel):
    """A model."""

    name: str
    types: list[str] | None = Field(description="The types that it finds; null: any that a request names.")
    identifiers: bool = Field(description="Whether it can give mentions identifiers.")


class TypeFacts(BaseModel):
    """An entity type."""

    name: str
    label: str
    definition: str


class Models(BaseModel):
    """The models of the service; the first one is the default."""

    models: list[ModelFacts]


class Types(BaseModel):
    """The types that the models of the service find."""

    types: list[TypeFacts]


class State(BaseModel):
    """That the service is well."""

    status: str


class Service:
    """The service without its server.

    Args:
        models: by name; the first one is the default. They are called by one thread of the service alone.
        options: with the limits.
        token: that requests must send; empty: none.

    Attributes:
        api: the routes.
        asgi: the whole, as servers take it.
    """

    def __init__(self, models: Mapping[str, Model], options: ServeOptions | None = None, token: str = "") -> None:
        self._models = dict(models)
        self._options = options or ServeOptions()
        self._evaluating = asyncio.Semaphore(1)
        self.api = FastAPI(
            title="biomark",
            version=__version__,
            description="Finds mentions of diseases, chemicals, genes and other types in biomedical text.",
            docs_url=None,  # those pages of FastAPI load scripts from elsewhere
            redoc_url=None,
            redirect_slashes=False,
            telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        )
        add_handlers(self.api)
        self._add_routes()
        paths = frozenset(route.path for route in self.api.routes if hasattr(route, "path"))
        self.metrics = Metrics(paths)
        self.worker = Worker(self.metrics.batch)
        self.asgi = Guard(self.api, self._options, self.metrics, token)

    def _add_routes(self) -> None:
        api = self.api
        asked: dict[str, Any] = {"responses": PROBLEMS}
        api.get("/", response_class=HTMLResponse, summary="The page", tags=["page"])(self._page)
        api.get("/healthz", summary="Whether the process lives", tags=["operation"])(self._healthz)
        api.get("/readyz", summary="Whether requests are taken", tags=["operation"])(self._readyz)
        api.get("/metrics", response_class=Response, summary="Metrics for Prometheus", tags=["operation"])(
            self._metrics
        )
        api.get("/v1/models", summary="The models", tags=["facts"])(self._model_facts)
        api.get("/v1/types", summary="The types", tags=["facts"])(self._type_facts)
        others = {
            media_type: {"schema": {"type": "string"}} for form, media_type in MEDIA_TYPES.items() if form != "json"
        }
        ok: dict[int | str, dict[str, Any]] = {200: {"model": AnnotateAnswer, "content": others}}
        api.post("/v1/annotate", summary="Find mentions", tags=["work"], responses={**PROBLEMS, **ok})(self._annotate)
        api.post("/v1/evaluate", summary="Score mentions", tags=["work"], response_model=dict[str, Any], **asked)(
            self._evaluate
        )

    async def _annotate(
        self,
        request: Request,
        given: Annotated[AnnotateRequest, Body(openapi_examples=ANNOTATE)],
        accept: Annotated[str | None, Header()] = None,
    ) -> Response:
        to = form_of(given.to, accept)
        name = given.model if given.model is not None else next(iter(self._models))
        recognizer = self._recognizer(name, identifiers=given.identifiers)
        types = None if given.types is None else tuple(given.types)

        def find(documents: Sequence[Document]) -> Iterator[Found]:
            rejected: list[Rejected] = []
            options: dict[str, Any] = {"types": types, "min_score": given.min_score, "reject": rejected.append}
            for document in annotated(documents, recognizer, **options):
                yield Found(document, tuple(rejected))
                rejected.clear()

        next(find([]), None)  # an unknown type is an error now, before the request waits for its turn
        rejects: list[Rejected] = []
        documents = await run_in_threadpool(documents_of, given, self._options, rejects.append)
        job = Job((name, types, given.min_score, given.identifiers), find, documents)
        found = await self._answer_of(job, request)
        if found is None:
            return Response(status_code=499)
        self._count(found, rejects)
        rejects += [rejected for one in found for rejected in one.rejected]
        answer = Answer(name, [one.document for one in found], rejects)
        return await run_in_threadpool(response, answer, to)

    def _recognizer(self, name: str, *, identifiers: bool) -> Recognizer:
        if name not in self._models:
            raise Problem(422, f"no model {name!r:.100}; there are {', '.join(self._models)}")
        model = self._models[name]
        if not identifiers:
            return model.recognizer
        if model.normalizing is None:
            raise Problem(422, "there are no identifiers; the service was started without a term store (`normalize`)")
        return model.normalizing

    async def _answer_of(self, job: Job, request: Request) -> list[Found] | None:
        """What the worker finds; None if the client goes away before, which calls off what has not begun."""
        self.worker.submit(job)
        gone = asyncio.ensure_future(request.receive())  # the body is read: nothing comes but that the client is gone
        try:
            await asyncio.wait((gone, job.answer), return_when=asyncio.FIRST_COMPLETED)
            return job.answer.result() if job.answer.done() else None
        finally:
            gone.cancel()
            job.answer.cancel()

    def _count(self, found: Sequence[Found], rejects: Sequence[Rejected]) -> None:
        self.metrics.documents.inc(len(found))
        self.metrics.characters.inc(sum(len(one.document.text) for one in found))
        self.metrics.mentions.inc(sum(len(one.document.entities) for one in found))
        self.metrics.rejects.inc(len(rejects) + sum(len(one.rejected) for one in found))

    async def _evaluate(self, given: Annotated[EvaluateRequest, Body(openapi_examples=EVALUATE)]) -> Response:
        async with self._evaluating:
            return await run_in_threadpool(self._scores, given)

    def _scores(self, given: EvaluateRequest) -> Response:
        rejects: list[Rejected] = []
        gold = documents_of(given.gold, self._options, rejects.append, "gold")
        predicted = documents_of(given.predicted, self._options, rejects.append, "predicted")
        types = tuple(given.types or ())
        found = evaluation.evaluate(gold, predicted, types=types, corpus="gold", identifiers=given.identifiers)
        scores = scores_of(evaluation.evaluation_json(found), given.match)
        return Response(
            as_json({**scores, "rejects": [reject_values(one) for one in rejects]}), media_type="application/json"
        )

    async def _model_facts(self) -> Models:
        return Models(
            models=[
                ModelFacts(
                    name=name,
                    types=None if model.recognizer.types is None else list(model.recognizer.types),
                    identifiers=model.normalizing is not None,
                )
                for name, model in self._models.items()
            ]
        )

    async def _type_facts(self) -> Types:
        known = entity_types()
        names: dict[str, None] = {}
        for model in self._models.values():
            names |= dict.fromkeys(known if model.recognizer.types is None else model.recognizer.types)
        return Types(
            types=[
                TypeFacts(name=name, label=label(name), definition=known[name].definition if name in known else "")
                for name in names
            ]
        )

    async def _page(self) -> HTMLResponse:
        return HTMLResponse(_page())

    async def _healthz(self) -> State:
        return State(status="ok")

    async def _readyz(self) -> State:
        if not self.worker.is_alive():
            raise Problem(503, "the service is ending")
        return State(status="ready")

    async def _metrics(self) -> Response:
        self.metrics.waiting.set(self.worker.waiting)
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_LATEST)


@cache
def _page() -> str:
    return html.page(api="v1")
