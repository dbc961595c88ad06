# ruff: noqa: D100 - a script whose cells are a notebook's, and print
# %% [markdown]
# # Quickstart
#
# A language model of 135 million parameters, run, looked into, compared on every backend that is
# installed, and a small one trained. It takes about a minute on two cores; the first run downloads
# 93 MB. `pip install .` in a clone of the repository is enough: this page runs on NumPy.
#
# This is also a script: `python docs/quickstart.py`.

# %%
import builtins
import tempfile
from pathlib import Path

import lmkernel as lk

show = getattr(builtins, "display", print)  # a notebook's `display` shows tables
show(lk.backends())

# %% [markdown]
# ## Load and ask
#
# `load` takes the name of a model, a Hugging Face directory or a GGUF file. Pass `backend="torch"`,
# `"jax"` or `"tensorflow"`, and everything below stays as it is.

# %%
MODEL = "smollm2-135m-instruct"
model = lk.load(MODEL, backend="numpy")
print(model.chat("What is the capital of France?"))

# %% [markdown]
# An answer is generated when it is asked for: `str()` runs it to its end, iterating streams it.

# %%
for piece in model.chat("Name three primary colours.", max_new_tokens=32):
    print(piece, end="", flush=True)
print()

# %% [markdown]
# Options are keywords. The same seed draws the same tokens on every backend.

# %%
story = model.generate("Once upon a time", temperature=0.8, top_p=0.95, max_new_tokens=30, seed=7)
print(story.text)
print(f"{len(story.tokens)} tokens in {story.seconds:.1f} s, ended by {story.finish_reason!r}")

# %% [markdown]
# ## Look inside
#
# Every method takes a text or token ids, and gives NumPy arrays. First: which of two continuations
# is likelier?

# %%
for continuation in (" Paris", " Rome"):
    print(continuation, model.log_probs("The capital of France is", continuation), sep=": ")

# %% [markdown]
# The hidden states between the layers (number 0 is the embedding), who attends to whom in the last
# layer, and one vector for each of several texts.

# %%
text = "The cat sat on the mat"
print("hidden states", model.hidden_states(text).shape)
print("attention of the last layer", model.attention_weights(text, layers=[-1]).shape)
print("embeddings", model.embed(["A cat sat.", "Shares fell."], pooling="mean").shape)

# %%
show(model.describe())

# %% [markdown]
# ## Compare backends
#
# Each backend that is installed decodes the same prompts. It is judged against float64, and its
# budget is not guessed: it is four times the error that plain NumPy makes in float32, which [the
# glossary](glossary.md) calls the honest error, plus four units in the last place.

# %%
prompts = ["The sky is", "Two plus two is"]
show(lk.compare(MODEL, lk.backends().installed, prompts=prompts, max_new_tokens=12))

# %% [markdown]
# ## Train
#
# A tiny GPT-2 on the texts of Python's own help, 20 steps, with a tokenizer that it learns first.
# Without arguments, `lk.pretrain()` takes some two minutes and makes a better one.

# %%
folder = Path(tempfile.mkdtemp()) / "run"
run = lk.pretrain(out=folder, steps=20, batch=8, width=64, layers=2, vocab=512, context=64)
show(run)

# %% [markdown]
# What it measured is a list of rows, ready for a data frame.

# %%
for row in run.metrics()[::5]:
    print(row)

# %% [markdown]
# The result is a folder that `load`, `evaluate` and transformers open alike. After 20 steps, what
# it writes is still noise.

# %%
show(lk.evaluate(run.model, "python-topics"))
small = run.load()
print(small.generate("The ", temperature=0.8, max_new_tokens=24, seed=1))

# %% [markdown]
# ## Where to go from here
#
# `lk.finetune(MODEL, data="qa.jsonl", lora=8)` teaches a model your own questions and answers:
# [train a model](training.md). [The public API](api.md) lists every function, [the
# glossary](glossary.md) says which word is which elsewhere, and [plugins](plugins.md) shows
# how to add a backend.
