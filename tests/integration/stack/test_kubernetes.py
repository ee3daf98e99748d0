"""The example for Kubernetes, as far as it can be read without a cluster."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from costspan import __version__
from integration.alerting.processes import tool

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "kubernetes"
THINGS: dict[str, dict[str, Any]] = {
    thing["kind"]: thing for file in sorted(FOLDER.glob("*.yaml")) for thing in yaml.safe_load_all(file.read_text())
}
SERVER = {"app.kubernetes.io/name": "costspan", "app.kubernetes.io/component": "server"}


def test_what_is_generated_is_up_to_date():
    """`deploy/generate.py` would change nothing."""
    generated = runpy.run_path(str(ROOT / "deploy" / "generate.py"))["generated"]()

    assert len(generated) == 2
    assert [file.name for file, text in generated.items() if file.read_text() != text] == []


def test_the_rules_are_those_that_are_tested(tmp_path):
    """All of `prometheus/rules`, and Prometheus accepts them."""
    spec = THINGS["PrometheusRule"]["spec"]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(spec))

    checked = subprocess.run(
        [tool("promtool"), "check", "rules", str(tmp_path / "rules.yml")], check=False, capture_output=True, text=True
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    shipped = [
        group
        for file in sorted((ROOT / "prometheus" / "rules").glob("*.yml"))
        for group in yaml.safe_load(file.read_text())["groups"]
    ]
    assert spec["groups"] == shipped


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_pods_may_little(kind):
    """Pinned, not root, nothing to write to but what is mounted, no right to the cluster, bounded memory."""
    pod = THINGS[kind]["spec"]["template"]["spec"]

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["image"].endswith(f"/costspan:{__version__}")
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"memory"} <= container["resources"]["limits"].keys()


def test_secrets_are_referred_to_only():
    """No manifest has one; the servers' login is not the one that migrates."""
    names = {
        kind: [
            entry["valueFrom"]["secretKeyRef"]["name"]
            for container in THINGS[kind]["spec"]["template"]["spec"]["containers"]
            for entry in container["env"]
            if entry["name"] == "COSTSPAN_DATABASE_URL"
        ]
        for kind in ("Deployment", "Job")
    }

    assert "Secret" not in THINGS
    assert names == {"Deployment": ["costspan"], "Job": ["costspan-setup"]}
    assert not re.search("postgresql://|csp_", "".join(file.read_text() for file in FOLDER.glob("*.yaml")))
    page = (ROOT / "docs" / "deployment.md").read_text()
    for name in ("costspan-setup", "costspan-metrics"):
        assert f"create secret generic {name} " in page


def test_servers_are_asked_whether_they_live_and_whether_they_can_answer():
    """A ledger that is away makes them not ready; it does not restart them."""
    (container,) = THINGS["Deployment"]["spec"]["template"]["spec"]["containers"]
    paths = {probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}

    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert container["ports"] == [{"name": "http", "containerPort": 9465}]


def test_everything_finds_the_servers():
    """Service, budget and monitor choose by labels that the servers have, and the service's port is the one that is scraped."""
    spec = THINGS["Deployment"]["spec"]
    service, monitor = THINGS["Service"], THINGS["ServiceMonitor"]["spec"]

    assert spec["template"]["metadata"]["labels"] == spec["selector"]["matchLabels"] == SERVER
    assert service["spec"]["selector"] == service["metadata"]["labels"] == monitor["selector"]["matchLabels"] == SERVER
    assert THINGS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == SERVER
    assert [end["port"] for end in monitor["endpoints"]] == [port["name"] for port in service["spec"]["ports"]]
    # Else the Operator's label `service` takes the place of a metric's own, which is the API family of a call.
    assert monitor["endpoints"][0]["honorLabels"] is True
    assert monitor["endpoints"][0]["authorization"]["credentials"] == {"name": "costspan-metrics", "key": "token"}


def test_everything_is_applied():
    """The list has every file; where kubectl is installed, it makes one of them all."""
    listed = THINGS["Kustomization"]["resources"]

    assert sorted(listed) == sorted(file.name for file in FOLDER.glob("*.yaml") if file.name != "kustomization.yaml")
    if shutil.which("kubectl"):
        made = subprocess.run(["kubectl", "kustomize", str(FOLDER)], check=True, capture_output=True, text=True)
        assert len(list(yaml.safe_load_all(made.stdout))) == len(listed)
