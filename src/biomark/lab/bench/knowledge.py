"""A benchmark of matching generated terms in sentences, against an Aho-Corasick automaton."""

from __future__ import annotations

import mmap
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from biomark.errors import MissingExtraError
from biomark.formats import Reject, raise_rejected
from biomark.knowledge.building import build
from biomark.knowledge.entries import Description, Entry, Name
from biomark.knowledge.matcher import Matcher
from biomark.knowledge.store import Store
from biomark.lab.bench import Contestant, machine, measure

_TYPE = "disease"
_SYLLABLES = 40_000
_EVERYDAY = """the of and in to a with was were for that is by as on at from this an be or we not are which these after
had have than been patients between their two who both also during significantly increased compared using results may
has but it all cells associated effects other its study treatment more group analysis can""".split()


class GeneratedTerms:
    """A term source of generated names.

    Args:
        names: each becomes the name of a separate concept.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self.left_out: Counter[str] = Counter()
        self.description = Description("generated", "table")

    def entries(self, reject: Reject) -> Iterator[Entry]:
        """See `TermSource`."""
        for number, name in enumerate(self._names):
            yield Entry(f"BENCH:{number}", _TYPE, (Name(name),))

    def position(self) -> int:
        """See `TermSource`."""
        return 0


def generate(terms: int, sentences: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Generate names of 1 to 5 made-up words, and sentences of about 25 words that contain some of them.

    A few of the words are frequent, as in natural language. Half of a sentence's words are everyday English, and half
    are words of names; one or two complete names are inserted, sometimes with capitals or hyphens.

    Args:
        terms: the number of names.
        sentences: the number of sentences.
        seed: the seed of the random choices.
    """
    rng = random.Random(seed)
    vocabulary = sorted({_word(rng) for _ in range(_SYLLABLES)})
    rng.shuffle(vocabulary)

    def drawn() -> str:
        return vocabulary[int(len(vocabulary) * rng.random() ** 3)]

    distinct: dict[str, None] = {}
    while len(distinct) < terms:
        count = rng.choice((1, 2, 2, 3, 3, 4, 5))
        # A name of a single word is not a frequent word.
        name = rng.choice(vocabulary[len(vocabulary) // 8 :]) if count == 1 else " ".join(drawn() for _ in range(count))
        # A number makes enough different names of a single word.
        distinct[name if count > 1 else f"{name} {rng.randrange(100)}"] = None
    names = list(distinct)
    return names, [_sentence(rng, names, drawn) for _ in range(sentences)]


def _word(rng: random.Random) -> str:
    begin, middle = "b c d f g h l m n p r s t v x ch ph th tr gl st".split(), "a e i o u y io".split()
    end = ("", "", "n", "r", "l", "x", "m")
    return "".join(rng.choice(begin) + rng.choice(middle) + rng.choice(end) for _ in range(rng.choice((2, 2, 3, 4))))


def _sentence(rng: random.Random, names: Sequence[str], drawn: Callable[[], str]) -> str:
    words = [rng.choice(_EVERYDAY) if rng.random() < 0.5 else drawn() for _ in range(21)]
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice(names)
        written = rng.choice((name, name, name.title(), name.replace(" ", "-", 1)))
        words.insert(rng.randrange(len(words)), written)
    return " ".join(words).capitalize() + "."


def knowledge(*, terms: int = 200_000, sentences: int = 5_000, rounds: int = 3) -> dict[str, object]:
    """Measure the speed of matching on one core, in sentences per second, and the time and memory of opening.

    The automaton (`pyahocorasick`) searches lower-cased text for lower-cased names: it finds no other spelling of a
    name, but also names inside words. Opening and memory are measured in separate processes; memory is the growth of
    the process until all sentences are searched, without mapped files.

    Args:
        terms: the number of generated names.
        sentences: the number of sentences.
        rounds: the number of rounds.

    Raises:
        MissingExtraError: if pyahocorasick is not installed.
    """
    names, texts = generate(terms, sentences)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.store"
        begin = time.perf_counter()
        build([GeneratedTerms(names)], path, reject=raise_rejected)
        building = time.perf_counter() - begin
        opened = {name: _alone(start, path, names, texts) for name, start in _STARTS.items()}
        with Store(path) as store:
            matcher, automaton = Matcher(store), _automaton(names)
            mentions = sum(len(matcher.find(text)) for text in texts)
            contestants = [
                Contestant("biomark", lambda: _all(matcher.find, texts)),
                Contestant("pyahocorasick", lambda: _all(lambda text: list(automaton.iter(text.lower())), texts)),
            ]
            seconds = measure(contestants, rounds)
        megabytes = round(path.stat().st_size / 1e6, 1)
    return {
        "bench": "knowledge",
        "terms": len(names),
        "sentences": len(texts),
        "mentions": mentions,
        "sentences_per_second": {name: round(len(texts) / best, 1) for name, best in seconds.items()},
        "opening_seconds": {name: seconds for name, (seconds, _) in opened.items()},
        "memory_megabytes": {name: grown for name, (_, grown) in opened.items()},
        "building_seconds": round(building, 2),
        "store_megabytes": megabytes,
        "rounds": rounds,
        **machine("pyahocorasick"),
    }


def _automaton(names: Sequence[str]) -> Any:
    try:
        import ahocorasick
    except ImportError as error:
        raise MissingExtraError("pyahocorasick", "bench") from error
    automaton = ahocorasick.Automaton()
    for name in names:
        automaton.add_word(name.lower(), name)
    automaton.make_automaton()
    return automaton


def _open_store(path: Path, names: Sequence[str]) -> Callable[[str], object]:
    return Matcher(Store(path)).find


def _open_automaton(path: Path, names: Sequence[str]) -> Callable[[str], object]:
    automaton = _automaton(names)
    return lambda text: list(automaton.iter(text.lower()))


_Start = Callable[[Path, Sequence[str]], Callable[[str], object]]
_STARTS: dict[str, _Start] = {"biomark": _open_store, "pyahocorasick": _open_automaton}


def _alone(start: _Start, path: Path, names: Sequence[str], texts: Sequence[str]) -> tuple[float, float]:
    """Return the seconds until the first text is searched, and the megabytes until all are, in a separate process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_started, start, path, names, texts).result()


def _started(start: _Start, path: Path, names: Sequence[str], texts: Sequence[str]) -> tuple[float, float]:
    before = _resident()
    begin = time.perf_counter()
    find = start(path, names)
    find(texts[0])
    seconds = time.perf_counter() - begin
    _all(find, texts)
    return round(seconds, 3), round((_resident() - before) / 1e6, 1)


def _resident() -> int:
    """Return the bytes of this process in memory, without mapped files; 0 on systems without /proc."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return 0
    resident, shared = map(int, pages.read_text().split()[1:3])
    return (resident - shared) * mmap.PAGESIZE


def _all(find: Callable[[str], object], texts: Sequence[str]) -> None:
    for text in texts:
        find(text)
