"""An engine of `biomark.annotation.workers`: actors of Ray, on this machine or on a cluster.

Each actor holds a model. Only groups of documents and their mentions travel; this process reads the inputs and writes
the output. docs/design.md has the reasons for actors rather than Ray Data.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from biomark.annotation.settings import RayOptions
from biomark.annotation.workers import (
    AnnotateOptions,
    DocumentGroup,
    Loaded,
    WorkerDiedError,
    annotate_group,
    outcome,
    wait_until_loaded,
)
from biomark.errors import MissingExtraError, ModelError, UsageError
from biomark.formats import Reject
from biomark.recognizers import Annotated, Recognizer
from biomark.runtime.interrupts import check
from biomark.runtime.machine import cores, share_cores
from biomark.spans import Document, Rejected

_CONNECT = 5.0  # seconds in which a cluster must answer
_REMEDY = "all machines of the cluster need biomark {} with its extra ray, and memory for the model"
_WAIT = 15.0  # seconds after which a message reports that no worker has started
_STORE = 100 << 20  # bytes of shared memory of a Ray of our own; groups of documents are small
_STARTS = 3  # tries to start a Ray of our own: Ray gives its processes half a minute, whatever else the machine does
_SHORT = "/tmp"  # the paths of sockets must be shorter than 108 characters


@dataclass(frozen=True, slots=True)
class Setup:
    """The data with which an actor loads its model and checks that it equals the model of this process.

    Attributes:
        load: loads the recognizer; is called with a function that takes what the demonstrations' reader rejects. It
            must be picklable.
        model: the model's name.
        checksum: the checksum of the model's files; see `biomark.models.checksum`.
        files: the files and folders that the model and its settings name.
        folder: the working folder, from which relative paths start.
        version: biomark's version.
    """

    load: Callable[[Reject], Recognizer]
    model: str
    checksum: str
    files: tuple[str, ...] = ()
    folder: str = field(default_factory=os.getcwd)
    version: str = field(default_factory=partial(version, "biomark"))


class _Model:
    """The code of an actor."""

    _recognizer: Recognizer

    def load(self, setup: Setup, cpus: float) -> Loaded | Exception:
        share_cores(max(1, cores() // max(1, int(cpus))))
        return outcome(partial(self._load, setup))

    def _load(self, setup: Setup) -> Loaded:
        _check_machine(setup)
        rejected: list[Rejected] = []
        self._recognizer = setup.load(rejected.append)
        return Loaded(self._recognizer.types, tuple(rejected))

    def annotate(self, options: AnnotateOptions, documents: list[Document]) -> list[Annotated] | Exception:
        return outcome(partial(annotate_group, self._recognizer, options, documents))


def _check_machine(setup: Setup) -> None:
    """Enter the working folder, and check that this machine has the same biomark, files and model as the main process.

    Raises:
        ModelError: if it has not.
    """
    from biomark import models

    where = f"on the worker {socket.gethostname()}"
    if setup.version != version("biomark"):
        raise ModelError(f"biomark is {version('biomark')} {where}, but {setup.version} here; install the same version")
    with suppress(OSError):
        os.chdir(setup.folder)
    for name in setup.files:
        if not Path(setup.folder, name).exists():
            raise ModelError(
                f"{Path(setup.folder, name)}: does not exist {where}; put it into a folder that all machines of the "
                "cluster have at the same path"
            )
    if models.checksum(setup.model) != setup.checksum:
        raise ModelError(f"{setup.model}: has other files {where} than here; copy the model there")


@dataclass(slots=True, eq=False)
class Actor:
    """An actor and the results for which this process waits; see `biomark.annotation.workers.Worker`."""

    handle: Any
    results: deque[Any]  # references to `Loaded`, then to the results of groups
    groups: deque[DocumentGroup] = field(default_factory=deque)
    ready: bool = False
    loaded: Loaded | None = None

    def send(self, options: AnnotateOptions, documents: list[Document]) -> None:
        """See `biomark.annotation.workers.Worker`."""
        self.results.append(self.handle.annotate.remote(options, documents))

    def receive(self) -> list[Annotated] | None:
        """See `biomark.annotation.workers.Worker`."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            result = ray.get(self.results[0])
        except RayTaskError as error:
            raise ModelError(
                f"a worker of Ray cannot run biomark: {str(error).strip().splitlines()[-1]:.300}"
            ) from error
        except RayError as error:
            raise WorkerDiedError(_cause(error)) from error
        self.results.popleft()
        if isinstance(result, BaseException):
            raise result
        if isinstance(result, Loaded):
            self.ready, self.loaded = True, result
            return None
        annotated: list[Annotated] = result
        return annotated


def _cause(error: Exception) -> str:
    """Return the first line of Ray's reason for the end of an actor."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reasons = [
        line for line in lines if "worker" in line.lower() or "memory" in line.lower() or "error" in line.lower()
    ]
    return f"{type(error).__name__}: {(reasons or lines or ['no reason'])[0]:.200}"


class Actors:
    """The engine; see `biomark.annotation.workers.Engine`.

    Args:
        setup: what actors load.
        count: the number of actors. More than the cluster has room for wait until there is room.
        address: the address of a cluster: `HOST:PORT`, or `auto` for the one that runs on this machine. None: the
            address in the variable RAY_ADDRESS, or a new Ray on this machine if it is not set.
        options: the cores and GPUs of an actor.
        heavy: whether the model needs torch: by default an actor then takes a GPU if there are any.
        reject: is called with what the first actor rejects in the demonstrations.
        report: is called with messages for the user.

    Raises:
        MissingExtraError: if Ray is not installed.
        UsageError: if the cluster does not answer, or this machine lacks the GPUs.
        BiomarkError: any error of loading the model on the first worker.
    """

    def __init__(
        self,
        setup: Setup,
        count: int,
        *,
        address: str | None = None,
        options: RayOptions | None = None,
        heavy: bool = False,
        reject: Reject = lambda rejected: None,
        report: Callable[[str], None] = lambda message: None,
    ) -> None:
        options = options or RayOptions()
        self.count = count
        self._setup = setup
        self._report = report
        self._first: Actor | None = None
        self._folder = _connected(address or os.environ.get("RAY_ADDRESS"), math.ceil(count * options.actor_cpus))
        try:
            self._cpus, self._gpus = options.actor_cpus, _gpus(options, heavy=heavy, own=self._folder is not None)
            self._first = self._new()
            self.types = wait_until_loaded(
                self, self._first, reject=reject, remedy=_REMEDY.format(setup.version), watch=self._watch()
            )
        except BaseException:
            self.close()
            raise

    def _new(self) -> Actor:
        import ray

        resources = {"num_cpus": self._cpus, "num_gpus": self._gpus}
        remote: Any = ray.remote(_Model)
        handle = remote.options(**resources, max_restarts=0, max_task_retries=0).remote()
        return Actor(handle, deque([handle.load.remote(self._setup, self._cpus)]))

    def _watch(self) -> Callable[[], None]:
        """Return a function that reports once, after some time, if there is no room for an actor."""
        report_at = time.monotonic() + _WAIT

        def watch() -> None:
            nonlocal report_at
            if time.monotonic() > report_at:
                report_at = math.inf
                self._report(self._room())

        return watch

    def _room(self) -> str:
        import ray

        state: Any = ray  # two functions without types
        free, there = state.available_resources(), state.cluster_resources()
        room = ", ".join(f"{free.get(kind, 0):g} of {there.get(kind, 0):g} {kind}s free" for kind in ("CPU", "GPU"))
        return (
            f"no worker has started yet: each needs {self._cpus:g} CPUs and {self._gpus:g} GPUs; the cluster has {room}"
        )

    def start(self) -> Actor:
        """See `biomark.annotation.workers.Engine`."""
        first, self._first = self._first, None
        return first or self._new()

    def wait(self, workers: Sequence[Actor]) -> Sequence[Actor]:
        """See `biomark.annotation.workers.Engine`."""
        import ray

        first = {worker.results[0]: worker for worker in workers}
        done, _ = ray.wait(list(first), num_returns=1, timeout=1.0)
        return [first[result] for result in done]

    def end(self, workers: Sequence[Actor]) -> None:
        """See `biomark.annotation.workers.Engine`."""
        import ray

        for worker in workers:
            with suppress(Exception):  # the actor or the cluster is dead
                ray.kill(worker.handle)

    def close(self) -> None:
        """Stop a Ray of our own, and remove its files."""
        if self._first is not None:
            self.end([self._first])
        if self._folder is not None:
            _stop(self._folder)


def _connected(address: str | None, cpus: int) -> Path | None:
    """Connect to a cluster, or start a Ray of our own with this many cores.

    Returns:
        The folder of the Ray of our own; None for a cluster, or a Ray to which this process is connected already.

    Raises:
        MissingExtraError: if Ray is not installed.
        UsageError: if Ray cannot be started, or the cluster does not answer.
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "error")  # else it writes warnings to standard error
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    _check_answers(address)
    if ray.is_initialized():
        return None
    own = address in (None, "local")
    handler = signal.getsignal(signal.SIGTERM)  # Ray replaces it
    folder = Path(tempfile.mkdtemp(prefix="biomark-ray-", dir=_SHORT if Path(_SHORT).is_dir() else None))
    try:
        _initialize(ray.init, _where(address, cpus, folder), tries=_STARTS if own else 1)
    except Exception as error:  # Ray raises some errors as plain Exceptions
        shutil.rmtree(folder, ignore_errors=True)
        what = (
            "Ray cannot be started on this machine" if own else f"`address={address}`: cannot connect to this cluster"
        )
        raise UsageError(f"{what}: {str(error).strip().splitlines()[0]:.300}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
    if not own:
        folder.rmdir()
        return None
    atexit.register(_stop, folder)
    return folder


def _initialize(init: Callable[..., object], arguments: dict[str, Any], tries: int) -> None:
    """Start or connect Ray without messages; try again where a busy machine took longer than Ray allows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for left in reversed(range(tries)):
            try:
                init(log_to_driver=False, logging_level=logging.CRITICAL, **arguments)
                return
            except Exception as error:
                check()
                if not left or "timed out during startup" not in str(error):
                    raise


def _where(address: str | None, cpus: int, folder: Path) -> dict[str, Any]:
    """Return the arguments of `ray.init` for a cluster, or for a Ray of our own with its files in a folder."""
    if address not in (None, "local"):
        return {"address": address}
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray writes one into the home folder
    own: dict[str, Any] = {"num_cpus": cpus, "object_store_memory": _STORE, "include_dashboard": False}
    return {"address": "local", "_temp_dir": str(folder), **own}


def _check_answers(address: str | None) -> None:
    """Check that something answers at an address, since Ray itself would try for minutes.

    Raises:
        UsageError: if nothing does, or the address has another form.
    """
    if address in (None, "local", "auto"):
        return
    host, colon, port = str(address).rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) < 65_536 and "/" not in host):
        raise UsageError(
            f"`address={address}`: write HOST:PORT, for instance 10.0.0.1:6379, or auto; run the command on a machine "
            "of the cluster (ray://HOST:PORT does not work)"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT).close()
    except OSError as error:
        raise UsageError(
            f"`address={address}`: no cluster answers there ({error}); `ray status` shows its address"
        ) from error


def _gpus(options: RayOptions, *, heavy: bool, own: bool) -> float:
    """Return the number of GPUs of an actor.

    Raises:
        UsageError: if this machine has fewer than that, and there is no other.
    """
    import ray

    resources: Any = ray.cluster_resources  # has no types
    there = resources().get("GPU", 0.0)
    wanted = options.actor_gpus if options.actor_gpus is not None else float(heavy and there > 0)
    if own and wanted > there:
        raise UsageError(f"`actor_gpus={wanted:g}`: this machine has {there:g} GPUs that Ray can see")
    return wanted


def _stop(folder: Path) -> None:
    import ray

    atexit.unregister(_stop)
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


__all__ = ["Actor", "Actors", "Setup"]
