"""Defensive parsing of a server's responses: one JSON object, or a stream of events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from biomark.prompted.chat import Request, estimate
from biomark.prompted.chat.cache import Kept
from biomark.prompted.chat.likelihood import listed, rows_of

# A model may write its thoughts before its answer; the opening tag may be part of the prompt.
_THINK, _THOUGHT = "<think>", "</think>"
_ABSURD = 1 << 40  # tokens
_DATA, _DONE = "data:", "[DONE]"
_CUT = ("length", "max_tokens", "model_length")  # reasons of servers for an answer that was cut off
_WITHHELD = ("content_filter", "safety", "recitation")
_DETAILS = ("error", "detail", "message", "msg", "errors", "title", "description")
_DEEPEST = 4  # levels of nested objects in an error
# Fields in the parts of a stream besides or instead of an answer
_INSTEAD = ("refusal", "tool_calls", "function_call", "reasoning_content", "reasoning")
_TEXT_PARTS = (None, "text", "output_text")


class Malformed(Exception):
    """A response is not an answer, for instance because it was cut off; another attempt may succeed."""


class TooLarge(Malformed):
    """A response is larger than any answer; another attempt would hardly be smaller."""


def read_body(body: bytes) -> Mapping[str, Any]:
    """Parse the JSON object of a response.

    Raises:
        Malformed: if it is not a JSON object.
    """
    try:
        response = json.loads(body)
    except (ValueError, RecursionError) as error:
        begins = " ".join(body[:60].decode("utf-8", "replace").split())
        raise Malformed(f"the server sent {len(body):,} bytes that are not JSON ({begins or 'nothing'})") from error
    if not isinstance(response, dict):
        raise Malformed("the server sent JSON that is not an object")
    return response


async def lines_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Yield the lines of a stream of events, split at `\\n` alone; texts may contain other line ends of Unicode."""
    begun: list[bytes] = []  # the beginning of an incomplete line
    async for chunk in chunks:
        first, *others = chunk.split(b"\n")
        begun.append(first)
        if others:
            for line in (b"".join(begun), *others[:-1]):
                yield line.decode("utf-8", "replace")
            begun = [others[-1]]
    yield b"".join(begun).decode("utf-8", "replace")


async def read_stream(lines: AsyncIterator[str]) -> Mapping[str, Any]:
    """Join a stream of events into the object that the server would return without streaming.

    Raises:
        Malformed: if an event is not JSON, or the stream was cut off.
    """
    messages: dict[int, dict[str, list[str]]] = {}
    reasons: dict[int, str] = {}
    tokens: dict[int, list[Mapping[str, Any]]] = {}
    whole: dict[str, Any] = {}
    done = False
    async for line in lines:
        data = line.removeprefix(_DATA).strip() if line.startswith(_DATA) else ""
        if data == _DONE:
            done = True
            break
        event = read_body(data.encode(errors="replace")) if data else {}
        whole |= {name: event[name] for name in ("usage", "error", "detail", "message") if event.get(name)}
        for choice in _listed(event.get("choices") or []):
            index = number if isinstance(number := choice.get("index"), int) else 0
            _add(messages.setdefault(index, {"content": []}), choice)
            tokens.setdefault(index, []).extend(listed(choice))
            if choice.get("finish_reason"):
                reasons[index] = str(choice["finish_reason"])
    if not done and not error_text(whole) and (not messages or set(messages) != set(reasons)):
        raise Malformed("the server's stream was cut off")
    choices = [
        {
            "message": {name: "".join(parts) for name, parts in message.items()},
            "finish_reason": reasons.get(n),
            "logprobs": {"content": tokens[n]},
        }
        for n, message in sorted(messages.items())
    ]
    return {"choices": choices, **whole}


def _add(message: dict[str, list[str]], choice: Mapping[str, Any]) -> None:
    """Add a part of a stream to a message, and record fields other than text."""
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        delta = choice["message"] if isinstance(choice.get("message"), dict) else {"content": choice.get("text")}
    message["content"].append(_text_of(delta.get("content")) or "")
    for name in _INSTEAD:
        if delta.get(name):
            message.setdefault(name, []).append(delta[name] if isinstance(delta[name], str) else name)


def kept_of(response: Mapping[str, Any], request: Request) -> Kept:
    """Return the answers of a response with their tokens; `Kept.silent` is the reason if all of them are empty.

    Raises:
        Malformed: if the response is an error, or has no choices.
    """
    choices = _listed(response.get("choices"))
    if response.get("error") or not choices:
        message = error_text(response)
        raise Malformed(f"the server reports: {message[:200]}" if message else "the server's response has no answer")
    texts = tuple(_text(choice) for choice in choices)
    reasons = {str(choice.get("finish_reason")).casefold() for choice in choices}
    if "error" in reasons:  # from servers that forward the answers of others
        raise Malformed(f"the server reports: {error_text(choices[0])[:200] or 'the model failed'}")
    usage = response.get("usage")
    reported = [usage.get(name) if isinstance(usage, dict) else None for name in ("prompt_tokens", "completion_tokens")]
    guess = request.tokens(), sum(map(estimate, texts))
    read, written = (
        value if type(value) is int and 0 <= value < _ABSURD else n for value, n in zip(reported, guess, strict=True)
    )
    silent = None if any(text.strip() for text in texts) else _silence(choices[0], request)
    if not reasons.isdisjoint(_WITHHELD):
        silent = "the server's content filter withheld the answer"
    estimated = (read, written) != tuple(reported)
    rows = rows_of(choices[0], texts[0]) if len(choices) == 1 else None
    return Kept(texts, reasons.isdisjoint(_CUT), read, written, estimated, silent=silent, tokens=rows)


def without_thoughts(text: str) -> str:
    """Return an answer without the model's thoughts before it; "" if the thoughts do not end."""
    answer = text.lstrip()
    thinks = answer.startswith(_THINK)
    answer = answer.removeprefix(_THINK)
    before, ended, _ = answer[: end if (end := answer.find(_THINK)) >= 0 else None].rpartition(_THOUGHT)
    if ended:
        return answer[len(before) + len(ended) :].lstrip()
    return "" if thinks else text


def error_text(error: object, depth: int = 0) -> str:
    """Return the text of an error: OpenAI's object, a text (Ollama), `detail` (FastAPI); "" if there is none."""
    if isinstance(error, str):
        return error.strip()
    if depth > _DEEPEST:
        return ""
    if isinstance(error, list):
        return "; ".join(filter(None, (error_text(item, depth + 1) for item in error[:5])))
    if not isinstance(error, dict):
        return ""
    text = next(filter(None, (error_text(error.get(name), depth + 1) for name in _DETAILS)), "")
    place = error.get("loc")  # the field that FastAPI refuses
    return f"{text} ({'.'.join(map(str, place))})" if text and isinstance(place, list) else text


def _silence(choice: Mapping[str, Any], request: Request) -> str:
    """Return the reason why a choice has no text."""
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    content = message.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    refusals = (message.get("refusal"), *(part.get("refusal") for part in parts))
    if refusal := next((text for text in refusals if isinstance(text, str) and text.strip()), None):
        return f"the model refuses to answer: {' '.join(refusal.split())[:200]}"
    if str(choice.get("finish_reason")).casefold() in _CUT:
        return (
            f"the model wrote no answer within {request.max_tokens:,} tokens (thinking takes more); raise `max_tokens`"
        )
    if message.get("tool_calls") or message.get("function_call"):
        return "the model called a tool instead of answering; disable its tools, or use another model"
    thought = any("think" in str(part.get("type")) or "reason" in str(part.get("type")) for part in parts)
    if thought or message.get("reasoning_content") or message.get("reasoning"):
        return "the model thought but did not answer; raise `max_tokens`, or disable thinking"
    return "the model's answer is empty"


def _text(choice: Mapping[str, Any]) -> str:
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else choice.get("text")
    if content is None and isinstance(message, dict):
        return ""
    text = _text_of(content)
    if text is None:
        raise Malformed("the server's response has an answer that is not text")
    return text.encode(errors="replace").decode()  # JSON may contain lone surrogates


def _text_of(content: object) -> str | None:
    """Return the text of a message's content, which may be a list of parts; None if it has another form."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part if isinstance(part, (str, dict)) else None for part in content]
        return None if None in parts else "".join(_text_of(part) or "" for part in parts)
    if not isinstance(content, dict) or not {"type", "text"} & set(content):
        return None
    text = content.get("text")
    text = text.get("value") if isinstance(text, dict) else text
    return text if content.get("type") in _TEXT_PARTS and isinstance(text, str) else ""


def _listed(choices: object) -> list[Mapping[str, Any]]:
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
