"""Which arrows of a flow close a loop."""

Pair = tuple[int, int]


def closing_pairs(onward: list[list[int]]) -> set[Pair]:
    """The arrows that close a loop, seen from where the flow begins: their target is on the way to their source.

    `onward` has the successors of each node 0..n-1. Depth first from what has no predecessor, then from what no such
    node reaches. Where each loop has one entry, the order does not matter (Hecht and Ullman 1974).
    """
    entries = [0] * len(onward)
    for targets in onward:
        for target in targets:
            entries[target] += 1
    begin = [node for node, count in enumerate(entries) if not count]
    if _acyclic(onward, entries[:], begin):
        return set()
    found: set[Pair] = set()
    done: set[int] = set()
    for root in (*begin, *range(len(onward))):
        if root not in done:
            _descend(root, onward, done, found)
    return found


def _acyclic(onward: list[list[int]], entries: list[int], begin: list[int]) -> bool:
    """Whether peeling off what nothing precedes leaves nothing (Kahn 1962)."""
    free = list(begin)
    peeled = 0
    while free:
        peeled += 1
        for target in onward[free.pop()]:
            entries[target] -= 1
            if not entries[target]:
                free.append(target)
    return peeled == len(onward)


def _descend(root: int, onward: list[list[int]], done: set[int], found: set[Pair]) -> None:
    on_path = {root}
    done.add(root)
    path = [(root, iter(onward[root]))]
    while path:
        node, targets = path[-1]
        target = next(targets, None)
        if target is None:
            on_path.discard(node)
            path.pop()
        elif target in on_path:
            found.add((node, target))
        elif target not in done:
            done.add(target)
            on_path.add(target)
            path.append((target, iter(onward[target])))
