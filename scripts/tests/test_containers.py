"""Are the faults of a Dockerfile, a compose file and a manifest found?"""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from scripts.checks import containers, kubernetes

DOCKERFILE = containers.DOCKERFILE.read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(containers.COMPOSE.read_text())
MANIFESTS: list[dict[str, Any]] = [
    item
    for path in sorted(kubernetes.FOLDER.glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for item in yaml.safe_load_all(path.read_text())
]


def test_the_dockerfile_as_it_is_has_no_fault() -> None:
    assert list(containers.dockerfile_faults(DOCKERFILE)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("USER 10001:10001", "USER root"),
        ("USER 10001:10001", ""),
        ("python:3.11-slim-bookworm AS", "python AS"),
        ("HEALTHCHECK", "# HEALTHCHECK"),
        ('ENTRYPOINT ["python", "-m", "salon_api.serve"]', "ENTRYPOINT python -m salon_api.serve"),
        ("COPY backend ./backend", "COPY . ."),
        ("COPY backend ./backend", "COPY backend/.env ./backend/"),
        ("COPY backend ./backend", "ADD backend ./backend"),
        ("HOST=0.0.0.0", "ADMIN_TOKEN=abc"),
        ("--no-cache-dir ", ""),
    ],
)
def test_a_worse_dockerfile_is_refused(old: str, new: str) -> None:
    assert old in DOCKERFILE
    assert list(containers.dockerfile_faults(DOCKERFILE.replace(old, new)))


def test_the_compose_file_as_it_is_has_no_fault() -> None:
    assert list(containers.compose_faults(COMPOSE)) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda services: services["web"].update(read_only=False),
        lambda services: services["web"].update(privileged=True),
        lambda services: services["web"].update(ports=["8000:8000"]),
        lambda services: services["web"]["depends_on"].pop("migrate"),
        lambda services: services["postgres"].update(image="postgres:latest"),
        lambda services: services["postgres"]["environment"].update(POSTGRES_PASSWORD="x"),
        lambda services: services["redis"].update(command=["redis-server"]),
        lambda services: services["worker"].update(depends_on={"queue": {"condition": "service_started"}}),
    ],
)
def test_a_worse_compose_file_is_refused(spoil: Callable[[dict[str, Any]], Any]) -> None:
    compose = copy.deepcopy(COMPOSE)
    spoil(compose["services"])
    assert list(containers.compose_faults(compose))


def test_the_manifests_as_they_are_have_no_fault() -> None:
    assert kubernetes.faults_of(MANIFESTS) == []


def _find(objects: list[dict[str, Any]], kind: str, name: str = "backend") -> dict[str, Any]:
    return next(item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name)


def _pod(objects: list[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = _find(objects, "Deployment")["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize(
    "spoil",
    [
        lambda objects: objects.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "backend-secrets"}}),
        lambda objects: _find(objects, "Deployment")["spec"].update(replica=2),
        lambda objects: _find(objects, "Deployment")["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1),
        lambda objects: _pod(objects).pop("initContainers"),
        lambda objects: _pod(objects)["containers"][0].pop("readinessProbe"),
        lambda objects: _pod(objects)["containers"][0].pop("lifecycle"),
        lambda objects: _pod(objects)["containers"][0]["securityContext"].update(readOnlyRootFilesystem=False),
        lambda objects: _pod(objects)["containers"][0].update(env=[{"name": "ADMIN_TOKEN", "value": "x"}]),
        lambda objects: _find(objects, "Service")["spec"].update(selector={"app": "other"}),
        lambda objects: _find(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(name="web"),
        lambda objects: objects.remove(_find(objects, "NetworkPolicy")),
        lambda objects: _find(objects, "CronJob", "otp-purge")["spec"].update(concurrencyPolicy="Allow"),
        lambda objects: _find(objects, "ConfigMap", "backend-settings")["data"].update(OTP_PROVIDER="console"),
        lambda objects: _find(objects, "ConfigMap", "backend-settings")["data"].update(OTP_PROVIDR="twilio"),
        lambda objects: _find(objects, "ConfigMap", "backend-settings")["data"].update(OTP_SECRET="x" * 40),
    ],
)
def test_a_worse_manifest_is_refused(spoil: Callable[[list[dict[str, Any]]], Any]) -> None:
    objects = copy.deepcopy(MANIFESTS)
    spoil(objects)
    assert kubernetes.faults_of(objects)
