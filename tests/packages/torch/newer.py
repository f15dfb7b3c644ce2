"""Scopes of a Rust library on a newer libtorch, loaded after the first scope and with local symbols.

    newer.py LIBRARY TENSORS LIBTORCH...

LIBRARY is the cdylib in library/, TENSORS the compiled newer.cpp, LIBTORCH the libraries to load before it.
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
libtorch_tensors = ctypes.CDLL(tensors)
for function in (libtorch_tensors.records, libtorch_tensors.is_grad_enabled, libtorch_tensors.is_inference):
    function.restype = ctypes.c_bool

assert libtorch_tensors.records()
assert not inside(scopes.grad_no_grad, libtorch_tensors.records)
assert not inside(scopes.grad_no_grad, libtorch_tensors.is_grad_enabled)
assert scopes.grad_torch_is_installed()
assert libtorch_tensors.records()
assert not inside(scopes.grad_no_grad_on_torch, libtorch_tensors.records)
assert not inside(scopes.grad_inference_mode, libtorch_tensors.records)
assert not inside(scopes.grad_inference_mode, libtorch_tensors.is_inference)

libtorch_tensors.set_grad_enabled(False)
assert inside(scopes.grad_enable_grad, libtorch_tensors.records)
assert not libtorch_tensors.records(), "the mode found is restored"

print("scopes switch libtorch: passed")
