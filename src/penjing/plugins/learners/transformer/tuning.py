"""From a pretrained encoder and examples to a learnt one: the head over frozen features, from there, when asked, more of it, and then exits.

Head first, then the rest (LP-FT, Kumar et al. 2022, section 4): a random head's first gradients distort what the encoder knows, and a budget
that ends early leaves a good model. Early exits come last: each a head over the states at its depth, taught by the whole's own answers,
which stay as they are.

Shapes: N training rows, M validation rows, H hidden units, W width of the output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from penjing.core.examples import Examples
from penjing.core.files import digest, sha256
from penjing.core.graphs.batching import token_ids
from penjing.core.protocols import Fitting
from penjing.core.types import NDArray, Spec
from penjing.plugins.learners.transformer import models, planning, upper
from penjing.plugins.learners.transformer.options import ADAPTERS, Options
from penjing.training import heads
from penjing.training.devices import placed
from penjing.training.fingerprints import of_examples, of_weights
from penjing.training.loop import learn
from penjing.training.precision import chosen
from penjing.training.texts.adapters import adapt, merged
from penjing.training.texts.encoder import Encoder, pretrained
from penjing.training.texts.features import features
from penjing.training.texts.guessing import Language
from penjing.training.texts.packed import Packed, reader
from penjing.training.texts.pretraining import pretrain
from penjing.training.texts.segments import check_cuts
from penjing.training.texts.trainee import Frozen, Texts, give_head
from penjing.training.trainee import Judged


def learnt(options: Options, outputs: Mapping[str, Spec], examples: Examples, validation: Examples, fitting: Fitting) -> Encoder:
    """Return the encoder that `options.model` becomes. Raises PlanError for the model's folder, RunFailed where learning diverges."""
    folder = models.resolve(options.model)
    planning.check_exits(options, models.config(folder))
    encoder = pretrained(folder, outputs)
    if options.exits:
        check_cuts(encoder.body)
    model = digest([sha256(path) for path in (folder / "config.json", *models.weights(folder))])
    this = _Tuning(options, encoder, examples, validation, model, fitting)
    with placed(encoder):
        this.pretrain(folder)
        if options.tune == "frozen":
            this.learn_head(options.exits)
        else:
            this.tune()
        this.learn_exits()
    return encoder


class _Tuning:
    """One tuning of `encoder`, in place. `model` is a digest of its weights as they were."""

    def __init__(self, options: Options, encoder: Encoder, examples: Examples, validation: Examples, model: str, fitting: Fitting) -> None:
        self.options, self.encoder, self.examples, self.validation = options, encoder, examples, validation
        self.model, self.fitting, self.precision = model, fitting, chosen(options.precision)

    def pretrain(self, folder: Path) -> None:
        """Let the encoder learn the language of the texts, labelled or not, where the options ask for it."""
        if self.options.pretrain.objective == "none":
            return
        special, config, fitting = models.special_tokens(folder), self.encoder.body.config, self.fitting
        mask = next((special[name] for name in models.MASKS if name in special), None)
        language = Language(int(config.vocab_size), mask, tuple(sorted(special.values())))
        texts = [self.examples, *([] if fitting.unlabelled is None else [fitting.unlabelled])]
        pretrain(self.encoder.body, texts, self.options.pretrain, self.precision, fitting, self.model, language, self.options.piece)
        self.model = of_weights(self.encoder.body)

    def tune(self) -> None:
        """Learn the head, and from there what the options name."""
        options, encoder = self.options, self.encoder
        way = reader(encoder.body, self.precision, dropout=options.dropout, checkpointing=options.checkpointing)
        frozen, layers = None, None
        if options.tune == "partial":
            tried = upper.candidates(options, _packed(way).layers, self.validation)
            layers, frozen = tried[-1], self._frozen(way, tried[-1])
        first = self.learn_head(frozen=frozen)
        if frozen is not None and len(tried) > 1:
            layers = upper.chosen(options, encoder, _packed(way), tried, frozen, self.examples, self.validation, self.model, self.fitting)
            frozen = self._frozen(way, layers, frozen) if layers < tried[-1] else frozen
        encoder.requires_grad_(True)
        if options.tune in ADAPTERS:
            adapt(encoder.body, options.tune, options.rank, options.alpha, 0.0, options.targets, self.fitting.seed)
        elif layers is not None:
            upper.leave(encoder, layers)
        trainee = Texts(encoder, way, self.examples, self.validation, options.label_smoothing, options.mixup, frozen)
        learn(trainee, options, self.fitting, self._fingerprint(layers), "fine-tuning", first)
        encoder.body = merged(encoder.body)
        encoder.requires_grad_(True)
        self.model = of_weights(encoder.body)

    def learn_head(self, depths: Sequence[int] = (), frozen: Frozen | None = None) -> Judged:
        """Give the encoder the head that is best over its features as they are, and return how that is judged.

        depths: of states that will be asked for afterwards, and are best kept in the same reading; frozen: what is read of them already.
        """
        encoder = self.encoder
        if frozen is None:
            (*_, train_NH), (*_, validation_MH) = self._features("reading with the frozen encoder", depths)
        else:
            texts = Texts(encoder, reader(encoder.body, self.precision), self.examples, self.validation, frozen=frozen)
            train_NH, validation_MH = texts.features()
        return give_head(encoder, train_NH, self.examples, validation_MH, self.validation)

    def learn_exits(self) -> None:
        """Give the encoder a head at each of the exits' depths, learnt from what the whole answers and from the targets, half and half."""
        encoder, depths = self.encoder, self.options.exits
        if not depths:
            return
        (*states, train_NH), (*validation_states, _) = self._features("reading for the early exits", depths)
        link, weight_WH, bias_W = encoder.spec.link, encoder.head.weight.detach().cpu().numpy(), encoder.head.bias.detach().cpu().numpy()
        target = heads.taught(train_NH @ weight_WH.T + bias_W, np.asarray(self.examples.target), link)
        validation_target, width, weight = np.asarray(self.validation.target), encoder.spec.width, self.examples.weight
        learnt = {
            depth: heads.learn(state_NH, target, state_MH, validation_target, width, link, weight)
            for depth, state_NH, state_MH in zip(depths, states, validation_states, strict=True)
        }
        encoder.set_exits({depth: (head.weight, head.bias) for depth, head in learnt.items()})

    def _features(self, what: str, depths: Sequence[int]) -> list[list[NDArray]]:
        """Return, of training and of validation rows, the features after each of the depths and at the end."""
        fitting, progress = self.fitting, self.fitting.progress
        progress.start(what, len(self.examples) + len(self.validation))
        found = [
            features(self.encoder, token_ids(part.inputs), self.precision, self.model, fitting.cache, progress.advance, depths, fitting.workers)
            for part in (self.examples, self.validation)
        ]
        progress.finish()
        return found

    def _frozen(self, way: object, layers: int, below: Frozen | None = None) -> Frozen:
        return upper.frozen(_packed(way), layers, self.encoder.pad, self.examples, self.validation, self.model, self.fitting, below)

    def _fingerprint(self, layers: int | None) -> str:
        begins = [self.model, of_weights(self.encoder.head), of_examples(self.examples), of_examples(self.validation), torch.__version__]
        return digest([*begins, self.precision, layers, self.options.model_dump(exclude={"model"})])


def _packed(way: object) -> Packed:
    """Raises RunFailed where the layers of this body cannot be told apart."""
    if not isinstance(way, Packed):
        raise upper.cannot(way)
    return way
