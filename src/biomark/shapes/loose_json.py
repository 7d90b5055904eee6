"""JSON as models write it: fenced, introduced, cut off, or spelled as Python does."""

from __future__ import annotations

import ast
import json
import re
import warnings

from biomark.shapes.signs import unfenced
from biomark.spans import Span

# The last one may be cut off: if it did not match, every quote in it would be tried as well.
_STRING = re.compile(r'"(?:[^"\\]++|\\.?)*+(?P<end>"?)', re.DOTALL)
_READ = 20  # times the answer's length, at most, for objects that turn out to be damaged


def parse(answer: str) -> object:
    """The JSON value of an answer.

    Raises:
        ValueError: if it holds none that is whole.
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
    raise ValueError("the answer holds no whole JSON value")


def objects(answer: str) -> list[dict[str, object]]:
    """The objects that are whole in an answer whose outer list is cut off or damaged."""
    decoder = json.JSONDecoder()
    found = []
    at = answer.find("{")
    in_vain = 0
    while at >= 0 and in_vain <= _READ * len(answer):
        try:
            value, end = decoder.raw_decode(answer, at)
            found.append(value)
        except json.JSONDecodeError as error:
            end = at + 1
            in_vain += error.pos - at
        except ValueError:  # of a number with thousands of digits
            break
        except RecursionError:
            break
        at = answer.find("{", end)
    return found


def pairs(answer: str) -> list[tuple[str, str, Span]]:
    """The strings that are a key and its value wherever they stand in an answer, and the place of each such pair."""
    found = []
    last: tuple[str, int, int] | None = None  # the string before
    for match in _STRING.finditer(answer):
        try:
            string = json.loads(match.group()) if match["end"] else None
        except ValueError:
            string = None
        if string is not None and last is not None and answer[last[2] : match.start()].strip() == ":":
            found.append((last[0], string, Span(last[1], match.end())))
        last = (string, match.start(), match.end()) if string is not None else None
    return found


def strings(answer: str) -> list[str]:
    """The strings that are whole in a list that is cut off."""
    begin = answer.find("[")
    found = []
    for match in _STRING.finditer(answer, begin) if begin >= 0 else ():
        try:
            if match["end"]:
                found.append(json.loads(match.group()))
        except ValueError:
            continue
    return found
