#!/usr/bin/env python3
"""Does what a page of the documentation says, and compares what comes out.

    utils/run-docs.py PAGE.md FOLDER

Fenced blocks are taken in order, in FOLDER, which is emptied first:

    ```mlir file=NAME   (any language)  written to NAME
    ```sh                               run by bash; must succeed
    ```sh fails                         run by bash; must not succeed
    ```text                             what the block before printed, in full

In a text block `...` stands for anything. Other blocks are left alone.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def matches(expected, printed):
    pieces = [re.escape(piece) for piece in expected.strip().split("...")]
    # Blanks at the ends of lines do not show on a page.
    printed = "\n".join(line.rstrip() for line in printed.strip().split("\n"))
    return re.fullmatch(".*?".join(pieces), printed, re.DOTALL) is not None


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    page, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # `python3` on a page is the Python that runs this.
    environment = dict(os.environ)
    environment["PATH"] = f"{pathlib.Path(sys.executable).parent}:{environment['PATH']}"
    text, printed, commands = page.read_text(), "", 0
    for block in FENCE.finditer(text):
        language, info, body = block.group(1), block.group(2).split(), block.group(3)
        where = f"{page}:{text.count(chr(10), 0, block.start()) + 1}"
        files = [word[5:] for word in info if word.startswith("file=")]
        if files:
            (folder / files[0]).write_text(body)
        elif language == "sh":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", body],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            printed, commands = done.stdout, commands + 1
            if (done.returncode != 0) != ("fails" in info):
                raise SystemExit(
                    f"{where}: exit status {done.returncode}\n{body}{printed}"
                )
        elif language == "text" and not matches(body, printed):
            raise SystemExit(f"{where}: expected\n{body}but this came out\n{printed}")
    if not commands:
        raise SystemExit(f"{page}: no commands")
    print(f"{page.name}: {commands} commands")


if __name__ == "__main__":
    main()
