"""Fails if a race that valgrind's helgrind reports is in this repository's code: races.py REPORT.xml.

helgrind also reports accesses in libmlx: MLX synchronizes with C++ atomics, which helgrind does not know, and its reference
BLAS writes globals that it reads only for error messages. An access is counted as ours if its first frame outside the
standard libraries is in the shim or in grad_runtime.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree

LIBRARIES = re.compile(r"/(libstdc\+\+|libc|libm|ld-linux|vgpreload)[._-][^/]*$")
# Inline functions of MLX's headers, compiled into the shim: the count of its tasks.
OF_MLX = re.compile(r"CommandEncoder|scheduler::")
STANDARD = re.compile(r"^(core|std|alloc)::|^<(core|std|alloc)::|^__rust|^std\b")


def accessed_by(error):
    """Returns the first frame of an access that is not in a standard library."""
    for frame in error.find("stack").iter("frame"):
        library, function = frame.findtext("obj", ""), frame.findtext("fn", "")
        directory = frame.findtext("dir", "")
        if not (LIBRARIES.search(library) or STANDARD.search(function) or "library/" in directory):
            return library, function, frame.findtext("file", "")
    return "", "", ""


def is_ours(access):
    library, function, file = access
    in_the_shim = "shim.so" in library and not OF_MLX.search(function)
    return in_the_shim or "grad_runtime" in function or "grad-runtime" in file


report = ElementTree.parse(sys.argv[1]).getroot()
races = [error for error in report.iter("error") if error.findtext("kind") == "Race"]
ours = [access for access in map(accessed_by, races) if is_ours(access)]
print(f"helgrind reports {len(races)} races, {len(ours)} of them in this repository's code")
for access in ours:
    print("   ", *access)
sys.exit(bool(ours))
