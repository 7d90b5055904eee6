"""The finished documents of a run, kept beside its output until the run ends, so that an interrupted run can continue.

`OUT.part` holds the finished documents as JSON Lines, whatever the output's format, `OUT.part.rejects` the rejects of
their mentions, and `OUT.part.json` the facts that identify the run: its inputs, options and model. The next run with
the same facts continues after the finished documents; any other run is refused. All three files are removed when the
output is complete.
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
from biomark.runtime.files import PART, REJECTS, RUN, PartialFile, replace_file, settle
from biomark.runtime.interrupts import keeping, uninterrupted
from biomark.spans import Document, Rejected

# The state of a run: it finds mentions; it writes the output; the output is complete, but its batch is not.
_RUNNING, _WRITING, _WHOLE = "running", "writing", "whole"
_NEW = ".new"


@dataclass(frozen=True, slots=True)
class _RunState:
    """The content of `OUT.part.json`.

    Attributes:
        facts: the values that determine the output, by name.
        state: `running`, `writing` or `whole`.
    """

    facts: dict[str, str]
    state: str = _RUNNING


def may_be_written(output: Path, facts: Mapping[str, str]) -> bool:
    """Return whether an unfinished earlier run with these facts wrote an existing output, which may be replaced."""
    earlier = _state_of(output)
    return earlier is not None and earlier.state in (_WRITING, _WHOLE) and earlier.facts == facts


def is_whole(output: Path, facts: Mapping[str, str]) -> bool:
    """Return whether an earlier run with these facts has completed the output, but not all of its batch."""
    earlier = _state_of(output)
    return earlier is not None and earlier.state == _WHOLE and earlier.facts == facts


def forget(output: Path) -> None:
    """Remove the record that the output is complete, once all of its batch is, and what a killed run left beside it."""
    earlier = _state_of(output)
    if earlier is None or earlier.state != _WHOLE:
        return
    for suffix in (PART, PART + REJECTS):
        if _place(output).with_name(_place(output).name + suffix).exists():
            PartialFile(_place(output), suffix).discard()
    _beside(output).unlink(missing_ok=True)


class Journal:
    """The finished documents of a run; a context manager.

    Args:
        output: the file or folder that the run writes at its end.
        facts: the values that determine the output, by name.
        anew: whether to discard an unfinished run with other facts, instead of raising an error.

    Attributes:
        taken: the number of documents that an earlier run has finished.
        rejected: the number of rejects of that run.
        finished: the number of finished documents.

    Raises:
        UsageError: if there is an unfinished run with other facts; the message lists the differences.
        FormatError: if another process writes this output, or the files cannot be written.
    """

    def __init__(self, output: Path, facts: Mapping[str, str], *, anew: bool = False) -> None:
        self._output = _place(output)
        self._state = _RunState(dict(facts))
        self._part = PartialFile(self._output, PART)
        earlier = _state_of(output)
        self.taken = _whole_lines(self._part) if earlier is not None else 0
        if self.taken and earlier is not None and earlier.facts != facts and not anew:
            self._part.file.close()
            raise UsageError(difference(self._part.path, earlier.facts, facts))
        if self.taken and earlier is not None and earlier.facts == facts:
            self._state = earlier
        else:
            self.taken = 0
            self._part.empty()
        self._rejects = _RejectLog(self._output, self.taken)
        self.rejected = self._rejects.count
        self.finished = self.taken
        self._complete = False
        self._keeping = keeping(self._kept)

    def __enter__(self) -> Journal:
        self._keeping.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with uninterrupted():
                if not self.finished and not self._part.file.closed:
                    self.discard()
                self._rejects.close()
                self._part.file.close()
        finally:
            self._keeping.__exit__(None, None, None)

    def _kept(self) -> str:
        if self._complete:
            return f"{self._output} is complete"
        if not self.finished:
            return "no document was finished, so nothing is kept"
        return f"finished documents are kept in {self._part.path}; run the same command again to continue"

    def documents(self) -> Iterator[Document]:
        """Yield the finished documents, in their order."""
        self._part.file.seek(0)
        return formats.read(self._part.file, "jsonl") if self.finished else iter(())

    def skip(self, documents: Iterator[Document]) -> Iterator[Document]:
        """Skip the finished documents in the run's inputs, and yield each one that is skipped.

        Raises:
            UsageError: if the inputs do not begin with the finished documents.
        """
        for kept in self.documents():
            document = next(documents, None)
            if document is None or (document.id, document.text) != (kept.id, kept.text):
                instead = "no document" if document is None else f"{document.id!r}"
                raise UsageError(
                    f"{self._part.path}: has document {kept.id!r} where the inputs now have {instead} or another text; "
                    "discard the unfinished run (`overwrite`)"
                )
            yield document

    def rejects(self) -> Iterator[Rejected]:
        """Yield the rejects of the finished documents' mentions, in the documents' order."""
        return self._rejects.read()

    def add(self, document: Document, rejected: Sequence[Rejected]) -> None:
        """Add a finished document; it has been passed to the operating system when this returns.

        Args:
            document: the document with its mentions.
            rejected: the rejects of its mentions.
        """
        with uninterrupted():
            if not self.finished:
                self._save(self._state)
            if rejected:  # written before the document, since rejects without a document are ignored
                self._rejects.add(rejected, self.finished)
            self._part.file.seek(0, 2)
            formats.write([document], self._part.file, "jsonl")
            self._part.file.flush()
            self.finished += 1

    def finish(self, format_name: str, *, batch: bool = False) -> Counter[str]:
        """Write the output.

        Args:
            format_name: the output's format.
            batch: whether the output is one of several; then the record that it is complete is kept.

        Returns:
            What the format could not hold, as counts by kind.
        """
        self._save(replace(self._state, state=_WRITING))
        if format_name == "jsonl" and self._output.suffix.lower() != ".gz" and not self._output.is_dir():
            self._part.keep(settled=True)
            lost = Counter[str]()
        else:
            lost = formats.write(self.documents(), Sink(self._output, suffix=_NEW), format_name)
            settle(self._output)
        with uninterrupted():
            # A run that is killed here leaves the record that the output is complete, by which the next one tidies up.
            self._save(replace(self._state, state=_WHOLE))
            self._rejects.discard()
            self._part.discard() if not self._part.file.closed else None
            if not batch:
                forget(self._output)
            self._complete = True
        return lost

    def discard(self) -> None:
        """Remove the journal's files."""
        with uninterrupted():
            _beside(self._output).unlink(missing_ok=True)
            self._rejects.discard()
            self._part.discard()

    def _save(self, state: _RunState) -> None:
        with uninterrupted():
            self._state = state
            text = json.dumps(asdict(state), ensure_ascii=False, indent=2)
            replace_file(_beside(self._output), text.encode() + b"\n")


class _RejectLog:
    """The rejects of mentions, in a file: each line is the number of the document, a tab, and the reject as JSON.

    Args:
        output: see `Journal`.
        finished: the number of finished documents; rejects of further documents are removed.

    Attributes:
        count: the number of rejects.
    """

    def __init__(self, output: Path, finished: int) -> None:
        self._output = output
        self._part: PartialFile | None = None
        self.count = 0
        path = output.with_name(output.name + PART + REJECTS)
        if path.is_symlink() or path.exists():
            self._part = PartialFile(output, PART + REJECTS)
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
            self._part = PartialFile(self._output, PART + REJECTS)
            self._part.empty()
        self._part.file.seek(0, 2)
        for one in rejected:
            self._part.file.write(b"%d\t%s" % (number, line_of(one)))
            self.count += 1
        self._part.file.flush()
        os.fsync(self._part.file.fileno())  # otherwise a power cut might keep the document without its rejects

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
    """Return the output's path, resolved if it is a link or has no name, such as `.`."""
    return output.resolve() if output.is_symlink() or not output.name else output


def _beside(output: Path) -> Path:
    place = _place(output)
    return place.with_name(place.name + PART + RUN)


def _state_of(output: Path) -> _RunState | None:
    """Return the state of an earlier run; None if there is no such run, or its file cannot be read."""
    try:
        values = json.loads(_beside(output).read_bytes())
        return _RunState({str(k): str(v) for k, v in values["facts"].items()}, values["state"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _whole_lines(part: PartialFile) -> int:
    """Return the number of complete lines at the beginning of a file, and remove the rest."""
    lines = end = 0
    part.file.seek(0)
    for line in part.file:
        if not line.endswith(b"}\n"):
            break
        lines, end = lines + 1, end + len(line)
    part.file.truncate(end)
    return lines


def difference(path: Path, earlier: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return a message with all differences between an unfinished run and the present one."""
    names = [name for name in (*earlier, *(name for name in now if name not in earlier))]
    lines = [
        f"  {name}: {earlier.get(name, 'not set')}  →  now {now.get(name, 'not set')}"
        for name in names
        if earlier.get(name) != now.get(name)
    ]
    return "\n".join(
        (
            f"{path}: belongs to an unfinished run that differs from this one:",
            *lines,
            "repeat that run to continue it, name another output, or discard it (`overwrite`)",
        )
    )


__all__ = ["Journal", "difference", "forget", "is_whole", "may_be_written"]
