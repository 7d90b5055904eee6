"""What an experiment finds: tables for people, and all figures for programs."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from biomark.errors import FormatError


@dataclass(frozen=True, slots=True)
class Table:
    """A table, its cells as they are printed."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """The table as Markdown, under its title."""
        lines = [self.header, ("---",) * len(self.header), *self.rows]
        return f"## {self.title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an experiment found.

    Attributes:
        title: of its page.
        about: what was done, in Markdown.
        tables: the figures.
        notes: what the reader should know, a sentence each.
        data: all figures, and what they were computed from, as JSON can hold them.
    """

    title: str
    about: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    data: Mapping[str, object]

    def markdown(self) -> str:
        """The page."""
        notes = "\n".join(f"- {note}" for note in self.notes)
        return "\n\n".join((f"# {self.title}", self.about, *(table.markdown() for table in self.tables), notes)) + "\n"

    def write(self, folder: Path, name: str) -> Path:
        """Write `NAME.md` and `NAME.json`.

        Returns:
            The page.

        Raises:
            FormatError: if they cannot be written.
        """
        page = folder / f"{name}.md"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            page.write_text(self.markdown(), "utf-8")
            text = json.dumps(self.data, ensure_ascii=False, indent=1)
            page.with_suffix(".json").write_text(text + "\n", "utf-8")
        except OSError as error:
            raise FormatError(f"{page}: cannot be written: {error}") from error
        return page


def provenance(files: Iterable[Path], *libraries: str) -> dict[str, object]:
    """Versions, and the SHA-256 of each file."""
    return {
        "versions": {
            "biomark": version("biomark"),
            "python": platform.python_version(),
            **{library: version(library) for library in libraries},
        },
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
    }
