"""What others do with the same texts: Hugging Face's Trainer, SetFit and sentence-transformers, each in a child process of finetune.py.

Runs in their environment, alone: python benchmarks/finetune_peers.py ASKED.json. Knows nothing of Penjing. Where a setting is not that of a
library's own documentation, it is said beside it.
"""

from __future__ import annotations

import os

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}  # read when transformers is imported; the model is on this machine

import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import accelerate
import numpy as np
import torch
import transformers
from finetune_clock import Clock, Judge, Rows, finish

_WARM = 2
"""Steps of a short slice that are not counted."""


@dataclass(frozen=True)
class Learnt:
    watch: Watch
    judge: Judge
    said: list[int]
    """The label answered to each test row; empty after a slice."""
    total: tuple[float, float]
    """Seconds and busy seconds."""
    peak_bytes: int


class Watch(transformers.TrainerCallback):
    """Times the steps, looks at the test rows now and then, and stops when the time or the slice is over.

    look: told the epoch; None for sides that cannot answer in the middle.
    """

    def __init__(self, asked: dict[str, Any], clock: Clock, look: Callable[[float], None] | None) -> None:
        self.asked, self.clock, self.look = asked, clock, look
        self.looks = [share * asked["epochs"] for share in asked["looks"] if 0 < share < 1]
        self.seconds, self.examples, self.steps, self.capped = 0.0, 0.0, 0, False
        self.ended = float(asked["epochs"])
        self._mark, self._first = 0.0, 0

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._begin(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.asked["slice_seconds"] and state.global_step == _WARM:
            self._begin(state)
        if self.look and self.looks and state.epoch >= self.looks[0]:
            self.looks.pop(0)
            self.look(state.epoch)
        self.capped = self.clock.now()[0] > self.asked["cap"] and state.global_step < state.max_steps
        if self.capped:
            self.ended = state.epoch
        if self.capped or self._sliced(state):
            control.should_training_stop = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.steps += state.global_step - self._first
        self.seconds += self.clock.now()[0] - self._mark
        self.examples = self.steps * args.per_device_train_batch_size

    def _begin(self, state: Any) -> None:
        self._mark, self._first = self.clock.now()[0], state.global_step

    def _sliced(self, state: Any) -> bool:
        seconds = self.asked["slice_seconds"]
        over = state.global_step - self._first >= self.asked["slice_steps"] or self.clock.now()[0] - self._mark > seconds
        return bool(seconds and state.global_step > _WARM and over)

    def figures(self) -> dict[str, Any]:
        return {"loop_seconds": self.seconds, "loop_examples": self.examples, "steps": self.steps, "capped": self.capped}


def trainer(asked: dict[str, Any], **settings: Any) -> Learnt:
    """Fine-tune as transformers' guide on text classification does; the epoch with the least validation loss is kept."""
    clock = Clock()
    with clock.paused():
        judge = Judge.of(asked, clock)
    train, validation = (Rows.read(asked, split) for split in ("train", "validation"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(asked["model"])

    def read(rows: Rows) -> list[dict[str, Any]]:
        ids = tokenizer(rows.texts, truncation=True, max_length=asked["tokens"])["input_ids"]
        return [{"input_ids": one, "labels": label} for one, label in zip(ids, rows.labels, strict=True)]

    classes = len(set(train.labels))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(asked["model"], num_labels=classes)

    def look(epoch: float) -> None:
        mode = model.training
        model.eval()
        judge.look(epoch, lambda ids, mask: model(input_ids=ids, attention_mask=mask).logits)
        model.train(mode)

    watch = Watch(asked, clock, look)
    taught = transformers.Trainer(
        model,
        transformers.TrainingArguments(**(_arguments(asked) | settings)),
        transformers.DataCollatorWithPadding(tokenizer),
        train_dataset=read(train),
        eval_dataset=read(validation),
        compute_metrics=lambda found: {"accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())},
        callbacks=[watch],
    )
    taught.remove_callback(transformers.PrinterCallback)
    taught.train()
    return _ended(asked, watch, judge, lambda: judge.said(lambda ids, mask: taught.model.eval()(input_ids=ids, attention_mask=mask).logits))


def trainer_documented(asked: dict[str, Any]) -> Learnt:
    """The guide's own settings, on the CPU."""
    return trainer(asked, learning_rate=2e-5, per_device_train_batch_size=16, per_device_eval_batch_size=16, weight_decay=0.01)


def trainer_tuned(asked: dict[str, Any]) -> Learnt:
    """What Trainer offers to be quicker: bfloat16, texts of like length together, larger batches, fused AdamW, and the rate that is its default."""
    return trainer(
        asked,
        bf16=asked["bf16"],
        train_sampling_strategy="group_by_length",
        optim="adamw_torch_fused",
        learning_rate=5e-5,
        per_device_train_batch_size=32,
        per_device_eval_batch_size=64,
        weight_decay=0.01,
        warmup_steps=0.1,
    )


def setfit(asked: dict[str, Any]) -> Learnt:
    """SetFit's quickstart: pairs first, then logistic regression over the embeddings.

    Its default would learn from every pair of texts, 15 million of 4,000: it gets as many pairs as the others read texts in their epochs.
    """
    import datasets
    from setfit import SetFitModel, Trainer, TrainingArguments

    clock = Clock()
    with clock.paused():
        judge = Judge.of(asked, clock)
    train = Rows.read(asked, "train")
    model = SetFitModel.from_pretrained(asked["model"])
    model.model_body.max_seq_length = asked["tokens"]
    steps = max(1, asked["epochs"] * len(train.texts) // (2 * 16))
    arguments = TrainingArguments(
        asked["scratch"],
        batch_size=16,
        max_steps=steps,
        seed=asked["seed"],
        max_length=asked["tokens"],
        show_progress_bar=False,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
    )
    rows = datasets.Dataset.from_dict({"text": train.texts, "label": train.labels})
    watch = Watch(asked, clock, None if asked["slice_seconds"] else _with_head(model.model_body, train, judge))
    watch.looks = watch.looks and [asked["epochs"] / 4]  # its epoch is one, of all pairs, and half of it is half of all
    taught = Trainer(model, args=arguments, train_dataset=rows, callbacks=[watch])
    taught.st_trainer.args.use_cpu = True
    if asked["slice_seconds"]:
        taught.train_classifier = lambda *_, **__: None
    taught.train()
    watch.examples *= 2
    return _ended(asked, watch, judge, lambda: _answered(model.model_body, model.model_head, judge))


def sentence_transformers(asked: dict[str, Any]) -> Learnt:
    """The example of texts with classes (training_batch_hard_trec.py: batches of 32, BatchAllTripletLoss) by the trainer of the training
    overview (rate, warm-up, batches by label), in bfloat16, and logistic regression over the embeddings."""
    import datasets
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import BatchAllTripletLoss
    from sentence_transformers.training_args import BatchSamplers

    clock = Clock()
    with clock.paused():
        judge = Judge.of(asked, clock)
    train = Rows.read(asked, "train")
    model = SentenceTransformer(asked["model"], device="cpu")
    model.max_seq_length = asked["tokens"]
    arguments = _arguments(asked) | {"eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}
    watch = Watch(asked, clock, None if asked["slice_seconds"] else _with_head(model, train, judge))
    watch.looks = watch.looks and [asked["epochs"] / 2]
    taught = SentenceTransformerTrainer(
        model,
        SentenceTransformerTrainingArguments(
            **arguments,
            per_device_train_batch_size=32,
            learning_rate=2e-5,
            warmup_steps=0.1,
            bf16=asked["bf16"],
            batch_sampler=BatchSamplers.GROUP_BY_LABEL,
        ),
        train_dataset=datasets.Dataset.from_dict({"sentence": train.texts, "label": train.labels}),
        loss=BatchAllTripletLoss(model),
        callbacks=[watch],
    )
    taught.remove_callback(transformers.PrinterCallback)
    taught.train()
    head = None if asked["slice_seconds"] else _head(model, train)
    return _ended(asked, watch, judge, lambda: _answered(model, head, judge))


def _with_head(model: Any, train: Rows, judge: Judge) -> Callable[[float], None]:
    """Return what looks at a model that answers only by a head over its embeddings: learning that is counted as well."""

    def look(epoch: float) -> None:
        mode = model.training
        at = judge.clock.now()
        with judge.clock.paused():
            spent = Clock()
            head = _head(model, train)
            took = spent.now()
            judge.point(epoch, _answered(model, head, judge, judge.few), (at[0] + took[0], at[1] + took[1]))
        model.train(mode)

    return look


def _head(model: Any, train: Rows) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000).fit(model.encode(train.texts, show_progress_bar=False), train.labels)


def _answered(model: Any, head: Any, judge: Judge, count: int | None = None) -> list[int]:
    model.eval()
    weight, bias = (torch.from_numpy(np.asarray(part, np.float32)) for part in (head.coef_, head.intercept_))

    def forward(ids: Any, mask: Any) -> Any:
        return model({"input_ids": ids, "attention_mask": mask})["sentence_embedding"].float() @ weight.T + bias

    return judge.said(forward, count)


def _ended(asked: dict[str, Any], watch: Watch, judge: Judge, said: Callable[[], list[int]]) -> Learnt:
    """Stop the clock, and answer all test rows unless it was a slice."""
    total, peak = watch.clock.now(), watch.clock.peak_bytes()
    if asked["slice_seconds"]:
        return Learnt(watch, judge, [], total, peak)
    answers = said()
    judge.point(watch.ended, answers, total)
    return Learnt(watch, judge, answers, total, peak)


def _arguments(asked: dict[str, Any]) -> dict[str, Any]:
    kept = "no" if asked["slice_seconds"] else "epoch"
    return {
        "output_dir": asked["scratch"],
        "num_train_epochs": asked["epochs"],
        "seed": asked["seed"],
        "use_cpu": True,
        "eval_strategy": kept,
        "save_strategy": kept,
        "load_best_model_at_end": kept == "epoch",
        "dataloader_pin_memory": False,
        "report_to": "none",
        "disable_tqdm": True,
        "logging_strategy": "no",
    }


SIDES = {
    "trainer": trainer_documented,
    "trainer-tuned": trainer_tuned,
    "setfit": setfit,
    "sentence-transformers": sentence_transformers,
}


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_text())
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    transformers.AutoModelForSequenceClassification.from_pretrained(asked["model"])  # imports what it needs, as it is imported for all sides
    transformers.set_seed(asked["seed"])
    learnt = SIDES[asked["side"]](asked)
    versions = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "accelerate": accelerate.__version__,
        "threads": torch.get_num_threads(),
    }
    figures = {"seconds": learnt.total[0], "busy": learnt.total[1], "peak_bytes": learnt.peak_bytes, "points": learnt.judge.points}
    finish(asked, learnt.watch.figures() | figures | {"versions": versions}, learnt.said, learnt.judge.labels)


if __name__ == "__main__":
    main()
