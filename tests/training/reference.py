"""Writes reference.json: parameters of small models after training steps in PyTorch, in float32.

    python reference.py

Everything is computed from formulas, without a random generator, so that the tests in Rust start from the same numbers:
`wave(phase, *shape)` is `wave` in models.rs.
"""

import copy
import json
import math
import pathlib

import torch
from torch import nn

torch.set_num_threads(1)


def wave(phase, *shape):
    values = [math.sin(0.7 * index + phase) for index in range(math.prod(shape))]
    return torch.tensor(values, dtype=torch.float32).reshape(shape)


class Mlp(nn.Module):
    """Linear layers with tanh between them."""

    def __init__(self, phase, *sizes):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in zip(sizes, sizes[1:]))
        with torch.no_grad():
            for index, layer in enumerate(self.layers):
                layer.weight.copy_(0.5 * wave(phase + index, *layer.weight.shape))
                layer.bias.copy_(0.1 * wave(phase + index + 0.5, *layer.bias.shape))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = layer(x).tanh()
        return self.layers[-1](x)


def parameters(model):
    """Returns the elements by name, with as many digits as float32 has."""
    return {
        name: [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]
        for name, tensor in model.state_dict().items()
    }


def regression(optimizer, steps=(1, 2, 10, 50, 100), prepare=lambda optimizer, model, step: None):
    """Trains Mlp(3, 4, 2) on eight examples, and returns its parameters after some of the steps.

    The targets differ from step to step: near a minimum, Adam divides rounding errors by rounding errors.
    """
    model = Mlp(0.0, 3, 4, 2)
    optimizer = optimizer(model.parameters())
    x = wave(1.0, 8, 3)
    found = {}
    for step in range(1, max(steps) + 1):
        y = wave(0.1 * step, 8, 2)
        optimizer.zero_grad()
        (model(x) - y).square().mean().backward()
        prepare(optimizer, model, step)
        optimizer.step()
        if step in steps:
            found[step] = parameters(model)
    return found


def optimizers():
    from torch.optim import SGD, Adam, AdamW

    cases = {
        "sgd": (SGD, dict(lr=0.1)),
        "sgd_weight_decay": (SGD, dict(lr=0.1, weight_decay=0.01)),
        "sgd_momentum": (SGD, dict(lr=0.05, momentum=0.9)),
        "sgd_dampening": (SGD, dict(lr=0.1, momentum=0.8, dampening=0.5, weight_decay=0.01)),
        "sgd_nesterov": (SGD, dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.001)),
        "adam": (Adam, dict()),
        "adam_options": (Adam, dict(lr=0.02, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.01)),
        "adam_amsgrad": (Adam, dict(lr=0.05, betas=(0.9, 0.9), amsgrad=True)),
        "adamw": (AdamW, dict()),
        "adamw_options": (AdamW, dict(lr=0.02, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)),
        "adamw_amsgrad": (AdamW, dict(lr=0.05, betas=(0.9, 0.9), weight_decay=0.1, amsgrad=True)),
    }
    return {
        name: regression(lambda parameters: optimizer(parameters, **options))
        for name, (optimizer, options) in cases.items()
    }


def clipping():
    norms = []

    def clip_norm(optimizer, model, step):
        norms.append(float(f"{nn.utils.clip_grad_norm_(model.parameters(), 0.15).item():.9g}"))

    def clip_value(optimizer, model, step):
        nn.utils.clip_grad_value_(model.parameters(), 0.03)

    sgd = lambda parameters: torch.optim.SGD(parameters, lr=0.1)
    found = {"norm": regression(sgd, prepare=clip_norm), "value": regression(sgd, prepare=clip_value)}
    found["norms"] = [norms[step - 1] for step in (1, 2, 10, 50, 100)]
    return found


def schedule():
    """A linear warm-up of ten steps, then a cosine to zero."""

    def set_rate(optimizer, model, step):
        after = (step - 10) / 90
        optimizer.param_groups[0]["lr"] = 0.02 * (step / 10 if step < 10 else (1 + math.cos(math.pi * after)) / 2)

    return regression(lambda parameters: torch.optim.AdamW(parameters), prepare=set_rate)


def moving_average():
    """An average of the parameters, beside their training."""
    found, average = {}, None

    def update(optimizer, model, step):
        nonlocal average
        if average is None:
            average = torch.optim.swa_utils.AveragedModel(
                copy.deepcopy(model), avg_fn=lambda average, parameter, count: torch.lerp(average, parameter, 1 - 0.9)
            )
            # The first update of AveragedModel copies, and later ones average.
            average.update_parameters(model)
        else:
            average.update_parameters(model)
        found[step] = parameters(average.module)

    regression(lambda parameters: torch.optim.SGD(parameters, lr=0.1), prepare=update)
    return {step: found[step] for step in (1, 2, 10, 50, 100)}


def accumulation():
    """Four batches of two examples to a step."""
    model = Mlp(0.0, 3, 4, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x, y = wave(1.0, 8, 3), wave(2.0, 8, 2)
    found = {}
    for step in range(1, 51):
        optimizer.zero_grad()
        for x_part, y_part in zip(x.split(2), y.split(2)):
            ((model(x_part) - y_part).square().mean() / 4).backward()
        optimizer.step()
        if step in (1, 10, 50):
            found[step] = parameters(model)
    return found


def dqn():
    """Q-learning from 32 transitions, eight at a time, with a target network that is replaced every ten steps."""
    online = Mlp(0.0, 4, 16, 3)
    target = copy.deepcopy(online)
    optimizer = torch.optim.Adam(online.parameters(), lr=0.01)
    states, next_states, rewards = wave(1.0, 32, 4), wave(2.0, 32, 4), wave(3.0, 32)
    actions = torch.tensor([(7 * index) % 3 for index in range(32)])
    found = {}
    for step in range(1, 61):
        rows = slice(8 * (step % 4), 8 * (step % 4) + 8)
        with torch.no_grad():
            goal = rewards[rows] + 0.9 * target(next_states[rows]).max(dim=1).values
        value = online(states[rows]).gather(1, actions[rows, None])[:, 0]
        optimizer.zero_grad()
        (value - goal).square().mean().backward()
        optimizer.step()
        if step % 10 == 0:
            target.load_state_dict(online.state_dict())
        if step in (1, 10, 60):
            found[step] = parameters(online)
    return found


def frozen_encoder():
    """A classifier's head is trained, with weight decay, on features of an encoder that is not."""
    model = nn.ModuleDict({"encoder": Mlp(0.0, 4, 8, 6), "head": nn.Linear(6, 3)})
    with torch.no_grad():
        model["head"].weight.copy_(0.1 * wave(4.0, 3, 6))
        model["head"].bias.zero_()
    model["encoder"].requires_grad_(False)
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=0.05, weight_decay=0.1)
    x = wave(1.0, 12, 4)
    labels = torch.tensor([index % 3 for index in range(12)])
    found = {}
    for step in range(1, 51):
        loss = nn.functional.cross_entropy(model["head"](model["encoder"](x).tanh()), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in (1, 10, 50):
            found[step] = parameters(model)
    return found


def byol():
    """Two views of each example: the online network predicts what its moving average makes of the other view."""
    online, predictor = Mlp(0.0, 5, 8, 4), Mlp(3.0, 4, 6, 4)
    target = copy.deepcopy(online)
    optimizer = torch.optim.SGD([*online.parameters(), *predictor.parameters()], lr=0.01, momentum=0.5)
    x = wave(1.0, 10, 5)
    views = x + 0.1 * wave(2.0, 10, 5), x + 0.1 * wave(5.0, 10, 5)

    def distance(left, right):
        with torch.no_grad():
            goal = target(right)
            goal = goal / goal.square().sum(dim=1, keepdim=True).sqrt()
        predicted = predictor(online(left))
        predicted = predicted / predicted.square().sum(dim=1, keepdim=True).sqrt()
        return 2 - 2 * (predicted * goal).sum(dim=1).mean()

    found = {}
    for step in range(1, 51):
        loss = distance(*views) + distance(*reversed(views))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for average, parameter in zip(target.parameters(), online.parameters()):
                average.lerp_(parameter, 1 - 0.95)
        if step in (1, 10, 50):
            found[step] = {"online": parameters(online), "predictor": parameters(predictor), "target": parameters(target)}
    return found


reference = {
    "made_by": {"torch": torch.__version__},
    "optimizers": optimizers(),
    "clipping": clipping(),
    "schedule": schedule(),
    "moving_average": moving_average(),
    "accumulation": accumulation(),
    "dqn": dqn(),
    "frozen_encoder": frozen_encoder(),
    "byol": byol(),
}
text = json.dumps(reference, indent=1)
# Numbers of one array on one line.
lines, inside = [], False
for line in text.split("\n"):
    stripped = line.strip()
    if inside:
        lines[-1] += stripped + (" " if stripped.endswith(",") else "")
        inside = not stripped.startswith("]")
    else:
        lines.append(line)
        inside = stripped.endswith("[")
text = "\n".join(line.rstrip() for line in lines) + "\n"
assert json.loads(text) == json.loads(json.dumps(reference))
pathlib.Path(__file__).with_name("reference.json").write_text(text, encoding="utf-8")
