"""Compares the vectors of two indexes of code-search, passage by passage: cosines.py FOLDER FOLDER"""

import array
import json
import math
import pathlib
import sys

LEAST = 0.999


def vectors(folder):
    """Returns the vector of each passage, by its file and first line."""
    found = {}
    for path in pathlib.Path(folder).iterdir():
        _, manifest, numbers = path.read_bytes().split(b"\n", 2)
        origin, files = json.loads(manifest)
        places = [(origin["root"], file, passage["start"]) for file in sorted(files) for passage in files[file]["passages"]]
        numbers = array.array("f", numbers)
        length = len(numbers) // len(places)
        found.update((place, numbers[at * length :][:length]) for at, place in enumerate(places))
    return found


def cosine(a, b):
    dot = lambda a, b: sum(x * y for x, y in zip(a, b))
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


first, second = (vectors(folder) for folder in sys.argv[1:])
assert first and first.keys() == second.keys(), "the indexes are not of the same passages"
least = min(cosine(first[place], second[place]) for place in first)
print(f"{pathlib.Path(sys.argv[2]).name}: {len(first)} passages, least cosine {least:.7f}")
assert least >= LEAST, f"a cosine below {LEAST}"
