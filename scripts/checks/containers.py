"""Hold the Dockerfile and the compose file to what a small, non-root, read-only container needs.

No builder runs where this runs: it reads the files, it builds nothing.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema
import yaml

from scripts.checks.files import ROOT
from scripts.checks.outcome import Failed

DOCKERFILE: Final = ROOT / "deploy" / "Dockerfile"
COMPOSE: Final = ROOT / "deploy" / "compose.yaml"
COMPOSE_SCHEMA: Final = Path(__file__).with_name("compose.schema.json")
KNOWN: Final = frozenset(
    {"FROM", "RUN", "CMD", "LABEL", "EXPOSE", "ENV", "COPY", "ENTRYPOINT", "USER", "WORKDIR", "ARG", "STOPSIGNAL"}
    | {"HEALTHCHECK"}
)
_SECRET_NAME: Final = re.compile(r"\b\w*(?:SECRET|TOKEN|PASSWORD|API_KEY)\w*=", re.IGNORECASE)


def check() -> None:
    """Check both files.

    Raises:
        Failed: with every fault.
    """
    faults = [f"Dockerfile: {fault}" for fault in dockerfile_faults(DOCKERFILE.read_text())]
    faults += [f"Dockerfile: {fault}" for fault in _missing_sources(DOCKERFILE.read_text())]
    faults += [f"compose.yaml: {fault}" for fault in compose_faults(yaml.safe_load(COMPOSE.read_text()))]
    faults += list(_ignored())
    if faults:
        raise Failed("\n".join(faults))


def instructions(text: str) -> list[tuple[str, str]]:
    """Return (instruction, its words) for each logical line."""
    joined = re.sub(r"\\\n(?:\s*#[^\n]*\n)*", " ", text)
    lines = [line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = []
    for line in lines:
        word, _, rest = line.partition(" ")
        found.append((word.upper(), re.sub(r"\s+", " ", rest).strip()))
    return found


def dockerfile_faults(text: str) -> Iterator[str]:
    """Name what a linter or a careful reader would refuse."""
    lines = instructions(text)
    for word, rest in lines:
        if word not in KNOWN:
            yield f"{word} is no instruction that belongs here (ADD fetches and unpacks; COPY does not)"
        if word == "ENV" and _SECRET_NAME.search(rest):
            yield "an ENV holds a secret"
    bases = [rest for word, rest in lines if word == "FROM"]
    stages = {rest.split(" AS ")[1] for rest in bases if " AS " in rest}
    for base in bases:
        image = base.split(" ")[0]
        if image not in stages and (":" not in image or image.endswith(":latest")):
            yield f"{image} has no version"
    if len(bases) < 2:
        yield "one stage: the builder's leavings are shipped"
    last = lines[max(index for index, (word, _) in enumerate(lines) if word == "FROM") :] if bases else []
    yield from _last_stage(last)
    for word, rest in lines:
        if word == "RUN":
            yield from _run(rest)
        if word == "COPY" and re.search(r"(?:^|\s)(?:\.|\S*\.env\S*)\s", rest):
            yield f"COPY {rest}: takes more than the image needs"


def _last_stage(lines: list[tuple[str, str]]) -> Iterator[str]:
    users = [rest for word, rest in lines if word == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*(?::[1-9]\d*)?", users[-1]):
        yield "the last USER must be a number that is not root's"
    for wanted in ("HEALTHCHECK", "ENTRYPOINT", "EXPOSE", "STOPSIGNAL"):
        if wanted not in [word for word, _ in lines]:
            yield f"the last stage has no {wanted}"
    for word, rest in lines:
        if word in {"CMD", "ENTRYPOINT"}:
            try:
                json.loads(rest)
            except ValueError:
                yield f"{word} must be a JSON list: a shell in between keeps SIGTERM for itself"


def _run(command: str) -> Iterator[str]:
    if "pip install" in command and ("--no-cache-dir" not in command or "--constraint" not in command):
        yield "pip install needs --no-cache-dir and --constraint"
    if "apt-get install" in command and (
        "--no-install-recommends" not in command or "rm -rf /var/lib/apt" not in command
    ):
        yield "apt-get install needs --no-install-recommends and a cleaned list"
    if re.search(r"\b(?:curl|wget)\b|\bsudo\b", command):
        yield "the build downloads something by hand, or asks for sudo"


def _missing_sources(text: str) -> Iterator[str]:
    for word, rest in instructions(text):
        if word == "COPY" and "--from=" not in rest:
            for source in rest.split(" ")[:-1]:
                if not (ROOT / source).exists():
                    yield f"COPY names {source}, which is not there"


def compose_faults(compose: dict[str, Any]) -> Iterator[str]:
    """Name what is wrong with a compose file."""
    validator = jsonschema.Draft202012Validator(json.loads(COMPOSE_SCHEMA.read_text()))
    for error in validator.iter_errors(compose):
        yield f"{'.'.join(map(str, error.absolute_path))}: {error.message}"[:300]
    services: dict[str, Any] = compose.get("services", {})
    for name, service in services.items():
        if not re.search(r":[\w.${}:-]+$", service.get("image", "")) or service["image"].endswith(":latest"):
            yield f"{name}: its image has no version"
        for value in service.get("environment", {}):
            if re.search(r"SECRET|TOKEN|PASSWORD", value):
                yield f"{name}: {value} belongs into the env file"
        for other in service.get("depends_on", {}):
            if other not in services:
                yield f"{name}: waits for {other}, which is not there"
    for name in ("web", "worker", "migrate"):
        service = services.get(name, {})
        if not service.get("read_only") or service.get("cap_drop") != ["ALL"]:
            yield f"{name}: must be read-only and without capabilities"
    if (
        services.get("web", {}).get("depends_on", {}).get("migrate", {}).get("condition")
        != "service_completed_successfully"
    ):
        yield "web: must wait for the migrations"
    if "noeviction" not in services.get("redis", {}).get("command", []):
        yield "redis: a limit that is thrown out early is no limit"


def _ignored() -> Iterator[str]:
    text = (ROOT / ".dockerignore").read_text().splitlines()
    if text and "*" not in text:
        yield ".dockerignore: begin with `*` and name what the image needs"
    if "**/.env" not in text:
        yield ".dockerignore: **/.env must stay out of the image"
