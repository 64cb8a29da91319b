"""Wrong programs never take scaling-opt down: each ends in output or an error."""

import os
import random
import re

import pytest
from findtool import ROOT

from structured import Maker, definitions
from tool import check, run

FULL = "SCALING_TEST_FULL" in os.environ
#: Mutants of each function of the tests, and instances of each op.
PER_FUNCTION = 150 if FULL else 15
PER_OP = 400 if FULL else 40
BATCH = 100

#: What valid programs are fed to.
PIPELINES = {
    "canonicalize": ["--canonicalize", "--cse"],
    "drop-unit-dims": ["--scaling-drop-unit-dims"],
    "generalize": ["--scaling-generalize", "--canonicalize"],
    "to-linalg": ["--scaling-to-linalg"],
    "bufferize": [
        "--scaling-generalize",
        "--scaling-decompose",
        "--one-shot-bufferize=bufferize-function-boundaries",
    ],
    "to-cpu": ["--scaling-to-cpu"],
}
#: Share of valid programs on tensors that a pipeline may refuse with an error.
REFUSED = dict.fromkeys(PIPELINES, 0.0)

TOKEN = re.compile(
    r'"[^"\n]*"|[%@#!][A-Za-z0-9_.#$]+|[A-Za-z_][A-Za-z0-9_.$]*|-?\d+(?:\.\d*(?:e[-+]?\d+)?)?|->|::|\S'
)
NUMBERS = [
    "0",
    "-1",
    "1",
    "3",
    "2147483648",
    "9223372036854775807",
    "1.0e400",
    "0x7FF8000000000000",
]


def batches(modules):
    indices = list(modules)
    for start in range(0, len(indices), BATCH):
        yield {i: modules[i] for i in indices[start : start + BATCH]}


def run_all(modules, options, what):
    verdict = None
    for batch in batches(modules):
        part = run(batch, options)
        if verdict is None:
            verdict = part
        else:
            verdict.update(part)
    check(verdict, modules, what)
    return verdict


def functions():
    """The functions of the round-trip tests, without comments."""
    for path in sorted((ROOT / "test" / "Dialect" / "Scaling").glob("*.mlir")):
        if path.name.startswith("invalid") or path.name not in (
            "ops.mlir",
            "canonicalize.mlir",
        ):
            continue
        text = re.sub(r"//.*", "", path.read_text(encoding="utf-8"))
        starts = [m.start() for m in re.finditer(r"^func\.func", text, re.M)]
        for start, end in zip(starts, [*starts[1:], len(text)]):
            yield text[start:end].strip()


def token_mutant(text, pool, rng):
    tokens = [(m.start(), m.end()) for m in TOKEN.finditer(text)]
    start, end = rng.choice(tokens)
    word = text[start:end]
    way = rng.choice(["drop", "double", "replace", "number", "swap"])
    if way == "number" and re.match(r"-?\d", word):
        new = rng.choice(NUMBERS)
    elif way == "drop":
        new = ""
    elif way == "double":
        new = f"{word} {word}"
    elif way == "swap":
        other_start, other_end = rng.choice(tokens)
        if other_start > start:
            other = text[other_start:other_end]
            return (
                text[:start] + other + text[end:other_start] + word + text[other_end:]
            )
        new = rng.choice(pool)
    else:
        new = rng.choice(pool)
    return text[:start] + new + text[end:]


@pytest.fixture(scope="module")
def token_mutants():
    rng = random.Random(7)
    sources = list(functions())
    pool = [m.group() for text in sources for m in TOKEN.finditer(text)]
    texts = [
        token_mutant(text, pool, rng) for text in sources for _ in range(PER_FUNCTION)
    ]
    return dict(enumerate(texts))


def test_tokens(token_mutants):
    verdict = run_all(token_mutants, [], "parser")
    assert len(verdict.passed) + len(verdict.refused) == len(token_mutants)
    assert len(verdict.refused) > len(token_mutants) // 4


def test_tokens_through_pipeline(token_mutants):
    run_all(token_mutants, ["--scaling-to-linalg"], "--scaling-to-linalg")


@pytest.fixture(scope="module")
def structured():
    """Instances of all ops; and, of the valid ones, what pipelines take: the
    function returns all results, so that nothing is dead."""
    maker = Maker(11)
    ops = definitions().values()
    texts = dict(enumerate(maker.make(op) for op in ops for _ in range(PER_OP)))
    verdict = run_all(texts, ["--mlir-print-op-generic"], "verifier")
    used = {i: returning_results(printed) for i, printed in verdict.passed.items()}
    return texts, verdict, used


def returning_results(printed):
    # Without the module around and the marker, which is appended anew.
    inner = printed[printed.index("({\n") + 3 : printed.rindex("})")]
    inner = re.sub(r'"func\.func"\(\) <\{[^\n]*"marker_[^\n]*\n\s*\}\) : .*', "", inner)
    found = re.search(r'(%\S+?)(?::(\d+))? = "scaling\..*\) -> (.*)', inner)
    if not found:
        return inner
    name, count, types = found.groups()
    types = types.strip("()")
    values = ", ".join(f"{name}#{i}" for i in range(int(count))) if count else name
    inner = inner.replace(
        '"func.return"() : ()', f'"func.return"({values}) : ({types})'
    )
    return re.sub(
        r"(function_type = .*?\)) -> \(\)", rf"\1 -> ({types})", inner, count=1
    )


def test_every_op(structured):
    texts, verdict, _ = structured
    for name in definitions():
        valid = [i for i in verdict.passed if f"scaling.{name}" in texts[i]]
        assert (
            len(valid) >= PER_OP // 8
        ), f"scaling.{name}: {len(valid)} valid instances"


def test_most_reach_a_pipeline(structured):
    texts, verdict, _ = structured
    fraction = len(verdict.passed) / len(texts)
    reasons = sorted(verdict.refused.values())
    assert 0.5 <= fraction <= 0.95, f"{fraction:.2f}; refused for {reasons[::10]}"


@pytest.mark.parametrize("name", PIPELINES)
def test_pipeline(structured, name):
    options = PIPELINES[name]
    _, _, used = structured
    if name == "to-cpu" and not FULL:
        used = dict(list(used.items())[::3])
    verdict = run_all(used, options, " ".join(options))
    # Bufferized ops have no way to linalg on tensors, and ops of the GPU's
    # schedules none to CPUs; both say so. MLIR refuses slices, which tiling makes,
    # of a dimension without entries.
    tensors = {
        i
        for i, text in used.items()
        if "memref<" not in text
        and not re.search(
            "is for GPUs|is out-of-bounds: 0 >= 0", verdict.refused.get(i, "")
        )
    }
    reasons = sorted(why for i, why in verdict.refused.items() if i in tensors)
    assert len(reasons) <= len(tensors) * REFUSED[name], reasons[::5]
