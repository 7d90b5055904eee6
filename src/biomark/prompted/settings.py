"""Settings of prompts and of language models on servers, which the command line offers as options.

This module holds only data, so that the command line starts quickly; the modules that use the settings check them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from biomark.runtime.options import option


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """Settings of the prompts; each field has its description."""

    shape: str = option(
        "span",
        "Form of the answer: mark, span, tanl, dice, gpt-ner, json, dictionary, dialogue, prompt-ner, alpaca.",
    )
    parts: tuple[str, ...] = option(
        ("task", "definition"), "Parts of the prompt, of task, definition, guideline, hints."
    )
    wording: Path | None = option(
        None, "A TOML file with the user's own label, definition, guideline and hints for each type."
    )
    demonstrations: tuple[str, ...] = option(
        (), "Annotated files, or splits of the catalogue, to choose demonstrations from."
    )
    shots: int = option(5, "Demonstrations in a prompt, from 0 to 32.")
    choose: str = option("tfidf", "How demonstrations are chosen: random, first, tfidf, bm25, knn, entity-knn.")
    diversity: float = option(0.0, "How much demonstrations should differ from each other, in [0, 1).")
    embedder: str = option(
        "", "Encoder of knn and entity-knn: a name or folder of sentence-transformers. Empty: MiniLM."
    )
    seed: int = option(0, "Seed of random demonstrations, and of several answers of tuned models.")
    ontology: str = option(
        "",
        "Put the term store's types of the text's terms into the prompt: one-step, or two-step (asks for the terms).",
    )
    definitions: bool = option(False, "Put the definitions of these terms into the prompt as well.")
    verify: tuple[str, ...] = option(
        (), "Further questions: yes-no about each mention, second-round for missed mentions."
    )
    samples: int = option(
        1, "Answers to each question, also of tuned models; a mention's score is the share of answers that have it."
    )
    temperature: float | None = option(None, "Temperature of the answers. Default: 0, or 0.7 for several samples.")
    max_tokens: int = option(
        0, "Longest answer in tokens; 0: by the length of the text. Raise it for models that think first."
    )
    window: int = option(0, "Length of a question in characters: neighbouring sentences together; 0: one sentence.")
    no_system: bool = option(False, "Use user messages alone, for models without a system message.")

    @property
    def heat(self) -> float:
        """The temperature of the answers: `temperature`, or its default."""
        return self.temperature if self.temperature is not None else 0.7 if self.samples > 1 else 0.0


@dataclass(frozen=True, slots=True)
class InventionOptions:
    """Settings of the invention of sentences; each field has its description."""

    count: int = option(100, "Sentences to keep.")
    sentences: int = option(5, "Sentences to ask for in one request.")
    shots: int = option(8, "Sentences shown in a prompt; a quarter of them are new ones.")
    alike: float = option(0.7, "ROUGE-L from which a sentence counts as a copy of another one, in (0, 1].")
    unverified: bool = option(False, "Skip the question whether each mention is one.")
    wording: Path | None = option(
        None, "A TOML file with the user's own label, definition and guideline for each type."
    )
    temperature: float = option(1.0, "Temperature of the new sentences.")
    seed: int = option(0, "Seed of the choice of shown sentences.")
    max_tokens: int = option(
        0, "Longest answer in tokens; 0: by the length of the seeds. Raise it for models that think first."
    )


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Settings of the requests to a server; each field has its description."""

    base_url: str = option("", "The server's address, such as http://localhost:8000/v1; nothing is sent elsewhere.")
    concurrency: int = option(8, "Requests in flight at the same time.")
    timeout: float = option(120.0, "Longest wait for one answer, in seconds.")
    retries: int = option(6, "How often a failed request is sent again.")
    price_in: float = option(0.0, "Price of a million tokens that the model reads.")
    price_out: float = option(0.0, "Price of a million tokens that the model writes.")
    budget: str = option(
        "", "Limit of the cost: an amount of money (needs both prices), or tokens, such as '200000 tokens'."
    )
    cache: str = option(
        "", "File that keeps answers, of hf:NAME too. Empty: a file in the user's cache folder; none: keep nothing."
    )
    completions: bool = option(False, "Use /completions, for servers without chat.")
    template: str = option(
        "", "With completions: tokenizer whose chat template makes the prompt. Empty: a plain prompt."
    )
    stream: bool = option(False, "Stream answers, for proxies that cut off silent connections.")
    extra: str = option("", "JSON object that is added to each request, for the server's own options.")
