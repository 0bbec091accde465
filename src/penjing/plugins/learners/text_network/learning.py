"""From encoded texts to a learnt network: the language first, then the head, then everything. Knows no files and no runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penjing.core import plugins
from penjing.core.examples import Examples
from penjing.core.files import digest
from penjing.core.protocols import Fitting
from penjing.core.types import Spec
from penjing.plugins.learners.text_network.options import Options
from penjing.training.devices import placed
from penjing.training.fingerprints import of_examples
from penjing.training.loop import learn
from penjing.training.precision import chosen
from penjing.training.texts.bodies import begun, reading
from penjing.training.texts.encoder import Encoder
from penjing.training.texts.guessing import Language
from penjing.training.texts.pretraining import pretrain
from penjing.training.texts.trainee import Texts, give_head


def learnt(options: Options, outputs: Mapping[str, Spec], examples: Examples, validation: Examples, fitting: Fitting) -> Encoder:
    """Return the network. Raises DataError with too few texts to learn a language from, RunFailed where learning diverges."""
    language, precision = _language(options, fitting.names), chosen(options.precision)
    made = (
        options.architecture,
        language.size,
        options.width,
        options.layers,
        options.max_tokens,
        options.bidirectional,
        options.dropout,
        fitting.seed,
    )
    encoder, began = Encoder(begun(*made), outputs), digest(made)
    with placed(encoder):
        _learn(options, encoder, began, language, precision, examples, validation, fitting)
    encoder.eval()
    return encoder


def _learn(
    options: Options,
    encoder: Encoder,
    began: str,
    language: Language,
    precision: str,
    examples: Examples,
    validation: Examples,
    fitting: Fitting,
) -> None:
    """Let `encoder` learn the language, then a head, then all of the task."""
    body = encoder.body
    causal = options.pretrain.objective == "causal"
    texts = [examples] if fitting.unlabelled is None else [examples, fitting.unlabelled]
    read = reading(body, precision, causal, 0.0, options.checkpointing)
    pretrain(body, texts, options.pretrain, precision, fitting, began, language, options.piece, read)
    train_NH, validation_MH = Texts(encoder, reading(body, precision), examples, validation).features()
    first = give_head(encoder, train_NH, examples, validation_MH, validation)
    way = reading(body, precision, False, options.dropout, options.checkpointing)
    trainee = Texts(encoder, way, examples, validation, options.label_smoothing)
    told = [began, options.pretrain.model_dump(), *map(of_examples, (*texts, validation))]
    learn(trainee, options, fitting, digest(told), "learning", first)


def _language(options: Options, names: Mapping[str, Sequence[str]]) -> Language:
    """Return the tokens there are: those that the processor names, or as many as it may have where it names none."""
    special = plugins.load("processors", "subwords").special()
    size = len(names.get("input_ids", ())) or options.vocabulary
    return Language(size, special["[MASK]"], tuple(special.values()))
