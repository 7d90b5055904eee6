"""The example files of clusters, and the commands of docs/scale.md."""

from __future__ import annotations

import json
import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from biomark.cli import app
from conftest import ROOT

yaml = pytest.importorskip("yaml")
EXAMPLES = ROOT / "examples" / "cluster"


def read(words: list[str]) -> dict[str, Any]:
    """The options of a command line, which biomark's own parser reads; nothing runs."""
    assert words[:2] == ["biomark", "annotate"]
    command = get_command(app).commands["annotate"]  # type: ignore[attr-defined]
    options: dict[str, Any] = command.make_context("annotate", words[2:]).params
    return options


def test_the_file_of_a_ray_cluster_has_the_form_of_ray_s_schema() -> None:
    spec, jsonschema = find_spec("ray"), pytest.importorskip("jsonschema")
    if spec is None or spec.origin is None:
        pytest.skip("Ray is not installed")
    schema = json.loads((Path(spec.origin).parent / "autoscaler" / "ray-schema.json").read_text("utf-8"))
    cluster = yaml.safe_load((EXAMPLES / "ray-cluster.yaml").read_text("utf-8"))
    jsonschema.validate(cluster, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**cluster, "worker_count": 2}, schema)
    assert cluster["max_workers"] == len(cluster["provider"]["worker_ips"])
    starts = [line for key in ("head", "worker") for line in cluster[f"{key}_start_ray_commands"] if " start " in line]
    assert len(starts) == 2
    assert all("--disable-usage-stats" in line or "RAY_USAGE_STATS_ENABLED=0" in line for line in starts)


def test_the_ray_commands_of_the_examples_have_options_that_ray_knows() -> None:
    scripts = pytest.importorskip("ray.scripts.scripts")
    known = {option for parameter in scripts.start.params for option in parameter.opts}
    cluster = (EXAMPLES / "ray-cluster.yaml").read_text("utf-8")
    used = re.findall(r"--[a-z-]+", " ".join(line for line in cluster.splitlines() if "ray start" in line))
    spec = yaml.safe_load((EXAMPLES / "kuberay-job.yaml").read_text("utf-8"))["spec"]["rayClusterSpec"]
    groups = (spec["headGroupSpec"], *spec["workerGroupSpecs"])
    assert {*used, *(f"--{name}" for group in groups for name in group["rayStartParams"])} <= known


def test_the_job_for_kubernetes_runs_biomark_in_its_workers() -> None:
    job = yaml.safe_load((EXAMPLES / "kuberay-job.yaml").read_text("utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    options = read(shlex.split(job["spec"]["entrypoint"]))
    assert (options["engine"], options["address"]) == ("ray", "auto")
    spec = job["spec"]["rayClusterSpec"]
    (workers,) = spec["workerGroupSpecs"]
    assert options["workers"] == workers["replicas"] * int(workers["rayStartParams"]["num-cpus"])
    constraints = (ROOT / "constraints.txt").read_text("utf-8")
    assert f"ray=={spec['rayVersion']}\n" in constraints
    for group in (spec["headGroupSpec"], workers):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in container["env"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_the_commands_of_the_page_are_read() -> None:
    page = (ROOT / "docs" / "scale.md").read_text("utf-8")
    commands = [line for line in page.splitlines() if line.startswith("biomark annotate ")]
    assert [read(shlex.split(line))["engine"] for line in commands] == ["local", "local", "ray", "ray", "ray"]
    for name in re.findall(r"examples/cluster/[\w.-]+", page):
        assert (ROOT / name).is_file()
