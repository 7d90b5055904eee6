"""The whole path on a server that misbehaves: commands, failures, budgets, killed runs, what is sent and logged."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from biomark.prompted.retrieval import CHOOSERS
from biomark.shapes import SHAPES
from biomark.spans import Document
from conftest import HANG, ROOT
from oracle import Biomark, away, expected, found_in, text_of, true_answer, write_texts
from scripted import Says, answer, failure, scripted, stream
from toy_writer import tokenizer_of

__all__ = ["away"]


def read_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def true_response(request: dict[str, Any]) -> str:
    return true_answer("span", [(m["role"], m["content"]) for m in request["messages"]])


MANY = [f"Asthma number {n}. Aspirin helps in case {n}, but zileuton does not." for n in range(12)]


def test_no_document_is_lost_or_wrong_whatever_the_server_does(
    biomark: Biomark, away: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    slow = replace(answer("Asthma"), pause=0.05)  # seven seconds
    bad = [
        slow, failure(429, retry_after="0.05"), failure(500), Says(b'{"choices": [{"mess'), Says(b'{"cho', short=50),
        Says({"choices": []}), stream("Asthma", ends=False), Says(b"", 503), Says([]),
    ]  # fmt: skip

    def say(request: dict[str, Any], number: int) -> Says:
        return answer(true_response(request)) if number % 2 else bad[number // 2 % len(bad)]

    source = write_texts(away / "in.jsonl", MANY)
    with scripted(say) as there:
        done = biomark(
            "annotate", source, "-o", "out.jsonl", "--model", "openai:m", "--base-url", there.url,
            "--types", "disease,chemical", "--set", "retries=30", "--record", "record.json", "--set", "timeout=1",
        )  # fmt: skip
    assert done.status == 0, done.err
    assert found_in(away / "out.jsonl") == expected([Document("", text) for text in MANY])
    assert "24 answers; 240 tokens read, 120 written" in done.err
    assert "sk-secret" not in done.err + (away / "record.json").read_text()
    (record,) = json.loads((away / "record.json").read_text())
    assert record["usage"]["requests"] == 24
    assert record["prompts"]["shape"] == "span"
    logged = "\n".join(f"{r.getMessage()} {r.__dict__}" for r in caplog.records)
    assert "zileuton" not in logged
    assert "sk-secret" not in logged


ABSURD = [
    "", "I'm sorry, but I cannot help with that.", "null", "{}", "[" * 3000, "\ud800",
    "İ" * 500, '<span class="disease">' * 200, "</span>" * 200, '<span class="disease"></span>',
    '<span class="disease">unicorns</span>', '<span class="weapon">Asthma</span>',
    '{"entities": [{"text": "Aspirin", "type": "chemical", "occurrence": 99}]}', "Asthma " * 2000,
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_absurd_answers_harm_no_document(biomark: Biomark, away: Path, shape: str) -> None:
    def say(request: dict[str, Any], number: int) -> Says:
        if "hello" in str(request["messages"]):  # asked what it can do
            return answer("Hello!")
        messages = [(m["role"], m["content"]) for m in request["messages"]]
        about = MANY.index(next(text for text in MANY if text_of(messages) in text))
        return answer(true_answer(shape, messages) if about % 2 else ABSURD[number % len(ABSURD)])

    source = write_texts(away / "in.jsonl", MANY)
    with scripted(say) as there:
        done = biomark(
            "annotate", source, "-o", "out.jsonl", "--model", "openai:m", "--base-url", there.url,
            "--types", "disease,chemical", "--shape", shape,
        )  # fmt: skip
    assert done.status in (0, 1), done.err
    found, truths = found_in(away / "out.jsonl"), expected([Document("", text) for text in MANY])
    assert found[1::2] == truths[1::2]
    assert len(found) == len(truths)
    assert all(set(some) <= set(all_of) for some, all_of in zip(found, truths, strict=True))
    assert "answers changed the text or do not have the requested form" in done.err


def test_an_answer_is_verified_by_a_server(biomark: Biomark, away: Path) -> None:
    """The second round finds what was missed, and questions about each mention refute what is none."""

    def say(request: dict[str, Any], number: int) -> Says:
        messages = [(m["role"], m["content"]) for m in request["messages"]]
        last = messages[-1][1]
        if "Answer with yes or no" in last:
            return answer("No." if '"case"' in last else "Yes.")
        if "may have been missed" in last:
            return answer(true_answer("span", messages[:-2]))
        first = re.sub(r"</?span[^>]*>", "", true_answer("span", messages))
        return answer(first.replace("case", '<span class="disease">case</span>'))

    source = write_texts(away / "in.jsonl", MANY)
    with scripted(say) as there:
        done = biomark(
            "annotate", source, "-o", "out.jsonl", "--model", "openai:m", "--base-url", there.url,
            "--types", "disease,chemical", "--set", "verify=second-round,yes-no", "--record", "record.json",
        )  # fmt: skip
    assert done.status == 0, done.err
    assert found_in(away / "out.jsonl") == expected([Document("", text) for text in MANY])
    (record,) = json.loads((away / "record.json").read_text())
    assert record["counts"] == {"answers": 24, "added": 36, "refuted": 12}
    assert record["usage"]["requests"] == len(there.asked) == 24 + 24 + 12 + 36


def test_a_server_votes(biomark: Biomark, away: Path) -> None:
    """Three answers to each question; of the three, one has aspirin and two have asthma."""

    def say(request: dict[str, Any], number: int) -> Says:
        if "hello" in str(request["messages"]):
            return answer("Hello!", "Hi!")
        whole = true_answer("span", [(m["role"], m["content"]) for m in request["messages"]])
        less = re.sub(r'<span class="chemical">(.*?)</span>', r"\1", whole)
        return answer(whole, less, "nonsense")

    source = write_texts(away / "in.jsonl", MANY)
    with scripted(say) as there:
        command = (
            "annotate", source, "-o", "out.jsonl", "--model", "openai:m", "--base-url", there.url,
            "--types", "disease,chemical", "--set", "samples=3",
        )  # fmt: skip
        assert biomark(*command).status == 0
        assert found_in(away / "out.jsonl") == expected([Document("", text) for text in MANY], ("disease",))
        scores = {round(e["score"], 3) for row in read_lines(away / "out.jsonl") for e in row.get("entities", [])}
        assert scores == {0.667}
        assert biomark(*command, "--min-score", "0.3", "--overwrite").status == 0
        assert found_in(away / "out.jsonl") == expected([Document("", text) for text in MANY])
    assert {request["n"] for request in there.asked} == {2, 3}
    assert {request["temperature"] for request in there.asked} == {0.7, 1.0}


@pytest.mark.parametrize("command", ["annotate", "invent"])
def test_nothing_is_sent_without_an_address(
    biomark: Biomark, away: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = ROOT / "examples" / "frailty.jsonl"
    with scripted(lambda request, number: answer("x")) as there:
        monkeypatch.setenv("OPENAI_BASE_URL", there.url)
        done = biomark(command, seeds, "--model", "openai:m", "--types", "frailty", "-o", "out.jsonl")
        assert done.status == 2
        assert "--base-url" in done.err
        assert not there.asked
    assert not (away / "out.jsonl").exists()


def test_the_five_lines_of_the_readme(biomark: Biomark, away: Path) -> None:
    """What a user of Ollama or vLLM is told to type, but for the port."""
    readme = (ROOT / "README.md").read_text("utf-8")
    block = next(part for part in readme.split("```") if "export URL=" in part)
    lines = [line.partition("#")[0].strip() for line in block.strip().splitlines()]
    assert len(lines) == 5
    commands = [shlex.split(line) for line in lines if line.startswith("biomark ")]
    note = ROOT / "examples" / "note.txt"
    with scripted(lambda request, number: answer(true_response(request))) as there:
        told = []
        for _, *arguments in commands:
            known = {"$URL": there.url, "examples/note.txt": str(note)}
            done = biomark(*(known.get(argument, argument) for argument in arguments))
            assert done.status == 0, done.err
            told.append((done, len(there.asked)))
    assert {request["model"] for request in there.asked} == {"llama3.1:8b"}
    (dry, before), (wet, after) = told
    assert "### Text" in dry.out
    assert before == 0 < after
    assert f"{after} answers" in wet.err


def test_a_wrong_key_is_one_message(biomark: Biomark, away: Path) -> None:
    with scripted(lambda request, number: failure(401, "bad key sk-secret-0123456789")) as there:
        source = write_texts(away / "in.jsonl", MANY)
        done = biomark(
            "annotate", source, "-o", "out.jsonl", "--model", "openai:m", "--base-url", there.url, "--types", "disease"
        )
    assert done.status == 2
    assert "BIOMARK_API_KEY" in done.err
    assert "sk-secret" not in done.err
    assert not (away / "out.jsonl").exists()


def test_a_budget_stops_cleanly_and_a_higher_one_goes_on(biomark: Biomark, away: Path) -> None:
    source = write_texts(away / "in.jsonl", MANY)
    with scripted(lambda request, number: answer(true_response(request), read=300, written=100)) as there:
        command = (
            "annotate", source, "-o", "out.jsonl", "--model", "openai:m", "--base-url", there.url,
            "--types", "disease,chemical", "--set", "concurrency=2", "--set",
        )  # fmt: skip
        done = biomark(*command, "budget=4000 tokens")
        assert done.status == 1
        paid = len(there.asked)
        assert 5 <= paid <= 10
        truths = expected([Document("", text) for text in MANY])
        kept = found_in(away / "out.jsonl")
        assert len(kept) == len(MANY)
        assert all(set(k) <= set(t) for k, t in zip(kept, truths, strict=True))
        assert kept[:2] == truths[:2]
        told = [line for line in done.err.splitlines() if "budget" in line]
        assert len(told) == sum(k != t for k, t in zip(kept, truths, strict=True)) > 3
        done = biomark(*command, "budget=100000 tokens", "--overwrite")
        assert done.status == 0
        assert found_in(away / "out.jsonl") == truths
        assert len(there.asked) == 24
        assert f"{paid} more answers from the cache" in done.err


def test_a_dry_run_shows_the_prompts_and_asks_nothing(biomark: Biomark, away: Path) -> None:
    source = write_texts(away / "in.jsonl", MANY[:2])
    done = biomark(
        "annotate", source, "-o", "out.jsonl", "--model", "openai:m", "--types", "disease", "--dry-run",
        "--set", "price_in=1", "--set", "price_out=4",
    )  # fmt: skip
    assert done.status == 0
    assert done.out.count("[user]\n### Text\n") == 4
    assert "Aspirin helps in case 1" in done.out
    assert "up to 4 answers" in done.err
    assert "cost 0.0" in done.err
    assert not (away / "out.jsonl").exists()


def test_a_dry_run_shows_the_text_that_a_server_without_chat_goes_on_with(biomark: Biomark, away: Path) -> None:
    start = ("annotate", "--model", "openai:m", "--types", "disease", "--dry-run", "--set", "completions=true")
    done = biomark(*start, stdin=b"Asthma.")
    assert done.status == 0
    assert done.out.rstrip("\n").endswith("### Text\nAsthma.\n\n### Answer")
    assert "[user]" not in done.out
    tokenizer_of(["### Text"], 300).save_pretrained(away / "tokenizer")
    done = biomark(*start, "--set", "template=tokenizer", stdin=b"Asthma.")
    assert done.status == 0
    assert "<|im_start|>user\n### Text\nAsthma.<|im_end|>\n<|im_start|>assistant\n" in done.out


def test_a_record_that_cannot_be_written_is_told_before_anything_is_paid_for(biomark: Biomark, away: Path) -> None:
    with scripted(lambda request, number: answer("x")) as there:
        done = biomark(
            "annotate", "--model", "openai:m", "--base-url", there.url, "--types", "disease",
            "--record", "nowhere/record.json", stdin=b"Asthma.",
        )  # fmt: skip
        assert done.status == 2
        assert "--record nowhere/record.json" in done.err
        assert not there.asked


def test_what_demonstrations_cannot_show_is_told(biomark: Biomark, away: Path) -> None:
    nested = [{"spans": [[0, 11]], "type": "Disease"}, {"spans": [[5, 11]], "type": "Disease"}]
    (away / "pool.jsonl").write_text(json.dumps({"id": "p", "text": "lung cancer", "entities": nested}))
    done = biomark(
        "annotate", "--model", "openai:m", "--types", "disease", "--demonstrations", "pool.jsonl", "--dry-run",
        stdin=b"Asthma.",
    )  # fmt: skip
    assert done.status == 0
    assert "left out: 1 mentions that answers of the shape span cannot hold" in done.err
    assert '<span class="disease">lung cancer</span>' in done.out


def test_a_killed_run_goes_on_and_pays_nothing_twice(away: Path) -> None:
    killed = threading.Event()

    def say(request: dict[str, Any], number: int) -> Says:
        if number >= 8:
            killed.wait(HANG)
        return answer(true_response(request))

    source = write_texts(away / "in.jsonl", MANY)
    with scripted(say) as there:
        command = [
            sys.executable, "-m", "biomark", "annotate", str(source), "-o", "out.jsonl", "--model", "openai:m",
            "--base-url", there.url, "--types", "disease,chemical", "--set", "concurrency=2",
        ]  # fmt: skip
        run = subprocess.Popen(command, cwd=away, env={**os.environ}, stderr=subprocess.PIPE)
        while len(there.asked) < 10:  # eight are answered, and two are under way
            assert run.poll() is None, run.stderr and run.stderr.read()
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        killed.set()
        again = subprocess.run(command, cwd=away, capture_output=True, text=True, check=True)
        assert found_in(away / "out.jsonl") == expected([Document("", text) for text in MANY])
        # Answers that were under way when it was killed are lost, no others
        assert 24 <= len(there.asked) <= 26
        assert "more answers from the cache" in again.stderr or "this run continues it" in again.stderr


@pytest.mark.parametrize(
    "arguments",
    [("--model", "default", "--shape", "mark"), ("--model", "default", "--dry-run"), ("--model", "openai:"),
     ("--model", "openai:m", "--base-url", "http://localhost/v1", "--set", "decoding=generate"),
     ("--model", "openai:m", "--base-url", "http://localhost/v1", "--store", "s"),
     ("--model", "openai:m", "--base-url", "http://localhost/v1", "--set", "budget=3"),
     ("--model", "hf:m", "--set", "drafter=default"),
     ("--model", "hf:m", "--base-url", "http://localhost/v1"), ("--model", "hf:m", "--set", "budget=9 tokens"),
     ("--model", "hf:m", "--set", "completions=true", "--dry-run"), ("--model", "hf:m", "--set", "decoding=x"),
     ("--model", "hf:m", "--set", "batch=0")],
)  # fmt: skip
def test_options_that_do_not_suit_the_model(biomark: Biomark, away: Path, arguments: tuple[str, ...]) -> None:
    done = biomark("annotate", *arguments, "--types", "disease", stdin=b"Asthma.")
    assert done.status == 2
    assert done.err.startswith("biomark: ")


def test_help_lists_what_there_is(biomark: Biomark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = biomark("annotate", "--help").out
    assert all(name in shown for name in (*SHAPES, "--base-url", "--dry-run"))
    assert all(name in biomark("settings").out for name in (*SHAPES, *CHOOSERS))
