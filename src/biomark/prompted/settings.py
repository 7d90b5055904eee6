"""How language models are prompted and asked: settings behind the command line's options.

Only data, so that the command line starts quickly; the modules that take the settings check them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from biomark.runtime.options import option


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """How a language model is prompted; each field says what it means."""

    shape: str = option(
        "span",
        "Form of the answer: mark, span, tanl, dice, gpt-ner, json, dictionary, dialogue, prompt-ner, alpaca.",
    )
    parts: tuple[str, ...] = option(("task", "definition"), "Parts of the prompt: task,definition,guideline,hints.")
    wording: Path | None = option(None, "A TOML file with a table per type: label, definition, guideline, hints.")
    demonstrations: tuple[str, ...] = option((), "Annotated files, or splits of the catalogue, to show examples from.")
    shots: int = option(5, "Demonstrations in a prompt, up to 32.")
    choose: str = option("tfidf", "How they are chosen: random, first, tfidf, bm25, knn, entity-knn.")
    diversity: float = option(0.0, "In [0, 1): how much unlike each other they should be.")
    embedder: str = option("", "Of knn and entity-knn: a name or folder of sentence-transformers; else MiniLM.")
    seed: int = option(0, "Of random demonstrations, and of several answers of tuned models.")
    ontology: str = option("", "Tell what --store knows of the text's terms: one-step, or two-step (asks for them).")
    definitions: bool = option(False, "Tell the definitions of these terms as well.")
    verify: tuple[str, ...] = option((), "Ask again: yes-no about each mention, second-round for what was missed.")
    samples: int = option(
        1, "Answers to each question, also of tuned models; a mention's score is the share that has it."
    )
    temperature: float | None = option(None, "Of the answers; else 0, or 0.7 for several samples.")
    max_tokens: int = option(0, "Longest answer in tokens; else by the length of the text. Raise it for thinkers.")
    window: int = option(0, "Ask about neighbouring sentences of up to so many characters at once; 0: one sentence.")
    no_system: bool = option(False, "Say all in user messages, for models that know no system message.")

    @property
    def heat(self) -> float:
        """The temperature of answers."""
        return self.temperature if self.temperature is not None else 0.7 if self.samples > 1 else 0.0


@dataclass(frozen=True, slots=True)
class InventionOptions:
    """How a language model is made to write new sentences; each field says what it means."""

    count: int = option(100, "Sentences to keep.")
    sentences: int = option(5, "Sentences to ask for at once.")
    shots: int = option(8, "Sentences to show in a prompt; a quarter of them new ones.")
    alike: float = option(0.7, "ROUGE-L, up to 1, from which on a sentence is a copy of another one.")
    unverified: bool = option(False, "Do without the question whether each mention is one.")
    wording: Path | None = option(None, "A TOML file with a table per type: label, definition, guideline.")
    temperature: float = option(1.0, "Of the sentences.")
    seed: int = option(0, "Of the choice of what is shown.")
    max_tokens: int = option(0, "Longest answer in tokens; else by the length of the seeds. Raise it for thinkers.")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server is asked; each field says what it means."""

    base_url: str = option("", "The server's address, such as http://localhost:8000/v1; nothing is sent elsewhere.")
    concurrency: int = option(8, "Requests under way at once.")
    timeout: float = option(120.0, "Seconds for one answer.")
    retries: int = option(6, "How often a request is sent again after a failure.")
    price_in: float = option(0.0, "Price of a million tokens that the model reads.")
    price_out: float = option(0.0, "Price of a million tokens that the model writes.")
    budget: str = option("", "Stop before it is exceeded: money (needs the prices) or '200000 tokens'.")
    cache: str = option("", "A file that keeps answers, of hf:NAME too; else one of yours; none: nothing is kept.")
    completions: bool = option(False, "For servers that know no chat: ask /completions to go on with a text.")
    template: str = option("", "With --completions: a tokenizer whose chat template makes the text; else it is plain.")
    stream: bool = option(False, "Let the server stream its answers, for proxies that cut off silent connections.")
    extra: str = option("", "A JSON object to add to each request, for options of the server's own.")
