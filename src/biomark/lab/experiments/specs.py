"""Experiments as data: `experiments.toml`, read and checked."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

from biomark.corpora import parse_split
from biomark.errors import UsageError
from biomark.lab.experiments.published import Report, reports
from biomark.models import DECODINGS

SCALES = ("small", "medium", "paper")
METHODS = ("ready", "crf", "spacy", "tagging", "generative", "prompted", "gguf")
TRAINED = ("crf", "spacy", "tagging", "generative")
LAYOUTS = ("scores", "errors", "curve", "pairs", "scores and pairs")
CLAIMS = ("helps", "does not help", "matches", "costs", "most frequent")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Model:
    """A model of an experiment, and the way it is made.

    Attributes:
        name: in `experiments.toml`.
        title: on pages.
        method: `crf`, `spacy`, `tagging`, `generative`: it is trained here. `ready`: `model` is one that `biomark
            annotate --model` takes. `prompted`: likewise, and `prompt` says how it is prompted. `gguf`: the same, of a
            file in the format of llama.cpp in an installed package (`model` is PACKAGE/FILE).
        model: see `method`; of a `prompted` one it may be empty: it is asked where the user names a model.
        weights: the row whose trained weights it reads with; empty: its own.
        decoding: how a generative model answers, see `biomark.models.DECODINGS`; empty: `marks`.
        types: of the test sets that it reads; empty: all.
        recipe: by its name in the folder `recipes`; what a `tagging` or `generative` model is trained by.
        change: settings of the recipe that are different here.
        grid: try all settings of the recipe's grid, and keep the best one; all of them read the test sets.
        train, devel: splits to learn from and to choose the best epoch on; empty: those of the recipe.
        single: a model for each type, trained on those splits that annotate it; else one on all of them.
        sentences: how many to draw of each split in `train`; 0: all, as the corpus has them.
        devel_sentences: likewise of `devel`.
        knowledge: sources of the store that the recipe or the ready model needs, relative to a corpora folder, or
            splits.
        own_mentions: the store has the mentions of the sentences that the model learns from, too, and of no others.
        named: instructions name the corpus of a test set in use, if the model has learnt from that corpus.
        by_sentence: give it single sentences, such as it was trained on.
        prompt: settings of `biomark.prompted.settings.PromptOptions` that are different here.
        train_rate, read_rate: sentences a second on the scale's hardware; 0: follows from the next two.
        parameters: of the network.
        tokens: of a sentence with all that stands around it, as it is trained.
        memory: what training needs, for people.
        gpus: how many it is trained on; 0: none is needed.

    A row that is `like` another one takes from it whatever it does not say itself.
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


@dataclass(frozen=True, slots=True)
class Hardware:
    """The hardware for which the cost of a scale is estimated.

    Attributes:
        name: for people.
        flops: products and sums a second that a processor really does in training.
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
        models: that it is about: where two are compared, first the one that is said to help or to match the other.
        tests: on which of the test sets; empty: on all.
        types: on test sets of which types; empty: of all.
        range: for `costs`: between how many points.
        fractions: of what shares of the data; for `costs` against all of it.
        errors: for `most frequent`: which class of errors, on the test sets taken together.

    A row may have `each`, a list of such `models`, and stands for a claim of each of them.
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
        models: by name.
        tests: test splits.
        test_sentences: about how many to draw of each, in whole documents; 0: all.
        fractions: shares of the training sentences.
        seeds: of the draw and of the training; a model each.
        repeats: of each share, how often a pass has its sentences, so that few of them are learnt in steps enough;
            empty: once.
        beside: of the paper's models, the row that stands for each here.
    """

    models: tuple[str, ...]
    tests: tuple[str, ...]
    test_sentences: int = 0
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
        name: as the command line takes it.
        title: of its page.
        source: where it stands in the paper.
        layout: one of `LAYOUTS`.
        about: what was done, in Markdown.
        scales: what it is at each scale.
        contrasts: pairs of models to be compared, the second with the first.
        claims: what the paper found.
        published: what it reports in this table or figure; None: it has none.
        notes: what the reader should know, a sentence each.
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

    models: Mapping[str, Model]
    experiments: Mapping[str, Experiment]
    hardware: Mapping[str, Hardware]
    sources: Mapping[str, str] = field(default_factory=dict)

    def experiment(self, name: str) -> Experiment:
        """The experiment of a name.

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
    """The rows of a file like `experiments.toml`.

    Raises:
        UsageError: if a row names a model, corpus, split or setting that there is not.
    """
    rows = tomllib.loads(text)
    hardware = {name: _row(Hardware, name, row) for name, row in rows["hardware"].items()}
    models = {name: _row(Model, name, {"name": name, **_inherited(name, rows["models"])}) for name in rows["models"]}
    experiments = {name: _experiment(name, row) for name, row in rows["experiments"].items()}
    found = Book(models, experiments, hardware, rows.get("sources", {}))
    _check(found)
    return found


def _inherited(name: str, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A model's row with what it takes from the row that it is `like`; tables are merged."""
    row = dict(rows[name])
    like = row.pop("like", None)
    if like is None:
        return row
    _among(f"model {name}: like", [like], [other for other in rows if other != name])
    base = _inherited(like, rows)
    merged = {key: {**base.get(key, {}), **value} for key, value in row.items() if isinstance(value, dict)}
    return {**base, **row, **merged}


def _experiment(name: str, row: Mapping[str, Any]) -> Experiment:
    report = row.get("published")
    _among(f"experiment {name}: published", [report] if report else [], reports())
    values = {
        "scales": {scale: _row(Setting, f"{name}.{scale}", row[scale]) for scale in SCALES if scale in row},
        "claims": tuple(
            _row(Claim, f"{name}.claims", each) for claim in row.get("claims", ()) for each in _each(claim)
        ),
        "published": reports()[report] if report else None,
        "contrasts": tuple(map(tuple, row.get("contrasts", ()))),
    }
    rest = {key: value for key, value in row.items() if key not in values and key not in SCALES}
    return _row(Experiment, name, {"name": name, **rest, **values})


def _each(claim: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A claim for each of the groups of models that `each` lists."""
    rest = {key: value for key, value in claim.items() if key != "each"}
    return [{**rest, "models": models} for models in claim["each"]] if "each" in claim else [rest]


def _row(kind: type[T], name: str, values: Mapping[str, Any]) -> T:
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    if unknown := [key for key in values if key not in known]:
        raise UsageError(f"experiment row {name}: no setting {', '.join(unknown)}; there are {', '.join(known)}")
    try:
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    except TypeError as error:
        raise UsageError(f"experiment row {name}: {error}") from error


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
    for split in setting.tests:
        parse_split(split)
    if setting.repeats and len(setting.repeats) != len(setting.fractions):
        raise UsageError(f"{where}: repeats: one number for each of the fractions is needed")


def _among(what: str, values: Iterable[str], known: Iterable[str]) -> None:
    listed: Sequence[str] = tuple(known)
    for value in values:
        if value not in listed:
            raise UsageError(f"{what}: unknown value {value!r}; choose from {', '.join(listed)}")
