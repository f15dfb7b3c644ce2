"""Scopes of a Rust library in a Python process switch Python's torch, whichever of the two is loaded first.

    python.py LIBRARY first|second

LIBRARY is the cdylib in library/. With `first` it is loaded, and a scope entered, before `import torch`.
"""

import ctypes
import sys
import threading

path, order = sys.argv[1:]
CALLBACK = ctypes.CFUNCTYPE(None)


def load():
    library = ctypes.CDLL(path)
    library.grad_torch_is_installed.restype = ctypes.c_bool
    return library


def inside(scope, function):
    """Calls `function` in a scope and returns what it returns."""
    answers = []
    scope(CALLBACK(lambda: answers.append(function())))
    (answer,) = answers
    return answer


if order == "first":
    scopes = load()
    assert inside(scopes.grad_no_grad, lambda: "without torch") == "without torch"
    assert not scopes.grad_torch_is_installed()
    import torch
else:
    import torch

    scopes = load()


def records():
    weight = torch.ones(2, requires_grad=True)
    recorded = (weight * 2).requires_grad
    assert recorded == torch.is_grad_enabled()
    return recorded


# Guarantee 10: the first universal scope finds libtorch.
assert records()
assert not inside(scopes.grad_no_grad, records)
assert records()
assert scopes.grad_torch_is_installed()
assert not inside(scopes.grad_no_grad_on_torch, records)

# Guarantee 11: scopes of Python around those of the library, inside them, and both.
with torch.no_grad():
    assert inside(scopes.grad_enable_grad, records)
    assert not records()
    assert not inside(scopes.grad_enable_grad, lambda: inside(scopes.grad_no_grad, records))


def python_inside():
    with torch.enable_grad():
        assert records()
        assert not inside(scopes.grad_no_grad, records)
        assert records()
    with torch.no_grad():
        assert not records()
    return records()


assert not inside(scopes.grad_no_grad, python_inside)
assert inside(scopes.grad_enable_grad, python_inside)

# Guarantee 3: a target computed in a scope is a constant.
weight = torch.tensor(3.0, requires_grad=True)
target = inside(scopes.grad_no_grad, lambda: weight * weight)
(weight * target).backward()
assert weight.grad.item() == 9.0, weight.grad

# Inference mode is no_grad here: nothing is recorded, and results are not inference tensors.
assert not inside(scopes.grad_inference_mode, records)
assert not inside(scopes.grad_inference_mode, lambda: inside(scopes.grad_enable_grad, records))
assert not inside(scopes.grad_inference_mode, lambda: torch.ones(2) * 2).is_inference()


# Inside torch's inference mode, results are inference tensors in any scope of the library.
def result_is_inference():
    result = torch.ones(2, requires_grad=True) * 2
    return result.is_inference() and not result.requires_grad


with torch.inference_mode():
    assert inside(scopes.grad_enable_grad, result_is_inference)
    assert not torch.is_grad_enabled()

# Guarantee 1: a thread of Python has its own mode.
seen = []


def on_a_thread():
    seen.append(records())
    seen.append(inside(scopes.grad_no_grad, records))
    seen.append(records())


def with_a_thread():
    thread = threading.Thread(target=on_a_thread)
    thread.start()
    thread.join()
    return records()


assert not inside(scopes.grad_no_grad, with_a_thread)
assert seen == [True, False, True], seen

print(f"torch {torch.__version__} in Python {sys.version.split()[0]}, library loaded {order}: passed")
