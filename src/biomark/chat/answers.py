"""What a server sends back, read without trust: JSON at once, or a stream of events."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

from biomark.chat import Request, Unanswered, estimate
from biomark.chat.cache import Kept

# A model may think aloud before its answer; its template may have opened the tag in the prompt.
_THOUGHTS = re.compile(r"\A\s*(?:<think>)?(?:(?!<think>).)*</think>\s*", re.DOTALL)
_ABSURD = 1 << 40  # tokens
_DATA, _DONE = "data:", "[DONE]"


class Malformed(Exception):
    """A response that is no answer, such as one that was cut off; another attempt may give one."""


def read_body(body: bytes) -> Mapping[str, Any]:
    """The object of a response.

    Raises:
        Malformed: if it is none.
    """
    try:
        found = json.loads(body)
    except ValueError as error:
        raise Malformed(f"the server sent {len(body)} bytes that are no JSON") from error
    if not isinstance(found, dict):
        raise Malformed("the server sent JSON that is no object")
    return found


async def lines_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The lines of a stream of events, split at line feeds alone: texts may hold what Unicode calls line ends."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace")
    yield rest.decode("utf-8", "replace")


async def read_stream(lines: AsyncIterator[str]) -> Mapping[str, Any]:
    """The object that a response would have been without streaming.

    Raises:
        Malformed: if an event is no JSON, or the stream was cut off.
    """
    texts: dict[int, list[str]] = {}
    reasons: dict[int, str] = {}
    whole: dict[str, Any] = {}
    done = False
    async for line in lines:
        data = line.removeprefix(_DATA).strip() if line.startswith(_DATA) else ""
        if data == _DONE:
            done = True
            break
        event = read_body(data.encode()) if data else {}
        whole |= {name: event[name] for name in ("usage", "error") if event.get(name)}
        for choice in _listed(event.get("choices") or []):
            index = choice.get("index")
            index = index if isinstance(index, int) else 0
            delta = choice.get("delta")
            text = delta.get("content") if isinstance(delta, dict) else choice.get("text")
            texts.setdefault(index, []).append(text if isinstance(text, str) else "")
            if choice.get("finish_reason"):
                reasons[index] = str(choice["finish_reason"])
    if not done and "error" not in whole and (not texts or set(texts) != set(reasons)):
        raise Malformed("the server's stream was cut off")
    choices = [{"message": {"content": "".join(texts[n])}, "finish_reason": reasons.get(n)} for n in sorted(texts)]
    return {"choices": choices, **whole}


def kept_of(response: Mapping[str, Any], request: Request) -> Kept:
    """The answers of a response and what they took.

    Raises:
        Malformed: if there are none.
        Unanswered: if the server kept them to itself.
    """
    if error := response.get("error"):
        message = error.get("message") if isinstance(error, dict) else error
        raise Malformed(f"the server says: {str(message)[:200]}")
    choices = _listed(response.get("choices"))
    if not choices:
        raise Malformed("the server's response holds no answer")
    texts = tuple(_text(choice) for choice in choices)
    reasons = {str(choice.get("finish_reason")) for choice in choices}
    if "content_filter" in reasons:
        raise Unanswered("the server's content filter withheld the answer")
    usage = response.get("usage")
    told = [usage.get(name) if isinstance(usage, dict) else None for name in ("prompt_tokens", "completion_tokens")]
    guess = request.tokens(), sum(map(estimate, texts))
    read, written = (
        value if isinstance(value, int) and 0 <= value < _ABSURD else n for value, n in zip(told, guess, strict=True)
    )
    estimated = (read, written) != tuple(told)
    return Kept(texts, "length" not in reasons, read, written, estimated)


def without_thoughts(text: str) -> str:
    """An answer without what the model thought aloud before it."""
    return _THOUGHTS.sub("", text)


def _text(choice: Mapping[str, Any]) -> str:
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else choice.get("text")
    if content is None and isinstance(message, dict):
        return ""  # a refusal, or thoughts that took all the room
    if not isinstance(content, str):
        raise Malformed("the server's response holds an answer that is no text")
    return content.encode(errors="replace").decode()  # JSON can say halves of UTF-16 pairs


def _listed(choices: object) -> list[Mapping[str, Any]]:
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
