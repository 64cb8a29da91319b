"""Covering arrays: every pair of values that may go together, in few rows."""

import random
from itertools import combinations


def pairwise(fields, allowed, seed=0, candidates=10):
    """Rows (field to value) that contain all pairs of values which can stand in
    a row. `fields` maps names to their values; `allowed(name, value, other, its
    value)` tells whether two go together. Greedy, and always the same.
    """
    generator = random.Random(seed)
    names = list(fields)
    items = [(i, k) for i, name in enumerate(names) for k in range(len(fields[name]))]
    fits = {item: set() for item in items}
    for (i, x), (j, y) in combinations(items, 2):
        if i != j and allowed(
            names[i], fields[names[i]][x], names[j], fields[names[j]][y]
        ):
            fits[i, x].add((j, y))
            fits[j, y].add((i, x))
    #: What every item has still to be seen with.
    missing = {item: set(others) for item, others in fits.items()}

    def extend(row):
        """The row completed, or None where no value is left for a field."""
        row = dict(row)
        choices = {
            i: [
                (i, k)
                for k in range(len(fields[names[i]]))
                if all((i, k) in fits[item] for item in row.items())
            ]
            for i in range(len(names))
            if i not in row
        }
        gains = {
            item: sum(item in missing[other] for other in row.items())
            for items in choices.values()
            for item in items
        }
        order = list(choices)
        generator.shuffle(order)
        while order:
            # A field without a choice goes first.
            i = min(order, key=lambda i: len(choices[i]) > 1)
            order.remove(i)
            if not choices[i]:
                return None
            best = max(gains[item] for item in choices[i])
            chosen = generator.choice([c for c in choices[i] if gains[c] == best])
            row[i] = chosen[1]
            for j in order:
                choices[j] = [item for item in choices[j] if item in fits[chosen]]
                for item in choices[j]:
                    gains[item] += item in missing[chosen]
        return row

    def news(row):
        return sum(len(missing[item].intersection(row.items())) for item in row.items())

    rows = []
    while True:
        left = sorted(item for item in missing if missing[item])
        if not left:
            return [
                {names[i]: fields[names[i]][k] for i, k in row.items()} for row in rows
            ]
        item = max(left, key=lambda item: len(missing[item]))
        other = min(missing[item])
        found = [extend([item, other]) for _ in range(candidates)]
        found = [row for row in found if row is not None]
        if not found:
            # Two that go together, but with nothing else.
            missing[item].discard(other)
            missing[other].discard(item)
            continue
        row = max(found, key=news)
        for item in row.items():
            missing[item].difference_update(row.items())
        rows.append(row)
