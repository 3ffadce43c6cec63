"""The files of an acceptance: shown as they will be, or written all together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from config import load, secret_store
from config.stack_file import replace_files
from flowmaster.adopt import write
from flowmaster.adopt.edits import edited

if TYPE_CHECKING:
    from flowmaster.adopt.acceptance import Acceptance


def texts(acceptance: Acceptance, root: Path) -> dict[Path, tuple[str, str]]:
    """Return each file that changes, before and after. Secret values are in none of them."""
    name = acceptance.settings.name
    stack_file, catalogue_file = load.stack_path(name, root), load.catalogue_path(acceptance.settings.stack, root)
    found: dict[Path, tuple[str, str]] = {}
    if acceptance.stack:
        edits = {("config", f"{load.PROJECT}:{path[0]}", *path[1:]): v for path, v in acceptance.stack.items()}
        before = stack_file.read_text(encoding="utf-8")
        found[stack_file] = (before, edited(before, edits))
    if acceptance.catalogue:
        before = catalogue_file.read_text(encoding="utf-8")
        found[catalogue_file] = (before, write.edited_catalogue(before, acceptance.catalogue))
    for file, body in acceptance.manifests.items():
        path = catalogue_file.parent / (acceptance.settings.catalogue.objects or "") / file
        found[path] = (path.read_text(encoding="utf-8"), write.manifest_text(body))
    return found


def save(acceptance: Acceptance, root: Path) -> list[Path]:
    """Write all files; returns those that changed.

    :raises UserError: if a file cannot be written; then all are as before.
    """
    with secret_store.opened(acceptance.settings.name, root) as store:
        secrets: dict[Path, str] = {}
        if acceptance.secrets:
            secrets[store.file] = store.text({**store.values(), **acceptance.secrets})
        # not before: a data key that was made just now is in the stack file
        files = {path: after for path, (_, after) in texts(acceptance, root).items()} | secrets
        if files:
            replace_files(files)
    return list(files)
