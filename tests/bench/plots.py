# SPDX-License-Identifier: GPL-2.0
"""Plots of the results: small SVG files, drawn by hand, the same for the same numbers."""

import math
import os

WIDTH = 760
ROW = 22
LEFT = 190
RIGHT = 110
OURS, OTHERS, INK, FAINT = "#1f77b4", "#b9bec6", "#24292f", "#d8dde3"
FONT = 'font-family="system-ui, sans-serif" font-size="12"'


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;")


def text(x, y, words, anchor="start", size=12, weight="normal"):
    return (f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}" '
            f'font-weight="{weight}" fill="{INK}">{escape(words)}</text>')


def svg(height, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" {FONT}>\n'
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n' +
            "\n".join(parts) + "\n</svg>\n")


def short(x):
    if x >= 1e6:
        return f"{x / 1e6:.3g} M"
    return f"{x / 1e3:.3g} k" if x >= 1e4 else f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def ticks_between(low, high):
    return [10.0 ** n for n in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def bars(title, note, rows):
    """Horizontal bars on a logarithmic scale: (label, number) each."""
    rows = [(name, value) for name, value in rows if value and value > 0]
    if not rows:
        return None
    marks = ticks_between(min(v for _, v in rows) / 1.2, max(v for _, v in rows))
    scale = (WIDTH - LEFT - RIGHT) / math.log10(marks[-1] / marks[0])
    top, bottom = 56, 56 + ROW * len(rows)
    parts = [text(16, 24, title, size=15, weight="bold"), text(16, 42, note, size=11)]
    for mark in marks:
        x = LEFT + math.log10(mark / marks[0]) * scale
        parts.append(f'<path d="M{x:.0f} {top}V{bottom}" stroke="{FAINT}"/>')
        parts.append(text(x, bottom + 14, short(mark), "middle", 10))
    for i, (name, value) in enumerate(rows):
        y = top + i * ROW
        length = math.log10(value / marks[0]) * scale
        color = OURS if name.startswith("kcache") else OTHERS
        parts.append(text(LEFT - 8, y + 15, name, "end"))
        parts.append(f'<rect x="{LEFT}" y="{y + 4}" width="{length:.1f}" height="{ROW - 8}" '
                     f'fill="{color}"/>')
        parts.append(text(LEFT + length + 6, y + 15, short(value)))
    return svg(bottom + 24, parts)


def lines(title, note, series):
    """Both axes logarithmic: {label: {x: y}}."""
    series = {name: points for name, points in series.items() if len(points) > 1}
    if not series:
        return None
    xs = sorted({x for points in series.values() for x in points})
    ys = [y for points in series.values() for y in points.values() if y > 0]
    marks = ticks_between(min(ys) / 1.2, max(ys))
    left, top, height = 60, 60, 260
    wide = (WIDTH - left - LEFT) / math.log10(xs[-1] / xs[0])
    high = height / math.log10(marks[-1] / marks[0])

    def at(x, y):
        return (left + math.log10(x / xs[0]) * wide,
                top + height - math.log10(max(y, marks[0]) / marks[0]) * high)

    parts = [text(16, 24, title, size=15, weight="bold"), text(16, 42, note, size=11)]
    for mark in marks:
        y = at(xs[0], mark)[1]
        parts.append(f'<path d="M{left} {y:.0f}H{WIDTH - LEFT}" stroke="{FAINT}"/>')
        parts.append(text(left - 8, y + 4, short(mark), "end", 10))
    for x in xs:
        parts.append(text(at(x, 1)[0], top + height + 18, f"{x:,}", "middle", 10))
    ends = []
    for name, points in series.items():
        color = OURS if name.startswith("kcache") else "#8a919b"
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in (at(x, points[x]) for x in sorted(points)))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        ends.append((at(max(points), points[max(points)]), name))
    last = -100
    for (x, y), name in sorted(ends, key=lambda end: end[0][1]):
        last = max(y + 4, last + 14)
        parts.append(text(x + 8, last, name, size=11))
    return svg(top + height + 32, parts)


def cost_rows(suite, op, chosen, scale, clients=1):
    rows = []
    for peer, batch in suite.peers(op, clients):
        if chosen is None or (peer, batch) in chosen:
            name = peer if batch == 1 else f"{peer}, {batch} keys"
            cost = suite.get(peer, op, 100, clients, batch)
            rows.append((name, scale(cost) if cost else None))
    return rows


def draw(suites, directory):
    os.makedirs(directory, exist_ok=True)

    def write(name, content):
        if content:
            with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                file.write(content)

    count, native = suites.get("icount"), suites.get("native")
    if count and count.null:
        note = ("16-byte key, 100-byte value. Instructions of client, kernel and server, in "
                "multiples of an unknown ioctl on /dev/null")
        for op, title in (("get_hit", "GET, a hit"), ("pop", "POP"),
                          ("set_overwrite", "SET, an entry that is there"),
                          ("set_evict", "SET, in steady eviction")):
            write(f"{op}.svg", bars(title, note, cost_rows(count, op, None, count.ratio)))
        write("scaling.svg", lines(
            "GET, a hit, by number of entries", "100-byte values. Instructions",
            {peer: {keys: line["ticks"] for keys, line in sizes.items()}
             for (peer, op), sizes in count.scaling.items() if op == "get_hit"}))
    if native:
        rows = []
        for clients in (1, 2):
            rows += [(f"{name} ×{clients}", rate) for name, rate in
                     cost_rows(native, "get_hit", None,
                               lambda ticks, n=clients: n * 1e9 / (ticks / native.unit), clients)
                     if "keys" not in name]
        rows.sort(key=lambda row: -(row[1] or 0))
        write("native.svg", bars(
            "GETs a second on hardware, one client and two", "A hit, 100-byte value. kcache: its "
            "core, and the library's reader, compiled for user space, with threads", rows))
    memory = {}
    for name in ("native", "wall"):
        if name in suites:
            memory.update({peer: line["overhead"] for peer, line in suites[name].memory.items()})
    write("memory.svg", bars("Memory of an entry, beyond key and value",
                             "Bytes, entries of 16 + 100 bytes",
                             sorted(memory.items(), key=lambda row: row[1])))
