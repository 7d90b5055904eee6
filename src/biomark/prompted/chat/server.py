"""A server with OpenAI's interface: a hosted one, or vLLM, llama.cpp or Ollama on the user's own machine.

Requests are sent to `base_url` alone. The key is taken from the environment (`BIOMARK_API_KEY`, else
`OPENAI_API_KEY`); local servers rarely need one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, nullcontext
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from biomark.errors import ChatError, MissingExtraError, UsageError
from biomark.prompted.chat import SYSTEM, Ask, Reply, Request, Unanswered, address
from biomark.prompted.chat.abilities import PROBES
from biomark.prompted.chat.account import Account, Prices, parse_budget
from biomark.prompted.chat.answers import kept_of, lines_of, read_body, read_stream, without_thoughts
from biomark.prompted.chat.cache import Cache, Kept, key_of
from biomark.prompted.chat.failures import Failure, failure_of
from biomark.prompted.chat.likelihood import AnswerTokens
from biomark.prompted.chat.templates import PLAIN_STOPS, ChatTemplate, completion, ended, load_template, without_system
from biomark.prompted.settings import ServerOptions
from biomark.runtime.files import cache_folder

if TYPE_CHECKING:
    from openai import AsyncOpenAI

KEYS = ("BIOMARK_API_KEY", "OPENAI_API_KEY")
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0  # seconds; doubled after each failure
_MOST_STOPS = 4  # the limit of servers
_NO_KEY = "none"  # the SDK requires a key
_KEY_FIELDS = ("max_tokens", "temperature", "answers", "sample", "schema")
# Parameters that a server may refuse; the request is then repeated without them.
_OPTIONAL = ("temperature", "max_tokens", "stream_options", "response_format", "stop", "logprobs")
_NO_LOGPROBS = re.compile(r"\blog[\s_-]?prob", re.IGNORECASE)
# Errors of servers whose chat template has no system message, with status 400, 422 or, by mistake, 500.
_NO_SYSTEM = re.compile(
    r"\bsystem\b.{0,60}\b(?:role|message|prompt|instruction)|\brole.{0,60}\bsystem\b|roles must alternate",
    re.IGNORECASE,
)


def account_of(options: ServerOptions) -> Account:
    """Return an account with the prices and budget of the options.

    Raises:
        UsageError: if a price or the budget is invalid.
    """
    prices = Prices(options.price_in, options.price_out)
    if not all(isfinite(price) and price >= 0 for price in (prices.read, prices.written)):
        raise UsageError("`price_in` and `price_out` (of a million tokens) must be at least 0")
    return Account(prices, parse_budget(options.budget, prices) if options.budget else None)


def template_of(options: ServerOptions) -> ChatTemplate | None:
    """Return the chat template of the options; None if the server applies its own, or the prompt is plain.

    Raises:
        UsageError: if the template cannot be loaded, or the options do not use `completions`.
        MissingExtraError: if transformers is not installed.
    """
    if options.template and not options.completions:
        raise UsageError("`template` needs `completions`; chat servers apply the model's template themselves")
    return load_template(options.template) if options.template else None


def cache_file(options: ServerOptions) -> Path | None:
    """Return the file of the cache of answers; None: answers are not stored."""
    if options.cache == "none":
        return None
    return Path(options.cache) if options.cache else cache_folder() / "answers.sqlite"


def check(options: ServerOptions) -> None:
    """Check the settings of a server.

    Raises:
        UsageError: if a setting is invalid.
    """
    if not options.base_url:
        raise UsageError("name a server, for instance `base_url=http://localhost:8000/v1`")
    address.check(options.base_url, KEYS)
    if options.concurrency < 1 or options.retries < 0 or not (options.timeout > 0 and isfinite(options.timeout)):
        raise UsageError("`concurrency` must be at least 1, `retries` at least 0, `timeout` above 0 seconds")
    extras(options)


def extras(options: ServerOptions) -> dict[str, object]:
    """Return the fields that `extra` adds to requests.

    Raises:
        UsageError: if `extra` is not a JSON object.
    """
    try:
        fields = json.loads(options.extra or "{}")
    except ValueError as error:
        raise UsageError(f"`extra` is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise UsageError(f"`extra` must be a JSON object, such as '{{\"top_k\": 20}}', got {options.extra}")
    return fields


class Server:
    """A model on a server.

    Args:
        model: the server's name of the model.
        options: the settings of the requests.

    Attributes:
        account: the tokens and money spent so far.
        template: the chat template; None: the server applies its own, or the prompt is plain.
        abilities: the results of tests of the server: `schema` (answers follow a JSON schema) and `answers` (several
            answers to one request).
        refused: the names of the parameters that the server refuses.
        answered: whether the server has answered a request.
        closed: the reason why no more requests are sent; None: they are.

    Raises:
        UsageError: if the options are invalid, or the template cannot be loaded.
        MissingExtraError: if the `openai` library, or for a template transformers, is not installed.
    """

    def __init__(self, model: str, options: ServerOptions) -> None:
        check(options)
        try:
            import openai  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("openai", "llm") from error
        self.model = model
        self.options = options
        self.template = template_of(options)
        self.account = account_of(options)
        self.abilities: dict[str, bool] = {}
        self.refused: set[str] = set()
        self.answered = False
        self.closed: str | None = None

    @property
    def concurrency(self) -> int:
        """The number of concurrent requests."""
        return self.options.concurrency

    def facts(self) -> Mapping[str, object]:
        """See `biomark.prompted.chat.Chat`."""
        abilities = {"abilities": self.abilities, "refused": sorted(self.refused)}
        return {"model": self.model, "server": asdict(self.options), **abilities}

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Ask]:
        """See `biomark.prompted.chat.Chat`."""
        import openai

        from biomark.prompted.chat.limits import UNPACKED, limit

        # At a lower level, the SDK logs whole requests, including the text.
        logging.getLogger("openai").setLevel(logging.INFO)
        file = cache_file(self.options)
        key = next((value for name in KEYS if (value := os.environ.get(name))), _NO_KEY)
        # A redirect would send the text elsewhere, and so would a proxy of the environment for a local server.
        transport = openai.DefaultAsyncHttpxClient(
            follow_redirects=False,
            trust_env=not address.is_here(self.options.base_url),
            event_hooks={"response": [limit]},
        )
        base, query = address.parted(self.options.base_url)
        client = openai.AsyncOpenAI(
            api_key=key,
            base_url=base,
            max_retries=0,
            timeout=self.options.timeout,
            http_client=transport,
            default_query=query,
            default_headers={**UNPACKED, **({"api-key": key} if query else {})},  # Azure's name of the header
        )
        with closing(Cache(file)) if file else nullcontext() as cache:
            async with client:
                yield _Session(self, client, cache).ask


class _Session:
    """Sends requests to a server in one event loop."""

    def __init__(self, server: Server, client: AsyncOpenAI, cache: Cache | None) -> None:
        self._server = server
        self._options = server.options
        self._extras = extras(server.options)
        self._client = client
        self._cache = cache
        self._free = asyncio.Semaphore(server.options.concurrency)
        self._paid = asyncio.Condition()
        self._probing = asyncio.Lock()
        # Equal requests wait for each other, so that only one is paid for
        self._same: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._pause = 0.0  # the loop's time before which no request is sent

    async def ask(self, request: Request) -> Reply:
        """Return the answers to a request."""
        if request.schema is not None and (self._options.completions or not await self._can("schema")):
            request = replace(request, schema=None)
        if request.answers > 1 and not await self._can("answers"):
            single = [replace(request, answers=1, sample=request.sample + n) for n in range(request.answers)]
            responses = _successful(await asyncio.gather(*map(self._kept, single), return_exceptions=True))
        else:
            responses = [await self._kept(request)]
        answers = [self._read(response, request) for response in responses]
        texts = tuple(text for answer in answers for text in answer.texts if text.strip())
        return Reply(texts, all(answer.finished for answer in answers), tokens=_tokens(responses, texts))

    def _read(self, kept: Kept, request: Request) -> Kept:
        """Remove thoughts and stop strings from the answers; set `silent` if no text is left."""
        if self._options.completions:
            kept = self._ended(kept, self._server.template.stops if self._server.template else PLAIN_STOPS)
        kept = replace(kept, texts=tuple(map(without_thoughts, kept.texts)))
        if request.stops:  # some servers ignore them, and thoughts may contain them
            begun = replace(kept, texts=tuple(text.lstrip("\n") for text in kept.texts))
            kept = self._ended(begun, request.stops)
        texts = kept.texts
        if kept.silent is None and not any(text.strip() for text in texts):
            reason = "the model's answer is empty, or it only thought; raise `max_tokens` for thinking"
            kept = replace(kept, silent=reason)
        return replace(kept, texts=texts)

    def _ended(self, kept: Kept, stops: Sequence[str]) -> Kept:
        """Cut off the answers at stop strings, which some servers ignore."""
        parts = [ended(text, stops) for text in kept.texts]
        plain = self._options.completions and not self._server.template
        texts = tuple(text.strip("\n") if plain else text for text, _ in parts)
        return replace(kept, texts=texts, finished=kept.finished or all(was_stopped for _, was_stopped in parts))

    def _stops(self, request: Request) -> list[str]:
        """Return the stop strings of a request to the server."""
        if not self._options.completions:
            return list(request.stops)
        if self._server.template:
            return [*request.stops, *self._server.template.stops][:_MOST_STOPS]
        return list(request.stops or PLAIN_STOPS)

    def _text(self, request: Request) -> str:
        """Return the conversation as the text that the model continues."""
        try:
            return completion(request.messages, self._server.template)
        except Exception as error:  # a template may raise any error
            raise Unanswered(f"the chat template of `template` fails ({error})") from error

    async def _can(self, ability: str) -> bool:
        """Return whether the server has an ability; test it once, because servers silently ignore parameters."""
        async with self._probing:
            known = self._server.abilities
            if ability not in known:
                request, proves = PROBES[ability]
                try:
                    known[ability] = proves(await self._kept(request))
                except Unanswered:
                    known[ability] = False
            return known[ability]

    async def _kept(self, request: Request) -> Kept:
        """Return the answer from the cache, or else from the server."""
        key = self._key(request)
        async with self._same.setdefault(key, asyncio.Lock()):
            kept = self._cache.get(key) if self._cache is not None else None
            if kept is not None and self._read(kept, request).silent is None:
                self._server.account.save(kept.read, kept.written)
                return kept
            kept, stopped = await self._new(request)
            if stopped and self._read(kept, request).silent:
                # The answer began with a stop string, or with thoughts: ask without, and cut off the answer here
                self._server.refused.add("stop")
                kept, _ = await self._new(request)
            if silent := self._read(kept, request).silent:
                raise Unanswered(silent)
            if self._cache is not None:
                self._cache.put(key, kept)
            return kept

    async def _new(self, request: Request) -> tuple[Kept, bool]:
        """Return the server's answer, and whether stop strings were sent."""
        async with self._free, self._budgeted(request):
            stopped = bool(request.stops) and not self._options.completions and "stop" not in self._server.refused
            kept = await self._sent(request)
            self._server.account.pay(kept.read, kept.written, estimated=kept.estimated)
        return kept, stopped

    @asynccontextmanager
    async def _budgeted(self, request: Request) -> AsyncIterator[None]:
        """Reserve the largest cost of an answer; wait for pending requests if they may leave enough of the budget."""
        account = self._server.account
        most = request.tokens(), request.max_tokens * request.answers
        async with self._paid:
            await self._paid.wait_for(lambda: self._server.closed or account.fits(*most) or not account.has_reserved)
            if not self._server.closed and not account.fits(*most):
                self._server.closed = "not asked, because the budget is spent; raise `budget` to continue"
            if self._server.closed:
                self._paid.notify_all()
                raise Unanswered(self._server.closed)
            account.reserve(*most)
        try:
            yield
        finally:
            async with self._paid:
                account.release(*most)
                self._paid.notify_all()

    async def _sent(self, request: Request) -> Kept:
        """Send a request, again after failures, and return the answer."""
        clock = asyncio.get_running_loop().time
        attempt = 0
        while True:
            await asyncio.sleep(max(0.0, self._pause - clock()))
            payload = self._payload(request)
            try:
                async with asyncio.timeout(self._options.timeout):
                    kept = kept_of(await self._once(payload), request)
            except Unanswered:
                raise
            except Exception as error:  # no response may stop the run
                failure = failure_of(error, secret=self._client.api_key)
            else:
                self._server.answered = True
                return kept
            if self._do_without(failure, payload):
                continue
            if failure.hopeless or (failure.unreached and attempt == self._options.retries):
                self._give_up(failure.reason)
            self._lose(failure, request)
            if not failure.again or attempt == self._options.retries:
                raise Unanswered(failure.reason, too_long=failure.too_long)
            self._server.account.counts["retries"] += 1
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt) * random.uniform(0.75, 1.0)
            if failure.wait is not None:  # the wait applies to all requests
                self._pause = max(self._pause, clock() + failure.wait)
                wait = failure.wait
            await asyncio.sleep(wait)
            attempt += 1

    def _lose(self, failure: Failure, request: Request) -> None:
        """Count the possible cost of a failed attempt; raise `Unanswered` if the budget allows no other attempt."""
        account = self._server.account
        if failure.billed:
            account.lose(request.tokens(), request.max_tokens * request.answers)
            if failure.again and not account.fits(0, 0):
                raise Unanswered(f"{failure.reason}; not asked again, as failed attempts may be billed: raise `budget`")

    def _do_without(self, failure: Failure, payload: Mapping[str, Any]) -> bool:
        """Return whether the server refuses an optional parameter, so that the request is repeated without it.

        The parameter may already be known from another request that was sent at the same time.
        """
        if failure.status not in (400, 422, 500) or failure.too_long:
            return False
        named = [name for name in _OPTIONAL if name in failure.reason and name in payload and failure.status != 500]
        if not named and _NO_SYSTEM.search(failure.reason) and _has_system(payload):
            named = [SYSTEM]
        if not named and "logprobs" in payload and _NO_LOGPROBS.search(failure.reason):
            named = ["logprobs"]
        self._server.refused.update(named[:1])
        return bool(named)

    def _give_up(self, reason: str) -> None:
        """Send no more requests; raise `ChatError` if the server has not answered any request so far."""
        where = f"{self._options.base_url}: {reason}"
        if not self._server.answered:
            raise ChatError(where)
        self._server.closed = self._server.closed or where

    async def _once(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        client = self._client.with_streaming_response
        ask: Any = client.completions.create if self._options.completions else client.chat.completions.create
        async with ask(**payload, extra_body=self._extras or None) as response:
            if "text/event-stream" in response.headers.get("content-type", ""):
                return await read_stream(lines_of(response.iter_bytes()))
            body = await response.read()
            if body.lstrip().startswith(b"data:"):  # a stream with another content type
                return await read_stream(lines_of(_once(body)))
            return read_body(body)

    def _key(self, request: Request) -> bytes:
        """Return the key of an answer: everything that may change it."""
        fields = {name: getattr(request, name) for name in _KEY_FIELDS}
        messages = [(message.role, message.content) for message in request.messages]
        facts = {"model": self._server.model, "base_url": self._options.base_url, "extra": self._extras}
        text = {"completion": self._text(request)} if self._options.completions else {}
        return key_of({**facts, **fields, **text, "messages": messages})

    def _payload(self, request: Request) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "model": self._server.model,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
        }
        if self._options.completions:
            payload["prompt"] = self._text(request)
        else:
            merges_system = SYSTEM in self._server.refused and request.messages[0].role == SYSTEM
            messages = without_system(request.messages) if merges_system else request.messages
            payload["messages"] = [{"role": message.role, "content": message.content} for message in messages]
        if stops := self._stops(request):
            payload["stop"] = stops
        if request.logprobs:
            payload["logprobs"] = 1 if self._options.completions else True
        if request.answers > 1:
            payload["n"] = request.answers
        if request.schema is not None:
            schema = {"name": "answer", "schema": request.schema, "strict": True}
            payload["response_format"] = {"type": "json_schema", "json_schema": schema}
        if self._options.stream:
            payload |= {"stream": True, "stream_options": {"include_usage": True}}
        for name in self._server.refused & set(payload):
            value = payload.pop(name)
            if name == "max_tokens":
                payload["max_completion_tokens"] = value
        return payload


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _tokens(responses: Sequence[Kept], texts: Sequence[str]) -> AnswerTokens | None:
    """Return the tokens of the only answer, or None if there are several or the server returned none."""
    if len(responses) != 1 or len(texts) != 1 or responses[0].tokens is None:
        return None
    whole = responses[0].texts[0]
    begin = whole.find(texts[0], len(whole) - len(without_thoughts(whole)))
    return AnswerTokens(whole, responses[0].tokens, begin) if begin >= 0 else None


def _has_system(payload: Mapping[str, Any]) -> bool:
    return any(message["role"] == SYSTEM for message in payload.get("messages", ()))


def _successful(results: Sequence[Kept | BaseException]) -> list[Kept]:
    """Return the answers among the results; raise an error if there are none, or if it is not `Unanswered`."""
    errors = [result for result in results if isinstance(result, BaseException)]
    worst = next((error for error in errors if not isinstance(error, Unanswered)), None)
    if worst is not None or len(errors) == len(results):
        raise worst or errors[0]
    return [result for result in results if isinstance(result, Kept)]
