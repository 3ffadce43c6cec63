"""Reads the templates of nginx sites, files beside the stack's file."""

from __future__ import annotations

from pathlib import Path

from config import site_template
from config.errors import ConfigError
from config.reverse_proxy import Site, SiteTemplate
from config.stack import Stack

LARGEST = 1 << 20
"""Bytes of a file of nginx that is read, here as on the server."""


def with_templates(stack: Stack, folder: Path) -> Stack:
    """Return the stack with the text of each template of a site.

    :raises ConfigError: where a file cannot be read, or is no template; it names the site, the file and the line.
    """
    proxy = stack.reverse_proxy
    if proxy is None or all(isinstance(site, Site) for site in proxy.sites.values()):
        return stack
    sites = {
        name: site.with_text(_read(name, site, folder)) if isinstance(site, SiteTemplate) else site
        for name, site in proxy.sites.items()
    }
    return stack.model_copy(update={"reverse_proxy": proxy.model_copy(update={"sites": sites})})


def decoded(content: bytes) -> str:
    """Return a file of nginx as text; bytes that are no UTF-8 are kept."""
    return content.decode("utf-8", "surrogateescape")


def _read(name: str, site: SiteTemplate, folder: Path) -> str:
    path = folder / site.template
    try:
        if not path.is_file():
            raise ConfigError(
                f"reverseProxy.sites.{name}: there is no file {site.template}",
                f"it is the site's template, and is looked for in {folder.resolve()}",
                "put it back, or correct `template`",
            )
        content = path.read_bytes()
    except OSError as err:
        raise ConfigError(
            f"reverseProxy.sites.{name}: {site.template} cannot be read: {err.strerror}",
            "it is the site's template",
            "let whoever runs this read it",
        ) from err
    if len(content) > LARGEST:
        raise ConfigError(
            f"reverseProxy.sites.{name}: {site.template} is larger than 1 MiB",
            "a file of that size is not compared with the server",
            "put parts of it into files that the site includes",
        )
    text = decoded(content)
    try:
        site_template.parts(text)
    except ConfigError as err:
        raise ConfigError(f"reverseProxy.sites.{name}: {site.template}, {err.found}", err.breaks, err.remedy) from err
    return text
