"""Writes the bill of materials of what is installed: `python scripts/sbom.py build/sbom.json` (CycloneDX 1.6, JSON).

It holds this distribution, what it needs with `EXTRA` (all of them unless told), as it is installed here, and what is
served to browsers from within the package. Tools that only tests and lint need are not in it.
"""

import json
import re
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NAME, EXTRA = "iotsense", "all"
ROOT = Path(__file__).parents[1]
_NPM = re.compile(r"^\S.*?  +([a-z-]+) (\d[\d.]*\d) +(\S+)", re.MULTILINE)


def bill(extra: str = EXTRA) -> dict[str, Any]:
    """The document."""
    needs = closure(extra)
    served = list(browser_parts())
    root = python_part(NAME) | {"type": "application"}
    references = {name: python_part(name)["bom-ref"] for name in needs}
    links = [
        {"ref": references[name], "dependsOn": sorted(references[each] for each in needed)}
        for name, needed in sorted(needs.items())
    ]
    for link in links:
        if link["ref"] == root["bom-ref"]:
            link["dependsOn"] += [part["bom-ref"] for part in served]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {"timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "component": root},
        "components": [python_part(name) for name in sorted(needs) if name != NAME] + served,
        "dependencies": links + [{"ref": part["bom-ref"]} for part in served],
    }


def closure(extra: str) -> dict[str, set[str]]:
    """All distributions that ours needs on this machine, and what each of them needs."""
    wanted: dict[str, set[str]] = {NAME: {extra}}
    found: dict[str, set[str]] = {}
    waiting = [NAME]
    while waiting:
        name = waiting.pop()
        needed = found.setdefault(name, set())
        for requirement in _requirements(distribution(name), wanted[name]):
            other = canonicalize_name(requirement.name)
            if _installed(other) is None:
                raise SystemExit(f"{name} needs {requirement}, which is not installed here")
            if other != name:
                needed.add(other)
            known = wanted.setdefault(other, set())
            if other not in found or not requirement.extras <= known:
                known |= requirement.extras
                waiting.append(other)
    return found


def python_part(name: str) -> dict[str, Any]:
    """A distribution as a component."""
    found = distribution(name)
    purl = f"pkg:pypi/{canonicalize_name(name)}@{found.version}"
    part = {"type": "library", "bom-ref": purl, "name": found.metadata["Name"], "version": found.version, "purl": purl}
    if summary := _text(found, "Summary"):
        part["description"] = summary
    return part | _licences(found)


def browser_parts() -> Iterator[dict[str, Any]]:
    """What the console and GraphiQL bring along, by the names of its files and the list beside them."""
    for file in sorted((ROOT / "rest" / "console" / "vendor").glob("*.mjs")):
        name, _, version = file.name.removesuffix(".mjs").removesuffix(".min").rpartition("-")
        yield _npm(name, version, "MIT")
    for name, version, licence in _NPM.findall((ROOT / "graphql" / "graphiql" / "LICENSES.txt").read_text("utf-8")):
        yield _npm(name, version, licence)


def _npm(name: str, version: str, licence: str) -> dict[str, Any]:
    purl = f"pkg:npm/{name}@{version}"
    part = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    return part | {"licenses": [{"license": {"id": licence}}]}


def _requirements(found: Distribution, extras: set[str]) -> Iterator[Requirement]:
    for text in found.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield requirement


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _licences(found: Distribution) -> dict[str, Any]:
    if expression := _text(found, "License-Expression"):
        return {"licenses": [{"expression": expression}]}
    names = [
        line.rpartition(" :: ")[2]
        for line in found.metadata.get_all("Classifier") or ()
        if line.startswith("License :: ") and line != "License :: OSI Approved"
    ]
    if not names and (text := _text(found, "License").strip()):
        names = [text.splitlines()[0][:80]]
    return {"licenses": [{"license": {"name": name}} for name in names]} if names else {}


def _text(found: Distribution, field: str) -> str:
    return str((found.metadata.get_all(field) or [""])[0])


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    document = bill()
    target.write_text(json.dumps(document, indent=2) + "\n")
    print(f"{target}: {len(document['components'])} components")
