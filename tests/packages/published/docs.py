"""Fails if a page of the docs does not name the features that its item needs: docs.py FOLDER.

rustdoc writes the note where an item's `cfg` says so, on nightly with `doc_cfg` as on docs.rs.
"""

import html
import pathlib
import re
import sys

FOLDER = pathlib.Path(sys.argv[1])
NOTE = re.compile(r'stab portability"[^>]*>(.*?)</(?:div|span)>\s*</', re.DOTALL)
# The features that the note at the top of a page names.
PAGES = {
    "grad_runtime/cpu/index.html": {"cpu"},
    "grad_runtime/cpu/struct.Array.html": {"cpu"},
    "grad_runtime/explain/index.html": {"cpu", "mlx"},
    "grad_runtime/explain/fn.gradients.html": {"cpu", "mlx"},
    "grad_runtime/mlx/index.html": {"mlx"},
    "grad_runtime/mlx/struct.Array.html": {"mlx"},
    "grad_runtime/mlx/distributed/index.html": {"mlx"},
    "grad_runtime/mlx/fast/fn.layer_norm.html": {"mlx"},
    "grad_runtime/optim/index.html": {"cpu", "mlx"},
    "grad_runtime/params/fn.average_gradients.html": {"cpu", "mlx"},
    "grad_runtime/params/index.html": {"cpu", "mlx"},
    "grad_runtime/random/index.html": {"cpu", "mlx"},
    "grad_runtime/safetensors/fn.load.html": {"safetensors", "cpu", "mlx"},
    "grad_runtime/testing/index.html": {"test-util"},
    "grad_runtime/trait.Array.html": {"cpu", "mlx"},
}
# Pages of items that are always there. Without the feature `torch`, `Torch` says why it is not available.
ALWAYS = [
    "grad_core/fn.no_grad.html",
    "grad_core/struct.Torch.html",
    "grad_macros/index.html",
    "grad_runtime/attr/attr.no_grad.html",
    "grad_runtime/macro.no_grad.html",
]


def features(page):
    """Returns the features that the first note of a page names."""
    text = (FOLDER / page).read_text(encoding="utf-8")
    # Before the list of members, which have notes of their own.
    top = text.split('<h2 id=')[0]
    note = NOTE.search(top)
    if note is None:
        return set()
    return set(re.findall(r"<code>([\w-]+)</code>", html.unescape(note.group(1))))


wrong = []
for page, expected in [*PAGES.items(), *((page, set()) for page in ALWAYS)]:
    if features(page) != expected:
        wrong.append(f"{page}: names {sorted(features(page))}, expected {sorted(expected)}")
# Every page of the modules that need a feature.
for module in ["cpu", "mlx", "safetensors", "testing", "optim", "params", "random", "explain"]:
    for page in sorted((FOLDER / "grad_runtime" / module).rglob("*.html")):
        name = str(page.relative_to(FOLDER))
        if not features(name) and 'http-equiv="refresh"' not in page.read_text(encoding="utf-8") and page.name != "all.html":
            wrong.append(f"{name}: names no feature")
if wrong:
    sys.exit("\n".join(wrong))
print(f"{len(PAGES) + len(ALWAYS)} pages name the features that they should, and each page of a module with features names one")
