"""The table, the picture and the machine-readable list."""

import json

import machine


def number(value):
    if value is None:
        return "–"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def cells(row):
    """The columns of the table."""
    of_limit = row["of_limit"]
    return [
        row["workload"],
        f"{row['peer']} {row['form']}".strip(),
        number(row["peer_ms"]),
        number(row["best_ms"]),
        f"{number(row['ratio'])}×" if row["ratio"] else "–",
        number(row["limit_ms"]),
        f"{100 * of_limit:.0f} %" if of_limit else "–",
        row["bound"],
        row["note"],
    ]


HEADER = [
    "workload",
    "who",
    "ms",
    "best",
    "over ours",
    "limit",
    "ours of limit",
    "bound",
    "",
]


def lines(rows):
    table = [HEADER, *(cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(HEADER))]
    for line in table:
        yield [cell.ljust(width) for cell, width in zip(line, widths)]


def table(rows):
    return "\n".join("  ".join(line).rstrip() for line in lines(rows)) + "\n"


def fastest(rows, form):
    """The fastest peer in a form ("P1" or "P2"), over our time."""
    others = [
        row
        for row in rows
        if row["ratio"]
        and row["form"].startswith(form)
        and not row["note"]
        and row["peer"] != "scaling"
    ]
    if not others:
        return "–"
    best = min(others, key=lambda row: row["ratio"])
    return f"{number(best['ratio'])}× {best['peer']}"


def summary(rows, workloads):
    """One line per workload."""
    yield "| workload | ours, ms | of the limit | bound | fastest P1 | fastest P2 |"
    yield "|---|---|---|---|---|---|"
    for workload in workloads:
        mine = [row for row in rows if row["workload"] == workload.id]
        if not mine:
            continue
        _, _, ms, _, _, _, of_limit, bound, _ = cells(mine[0])
        peers = fastest(mine, "P1"), fastest(mine, "P2")
        yield "| " + " | ".join((workload.id, ms, of_limit, bound, *peers)) + " |"


def markdown(rows, rates, missing, workloads):
    text = ["# Benchmarks", "", machine.describe(rates).strip(), ""]
    text += [f"Not measured: {peer}: {why}" for peer, why in missing.items()]
    text += [*summary(rows, workloads), ""]
    for workload in workloads:
        mine = [row for row in rows if row["workload"] == workload.id]
        if not mine:
            continue
        header, *body = lines(mine)
        text += ["", f"## {workload.id}: {workload.title}", ""]
        text.append("| " + " | ".join(header[1:]) + " |")
        text.append("|" + "---|" * (len(header) - 1))
        text += ["| " + " | ".join(line[1:]) + " |" for line in body]
    return "\n".join(text) + "\n"


def picture(file, rows):
    """Bars of ratios per workload, on a logarithmic scale; a mark where the
    limit is."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    groups = {}
    for row in rows:
        if row["ratio"]:
            groups.setdefault(row["workload"], []).append(row)
    if not groups:
        return
    peers = sorted({row["peer"] for row in rows})
    colours = dict(zip(peers, plt.get_cmap("tab20").colors))
    bars = sum(len(group) for group in groups.values()) + len(groups)
    figure, axes = plt.subplots(figsize=(10, 1 + 0.2 * bars))
    position, ticks, labels = 0.0, [], []
    for name, group in groups.items():
        top = position
        for row in group:
            axes.barh(position, row["ratio"], left=0, color=colours[row["peer"]])
            label = f" {row['peer']} {row['form']}".rstrip()
            axes.text(row["ratio"], position, label, va="center", fontsize=6)
            position += 1
        of_limit = group[0]["of_limit"]
        if of_limit:
            axes.plot([of_limit] * 2, [top - 0.5, position - 0.5], "k-", linewidth=2)
        ticks.append((top + position - 1) / 2)
        labels.append(f"{name}\n{number(group[0]['ours_ms'])} ms")
        position += 1
    axes.set_xscale("log")
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_yticks(ticks, labels, fontsize=7)
    axes.set_ylim(position, -1)
    axes.set_xlabel("time over ours; the black mark is the machine's limit")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=150)
    plt.close(figure)


def write(folder, rows, rates, missing, workloads):
    (folder / "bench.json").write_text(json.dumps(rows, indent=1) + "\n")
    (folder / "bench.md").write_text(markdown(rows, rates, missing, workloads))
    picture(folder / "bench.png", rows)
