"""The CI files in examples/ci and action.yml are valid by their hosts' schemas, and their steps do what they say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from ruamel.yaml import YAML
from staples import Site

from certtools.chain import to_pem
from mustaple.net.server import StaplingServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from subprocess import CompletedProcess

HERE: Final = Path(__file__).parent.parent
ACTION: Final = HERE / "action.yml"
GITHUB: Final = HERE / "examples" / "ci" / "github-actions.yml"
GITLAB: Final = HERE / "examples" / "ci" / "gitlab-ci.yml"
PRE_DEPLOY: Final = HERE / "examples" / "ci" / "pre-deploy.sh"
SCHEMAS: Final = {ACTION: "github-actions", GITHUB: "github-workflows", GITLAB: "gitlab-ci"}
PATIENCE: Final = 60.0  # seconds

pytestmark = pytest.mark.peer("bash")


@pytest.fixture(scope="module")
def site() -> Site:
    """A must-staple leaf for localhost, and its CA."""
    return Site()


@pytest.fixture
def server(site: Site) -> Iterator[StaplingServer]:
    """A server that staples honestly, until a test says otherwise."""
    with StaplingServer(site.sent, site.leaf.key, site.good[0]) as running:
        yield running


class Runner:
    """A machine of a CI host: a folder with the CA's file, and what runs a step there."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.folder = folder
        self.temporary = folder / "temp"
        self.temporary.mkdir()
        (folder / "ca.pem").write_bytes(to_pem([site.root.certificate]))
        self.path = f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"

    def bash(self, script: str, environment: Mapping[str, str] | None = None) -> CompletedProcess[str]:
        """Run lines as both hosts do: an error, also one in a pipe, ends them."""
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.folder,
            env={"PATH": self.path, "HOME": str(self.folder), "LC_ALL": "C.UTF-8", **(environment or {})},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def action(self, **inputs: str) -> CompletedProcess[str]:
        """Use action.yml `with` these inputs: its steps in turn, until one fails."""
        action = load(ACTION)
        known = {name: said.get("default", "") for name, said in action["inputs"].items()}
        assert set(inputs) <= {name.replace("-", "_") for name in known}
        given = {name: inputs.get(name.replace("-", "_"), default) for name, default in known.items()}
        files = {name: str(self.temporary / name.lower()) for name in ("GITHUB_PATH", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            Path(file).touch()
        host = {**files, "GITHUB_ACTION_PATH": str(HERE), "RUNNER_TEMP": str(self.temporary)}
        done = None
        for step in action["runs"]["steps"]:
            done = self.bash(step["run"], {**host, **filled(step.get("env", {}), {"inputs": given})})
            if done.returncode:
                break
        assert done is not None
        return done

    @property
    def summary(self) -> str:
        """The summary that the last use of the action left."""
        return (self.temporary / "github_step_summary").read_text()


def load(path: Path) -> dict[str, Any]:
    """A file as its host reads it."""
    loaded: dict[str, Any] = YAML(typ="safe").load(path)
    return loaded


def filled(values: Mapping[str, Any], known: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The values with their expressions, `${{ inputs.name }}`, put in."""

    def value_of(found: re.Match[str]) -> str:
        return known[found[1]][found[2]]

    return {
        name: re.sub(r"\$\{\{ (\w+)\.([\w-]+) \}\}", value_of, str(value).lower() if value is True else str(value))
        for name, value in values.items()
    }


@pytest.fixture
def runner(tmp_path: Path, site: Site) -> Runner:
    """A fresh machine."""
    return Runner(tmp_path, site)


def validate(path: Path, schema: str) -> CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_its_host_takes_the_file(path: Path, tmp_path: Path) -> None:
    assert validate(path, SCHEMAS[path]).returncode == 0
    wrong = tmp_path / path.name
    wrong.write_text(re.sub(r"^( *)(steps|script):", r"\1stages:", path.read_text(), count=1, flags=re.MULTILINE))
    assert validate(wrong, SCHEMAS[path]).returncode == 1


def test_no_input_is_read_as_shell() -> None:
    for step in load(ACTION)["runs"]["steps"]:
        assert "${{" not in step["run"]


def test_the_action_passes_a_server_that_staples(runner: Runner, server: StaplingServer) -> None:
    done = runner.action(targets=f"localhost:{server.port}", ca="ca.pem", policy="must-staple", warn_before="1h")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"accepted: localhost:{server.port}\n" in done.stdout
    assert "✅" in runner.summary


def test_the_action_fails_for_a_server_that_does_not(runner: Runner, server: StaplingServer) -> None:
    server.staple = None
    done = runner.action(targets=f"localhost:{server.port}", ca="ca.pem", policy="must-staple")
    assert done.returncode == 1
    assert f"::error title=mustaple%3A localhost%3A{server.port}%3A promise-broken::" in done.stdout
    assert "❌" in runner.summary


def test_the_action_takes_every_input(runner: Runner, server: StaplingServer, site: Site) -> None:
    server.staple = site.revoked(0)
    target = f"localhost:{server.port}"
    (runner.folder / "list.txt").write_text(f"# ours\n{target} expect=refused:revoked\n")
    common = {"ca": "ca.pem", "policy": "must-staple"}
    assert runner.action(targets_file="list.txt", **common).returncode == 0
    assert runner.action(targets=target, expect="refused:revoked", **common).returncode == 0
    assert runner.action(targets=target, expect="refused:expired", **common).returncode == 1
    assert runner.action(targets=f"{target}\nlocalhost:{server.port} sni=127.0.0.1", **common).returncode == 1
    report = runner.action(targets=target, report_only="true", format="json", output="report.json", **common)
    assert (report.returncode, report.stdout) == (0, "")
    said = json.loads((runner.folder / "report.json").read_text())
    assert (said["report_only"], said["summary"]["codes"]) == (True, {"revoked": 1})


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"targets": "localhost:1", "policy": "stern"},
        {"targets": "localhost:1", "report_only": "perhaps"},
        {"targets": "localhost:1; touch stolen"},
        {"targets": "localhost:1", "ca": "$(touch stolen)"},
        {"targets": "localhost:1", "policy": "--help"},
    ],
    ids=str,
)
def test_inputs_of_no_use_are_2(runner: Runner, inputs: dict[str, str]) -> None:
    assert runner.action(**inputs).returncode == 2
    assert not (runner.folder / "stolen").exists()


def test_the_workflow_uses_the_action_as_it_is(runner: Runner, server: StaplingServer) -> None:
    known = {"vars": {"STAPLING_TARGETS": f"localhost:{server.port}", "STAPLING_CA": "ca.pem"}}
    uses = {
        name: [filled(step["with"], known) for step in job["steps"] if "/mustaple@" in step["uses"]]
        for name, job in load(GITHUB)["jobs"].items()
    }
    assert [len(found) for found in uses.values()] == [1, 1]
    promise, findings = (
        {name.replace("-", "_"): value for name, value in inputs.items()} for (inputs,) in uses.values()
    )
    assert runner.action(**promise).returncode == 0
    server.staple = None
    assert runner.action(**promise).returncode == 1
    assert runner.action(**findings).returncode == 0
    (run,) = json.loads((runner.folder / "stapling.sarif").read_text())["runs"]
    assert [each["ruleId"] for each in run["results"]] == ["promise-broken"]


def test_the_gitlab_job_leaves_a_case_for_each_target(runner: Runner, server: StaplingServer, site: Site) -> None:
    job = load(GITLAB)["stapling"]
    (runner.folder / "targets.txt").write_text(f"localhost:{server.port}\n")
    report = runner.folder / job["artifacts"]["reports"]["junit"]
    for staple, code, failures in ((site.good[0], 0, 0), (None, 1, 1)):
        server.staple = staple
        assert runner.bash("\n".join(job["script"])).returncode == code
        assert len(list(ET.parse(report).iter("failure"))) == failures  # noqa: S314  we wrote it


def test_the_check_before_a_deployment(runner: Runner, server: StaplingServer, site: Site) -> None:
    def exit_code(*arguments: str) -> tuple[int, str]:
        done = runner.bash(f"'{PRE_DEPLOY}' {' '.join(arguments)}", {"WAIT": "0s"})
        return done.returncode, done.stdout

    target = f"localhost:{server.port}"
    code, said = exit_code(target, "ca.pem")
    assert (code, said.splitlines()[-1]) == (0, f"{target} may go live")
    server.staple = site.staple(0, next_update=site.now + timedelta(hours=1))
    code, said = exit_code(target, "ca.pem")
    assert (code, "warning: the staple of CN=localhost dies in" in said) == (1, True)
    server.staple = None
    assert exit_code(target, "ca.pem")[0] == 1
    assert exit_code(target, "ca.pem", "ignore")[0] == 0
    assert exit_code(target)[0] == 2
    port = server.port
    server.close()
    assert exit_code(f"localhost:{port}", "ca.pem")[0] == 3
