"""What nobody can run without an engine is read instead: the image, and everything that docker-compose.yml mounts and says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from costspan import __version__
from integration.alerting.processes import tool

ROOT = Path(__file__).resolve().parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
COLLECTOR = yaml.safe_load((ROOT / "deploy" / "collector.yml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
#: What `deploy/secrets.sh` makes; it is in no repository.
SECRETS = "./deploy/secrets"
#: Runs to its end, before the others start.
ONCE = "setup"
each_service = pytest.mark.parametrize("name", SERVICES)


@each_service
def test_images_are_pinned(name):
    """To a version, and costspan's to the one of this code."""
    repository, _, tag = SERVICES[name]["image"].rpartition(":")

    assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?(-[a-z]+)?", tag)
    if repository == "costspan":
        assert tag == __version__


@each_service
def test_services_may_little(name):
    """Each runs as a user that is not root, can gain no right, and is reached from this machine only."""
    service = SERVICES[name]

    assert re.fullmatch(r"[1-9]\d*:\d+", service["user"])
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert all(published.startswith("127.0.0.1:") for published in service.get("ports", []))


@each_service
def test_services_say_whether_they_are_healthy(name):
    """By a check in the container; where there is nothing to check with, by a port that is published."""
    service = SERVICES[name]

    if name == ONCE:
        assert service["healthcheck"] == {"disable": True}
    elif name == "collector":
        port = COLLECTOR["extensions"]["health_check"]["endpoint"].rpartition(":")[2]
        assert f"127.0.0.1:{port}:{port}" in service["ports"]
    else:
        assert {"test", "interval", "timeout", "retries"} <= service["healthcheck"].keys()
        assert service["restart"] == "unless-stopped"


def test_nobody_waits_for_what_never_comes():
    """Each dependency has the check that is waited for."""
    for service in SERVICES.values():
        for other, waits in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other == ONCE else "service_healthy"
            assert waits["condition"] == wanted
            assert SERVICES[other].get("healthcheck")


def _mounts() -> list[tuple[str, str, str]]:
    return [(name, *mount.split(":")[:2]) for name, service in SERVICES.items() for mount in service.get("volumes", [])]


def test_everything_that_is_mounted_exists():
    """Compose itself does not look: a file that is missing becomes an empty folder."""
    files = [source for _, source, _ in _mounts() if source.startswith(".") and not source.startswith(SECRETS)]

    assert len(files) > 8
    assert [file for file in files if not (ROOT / file).exists()] == []
    volumes = {source for _, source, _ in _mounts() if not source.startswith(".")}
    assert volumes == COMPOSE["volumes"].keys()


def test_no_secret_is_in_the_repository(tmp_path):
    """Each is a file that `deploy/secrets.sh` makes and git ignores; the environment has the paths only."""
    subprocess.run(["sh", str(ROOT / "deploy" / "secrets.sh"), str(tmp_path / "made")], check=True, capture_output=True)
    made = {file.name for file in (tmp_path / "made").iterdir() if file.is_file()}

    assert {secret["file"] for secret in COMPOSE["secrets"].values()} == {f"{SECRETS}/{name}" for name in made}
    assert {name for service in SERVICES.values() for name in service.get("secrets", [])} == COMPOSE["secrets"].keys()
    assert {"deploy/secrets/", ".env"} <= set((ROOT / ".gitignore").read_text().split())
    given = [item for service in SERVICES.values() for item in service.get("environment", {}).items()]
    for variable, value in given:
        if re.search("PASSWORD|TOKEN|_URL$", variable):
            kind = r"/run/secrets/\w+|\$\{\w+:-\}|postgresql://\w+@postgres:5432/costspan|http://prometheus:9090"
            assert re.fullmatch(kind, str(value)), variable


def test_alerts_can_be_told_by_every_channel():
    """Each variable of the script that configures Alertmanager is handed to it."""
    script = (ROOT / "prometheus" / "configure-alertmanager.sh").read_text()
    known = set(re.findall(r"ALERT_[A-Z_]+[A-Z]", script)) - {"ALERT_TEMPLATES"}
    known |= {f"{name}_FILE" for name in re.findall(r"\$\(value (\w+)\)", script)}

    assert SERVICES["alertmanager"]["environment"].keys() == known


def test_compose_accepts_it():
    """As far as Compose checks without an engine."""
    plugin = ["docker", "compose"]
    if not shutil.which("docker") or subprocess.run([*plugin, "version"], check=False, capture_output=True).returncode:
        pytest.skip("needs docker with its plugin compose, 2.20 or later")

    done = subprocess.run([*plugin, "config", "--quiet"], cwd=ROOT, check=False, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("service", "programs"),
    [("prometheus", ["prometheus"]), ("alertmanager", ["alertmanager", "prometheus-alertmanager"])],
)
def test_programs_know_the_options_that_they_get(service, programs):
    """None was renamed."""
    helped = subprocess.run([tool(*programs), "--help"], check=False, capture_output=True, text=True)
    options = re.findall(r"--[a-z.-]+(?==)", " ".join(SERVICES[service]["command"]))

    assert len(options) >= 3
    assert [option for option in options if option not in helped.stdout + helped.stderr] == []


def test_prometheus_accepts_what_is_mounted(tmp_path):
    """With the rules, the targets and the token's file where the configuration looks for them."""
    for source, target in ((source, target) for name, source, target in _mounts() if name == "prometheus"):
        if target.startswith("/etc/prometheus/"):
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            copy(ROOT / source, tmp_path / Path(target).name)
    read = yaml.safe_load((tmp_path / "prometheus.yml").read_text())

    checked = subprocess.run(
        [tool("promtool"), "check", "config", "--syntax-only", str(tmp_path / "prometheus.yml")],
        check=False,
        capture_output=True,
        text=True,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    job = next(job for job in read["scrape_configs"] if job["job_name"] == "costspan")
    assert job["authorization"] == {"credentials_file": "/run/tokens/token"}
    assert ("prometheus", "prometheus-token", "/run/tokens") in _mounts()
    assert (ONCE, "prometheus-token", "/run/tokens/prometheus") in _mounts()
    targets = {file.stem: yaml.safe_load(file.read_text()) for file in (tmp_path / "targets").iterdir()}
    assert targets["costspan"] == [{"targets": ["costspan:9465"]}]
    assert targets["alertmanager"] == [{"targets": ["alertmanager:9093"]}]


def test_the_collector_sends_to_costspan():
    """What its pipeline names is there; it reads the token that was made for it, and keeps what waits on its volume."""
    exporter = COLLECTOR["exporters"]["otlphttp/costspan"]
    pipeline = COLLECTOR["service"]["pipelines"]["traces"]

    for kind in ("receivers", "processors", "exporters"):
        assert pipeline[kind] == list(COLLECTOR[kind])
    assert COLLECTOR["service"]["extensions"] == list(COLLECTOR["extensions"])
    assert exporter["auth"]["authenticator"] in COLLECTOR["extensions"]
    assert exporter["sending_queue"]["storage"] in COLLECTOR["extensions"]
    assert exporter["traces_endpoint"] == "http://costspan:9465/v1/traces"
    assert exporter["retry_on_failure"]["max_elapsed_time"] == "0s"
    volume = next(target for name, source, target in _mounts() if (name, source) == ("collector", "collector"))
    assert (ONCE, "collector", "/run/tokens/collector") in _mounts()
    assert COLLECTOR["extensions"]["bearertokenauth/costspan"]["filename"] == f"{volume}/token"
    assert COLLECTOR["extensions"]["file_storage"]["directory"].startswith(f"{volume}/")
    assert SERVICES["collector"]["user"] == SERVICES[ONCE]["user"]


def test_the_image_is_small_pinned_and_not_roots():
    """Two stages of one version, packages by their hashes, a user by number, a check of health, a volume."""
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    last = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]

    assert len(stages) == 2
    assert len(set(stages)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", stages[0])
    assert re.findall(r"^USER (.*)", last, re.MULTILINE) == [SERVICES["costspan"]["user"]]
    assert "\nHEALTHCHECK " in last
    assert "\nVOLUME /var/lib/costspan\n" in last
    assert "pip install" not in last
    for command in re.findall(r"pip install [^&\n]*", DOCKERFILE):
        assert "--require-hashes" in command or "--no-deps dist/costspan-*.whl" in command


def test_the_image_is_built_of_what_is_there():
    """Each file that is copied exists and is let in; scripts can be run."""
    let_in = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for source in [word for word in line.split() if not word.startswith("--")][:-1]
    ]

    assert sorted(copied) == sorted(let_in)
    assert [source for source in copied if not (ROOT / source).exists()] == []
    scripts = sorted((ROOT / "deploy").glob("*.sh"))
    assert len(scripts) == 4
    assert [script.name for script in scripts if not os.access(script, os.X_OK)] == []


def test_the_image_has_what_the_server_needs():
    """Each package of pyproject.toml is pinned, with hashes; those of other systems and extras are not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [
        re.split(r"[\[<>=;]", requirement)[0].strip()
        for requirement in (*project["dependencies"], *project["optional-dependencies"]["server"])
        if "win32" not in requirement
    ]
    text = (ROOT / "deploy" / "requirements.txt").read_text()
    pinned = re.findall(r"^([a-z0-9-]+)==\S+ \\\n    --hash=sha256:", text, re.MULTILINE)

    assert [name for name in needed if name not in pinned] == []
    assert len(pinned) == len(re.findall(r"^[a-z]", text, re.MULTILINE))
