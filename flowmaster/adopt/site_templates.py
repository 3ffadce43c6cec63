"""Adopts a site of nginx as a template: its file as it stands, with placeholders for the addresses of Services.

The proof is that the template renders to the live file, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from posixpath import join

from config import site_template
from flowmaster.adopt.site_directives import AGAIN, LEAVE, AdoptedSite, Directive, SiteAdoptionError, refused
from flowmaster.cluster.masking import Masker
from flowmaster.host import nginx_credentials, nginx_tree, policy
from flowmaster.host.errors import PolicyError
from flowmaster.host.nginx import HostState

_BESIDE = re.compile(
    r"^include$|(?:_|^)(?:certificate|certificate_key|trusted_certificate|client_certificate|dhparam|crl|ticket_key"
    r"|user_file|password_file|by_lua_file|js_import|perl_require)$"
)
"""Directives that name a file which a site needs, beside what it serves and logs."""
_CONFIG = "/etc/nginx"


def site(
    name: str, host: HostState, addresses: Mapping[str, str], file: str, masker: Masker | None = None
) -> AdoptedSite:
    """The template of an enabled site.

    :param addresses: ``CLUSTERIP:PORT`` by service: these become placeholders.
    :param file: where the template will lie.
    :raises SiteAdoptionError: where it cannot be read, has a credential in the clear, is not ours to write, or nginx
        refuses it.
    """
    content = _content(name, host)
    try:
        directives = nginx_tree.parse(content)
    except nginx_tree.SyntaxProblem as err:
        raise SiteAdoptionError(
            f"site {name}: {err}",
            "what it does cannot be told by its directives, so the guards cannot hold for it",
            "correct the file on the server (nginx -t), or leave it as it is",
        ) from err
    refuse_credentials(name, directives, masker or Masker())
    try:
        policy.check_site(name, content)
    except PolicyError as err:
        raise SiteAdoptionError(err.found, err.breaks, "it is left as it is") from err
    text = site_template.made_of(content, addresses)
    if site_template.rendered(text, addresses) != content:
        raise SiteAdoptionError(f"site {name}: its template does not give the same file", "up would change it", LEAVE)
    return AdoptedSite({"template": file}, template=text, depends=list(beside(directives)))


def _content(name: str, host: HostState) -> str:
    found = host.site(name)
    if name in host.problems:
        raise SiteAdoptionError(f"the site {name} {host.problems[name]}", "an update does not write there", LEAVE)
    if found is None or found.content is None:
        kind = found.kind if found else "missing"
        raise SiteAdoptionError(f"site {name} cannot be read ({kind})", "what is not known cannot be kept", LEAVE)
    if not host.nginx.valid and found.path in host.nginx.words:
        words = next(line for line in host.nginx.words.splitlines() if found.path in line).removeprefix("nginx: ")
        raise SiteAdoptionError(f"site {name}: {words}", "nginx refuses the file", f"correct it on the server {AGAIN}")
    return found.content


def refuse_credentials(name: str, directives: Iterable[Directive], masker: Masker | None = None) -> None:
    """Refuse a file with a credential in the clear, in directives or, where a masker is given, in comments.

    :raises SiteAdoptionError: naming the line and the directive, without the credential.
    """
    for directive in nginx_tree.every(directives):
        comment = directive["directive"] == "#"
        found: Directive | None = directive
        if not comment:
            found = directive if _exposed(directive, masker) else None
        elif masker is None:
            found = None
        else:
            text = str(directive["comment"])
            found = commented_credential(text) or (directive if masker.reveals(text) else None)
        if found is not None:
            words = [] if found["directive"] == "#" else [found["directive"], *found["args"][: len(found["args"]) > 1]]
            what = " ".join(["a comment" if not words else f"the comment {words[0]}"] if comment else words)
            raise refused(
                name,
                directive,
                f"{what} has a credential in the clear",
                "it would get into the stack's configuration and state",
                f"put that line into a file of its own under /etc/nginx/snippets, include it, {AGAIN}",
            )


def commented_credential(text: str) -> Directive | None:
    """A directive with a credential that was commented out, in the text of a comment."""
    try:
        return next(filter(_exposed, nginx_tree.every(nginx_tree.parse(text.strip()))), None)
    except nginx_tree.SyntaxProblem:
        return None


def _exposed(directive: Directive, masker: Masker | None = None) -> bool:
    words = list(directive["args"])
    return nginx_credentials.masked(directive["directive"], words) != words or (
        masker is not None and any(masker.reveals(word) for word in words)
    )


def beside(directives: Iterable[Directive]) -> Iterator[str]:
    """The files that a site depends on: what it includes, certificates with their keys, files of passwords."""
    found: dict[str, None] = {}
    for directive in nginx_tree.every(directives):
        if _BESIDE.search(directive["directive"]) and directive["args"]:
            word = directive["args"][-1 if directive["directive"] == "js_import" else 0]
            if not word.startswith(("$", "data:", "engine:")) and word != "off":
                found[join(_CONFIG, word)] = None
    yield from found
