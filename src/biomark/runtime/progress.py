"""A progress bar for long work, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from biomark.screen import visible

if TYPE_CHECKING:
    from rich.progress import TaskID


@dataclass(frozen=True, slots=True)
class Pace:
    """The progress of a long run.

    Attributes:
        doing: what it is doing now, such as `annotating`.
        documents: the number of finished documents, including those of earlier runs.
        total: the number of all documents; None if unknown.
        rejected: the number of rejects.
        per_second: the documents that this process finishes per second.
        seconds_left: the estimated seconds until all are finished; None if unknown.
    """

    doing: str
    documents: int
    total: int | None
    rejected: int
    per_second: float
    seconds_left: float | None


@contextmanager
def pace_bar(description: str, *, shown: bool) -> Iterator[Callable[[Pace], None]]:
    """Show the pace of a run on standard error.

    Args:
        description: what is being done.
        shown: False: nothing is shown, and the function does nothing.
    """
    if not shown:
        yield lambda pace: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[pace]}"),
    )
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as bar:
        task = bar.add_task(visible(description), total=None, pace="")

        def step(pace: Pace) -> None:
            text = f"{pace.documents:,} documents, {pace.per_second:,.1f}/s, {pace.rejected:,} rejected"
            if pace.seconds_left is not None:
                text += f", {timedelta(seconds=round(pace.seconds_left))} left"
            bar.update(task, completed=pace.documents, total=pace.total, pace=f"{pace.doing}: {text}")

        yield step


@contextmanager
def progress_bar(
    description: str, total: int, *, shown: bool, unit: str = "documents"
) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on standard error.

    Args:
        description: the description of the work.
        total: the amount of work, such as the bytes of all inputs; 0 if it is not known.
        shown: whether the bar is shown; if not, the yielded function does nothing.
        unit: the name of the items that are counted.

    Yields:
        A function to call after each item; its argument is the amount of work done so far, in the unit of `total`.
    """
    if not shown:
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    known = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn()) if total else (SpinnerColumn(),)
    columns = (
        TextColumn("{task.description}", markup=False),
        *known,
        TextColumn(f"{{task.fields[documents]:,}} {unit}{{task.fields[rate]}}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, redirect_stdout=False) as bar:
        task = bar.add_task(visible(description), total=total or None, documents=0, rate="")
        documents = 0

        def step(done: int) -> None:
            nonlocal documents
            documents += 1
            elapsed = bar.tasks[0].elapsed
            rate = f", {documents / elapsed:,.0f}/s" if elapsed else ""
            bar.update(task, completed=min(done, total) if total else None, documents=documents, rate=rate)

        yield step


@contextmanager
def download_bar(*, shown: bool) -> Iterator[Callable[[str, int, int | None], None]]:
    """Show progress bars of downloads on standard error.

    Args:
        shown: whether the bars are shown; if not, the yielded function does nothing.

    Yields:
        A function that takes an address, the number of bytes so far, and the number of all bytes, or None if it is not
        known.
    """
    if not shown:
        yield lambda url, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as bar:
        tasks: dict[str, TaskID] = {}

        def step(url: str, done: int, total: int | None) -> None:
            task = tasks.get(url)
            if task is None:
                task = tasks[url] = bar.add_task(visible(url.rpartition("/")[2]), total=total)
            bar.update(task, completed=done, total=total)

        yield step
