"""Compares the vectors of two indexes of code-search, passage by passage: cosines.py FOLDER FOLDER"""

import array
import math
import pathlib
import sqlite3
import sys

LEAST = 0.9999


def vectors(folder):
    """Returns the vector of each passage, by its tree, file and first line."""
    connection = sqlite3.connect(pathlib.Path(folder) / "index.sqlite")
    rows = connection.execute(
        "SELECT name, path, first_line, vector FROM vectors"
        " JOIN passages ON passages.id = passage JOIN files ON files.id = file JOIN trees ON trees.id = files.tree"
    )
    return {(tree, path, line): array.array("f", vector) for tree, path, line, vector in rows}


def cosine(a, b):
    dot = lambda a, b: sum(x * y for x, y in zip(a, b))
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


first, second = (vectors(folder) for folder in sys.argv[1:])
assert first and first.keys() == second.keys(), "the indexes are not of the same passages"
least = min(cosine(first[place], second[place]) for place in first)
print(f"{pathlib.Path(sys.argv[2]).name}: {len(first)} passages, least cosine {least:.7f}")
assert least >= LEAST, f"a cosine below {LEAST}"
