"""The result of an experiment: tables for its page, and all figures for its JSON file."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from biomark.errors import FormatError
from biomark.runtime.files import file_sum
from biomark.runtime.machine import cores, processor, versions


@dataclass(frozen=True, slots=True)
class Table:
    """A table of formatted cells."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the table as Markdown, under its title."""
        lines = [self.header, ("---",) * len(self.header), *self.rows]
        return f"## {self.title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an experiment.

    Attributes:
        title: the title of its page.
        about: what was done, in Markdown.
        tables: the figures.
        notes: remarks for the reader, one or more sentences each.
        data: all figures, and what they were computed from, as JSON can hold them.
        figures: pictures as SVG by their titles, shown before the tables.
        findings: sentences with the verdicts on the paper's findings.
    """

    title: str
    about: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    data: Mapping[str, object]
    figures: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[str, ...] = ()

    def markdown(self, name: str = "") -> str:
        """Return the page as Markdown.

        Args:
            name: the name of its file without `.md`, for the pictures beside it.
        """
        notes = "\n".join(f"- {note}" for note in self.notes)
        pictures = (f"![{title}]({file})" for title, file in zip(self.figures, self.files(name), strict=True))
        held = "\n".join(f"- {sentence}" for sentence in self.findings)
        findings = f"## The paper's findings and ours\n\n{held}" if held else ""
        tables = (table.markdown() for table in self.tables)
        parts = (f"# {self.title}", self.about, findings, *pictures, *tables, f"## Notes\n\n{notes}")
        return "\n\n".join(part for part in parts if part) + "\n"

    def files(self, name: str) -> list[str]:
        """Return the names of the pictures' files."""
        return [f"{name}.svg" if not n else f"{name}-{n + 1}.svg" for n in range(len(self.figures))]

    def write(self, folder: Path, name: str) -> Path:
        """Write `NAME.md`, `NAME.json` and the pictures.

        Returns:
            The page.

        Raises:
            FormatError: if they cannot be written.
        """
        page = folder / f"{name}.md"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            page.write_text(self.markdown(name), "utf-8")
            for file, picture in zip(self.files(name), self.figures.values(), strict=True):
                (folder / file).write_text(picture, "utf-8")
            text = json.dumps(self.data, ensure_ascii=False, indent=1)
            page.with_suffix(".json").write_text(text + "\n", "utf-8")
        except OSError as error:
            raise FormatError(f"{page}: cannot be written: {error}") from error
        return page


def provenance(files: Iterable[Path], *libraries: str) -> dict[str, object]:
    """Return the versions of software, and the SHA-256 of each file."""
    return {
        "versions": versions(*libraries),
        "files": {path.name: file_sum(path) for path in files},
    }


def machine() -> dict[str, object]:
    """Return the processor, cores, threads and GPUs of this machine."""
    facts: dict[str, object] = {"processor": processor(), "cores": cores(), "system": platform.system()}
    try:
        import torch
    except ImportError:
        return facts
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {**facts, "threads": torch.get_num_threads(), "gpus": gpus}
