"""Experiments as data: `experiments.toml`, read and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

from biomark.corpora import parse_split
from biomark.errors import UsageError
from biomark.generative.settings import DECODINGS
from biomark.lab.experiments.published import Report, reports
from biomark.runtime.toml import converted, parse_toml, with_names
from biomark.text.sentences import OWN, SPLITTERS

SCALES = ("small", "medium", "paper")
METHODS = ("ready", "crf", "spacy", "tagging", "generative", "prompted", "gguf")
TRAINED = ("crf", "spacy", "tagging", "generative")
LAYOUTS = ("scores", "errors", "curve", "pairs", "scores and pairs")
CLAIMS = ("helps", "does not help", "matches", "costs", "most frequent")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model of an experiment, and the way it is made.

    Attributes:
        name: its name in `experiments.toml`.
        title: its name on pages.
        method: `crf`, `spacy`, `tagging`, `generative`: the experiment trains it. `ready`: `model` is one that `biomark
            annotate --model` accepts. `prompted`: likewise, with the settings `prompt`. `gguf`: likewise, from a
            file in the format of llama.cpp in an installed package (`model` is PACKAGE/FILE).
        model: see `method`; for `prompted` it may be empty, and the row is run only if the user names a model.
        weights: the row whose trained weights it uses; empty: its own.
        decoding: the decoding of a generative model, one of `biomark.generative.settings.DECODINGS`; empty: `marks`.
        types: the types of the test sets that it reads; empty: all.
        recipe: the name of the recipe of a `tagging` or `generative` model in the folder `recipes`.
        change: the settings of the recipe that differ here.
        grid: whether to train all settings of the recipe's grid and use the best one; all of them read the test sets.
        train, devel: the splits to learn from, and to choose the best epoch on; empty: those of the recipe.
        single: whether to train a model for each type, on the splits that annotate it; otherwise one on all splits.
        sentences: the number of sentences to draw from each split in `train`; 0: all, as the corpus has them.
        devel_sentences: the same for `devel`.
        knowledge: the sources of the store that the recipe or the ready model needs, as paths relative to a corpora
            folder, or as splits.
        own_mentions: whether the store also has the mentions of exactly those sentences that the model learns from.
        named: whether instructions name the corpus of a test set, if the model has learnt from that corpus.
        by_sentence: whether the model reads single sentences, as in its training.
        prompt: the settings of `biomark.prompted.settings.PromptOptions` that differ here.
        train_rate, read_rate: sentences per second on the scale's hardware; 0: estimated from the next two.
        parameters: the number of parameters of the network.
        tokens: the number of tokens of a sentence in training, with its prompt.
        memory: a description of the memory that training needs.
        gpus: the number of GPUs for training; 0: none is needed.
        note: a sentence that a reader of each page with the model should know.

    A row that is `like` another one inherits the settings that it does not set itself.
    """

    name: str
    title: str
    method: str
    model: str = ""
    weights: str = ""
    decoding: str = ""
    types: tuple[str, ...] = ()
    recipe: str = ""
    change: Mapping[str, Any] = field(default_factory=dict, hash=False)
    grid: bool = False
    train: tuple[str, ...] = ()
    devel: tuple[str, ...] = ()
    single: bool = False
    sentences: int = 0
    devel_sentences: int = 0
    knowledge: tuple[str, ...] = ()
    own_mentions: bool = False
    named: bool = False
    by_sentence: bool = False
    prompt: Mapping[str, Any] = field(default_factory=dict, hash=False)
    train_rate: float = 0.0
    read_rate: float = 0.0
    parameters: float = 0.0
    tokens: int = 0
    memory: str = ""
    gpus: int = 1
    note: str = ""

    @property
    def trained(self) -> bool:
        """Return whether it learns here from sentences, so that shares of them and seeds matter."""
        return self.method in TRAINED


@dataclass(frozen=True, slots=True)
class Hardware:
    """The hardware for which the cost of a scale is estimated.

    Attributes:
        name: its description for the terminal.
        flops: the floating-point operations per second that it reaches in training.
    """

    name: str
    flops: float = 0.0


@dataclass(frozen=True, slots=True)
class Claim:
    """A finding of a paper that is judged by our figures; see `biomark.lab.experiments.verdicts`.

    Attributes:
        text: the finding.
        kind: one of `CLAIMS`.
        published: the paper's figures for it, in words.
        models: the models that it is about; of two compared ones, first the one that helps or matches the other.
        tests: the test sets that it is about; empty: all.
        types: the types of the test sets that it is about; empty: all.
        range: for `costs`: the lowest and highest loss, in points of F1.
        fractions: the shares of the data that it is about; for `costs` each is compared with all of the data.
        errors: for `most frequent`: the kind of errors, over all test sets together.

    A row may have `each`, a list of such `models`, and then stands for one claim for each of them.
    """

    text: str
    kind: str
    published: str = ""
    models: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    range: tuple[float, ...] = ()
    fractions: tuple[float, ...] = (1.0,)
    errors: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """The models and test sets of an experiment at one scale.

    Attributes:
        models: the names of the models.
        tests: the test splits.
        test_sentences: the approximate number of sentences to draw from each, in whole documents; 0: all.
        splitter: the sentence splitter of texts that a corpus does not split: `biomark`, or `spacy` as in the paper.
        fractions: the shares of the training sentences.
        seeds: the seeds of sampling and training; there is a model for each seed.
        repeats: for each share, the number of repetitions of its sentences in a pass, so that small shares are learnt
            in enough steps; empty: no repetitions.
        beside: the row that corresponds to each of the paper's models.
    """

    models: tuple[str, ...]
    tests: tuple[str, ...]
    test_sentences: int = 0
    splitter: str = OWN
    fractions: tuple[float, ...] = (1.0,)
    seeds: tuple[int, ...] = (13,)
    repeats: tuple[int, ...] = ()
    beside: Mapping[str, str] = field(default_factory=dict, hash=False)

    def shares(self) -> list[tuple[float, int]]:
        """Return each share of the training sentences with the number of its repetitions in a pass."""
        return list(zip(self.fractions, self.repeats or [1] * len(self.fractions), strict=True))


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment: a table or figure of a paper to reproduce.

    Attributes:
        name: its name on the command line.
        title: the title of its page.
        source: the table or figure of the paper.
        layout: the layout of its page, one of `LAYOUTS`.
        about: a description of the experiment, in Markdown.
        scales: the models and test sets at each scale.
        contrasts: pairs of models to compare, the second with the first.
        claims: the findings of the paper.
        published: the figures of the paper's table or figure; None: it has none.
        notes: sentences that a reader of the page should know.
    """

    name: str
    title: str
    source: str
    layout: str
    about: str
    scales: Mapping[str, Setting]
    contrasts: tuple[tuple[str, str], ...] = ()
    claims: tuple[Claim, ...] = ()
    published: Report | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Book:
    """All rows: models, experiments and hardware by name, and the origin of knowledge sources by file."""

    models: Mapping[str, ModelSpec]
    experiments: Mapping[str, Experiment]
    hardware: Mapping[str, Hardware]
    sources: Mapping[str, str] = field(default_factory=dict)

    def experiment(self, name: str) -> Experiment:
        """Return the experiment with a name.

        Raises:
            UsageError: if there is none; the message lists those that there are.
        """
        if name not in self.experiments:
            raise UsageError(f"unknown experiment {name!r}; choose from {', '.join(self.experiments)}")
        return self.experiments[name]


@cache
def book() -> Book:
    """Return the rows of `experiments.toml`."""
    return read_book(files("biomark.lab.experiments").joinpath("experiments.toml").read_text("utf-8"))


def read_book(text: str) -> Book:
    """Parse and check the content of a file like `experiments.toml`.

    Raises:
        UsageError: if a row names a model, corpus, split or setting that there is not.
    """
    rows = parse_toml(text, "experiments")
    models = {name: _inherited(name, rows["models"]) for name in rows["models"]}
    experiments = {name: _scaled(row) for name, row in rows["experiments"].items()}
    tables = {**rows, "models": with_names(models), "experiments": with_names(experiments)}
    contents = converted(tables, Book, "experiments")
    published = {name: _report(name, row.get("published")) for name, row in rows["experiments"].items()}
    with_figures = {name: replace(one, published=published[name]) for name, one in contents.experiments.items()}
    contents = replace(contents, experiments=with_figures)
    _check(contents)
    return contents


def _inherited(name: str, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return a model's row, completed by the row that its `like` names; tables are merged."""
    row = dict(rows[name])
    like = row.pop("like", None)
    if like is None:
        return row
    _among(f"model {name}: like", [like], [other for other in rows if other != name])
    base = _inherited(like, rows)
    merged = {key: {**base.get(key, {}), **value} for key, value in row.items() if isinstance(value, dict)}
    return {**base, **row, **merged}


def _scaled(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an experiment's row with its scales in one table, and a claim for each group of models."""
    rest = {key: value for key, value in row.items() if key not in SCALES and key != "published"}
    scales = {scale: row[scale] for scale in SCALES if scale in row}
    return {**rest, "scales": scales, "claims": [each for claim in row.get("claims", ()) for each in _each(claim)]}


def _report(experiment: str, name: str | None) -> Report | None:
    _among(f"experiment {experiment}: published", [name] if name else [], reports())
    return reports()[name] if name else None


def _each(claim: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a claim for each group of models that `each` lists."""
    rest = {key: value for key, value in claim.items() if key != "each"}
    return [{**rest, "models": models} for models in claim["each"]] if "each" in claim else [rest]


def _check(book: Book) -> None:
    for model in book.models.values():
        _among(f"model {model.name}: method", [model.method], METHODS)
        _among(f"model {model.name}: weights", [model.weights] if model.weights else [], book.models)
        _among(f"model {model.name}: decoding", [model.decoding] if model.decoding else [], DECODINGS)
        for split in (*model.train, *model.devel):
            parse_split(split)
    for experiment in book.experiments.values():
        where = f"experiment {experiment.name}"
        _among(f"{where}: layout", [experiment.layout], LAYOUTS)
        for setting in experiment.scales.values():
            _check_setting(where, setting, experiment.published, book)
        for claim in experiment.claims:
            _among(f"{where}: kind of claim", [claim.kind], CLAIMS)
            _among(f"{where}: model", claim.models, book.models)
        _among(f"{where}: model", [name for pair in experiment.contrasts for name in pair], book.models)


def _check_setting(where: str, setting: Setting, report: Report | None, book: Book) -> None:
    _among(f"{where}: model", (*setting.models, *setting.beside.values()), book.models)
    _among(f"{where}: beside", setting.beside, [row.model for row in report.figures] if report else [])
    _among(f"{where}: splitter", [setting.splitter], SPLITTERS)
    for split in setting.tests:
        parse_split(split)
    if setting.repeats and len(setting.repeats) != len(setting.fractions):
        raise UsageError(f"{where}: repeats: one number for each of the fractions is needed")


def _among(what: str, values: Iterable[str], known: Iterable[str]) -> None:
    listed: Sequence[str] = tuple(known)
    for value in values:
        if value not in listed:
            raise UsageError(f"{what}: unknown value {value!r}; choose from {', '.join(listed)}")
