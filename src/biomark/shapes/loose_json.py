"""A tolerant reader of the JSON that models write: fenced, after an introduction, truncated, or in Python syntax."""

from __future__ import annotations

import ast
import json
import re
import warnings

from biomark.shapes.signs import unfenced
from biomark.spans import Span

# The last string may be truncated; if the pattern required its end, every quotation mark in it would be tried again.
_STRING = re.compile(r'"(?:[^"\\]++|\\.?)*+(?P<end>"?)', re.DOTALL)
_READ = 20  # damaged objects are read for at most this many times the length of the answer


def parse(answer: str) -> object:
    """Return the JSON value of an answer.

    Raises:
        ValueError: if the answer contains no complete JSON value.
    """
    inside = unfenced(answer).strip()
    begin = re.search(r"[\[{]", inside)
    end = max(inside.rfind("]"), inside.rfind("}")) + 1
    for text in dict.fromkeys((inside, inside[begin.start() : end] if begin else inside)):
        try:
            return json.loads(text)
        except ValueError:
            pass
        except RecursionError:
            break
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            pass
    raise ValueError("the answer contains no complete JSON value")


def objects(answer: str) -> list[dict[str, object]]:
    """Return the complete objects in an answer whose outer list is truncated or damaged."""
    decoder = json.JSONDecoder()
    values = []
    at = answer.find("{")
    in_vain = 0
    while at >= 0 and in_vain <= _READ * len(answer):
        try:
            value, end = decoder.raw_decode(answer, at)
            values.append(value)
        except json.JSONDecodeError as error:
            end = at + 1
            in_vain += error.pos - at
        except ValueError:  # raised for a number with thousands of digits
            break
        except RecursionError:
            break
        at = answer.find("{", end)
    return values


def pairs(answer: str) -> list[tuple[str, str, Span]]:
    """Return all pairs of a key and its value, both strings, in an answer, each with its span in the answer."""
    found_pairs = []
    last: tuple[str, int, int] | None = None  # the preceding string
    for match in _STRING.finditer(answer):
        try:
            string = json.loads(match.group()) if match["end"] else None
        except ValueError:
            string = None
        if string is not None and last is not None and answer[last[2] : match.start()].strip() == ":":
            found_pairs.append((last[0], string, Span(last[1], match.end())))
        last = (string, match.start(), match.end()) if string is not None else None
    return found_pairs


def strings(answer: str) -> list[str]:
    """Return the complete strings in a truncated list."""
    begin = answer.find("[")
    values = []
    for match in _STRING.finditer(answer, begin) if begin >= 0 else ():
        try:
            if match["end"]:
                values.append(json.loads(match.group()))
        except ValueError:
            continue
    return values
