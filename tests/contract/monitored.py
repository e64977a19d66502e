"""What the dashboard and the alert rules ask of Prometheus, compared with what a worker exposes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import promql_parser
import yaml
from rig.state import CHECKOUT

Exposed = Mapping[tuple[str, frozenset[tuple[str, str]]], float]

# Prometheus adds these to every sample, and makes this one itself.
OF_THE_SCRAPE = {"instance", "job"}
UP = "up"


def rules() -> list[dict[str, Any]]:
    """Every alert."""
    groups = yaml.safe_load((CHECKOUT / "config" / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> Any:
    return json.loads((CHECKOUT / "config" / "grafana.json").read_text())


def queries() -> Iterator[tuple[str, str]]:
    """Where each expression stands, and the expression as Prometheus gets it."""
    for rule in rules():
        yield f"config/alerts.yml: {rule['alert']}", rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            text = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
            yield f"config/grafana.json: {panel['title']}", text


def fault(text: str, exposed: Exposed) -> str:
    """What is wrong with an expression for those who expose this; empty where nothing is."""
    values: dict[str, dict[str, set[str]]] = {}
    for name, labels in exposed:
        known = values.setdefault(name, {})
        for label, value in labels:
            known.setdefault(label, set()).add(value)
    try:
        tree = promql_parser.parse(text)
    except ValueError as error:
        return f"it is no PromQL: {error}"
    faults: list[str] = []
    known_labels: set[str] = set(OF_THE_SCRAPE)

    def look(node: Any) -> bool:
        if isinstance(node, promql_parser.MatrixSelector):
            look(node.vector_selector)
        if isinstance(node, promql_parser.VectorSelector) and node.name != UP:
            if node.name not in values:
                faults.append(f"nothing exposes {node.name}")
                return True
            known_labels.update(values[node.name])
            for matcher in node.matchers.matchers:
                if matcher.name in OF_THE_SCRAPE:
                    continue
                if matcher.name not in values[node.name]:
                    faults.append(f"{node.name} has no label {matcher.name}")
                    continue
                faults.extend(
                    f"{node.name}: {matcher.name} is never {value}"
                    for value in matcher.value.split("|")
                    if value not in values[node.name][matcher.name]
                )
        return True

    promql_parser.walk(tree, look)
    grouped = {label for found in re.findall(r"\bby \(([^)]*)\)", text) for label in re.split(r",\s*", found)}
    faults.extend(f"it groups by {label}, which none of its metrics has" for label in sorted(grouped - known_labels))
    return "; ".join(faults)
