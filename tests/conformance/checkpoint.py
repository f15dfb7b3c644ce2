"""Writes checkpoint.safetensors: a model of PyTorch, as the safetensors package of Python saves it.

    pip install safetensors torch
    python checkpoint.py
"""

import pathlib

import torch
from safetensors.torch import save_file

tensors = {
    "model.weight": torch.tensor([1.0, 2.0]),
    "model.embedding": torch.tensor([-1.0]),
    "model.count": torch.tensor(7),
}
path = pathlib.Path(__file__).with_name("checkpoint.safetensors")
save_file(tensors, path, metadata={"format": "pt", "epoch": "12"})
