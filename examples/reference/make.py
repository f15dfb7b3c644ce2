"""Writes embeddings.json: the embeddings of a few sentences by sentence-transformers with all-MiniLM-L6-v2.

    pip install sentence-transformers==6.2.0 torch==2.15.0
    python make.py MODEL_DIR

MODEL_DIR is the folder that code-search fetches the model into (target/models/all-MiniLM-L6-v2).
"""

import json
import pathlib
import sys

import sentence_transformers
import torch
import transformers

SENTENCES = [
    "A gradient-free scope.",
    "The gradient is not recorded inside this block.",
    "How do I bake sourdough bread at home?",
    "fn no_grad() -> GradGuard {\n    Scope::NoGrad.enter()\n}\n",
    "if x > 0 and not y: return [i ** 2 for i in range(10)]  # squares",
    "Größenänderung: naïve café, 東京の天気は晴れです, Привет мир 🙂",
    "",
    " \t\n",
    # Longer than 256 tokens, so the end is truncated.
    " ".join(f"Sentence number {n} of a long text speaks about guards, tapes and tracers." for n in range(40)),
]

model = sentence_transformers.SentenceTransformer(sys.argv[1], device="cpu")
assert model.max_seq_length == 256
embeddings = model.encode(SENTENCES)
assert embeddings.shape == (len(SENTENCES), 384)

out = {
    "made_by": {
        "sentence-transformers": sentence_transformers.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    },
    "references": [
        {"sentence": sentence, "embedding": [round(float(x), 7) for x in embedding]}
        for sentence, embedding in zip(SENTENCES, embeddings, strict=True)
    ],
}
lines = ",\n".join("    " + json.dumps(reference, ensure_ascii=False) for reference in out["references"])
text = f'{{\n  "made_by": {json.dumps(out["made_by"])},\n  "references": [\n{lines}\n  ]\n}}\n'
assert json.loads(text) == out
pathlib.Path(__file__).with_name("embeddings.json").write_text(text, encoding="utf-8")
