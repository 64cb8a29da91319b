#!/usr/bin/env python3
"""Makes everything that lists the presets from the one file that defines them.

Input: the JSON dump of Presets.td (llvm-tblgen --dump-json). Output, by --emit:
cpp (the parser's table), md (the documentation page), python (the Python
package's table), json (for tests).
"""

import argparse
import json
import sys

FIELDS = ["form", "rows", "cols", "order", "stop", "numerics"]


def load(path):
    with open(path, encoding="utf-8") as file:
        dump = json.load(file)
    names = dump["!instanceof"]["Preset"]
    line = lambda name: int(dump[name]["!locs"][0].rsplit(":", 1)[1])
    return [(name, dump[name]) for name in sorted(names, key=line)]


def emit_cpp(presets):
    out = ["// Made from Presets.td by utils/generate-presets.py.", ""]
    for name, record in presets:
        texts = ", ".join(f'R"({record[field]})"' for field in FIELDS)
        ops = ", ".join(f'"{op}"' for op in record["ops"])
        out.append(f'{{"{name}", {{{ops}}}, {texts}}},')
    return "\n".join(out) + "\n"


def emit_md(presets):
    out = [
        "# Presets",
        "",
        "<!-- Made from Presets.td by utils/generate-presets.py; do not edit. -->",
        "",
        "A preset stands for the attributes of a published convention: "
        "`preset(mhc)` and the attributes below mean the same. "
        "[What an iteration does, exactly](semantics.md) defines every field.",
        "",
    ]
    for name, record in presets:
        ops = ", ".join(f"`scaling.{op}`" for op in record["ops"])
        out += [
            f"## `{name}`",
            "",
            f"On {ops}. Whose: {record['whose']}.",
            "",
            f"{record['summary']}.",
            "",
        ]
        written = [f"{field}({record[field]})" for field in FIELDS if record[field]]
        if written:
            out += ["```mlir", *written, "```", ""]
    return "\n".join(out)


def emit_python(presets):
    out = [
        '"""Names of the presets; made from Presets.td by utils/generate-presets.py."""',
        "",
        "from enum import Enum",
        "",
        "",
        "class Preset(str, Enum):",
        '    """A published convention; `docs/presets.md` says what each does."""',
        "",
    ]
    out += [f'    {name} = "{name}"' for name, _ in presets]
    out += [
        "",
        "",
        "#: Where a preset may be used, and the attributes it stands for.",
        "ATTRIBUTES: dict[str, dict[str, object]] = {",
    ]
    for name, record in presets:
        ops = ", ".join(f'"{op}"' for op in record["ops"])
        out += [f'    "{name}": {{', f'        "ops": [{ops}],']
        out += [
            f'        "{field}": "{record[field]}",'
            for field in FIELDS
            if record[field]
        ]
        out.append("    },")
    out.append("}")
    return "\n".join(out) + "\n"


def emit_json(presets):
    table = {
        name: {key: record[key] for key in ["ops", *FIELDS]} for name, record in presets
    }
    return json.dumps(table, indent=2) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dump", help="JSON dump of Presets.td")
    parser.add_argument(
        "--emit", required=True, choices=["cpp", "md", "python", "json"]
    )
    parser.add_argument("-o", dest="out", help="output file (default: standard output)")
    args = parser.parse_args()
    text = globals()["emit_" + args.emit](load(args.dump))
    if args.out:
        with open(args.out, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
