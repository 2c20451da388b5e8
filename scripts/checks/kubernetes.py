"""Hold the Kubernetes manifests to the cluster's own schemas and to what this service needs of them."""

from collections.abc import Iterator
from typing import Any, Final

import kubernetes_validate
import yaml

from apps.accounts import config as accounts_config
from apps.accounts.variables import BY_NAME
from scripts.checks.files import ROOT
from scripts.checks.outcome import Failed

FOLDER: Final = ROOT / "deploy" / "k8s"
VERSIONS: Final = ("1.29", "1.37")
# Enough to let the settings of the manifests start; the real ones are in no file.
STAND_INS: Final = {
    "SECRET_KEY": "s" * 48,
    "OTP_SECRET": "o" * 48,
    "DATABASE_URL": "postgres://login@postgres/login",
    "REDIS_URL": "redis://redis:6379/0",
    "AUTHENTICA_API_KEY": "a" * 32,
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "t" * 32,
    "TWILIO_MESSAGING_SERVICE_SID": "MG" + "0" * 32,
}


def check() -> None:
    """Check every manifest.

    Raises:
        Failed: with every fault.
    """
    objects = {path.name: list(yaml.safe_load_all(path.read_text())) for path in sorted(FOLDER.glob("*.yaml"))}
    customization = objects.pop("kustomization.yaml")[0]
    faults = [*_listed(customization, set(objects)), *faults_of([item for found in objects.values() for item in found])]
    if faults:
        raise Failed("\n".join(faults))


def _listed(customization: dict[str, Any], names: set[str]) -> Iterator[str]:
    if set(customization["resources"]) != names:
        yield f"kustomization.yaml lists other files than there are: {set(customization['resources']) ^ names}"
    if customization.get("namespace") != "rayon":
        yield "kustomization.yaml: the runbooks say `-n rayon`"


def faults_of(objects: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with a set of manifests that are applied together."""
    found: list[str] = []
    for item in objects:
        where = f"{item.get('kind')}/{item.get('metadata', {}).get('name')}"
        found += [f"{where}: {fault}" for fault in _schema(item)]
        found += [f"{where}: {fault}" for pod in pods(item) for fault in _pod(pod)]
    found += [*_deployment(objects), *_references(objects), *_settings(objects)]
    return found


def _schema(item: dict[str, Any]) -> Iterator[str]:
    if item.get("kind") == "Secret":
        yield "a secret does not belong into a file"
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(item, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"Kubernetes {version}: {'.'.join(map(str, error.path))} {error.message}"[:300]


def pods(item: Any) -> Iterator[dict[str, Any]]:
    """Give every pod specification inside an object."""
    if isinstance(item, dict):
        if isinstance(item.get("containers"), list):
            yield item
        for value in item.values():
            yield from pods(value)


def _pod(pod: dict[str, Any]) -> Iterator[str]:
    if not pod.get("securityContext", {}).get("runAsNonRoot"):
        yield "the pod may run as root"
    if pod.get("automountServiceAccountToken") is not False:
        yield "the pod gets a token for the cluster"
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        name, security = container["name"], container.get("securityContext", {})
        if not security.get("readOnlyRootFilesystem") or security.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: the root file system is writable, or privileges can grow"
        if security.get("capabilities", {}).get("drop") != ["ALL"]:
            yield f"{name}: keeps capabilities"
        resources = container.get("resources", {})
        if not resources.get("limits", {}).get("memory") or not resources.get("requests", {}).get("cpu"):
            yield f"{name}: needs a memory limit and a CPU request"
        for variable in container.get("env", []):
            if "value" in variable and getattr(BY_NAME.get(variable["name"]), "secret", False):
                yield f"{name}: {variable['name']} is a secret and stands in the file"


def _one(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    for item in objects:
        if item.get("kind") == kind and item["metadata"]["name"] == name:
            return item
    return {}


def _deployment(objects: list[dict[str, Any]]) -> Iterator[str]:
    spec = _one(objects, "Deployment", "backend").get("spec")
    if not spec:
        yield "the runbooks need deployment/backend"
        return
    if spec["strategy"].get("rollingUpdate", {}).get("maxUnavailable") != 0:
        yield "Deployment/backend: an update must not take a pod away before the next one serves"
    pod = spec["template"]["spec"]
    web = pod["containers"][0]
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        if web.get(probe, {}).get("httpGet", {}).get("path") != path:
            yield f"Deployment/backend: {probe} must ask for {path}"
    if not web.get("lifecycle", {}).get("preStop"):
        yield "Deployment/backend: without preStop a proxy sends to a server that is gone"
    if not any("otp_migrate" in container.get("command", []) for container in pod.get("initContainers", [])):
        yield "Deployment/backend: migrations must come before the first new process"


def _references(objects: list[dict[str, Any]]) -> Iterator[str]:
    labels = (
        _one(objects, "Deployment", "backend").get("spec", {}).get("template", {}).get("metadata", {}).get("labels")
    )
    for kind, path in (("Service", "selector"), ("PodDisruptionBudget", "selector.matchLabels")):
        selector: Any = _one(objects, kind, "backend").get("spec", {})
        for part in path.split("."):
            selector = selector.get(part, {})
        if selector != labels:
            yield f"{kind}/backend does not select the pods of deployment/backend"
    target = _one(objects, "HorizontalPodAutoscaler", "backend").get("spec", {}).get("scaleTargetRef", {})
    if (target.get("kind"), target.get("name")) != ("Deployment", "backend"):
        yield "HorizontalPodAutoscaler/backend scales something else"
    if not _one(objects, "NetworkPolicy", "backend"):
        yield "NetworkPolicy/backend is missing"
    for name, command in (("otp-audit", "otp_audit"), ("otp-purge", "otp_purge")):
        spec = _one(objects, "CronJob", name).get("spec", {})
        if spec.get("concurrencyPolicy") != "Forbid" or command not in str(spec):
            yield f"CronJob/{name} must run {command}, one at a time"


def _settings(objects: list[dict[str, Any]]) -> Iterator[str]:
    data: dict[str, str] = _one(objects, "ConfigMap", "backend-settings").get("data", {})
    for name in data:
        variable = BY_NAME.get(name)
        if variable is None or variable.secret:
            yield f"ConfigMap/backend-settings: {name} is {'a secret' if variable else 'no variable of the service'}"
    try:
        accounts_config.load({**STAND_INS, **data})
    except accounts_config.ConfigurationError as error:
        yield f"ConfigMap/backend-settings: the service would not start with it: {'; '.join(error.faults)}"
