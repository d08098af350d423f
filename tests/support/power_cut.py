"""A directory as a power cut at some moment may leave it.

What was synced is there. Of the rest a seed decides: each write to a file is there, in part, with rubbish in its place, or not
at all, whatever the order; the changes of one directory's names are there up to some point, as journaling file systems do it.
"""

import os
import random


def build(trace, now, seed, target, kept=None):
    """Writes the tree of `trace` at the time `now` to the new directory `target`.

    `kept` is how much of what was not synced survives, from 0 to 1; the seed decides when it is not given.
    """
    chance = random.Random(seed)
    # A cut that keeps most, few or all of what was not synced finds more than one that tosses a coin each time.
    if kept is None:
        kept = chance.choice([0.0, 0.3, 0.7, 0.95, 1.0])
    _directory(trace.top, now, chance, kept, target)


def _directory(node, now, chance, kept, target):
    os.mkdir(target)
    names = {}
    for change in _surviving_names(node, now, chance, kept):
        match change.what:
            case ("add", name, child):
                names[name] = child
            case ("remove", name):
                names.pop(name, None)
            case ("rename", old, new):
                names[new] = names.pop(old)
    for name, child in names.items():
        path = os.path.join(target, name)
        if child.is_directory:
            _directory(child, now, chance, kept, path)
        else:
            _file(child, now, chance, kept, path)


def _surviving_names(node, now, chance, kept):
    begun = [change for change in node.changes if change.begun <= now]
    durable = node.durable_changes(now)
    rest = len(begun) - durable
    return begun[:durable + (rest if kept == 1.0 else chance.randint(0, rest) if kept else 0)]


def _file(node, now, chance, kept, path):
    durable = node.durable_changes(now)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for index, change in enumerate(node.changes):
            if change.begun > now:
                break
            if index < durable or chance.random() < kept:
                _apply(descriptor, change.what)
            elif change.what[0] == "write" and chance.random() < 0.5:
                _apply_torn(descriptor, change.what, chance)
    finally:
        os.close(descriptor)


def _apply(descriptor, what):
    match what:
        case ("write", offset, data):
            os.pwrite(descriptor, data, offset)
        case ("size", size):
            os.ftruncate(descriptor, size)


def _apply_torn(descriptor, what, chance):
    _, offset, data = what
    cut = chance.randint(0, len(data))
    os.pwrite(descriptor, data[:cut] + chance.randbytes(chance.randint(0, len(data) - cut)), offset)
