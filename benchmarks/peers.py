"""What others would do with the same texts: the same transformer fine-tuned by Hugging Face's Trainer, and scikit-learn's TF-IDF with
LogisticRegression. Knows nothing of cascades, and of Penjing only whether this processor is quick at bfloat16.

Each returns the label of every test text and its figures: `seconds` to learn, reading texts included, `rows_per_s` when it answers.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported; the model's folder is on this machine

import numpy as np
import transformers
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from penjing.core.machine import Machine
from penjing.core.types import NDArray

Answers = tuple[NDArray, dict[str, float]]
Labelled = tuple[Sequence[str], Sequence[str]]
"""Texts and their labels."""

BATCH = 64
TRAINER: dict[str, dict[str, Any]] = {
    "defaults": {"learning_rate": 5e-5, "per_device_train_batch_size": 8},
    "tutorial": {"learning_rate": 2e-5, "per_device_train_batch_size": 16, "weight_decay": 0.01},
    "ours": {"learning_rate": 2e-5, "per_device_train_batch_size": 32, "weight_decay": 0.01, "warmup_steps": 0.1},
}
"""Settings for Trainer: its own defaults, those of transformers' tutorial on text classification, and those of our transformer tier."""


class Cap(transformers.TrainerCallback):
    """Stops Trainer when its time is over."""

    def __init__(self, seconds: float) -> None:
        self.until, self.hit = time.perf_counter() + seconds, False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if time.perf_counter() > self.until and state.global_step < state.max_steps:
            control.should_training_stop = self.hit = True


def trainer(
    model: Path, learn: Labelled, choose: Labelled, test: Sequence[str], tokens: int, epochs: int, seed: int, cap_s: float, settings: str
) -> Answers:
    """Fine-tune the encoder in the folder `model` as the documentation of transformers does; the epoch with the least loss on `choose` is kept.

    Also gives `validation_accuracy`, that on `choose`, and whether it was `capped`.
    """
    transformers.set_seed(seed)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    cap, started = Cap(cap_s), time.perf_counter()
    labels = sorted(set(learn[1]))
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)

    def read(texts: Sequence[str], answers: Sequence[str]) -> list[dict[str, Any]]:
        ids = tokenizer(list(texts), truncation=True, max_length=tokens)["input_ids"]
        return [{"input_ids": i, "labels": labels.index(answer)} for i, answer in zip(ids, answers, strict=True)]

    with tempfile.TemporaryDirectory() as scratch:
        taught = transformers.Trainer(
            transformers.AutoModelForSequenceClassification.from_pretrained(model, num_labels=len(labels)),
            _arguments(scratch, epochs, seed, settings),
            transformers.DataCollatorWithPadding(tokenizer),  # adds the mask of what it pads
            train_dataset=read(*learn),
            eval_dataset=read(*choose),
            callbacks=[cap],
        )
        taught.remove_callback(transformers.PrinterCallback)
        taught.train()
        seconds = time.perf_counter() - started
        right = [labels[i] == answer for i, answer in zip(taught.predict(read(*choose)).predictions.argmax(1), choose[1], strict=True)]
        started = time.perf_counter()
        said = taught.predict(read(test, [labels[0]] * len(test))).predictions.argmax(1)
        rate = len(test) / (time.perf_counter() - started)
    figures = {"seconds": seconds, "rows_per_s": rate, "validation_accuracy": float(np.mean(right)), "capped": float(cap.hit)}
    return np.array(labels)[said], figures


def _arguments(scratch: str, epochs: int, seed: int, settings: str) -> Any:
    return transformers.TrainingArguments(
        scratch,
        num_train_epochs=epochs,
        seed=seed,
        use_cpu=True,
        bf16=Machine.here().bf16,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_only_model=True,
        load_best_model_at_end=True,
        per_device_eval_batch_size=BATCH,
        dataloader_pin_memory=False,
        report_to="none",
        disable_tqdm=True,
        logging_strategy="no",
        **TRAINER[settings],
    )


def tfidf(learn: Labelled, test: Sequence[str], c: float = 10.0) -> Answers:
    """Learn from words and bigrams. c: its default of 1 was worse on the drug reviews."""
    started = time.perf_counter()
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    model = LogisticRegression(C=c, max_iter=1000).fit(vectorizer.fit_transform(learn[0]), learn[1])
    seconds, started = time.perf_counter() - started, time.perf_counter()
    said = [model.predict(vectorizer.transform(test[i : i + BATCH])) for i in range(0, len(test), BATCH)]
    return np.concatenate(said).astype(str), {"seconds": seconds, "rows_per_s": len(test) / (time.perf_counter() - started)}
