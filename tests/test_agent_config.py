"""The agent's configuration: read as it is meant, refused in one line that names the key, and published as a schema."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest

from mustaple.agent.config import parse_config, read_config
from mustaple.agent.config_model import schema
from mustaple.agent.deploy.files import FilesDeployment
from mustaple.core.errors import InputError

ROOT = Path(__file__).parent.parent
LEAST = 'store = "s"\n[[chain]]\ncertificates = ["a.pem"]\n'
WHOLE = """
store = "s"
listen = "127.0.0.1:9464"
log = "json"
redirects = "anywhere"
proxy = "http://proxy.test:3128"
rescan = "5s"
[refresh]
first_backoff = "2s"
per_responder = 2
[alarm]
warning = 0.5
command = ["logger", "-t", "mustaple"]
[[chain]]
certificates = ["live/*/fullchain.pem", "/etc/ssl/site.pem"]
issuers = ["root.pem"]
key = "key.pem"
[[chain.deploy]]
kind = "files"
directory = "out/{name}"
after = ["true"]
verify = "127.0.0.1:443"
serves = "chain"
[[chain.deploy]]
kind = "exec"
command = ["deploy"]
"""


def test_the_least_there_must_be() -> None:
    config = parse_config(LEAST.encode(), "agent.toml")
    assert (config.redirects, config.listen, config.log) == ("same-host", None, "text")
    assert config.refresh.longest_backoff == timedelta(hours=1)


def test_everything_is_read_and_paths_start_from_the_files_folder(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(WHOLE)
    config = read_config(tmp_path / "agent.toml")
    (chain,) = config.chain
    assert chain.certificates == [str(tmp_path / "live/*/fullchain.pem"), "/etc/ssl/site.pem"]
    assert chain.key == tmp_path / "key.pem"
    files = chain.deploy[0]
    assert isinstance(files, FilesDeployment)
    assert files.directory == tmp_path / "out/{name}"
    assert config.store == str(tmp_path / "s")
    assert config.state_file == tmp_path / "s/state.json"


WRONG = {
    "a key that there is not": ("stor = 1\n" + LEAST, "stor: there is no such key; did you mean store?"),
    "no chain": ('store = "s"', "chain: it is missing"),
    "an empty chain list": ('store = "s"\nchain = []', "chain: "),
    "no certificates": (LEAST.replace('["a.pem"]', "[]"), "chain[0].certificates: "),
    "another kind": (
        LEAST + 'deploy = [{ kind = "ftp" }]',
        "chain[0].deploy[0].kind: 'ftp' is not one of 'files', 'exec', 'nginx', 'haproxy', 'lighttpd', 'hitch', ",
    ),
    "a server that takes no staple": (
        LEAST + 'deploy = [{ kind = "stunnel" }]',
        "chain[0].deploy[0].kind: stunnel takes no staple from a file, in any version",
    ),
    "a server that nobody tells": (
        LEAST + 'deploy = [{ kind = "nginx", directory = "d" }]',
        "chain[0].deploy[0]: one of pid_file, reload says how the server takes note of a change",
    ),
    "a server that is told twice": (
        LEAST + 'deploy = [{ kind = "haproxy", crt = "c", socket = "s", pid_file = "p" }]',
        "chain[0].deploy[0]: one of socket, pid_file, reload says how",
    ),
    "a kind without its key": (LEAST + 'deploy = [{ kind = "files" }]', "chain[0].deploy[0].directory: it is missing"),
    "a span that is none": (LEAST + "x = 1\n", "chain[0].x: there is no such key"),
    "a bad span": ('rescan = "soon"\n' + LEAST, "rescan: 'soon' is not a span of time"),
    "a span of nothing": ('rescan = "0s"\n' + LEAST, "rescan: '0s' is not a span of time"),
    "another word": ('log = "xml"\n' + LEAST, "log: 'xml': input should be 'text' or 'json'"),
    "thresholds that cross": (LEAST + "[alarm]\nwarning = 0.1\ncritical = 0.2\n", "alarm: critical must be less than"),
    "an address without a port": ('listen = "localhost"\n' + LEAST, "listen: 'localhost'"),
    "a proxy that is none": ('proxy = "file:///x"\n' + LEAST, "proxy: 'file:///x'"),
    "no TOML": ("store = ", "not TOML"),
    "a command that is a text": (
        LEAST + 'deploy = [{kind = "exec", command = "rm"}]',
        "chain[0].deploy[0].command: 'rm'",
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_one_line_with_the_key(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_config(text.encode(), "agent.toml")
    assert str(caught.value).startswith(f"agent.toml: {said}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the configuration .*none\.toml"):
        read_config(tmp_path / "none.toml")


def test_the_published_schema_is_that_of_the_model() -> None:
    published = json.loads((ROOT / "docs/schemas/agent.json").read_text())
    assert published == json.loads(json.dumps(schema())), "run: mustaple agent schema >docs/schemas/agent.json"
    import tomllib

    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.validate(tomllib.loads(WHOLE), published)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(LEAST + "x = 1"), published)


@pytest.mark.parametrize("path", sorted((ROOT / "examples/agent").glob("*.toml")), ids=lambda path: path.stem)
def test_the_example_for_each_server_is_a_configuration(path: Path) -> None:
    (chain,) = read_config(path).chain
    (deployment,) = chain.deploy
    assert deployment.kind == path.stem
    assert str(deployment.deployer("site.example")).startswith(f"{path.stem} /")
