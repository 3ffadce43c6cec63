"""Draws the server as SVG: nginx, the services behind it, all others, and external hosts, coloured by drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from config.settings import Settings
from flowmaster.compare.finding import Finding, FindingClass
from flowmaster.drift.engine import Report
from flowmaster.drift.overview import Line, Overview, ServiceRow
from flowmaster.render import nginx
from flowmaster.report import summary

COLOURS: Mapping[FindingClass | None, str] = {
    None: "#2e7d4f",
    FindingClass.PENDING: "#5b7fb5",
    FindingClass.STALE: "#3f51b5",
    FindingClass.UNHEALTHY: "#c62828",
    FindingClass.FOREIGN: "#00838f",
    FindingClass.DRIFT: "#ef6c00",
    FindingClass.CONFLICT: "#ad1457",
    FindingClass.UNKNOWN: "#8e24aa",
}
_ASLEEP, _GROUND = "#9e9e9e", "#fafafa"
_WIDTH, _BOX, _HIGH, _STEP = 1200, 168, 40, 52
_COLUMNS = 3
_LEFT, _ROUTED, _INSIDE, _RIGHT = 24, 264, 470, 1014
_TOP = 104
_HEADS = (
    (_LEFT, "from outside"),
    (_ROUTED, "behind nginx"),
    (_INSIDE, "inside the cluster"),
    (_RIGHT, "beside the cluster"),
)


@dataclass(frozen=True, slots=True)
class _Box:
    x: float
    y: float
    title: str
    words: str
    colour: str
    width: float = _BOX


def svg(settings: Settings, whole: Overview) -> str:
    """Render a self-contained SVG, without scripts, fonts or other files."""
    routed = _routed(settings)
    by_name = {row.name: row for row in whole.services}
    boxes = {n: _service_box(_ROUTED, index, by_name[n]) for index, n in enumerate(routed) if n in by_name}
    rest = [row for row in whole.services if row.name not in routed]
    for index, row in enumerate(rest):
        x = _INSIDE + index % _COLUMNS * (_BOX + 10)
        boxes[row.name] = _service_box(x, index // _COLUMNS, row)
    middle = _TOP + max(len(routed) - 1, 0) * _STEP / 2
    proxy = _Box(_LEFT, middle, "nginx", _words(whole.lines, "nginx"), _worst(whole.report, ("NginxSite", "Nginx")))
    outside = _outside(settings, whole)
    height = max(box.y for box in (*boxes.values(), *outside)) + _HIGH + 96
    parts = [_head(height, whole)]
    parts += [_arrow(proxy, boxes[name], path) for name, path in routed.items() if name in boxes]
    drawn = (proxy, *boxes.values(), *outside)
    parts += [_draw(box) for box in drawn]
    parts.append(_legend(height, whole.report, {box.colour for box in drawn}))
    parts.append("</svg>\n")
    return "\n".join(parts)


def _routed(settings: Settings) -> dict[str, str]:
    """The services that nginx leads to, each with the first path that does."""
    found: dict[str, str] = {}
    proxy = settings.stack.reverse_proxy
    for site in proxy.sites.values() if proxy else ():
        for service, path in nginx.paths(site):
            found.setdefault(service, path)
    return found


def _service_box(x: float, line: int, row: ServiceRow) -> _Box:
    colour = COLOURS[row.worst] if row.wanted or row.worst else _ASLEEP
    words = f"{row.version}, {row.ready}/{row.wanted}" if row.wanted else "at 0 replicas"
    return _Box(x, _TOP + line * _STEP, row.name, words, colour)


def _outside(settings: Settings, whole: Overview) -> list[_Box]:
    boxes = []
    for index, (name, target) in enumerate(settings.catalogue.external_services.items()):
        of_it = [f for f in whole.report.findings if f.object.kind == "Service" and f.object.name == name]
        words = target.removesuffix(".cluster.local").removesuffix(".svc")
        boxes.append(_Box(_RIGHT, _TOP + index * _STEP, name, words, _colour(of_it)))
    for index, what in enumerate(("SDX", "Plane", "registry"), len(boxes)):
        line = next((entry for entry in whole.lines if entry.what == what), None)
        colour = COLOURS[FindingClass.UNKNOWN] if line is None or line.well is None else COLOURS[None]
        if line is not None and line.well is False:
            colour = COLOURS[FindingClass.UNHEALTHY]
        parts = line.words.split("; ") if line else [""]
        words = parts[1] if line is not None and line.well is False and len(parts) > 1 else parts[0]
        boxes.append(_Box(_RIGHT, _TOP + 20 + index * _STEP, what, words, colour))
    return boxes


def _worst(report: Report, kinds: Sequence[str]) -> str:
    return _colour([finding for finding in report.findings if finding.object.kind in kinds])


def _colour(findings: Sequence[Finding]) -> str:
    return COLOURS[min((f.cls for f in findings), key=lambda cls: cls.rank, default=None)]


def _words(lines: Sequence[Line], what: str) -> str:
    return next((line.words.partition(";")[0] for line in lines if line.what == what), "")


def _head(height: float, whole: Overview) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:g}" role="img" '
            'font-family="system-ui, sans-serif" font-size="13">',
            f"<title>{escape(summary.headline(whole.report))}</title>",
            f'<rect width="{_WIDTH}" height="{height:g}" fill="{_GROUND}"/>',
            f'<text x="24" y="34" font-size="18" font-weight="600">{escape(summary.headline(whole.report))}</text>',
            f'<text x="24" y="56" fill="#666">{escape(summary.subject(whole.report))}</text>',
            *(f'<text x="{x}" y="{_TOP - 12}" fill="#888">{words}</text>' for x, words in _HEADS),
        ]
    )


def _arrow(start: _Box, end: _Box, path: str) -> str:
    """The way from nginx to a service, with the path that leads there."""
    x1, y1, x2, y2 = start.x + start.width, start.y + _HIGH / 2, end.x, end.y + _HIGH / 2
    middle = (x1 + x2) / 2
    bend = f"M{x1:g},{y1:g} C{middle:g},{y1:g} {middle:g},{y2:g} {x2:g},{y2:g}"
    # with a rim, so that the line behind it does not strike it through
    label = (
        f'<text x="{x2 - 6:g}" y="{y2 - 5:g}" font-size="11" fill="#555" text-anchor="end" '
        f'stroke="{_GROUND}" stroke-width="4" paint-order="stroke">{escape(path)}</text>'
    )
    return f'<path d="{bend}" fill="none" stroke="#888" stroke-width="1.5"/>{label}'


def _draw(box: _Box) -> str:
    return (
        f"<g><title>{escape(f'{box.title}: {box.words}')}</title>"
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{_HIGH}" rx="5" fill="#fff" '
        f'stroke="{box.colour}" stroke-width="2"/>'
        f'<rect x="{box.x:g}" y="{box.y:g}" width="6" height="{_HIGH}" rx="2" fill="{box.colour}"/>'
        f'<text x="{box.x + 14:g}" y="{box.y + 17:g}" font-weight="600" font-size="{_size(box.title)}">'
        f"{escape(_cut(box.title, 24))}</text>"
        f'<text x="{box.x + 14:g}" y="{box.y + 32:g}" font-size="11" fill="#555">{escape(_cut(box.words, 28))}</text>'
        "</g>"
    )


def _size(title: str) -> str:
    """Long names in smaller letters, so that they stay within their boxes."""
    return "13" if len(title) < 19 else "11"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _legend(height: float, report: Report, used: set[str]) -> str:
    """Render the legend of the colours in use."""
    entries = [("as declared", COLOURS[None]), ("at 0 replicas", _ASLEEP)]
    for cls in FindingClass:
        if report.counts[cls]:
            entries.append((f"{cls} ({report.counts[cls]})", COLOURS[cls]))
        elif COLOURS[cls] in used:
            entries.append((str(cls), COLOURS[cls]))
    parts = []
    for index, (words, colour) in enumerate(entries):
        x = 24 + index * 140
        parts.append(f'<rect x="{x}" y="{height - 44:g}" width="12" height="12" rx="2" fill="{colour}"/>')
        parts.append(f'<text x="{x + 18}" y="{height - 34:g}" fill="#333">{escape(words)}</text>')
    return "".join(parts)
