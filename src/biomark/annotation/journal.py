"""What a run has finished, kept beside its output until all is done, so that a run that ends early can go on.

`OUT.part` holds the finished documents as JSON Lines, whatever the output's format, `OUT.part.rejects` what was
rejected in finding their mentions, and `OUT.part.json` what run it is: its inputs, options and model. The next run of
that kind goes on behind them; any other one is refused. These files go when the output is whole.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType

from biomark import formats
from biomark.annotation.rejects import line_of, rejected_of
from biomark.errors import UsageError
from biomark.formats import Sink
from biomark.runtime.files import PART, REJECTS, RUN, Part, replace_file, settle
from biomark.runtime.interrupts import keeping, uninterrupted
from biomark.spans import Document, Rejected

# Of a run in `OUT.part.json`: it finds mentions; it writes the output; the output is whole, the batch is not.
_RUNNING, _WRITING, _WHOLE = "running", "writing", "whole"
_NEW = ".new"


@dataclass(frozen=True, slots=True)
class _Run:
    """What `OUT.part.json` holds.

    Attributes:
        facts: what the output depends on.
        state: see above.
    """

    facts: dict[str, str]
    state: str = _RUNNING


def may_be_written(output: Path, facts: Mapping[str, str]) -> bool:
    """Whether what is in the output's place is that of an earlier run of this kind, which has not come to its end."""
    run = _run_of(output)
    return run is not None and run.state in (_WRITING, _WHOLE) and run.facts == facts


def is_whole(output: Path, facts: Mapping[str, str]) -> bool:
    """Whether an earlier run of this kind has written the output, but not all of its batch."""
    run = _run_of(output)
    return run is not None and run.state == _WHOLE and run.facts == facts


def forget(output: Path) -> None:
    """Remove what says that the output is whole: all of the batch is."""
    _beside(output).unlink(missing_ok=True)


class Journal:
    """The finished documents of a run; to be used as a context.

    Args:
        output: the file or folder that the run is to write.
        facts: what the output depends on, by name.
        anew: whether an unfinished run of another kind is thrown away, instead of an error.

    Attributes:
        taken: how many documents an earlier run has finished.
        rejected: how often that run rejected something.
        finished: how many documents are finished by now.

    Raises:
        UsageError: if there is an unfinished run of another kind; the message says how it differs.
        FormatError: if another process is at work on this output, or it cannot be written.
    """

    def __init__(self, output: Path, facts: Mapping[str, str], *, anew: bool = False) -> None:
        self._output = _place(output)
        self._run = _Run(dict(facts))
        self._part = Part(self._output, PART)
        earlier = _run_of(output)
        self.taken = _whole_lines(self._part) if earlier is not None else 0
        if self.taken and earlier is not None and earlier.facts != facts and not anew:
            self._part.file.close()
            raise UsageError(difference(self._part.path, earlier.facts, facts))
        if self.taken and earlier is not None and earlier.facts == facts:
            self._run = earlier
        else:
            self.taken = 0
            self._part.empty()
        self._rejects = _Rejects(self._output, self.taken)
        self.rejected = self._rejects.count
        self.finished = self.taken
        self._keeping = keeping(self._kept)

    def __enter__(self) -> Journal:
        self._keeping.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with uninterrupted():
            self._keeping.__exit__(None, None, None)
            if not self.finished and not self._part.file.closed:
                self.discard()
            self._rejects.close()
            self._part.file.close()

    def _kept(self) -> str:
        if not self.finished:
            return "no document was finished, so nothing is kept"
        return f"what is finished is kept in {self._part.path}; run the same command again to go on"

    def documents(self) -> Iterator[Document]:
        """The finished documents, in their order."""
        self._part.file.seek(0)
        return formats.read(self._part.file, "jsonl") if self.finished else iter(())

    def skip(self, documents: Iterator[Document]) -> Iterator[Document]:
        """Take the finished documents off the run's inputs.

        Raises:
            UsageError: if the inputs have other documents in their place.
        """
        for kept in self.documents():
            document = next(documents, None)
            if document is None or (document.id, document.text) != (kept.id, kept.text):
                instead = "no document" if document is None else f"{document.id!r}"
                raise UsageError(
                    f"{self._part.path}: has document {kept.id!r} where the inputs now have {instead} or another text; "
                    "begin anew (`overwrite`)"
                )
            yield document

    def rejects(self) -> Iterator[Rejected]:
        """What was rejected in finding the mentions of the finished documents, in their order."""
        return self._rejects.read()

    def add(self, document: Document, rejected: Sequence[Rejected]) -> None:
        """Keep a document; it is on its way to the disk when this returns.

        Args:
            document: with its mentions.
            rejected: what was rejected in finding them.
        """
        with uninterrupted():
            if not self.finished:
                self._say(self._run)
            if rejected:  # before the document: rejects without a document are passed over
                self._rejects.add(rejected, self.finished)
            self._part.file.seek(0, 2)
            formats.write([document], self._part.file, "jsonl")
            self._part.file.flush()
            self.finished += 1

    def finish(self, format: str, *, batch: bool = False) -> Counter[str]:
        """Write the output.

        Args:
            format: its format.
            batch: whether a batch goes on, in which the output must be known as whole.

        Returns:
            See `biomark.formats.write`.
        """
        if format == "jsonl" and self._output.suffix.lower() != ".gz" and not self._output.is_dir():
            self._part.keep(settled=True)
            lost = Counter[str]()
        else:
            self._say(replace(self._run, state=_WRITING))
            lost = formats.write(self.documents(), Sink(self._output, suffix=_NEW), format)
            settle(self._output)
        with uninterrupted():
            if batch:
                self._say(replace(self._run, state=_WHOLE))
            else:
                _beside(self._output).unlink(missing_ok=True)
            self._rejects.discard()
            self._part.discard() if not self._part.file.closed else None
        return lost

    def discard(self) -> None:
        """Keep nothing."""
        with uninterrupted():
            _beside(self._output).unlink(missing_ok=True)
            self._rejects.discard()
            self._part.discard()

    def _say(self, run: _Run) -> None:
        with uninterrupted():
            self._run = run
            replace_file(_beside(self._output), json.dumps(asdict(run), ensure_ascii=False, indent=2).encode() + b"\n")


class _Rejects:
    """What was rejected in finding mentions: a line has the number of the document before it, and a tab.

    Args:
        output: see `Journal`.
        finished: how many documents are; rejects of others are taken out.

    Attributes:
        count: how many there are.
    """

    def __init__(self, output: Path, finished: int) -> None:
        self._output = output
        self._part: Part | None = None
        self.count = 0
        path = output.with_name(output.name + PART + REJECTS)
        if path.is_symlink() or path.exists():
            self._part = Part(output, PART + REJECTS)
            end = 0
            self._part.file.seek(0)
            for line in self._part.file:
                number, tab, _ = line.partition(b"\t")
                if not (tab and number.isdigit() and int(number) < finished and line.endswith(b"}\n")):
                    break
                self.count, end = self.count + 1, end + len(line)
            self._part.file.truncate(end)

    def add(self, rejected: Iterable[Rejected], number: int) -> None:
        if self._part is None:
            self._part = Part(self._output, PART + REJECTS)
            self._part.empty()
        self._part.file.seek(0, 2)
        for one in rejected:
            self._part.file.write(b"%d\t%s" % (number, line_of(one)))
            self.count += 1
        self._part.file.flush()
        os.fsync(self._part.file.fileno())  # or a power cut might keep the document alone

    def read(self) -> Iterator[Rejected]:
        if self._part is not None:
            self._part.file.seek(0)
            for line in self._part.file:
                yield rejected_of(line.partition(b"\t")[2])

    def discard(self) -> None:
        if self._part is not None and not self._part.file.closed:
            self._part.discard()

    def close(self) -> None:
        if self._part is not None:
            self._part.file.close()


def _place(output: Path) -> Path:
    """The output itself where its name is a link or that of a folder such as `.`."""
    return output.resolve() if output.is_symlink() or not output.name else output


def _beside(output: Path) -> Path:
    place = _place(output)
    return place.with_name(place.name + PART + RUN)


def _run_of(output: Path) -> _Run | None:
    """What is said of an earlier run; None if there is none, or nothing that can be read."""
    try:
        values = json.loads(_beside(output).read_bytes())
        return _Run({str(k): str(v) for k, v in values["facts"].items()}, values["state"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _whole_lines(part: Part) -> int:
    """How many lines are whole; what comes after them is taken out."""
    lines = end = 0
    part.file.seek(0)
    for line in part.file:
        if not line.endswith(b"}\n"):
            break
        lines, end = lines + 1, end + len(line)
    part.file.truncate(end)
    return lines


def difference(path: Path, earlier: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The message about a run that is to go on where another one ended, with what differs."""
    names = [name for name in (*earlier, *(name for name in now if name not in earlier))]
    lines = [
        f"  {name}: {earlier.get(name, 'not given')}  →  now {now.get(name, 'not given')}"
        for name in names
        if earlier.get(name) != now.get(name)
    ]
    return "\n".join(
        (
            f"{path}: holds what another run has finished, which differs from this one:",
            *lines,
            "run that one again to go on with it, name another output, or throw it away (`overwrite`)",
        )
    )


__all__ = ["Journal", "difference", "forget", "is_whole", "may_be_written"]
