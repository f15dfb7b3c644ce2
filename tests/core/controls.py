#!/usr/bin/env python3
"""Breaks the code on purpose, one edit at a time, and requires that the test named for it fails.

    tests/core/controls.py [WORD ...]

With words, runs the controls whose name contains one of them. The controls are in controls.toml, beside this file. They are
edits of a copy of the working tree in target/controls; the tree itself stays as it is.
"""

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
COPY = REPOSITORY / "target/controls/tree"

CORE = "cargo test -p grad-core --features torch --lib"
TESTS = "cargo test -p grad-tests --no-default-features"
SUITES = {
    "core": (CORE, {}),
    "loom": (f"{CORE} --release", {"RUSTFLAGS": "--cfg loom"}),
    "modes": (f"{TESTS} --test modes", {}),
    "macros": (f"{TESTS} --test macros", {}),
    "torch_probe": (f"{TESTS} --features torch --test torch_probe", {}),
    "conformance": ("cargo test -p grad-tests --test conformance", {}),
    "transforms": ("cargo test -p grad-tests --test transforms", {}),
    "mlx": ("cargo test -p grad-tests --test mlx", {}),
    "distributed": ("cargo test -p grad-tests --test distributed", {}),
}


def copy_tree() -> None:
    """Copies the files that git knows, and new ones that it does not ignore."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    wanted = {Path(name) for name in names.split("\0") if name and (REPOSITORY / name).is_file()}
    for path in list(COPY.rglob("*")):
        if path.is_file() and path.relative_to(COPY) not in wanted:
            path.unlink()
    for name in wanted:
        source, copied = REPOSITORY / name, COPY / name
        # What is unchanged keeps its time, or Cargo compiles it again.
        if not copied.exists() or copied.read_bytes() != source.read_bytes():
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copied)


def edited(control: dict) -> dict[Path, str]:
    """Returns the files with the control's edits."""
    files: dict[Path, str] = {}
    for edit in control["edits"]:
        path = COPY / edit["file"]
        text = files.get(path) or path.read_text()
        if (count := text.count(edit["old"])) != 1:
            sys.exit(f"cannot edit {edit['file']} for control {control['name']!r}: {edit['old']!r} is there {count} times, "
                     "not once; adapt tests/core/controls.toml")
        files[path] = text.replace(edit["old"], edit["new"])
    return files


def run(suite: str, test: str) -> tuple[bool, str]:
    """Runs a test, and returns whether it failed, not passed, and its output. Exits where it did neither.

    It has failed, too, where a signal has ended its process.
    """
    command, variables = SUITES[suite]
    environment = {**os.environ, **variables, "CARGO_TARGET_DIR": str(COPY.parent / f"target-{suite}"
                   if suite == "loom" else COPY.parent / "target"), "CARGO_INCREMENTAL": "0", "RUST_BACKTRACE": "0"}
    try:
        done = subprocess.run([*command.split(), "--", "--exact", test], cwd=COPY, env=environment, text=True, timeout=900,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
        sys.exit(f"{test}: no result after 15 minutes")
    was_killed = re.search(r"process didn't exit successfully: `\S+ --exact .*\(signal: ", done.stdout)
    if was_killed or f"test {test} ... FAILED" in done.stdout or f"{test} --- FAILED" in done.stdout:
        return True, done.stdout
    if f"test {test} ... ok" in done.stdout:
        return False, done.stdout
    sys.exit(f"{test} neither passed nor failed:\n{done.stdout}")


def main() -> None:
    controls = tomllib.loads((Path(__file__).parent / "controls.toml").read_text())["control"]
    words = sys.argv[1:]
    chosen = [control for control in controls if not words or any(word in control["name"] for word in words)]
    if not chosen:
        sys.exit(f"no control has a name with {words}")
    copy_tree()
    for suite, test in sorted({(control["suite"], control["fails"]) for control in chosen}):
        failed, output = run(suite, test)
        if failed:
            sys.exit(f"{test} fails without an edit:\n{output}")
    survived = []
    for control in chosen:
        started, files = time.monotonic(), edited(control)
        originals = {path: path.read_text() for path in files}
        for path, text in files.items():
            path.write_text(text)
        try:
            failed, _ = run(control["suite"], control["fails"])
        finally:
            for path, text in originals.items():
                path.write_text(text)
        verdict = "fails, as it must" if failed else "PASSES"
        print(f"{control['name']}: {control['fails']} {verdict} ({time.monotonic() - started:.0f} s)", flush=True)
        if not failed:
            survived.append(control["name"])
    if survived:
        sys.exit(f"the code was broken and the tests passed: {', '.join(survived)}")
    print(f"{len(chosen)} controls: each breaks its test")


if __name__ == "__main__":
    main()
