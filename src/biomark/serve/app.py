"""The routes of the service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from biomark.recognizers import Annotated as AnnotatedDocument
from biomark.recognizers import Recognizer, types_by_default
from biomark.serve.examples import ANNOTATE, CONVERT, EVALUATE, PROBLEMS
from biomark.serve.guard import Guard
from biomark.serve.inputs import AnnotateRequest, ConvertRequest, EvaluateRequest, documents_of
from biomark.serve.metrics import Metrics
from biomark.serve.outputs import (
    MEDIA_TYPES,
    AnnotateAnswer,
    ConvertAnswer,
    DocumentAnswer,
    form_of,
    response,
    scores_of,
)
from biomark.serve.problems import Problem, add_handlers, as_json, reject_values
from biomark.serve.settings import ServeOptions
from biomark.serve.worker import BatchWorker, Task
from biomark.spans import Document, Rejected


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model of the service.

    Attributes:
        recognizer: finds mentions.
        normalizing: finds the same mentions and assigns identifiers; None if there is no term store.
    """

    recognizer: Recognizer
    normalizing: Recognizer | None = None


class ModelFacts(BaseModel):
    """A model and its abilities."""

    name: str
    types: list[str] | None = Field(description="The types that the model finds; null: any type of a request.")
    default_types: list[str] | None = Field(description="Those that it looks for if a request names none.")
    identifiers: bool = Field(description="Whether mentions can get identifiers.")


class TypeFacts(BaseModel):
    """An entity type and its definition."""

    name: str
    label: str
    definition: str


class Models(BaseModel):
    """The models of the service; the first one is the default."""

    models: list[ModelFacts]


class Types(BaseModel):
    """The types that the models of the service find."""

    types: list[TypeFacts]


class ServiceState(BaseModel):
    """The state of the service: `ok` or `ready`."""

    status: str


class Service:
    """The service as an ASGI application.

    Args:
        models: the models by name; the first one is the default. Only one thread calls them.
        options: the limits; None: the defaults.
        token: the token that requests must send; empty: requests need none.

    Attributes:
        api: the routes.
        metrics: the counts and times of the service.
        worker: the thread that calls the models.
        asgi: the application with its guard, for an ASGI server.
    """

    def __init__(self, models: Mapping[str, ServedModel], options: ServeOptions | None = None, token: str = "") -> None:
        self._models = dict(models)
        self._options = options or ServeOptions()
        self._evaluating = asyncio.Semaphore(1)
        self.api = FastAPI(
            title="biomark",
            version=__version__,
            description="Finds mentions of diseases, chemicals, genes and other types in biomedical text.",
            docs_url=None,  # FastAPI's pages load scripts from other hosts
            redoc_url=None,
            redirect_slashes=False,
            telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        )
        add_handlers(self.api)
        self._add_routes()
        paths = frozenset(route.path for route in self.api.routes if hasattr(route, "path"))
        self.metrics = Metrics(paths)
        self.worker = BatchWorker(self.metrics.batch)
        self.asgi = Guard(self.api, self._options, self.metrics, token)

    def _add_routes(self) -> None:
        api = self.api
        api.get("/", response_class=HTMLResponse, summary="The page", tags=["page"])(self._page)
        api.get("/healthz", summary="Whether the process runs", tags=["operation"])(self._healthz)
        api.get("/readyz", summary="Whether the service accepts requests", tags=["operation"])(self._readyz)
        api.get("/metrics", response_class=Response, summary="Metrics for Prometheus", tags=["operation"])(
            self._metrics
        )
        api.get("/v1/models", summary="The models", tags=["facts"])(self._model_facts)
        api.get("/v1/types", summary="The types", tags=["facts"])(self._type_facts)
        others = {
            MEDIA_TYPES["pubtator"]: {"schema": {"type": "string"}},
            MEDIA_TYPES["bioc_json"]: {"schema": {"type": "object"}},
        }

        def responses(answer: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
            return {**PROBLEMS, 200: {"model": answer, "content": others}}

        api.post("/v1/annotate", summary="Find mentions", tags=["work"], responses=responses(AnnotateAnswer))(
            self._annotate
        )
        api.post("/v1/convert", summary="Read documents", tags=["work"], responses=responses(ConvertAnswer))(
            self._convert
        )
        api.post(
            "/v1/evaluate",
            summary="Score mentions",
            tags=["work"],
            response_model=dict[str, Any],
            responses=PROBLEMS,
        )(self._evaluate)

    async def _annotate(
        self,
        request: Request,
        body: Annotated[AnnotateRequest, Body(openapi_examples=ANNOTATE)],
        accept: Annotated[str | None, Header()] = None,
    ) -> Response:
        to = form_of(body.to, accept)
        name = body.model if body.model is not None else next(iter(self._models))
        recognizer = self._recognizer(name, identifiers=body.identifiers)
        types = None if body.types is None else tuple(body.types)

        def find(documents: Iterable[Document]) -> Iterator[AnnotatedDocument]:
            rejected: list[Rejected] = []
            options: dict[str, Any] = {"types": types, "min_score": body.min_score, "reject": rejected.append}
            for document in annotated(documents, recognizer, **options):
                yield AnnotatedDocument(document, tuple(rejected))
                rejected.clear()

        next(find([]), None)  # so that an unknown type is an error before the request waits for the worker
        rejects: list[Rejected] = []
        documents = await run_in_threadpool(documents_of, body, self._options, rejects.append)
        task = Task((name, types, body.min_score, body.identifiers), find, documents)
        results = await self._results(task, request)
        if results is None:
            return Response(status_code=499)
        self._count(results, rejects)
        rejects += [rejected for result in results for rejected in result.rejected]
        answer = DocumentAnswer([result.document for result in results], rejects, name, sentences=body.sentences)
        return await run_in_threadpool(response, answer, to)

    async def _convert(
        self,
        body: Annotated[ConvertRequest, Body(openapi_examples=CONVERT)],
        accept: Annotated[str | None, Header()] = None,
    ) -> Response:
        to = form_of(body.to, accept)

        def convert() -> Response:
            rejects: list[Rejected] = []
            documents = documents_of(body, self._options, rejects.append)
            return response(DocumentAnswer(documents, rejects, sentences=body.sentences), to)

        return await run_in_threadpool(convert)

    def _recognizer(self, name: str, *, identifiers: bool) -> Recognizer:
        if name not in self._models:
            raise Problem(422, f"unknown model {name!r:.100}; choose from {', '.join(self._models)}")
        model = self._models[name]
        if not identifiers:
            return model.recognizer
        if model.normalizing is None:
            raise Problem(422, "`identifiers` needs a term store; start the service with one (`normalize`)")
        return model.normalizing

    async def _results(self, task: Task, request: Request) -> list[AnnotatedDocument] | None:
        """Return the annotated documents of a task; None if the client disconnects, which cancels the rest of it."""
        self.worker.submit(task)
        # The body has been read, so the only message that can still arrive is the end of the connection
        disconnected = asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait((disconnected, task.results), return_when=asyncio.FIRST_COMPLETED)
            return task.results.result() if task.results.done() else None
        finally:
            disconnected.cancel()
            task.results.cancel()

    def _count(self, results: Sequence[AnnotatedDocument], rejects: Sequence[Rejected]) -> None:
        self.metrics.documents.inc(len(results))
        self.metrics.characters.inc(sum(len(result.document.text) for result in results))
        self.metrics.mentions.inc(sum(len(result.document.entities) for result in results))
        self.metrics.rejects.inc(len(rejects) + sum(len(result.rejected) for result in results))

    async def _evaluate(self, body: Annotated[EvaluateRequest, Body(openapi_examples=EVALUATE)]) -> Response:
        async with self._evaluating:
            return await run_in_threadpool(self._scores, body)

    def _scores(self, body: EvaluateRequest) -> Response:
        rejects: list[Rejected] = []
        gold = documents_of(body.gold, self._options, rejects.append, "gold")
        predicted = documents_of(body.predicted, self._options, rejects.append, "predicted")
        types = tuple(body.types or ())
        result = evaluation.evaluate(gold, predicted, types=types, corpus="gold", identifiers=body.identifiers)
        scores = scores_of(evaluation.evaluation_json(result), body.match)
        return Response(
            as_json({**scores, "rejects": [reject_values(one) for one in rejects]}), media_type="application/json"
        )

    async def _model_facts(self) -> Models:
        return Models(
            models=[
                ModelFacts(
                    name=name,
                    types=_listed(model.recognizer.types),
                    default_types=_listed(types_by_default(model.recognizer)),
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

    async def _healthz(self) -> ServiceState:
        return ServiceState(status="ok")

    async def _readyz(self) -> ServiceState:
        if not self.worker.is_alive():
            raise Problem(503, "the service is ending")
        return ServiceState(status="ready")

    async def _metrics(self) -> Response:
        self.metrics.waiting.set(self.worker.waiting)
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _listed(types: Sequence[str] | None) -> list[str] | None:
    return None if types is None else list(types)


@cache
def _page() -> str:
    return html.page(api="v1")
