"""Draws the rooms of the program and the engine, from the imports in the code, as a Mermaid graph.

`python -m lab.rooms` updates the graph in docs/architecture.md.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- rooms -->", "<!-- end of rooms -->"
_PACKAGES = ("components", "config", "flowmaster")


def imports(root: Path = ROOT) -> dict[str, set[str]]:
    """Return the rooms that each room imports; imports for type checking and within functions count, too."""
    found: dict[str, set[str]] = {}
    for path in _files(root):
        room = _room(".".join(path.relative_to(root).with_suffix("").parts))
        tree = ast.parse(path.read_text(encoding="utf-8"))
        targets = {_room(module) for module in _imported(tree)}
        if room:
            found.setdefault(room, set()).update(targets - {room, ""})
    return found


def reduced(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the graph without arrows that follow from others (transitive reduction of an acyclic graph)."""
    below = {room: _reachable(graph, room) for room in graph}
    return {
        room: {target for target in targets if not any(target in below[other] for other in targets - {target})}
        for room, targets in graph.items()
    }


def mermaid(graph: Mapping[str, set[str]]) -> str:
    """Render the graph, rooms and arrows in alphabetical order."""
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'    {_identifier(room)}["{room}"]' for room in sorted(graph)]
    lines += [
        f"    {_identifier(room)} --> {_identifier(target)}" for room in sorted(graph) for target in sorted(graph[room])
    ]
    return "\n".join([*lines, "```"])


def updated(page: str, root: Path = ROOT) -> str:
    """Return the text of the page with the current graph between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{mermaid(reduced(imports(root)))}\n{END}{after}"


def _files(root: Path) -> Iterator[Path]:
    yield root / "__main__.py"
    for package in _PACKAGES:
        yield from sorted((root / package).rglob("*.py"))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _room(module: str) -> str:
    """The room of a module: a package of the program, or one of the engine; empty for anything else."""
    first, *rest = module.split(".")
    if first == "flowmaster" and rest and (ROOT / "flowmaster" / rest[0]).is_dir():
        return f"flowmaster/{rest[0]}"
    if first in ("components", "config"):
        return first
    return "__main__.py" if module == "__main__" else ""


def _reachable(graph: Mapping[str, set[str]], room: str) -> set[str]:
    found: set[str] = set()
    queue = list(graph[room])
    while queue:
        target = queue.pop()
        if target not in found:
            found.add(target)
            queue += graph.get(target, set())
    return found


def _identifier(room: str) -> str:
    return room.replace("/", "_").replace(".", "_").strip("_")


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
