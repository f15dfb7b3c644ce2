"""Scopes of a Rust library on a newer libtorch, which is loaded after the first scope and not globally.

    newer.py LIBRARY TENSORS LIBTORCH...

LIBRARY is the cdylib in library/, TENSORS is newer.cpp compiled, LIBTORCH are the libraries to load before it.
"""

import ctypes
import sys

path, tensors, *libtorch = sys.argv[1:]
CALLBACK = ctypes.CFUNCTYPE(None)

scopes = ctypes.CDLL(path)
scopes.grad_torch_is_installed.restype = ctypes.c_bool


def inside(scope, function):
    """Calls `function` in a scope and returns what it returns."""
    answers = []
    scope(CALLBACK(lambda: answers.append(function())))
    (answer,) = answers
    return answer


assert inside(scopes.grad_no_grad, lambda: "without libtorch") == "without libtorch"
assert not scopes.grad_torch_is_installed()

for library in libtorch:
    ctypes.CDLL(library)
theirs = ctypes.CDLL(tensors)
for function in (theirs.records, theirs.is_grad_enabled, theirs.is_inference):
    function.restype = ctypes.c_bool

assert theirs.records()
assert not inside(scopes.grad_no_grad, theirs.records)
assert not inside(scopes.grad_no_grad, theirs.is_grad_enabled)
assert scopes.grad_torch_is_installed()
assert theirs.records()
assert not inside(scopes.grad_no_grad_on_torch, theirs.records)
assert not inside(scopes.grad_inference_mode, theirs.records)
assert not inside(scopes.grad_inference_mode, theirs.is_inference)

theirs.set_grad_enabled(False)
assert inside(scopes.grad_enable_grad, theirs.records)
assert not theirs.records(), "what was found is back"

print("scopes switch it: passed")
