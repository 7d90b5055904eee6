"""Settings as frozen dataclasses, from which the command line takes its options.

Each field says in its metadata what it means; `typer_options` makes an option of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, fields
from typing import Annotated, Any, TypeVar, cast, get_type_hints

T = TypeVar("T")
KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY


def option(default: Any, help: str) -> Any:
    """A field of a dataclass of settings.

    Args:
        default: its value where nothing is said.
        help: what it means, with its unit.
    """
    return field(default=default, metadata={"help": help})


def typer_options(*classes: type, panel: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the fields of dataclasses as options; its `**settings` gets them.

    A tuple of names becomes a list with commas, `_` a hyphen, and a field that may be None an option without default.

    Args:
        classes: their fields have different names.
        panel: the heading of the options in `--help`.
    """
    import typer

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True)
        parameters = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        for cls in classes:
            hints = get_type_hints(cls)
            for f in cast("Sequence[Any]", fields(cls)):
                # The name itself, so that no switch gets a --no-… beside it
                shown = typer.Option(
                    "--" + f.name.replace("_", "-"), help=f.metadata["help"], rich_help_panel=panel, show_default=True
                )
                default, kind = (",".join(f.default), str) if _listed(hints[f.name]) else (f.default, hints[f.name])
                annotation = Annotated.__class_getitem__((kind, shown))  # type: ignore[attr-defined]
                parameters.append(inspect.Parameter(f.name, KEYWORD_ONLY, default=default, annotation=annotation))
        parameters.sort(key=lambda p: p.kind)
        command.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        return command

    return decorate


def from_options(cls: type[T], settings: Mapping[str, Any]) -> T:
    """An instance of a dataclass from what `typer_options` gave; other keys are for others."""
    hints = get_type_hints(cls)
    found: dict[str, Any] = {}
    for f in fields(cls):  # type: ignore[arg-type]
        value = settings[f.name]
        if _listed(hints[f.name]):
            value = tuple(part.strip() for part in value.split(",") if part.strip())
        found[f.name] = value
    return cls(**found)


def _listed(kind: object) -> bool:
    return bool(kind == tuple[str, ...])
