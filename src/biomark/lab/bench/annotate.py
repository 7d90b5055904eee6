"""A benchmark of a tagging model against the token-classification pipeline of transformers and a spaCy NER."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from biomark import evaluation, models
from biomark.entity_types import with_canonical_types
from biomark.errors import MissingExtraError, UsageError
from biomark.formats import Reject, raise_rejected
from biomark.lab.bench import Contestant, machine, measure, spacy_ner
from biomark.recognizers import Recognizer
from biomark.spans import Document
from biomark.text.sentences import with_sentences


def annotate(
    documents: Sequence[Document],
    *,
    model: str = models.DEFAULT,
    rounds: int = 3,
    weights: Path | None = None,
    spacy: Path | None = None,
    reject: Reject = raise_rejected,
    progress: Callable[[str], None] = lambda message: None,
) -> dict[str, object]:
    """Compare the speed and strict F1 of a model with transformers' token-classification pipeline and spaCy.

    The pipeline runs the same architecture in fp32 on the same sentences, with batch sizes 1, 8 and 32; the ratio is
    to the fastest of them. The pipeline's model lacks the network's additions to the encoder (characters of words),
    which can only make it faster; its predictions are meaningless without them, so it has no F1. spaCy's NER is trained
    for the types of the documents, on those corpora of the model that annotate all of these; the model itself predicts
    all of its types.

    Args:
        documents: the documents to annotate; the pipeline gets their sentences one by one.
        model: the name or folder of a tagging model.
        rounds: the number of rounds.
        weights: the folder of the training run whose encoder the pipeline uses. None: the pretrained encoder of the
            model, which has the same size and speed.
        spacy: the folder of a spaCy pipeline; if it does not exist, a pipeline is trained and saved there. None: no
            comparison with spaCy.
        reject: is called with each part of spaCy's training corpora that cannot be read.
        progress: is called with a line of text for each epoch of spaCy's training.

    Raises:
        UsageError: if there is no sentence, or the model is not a tagging model.
        MissingExtraError: if transformers, or spaCy for the comparison with it, is not installed.
    """
    split = [with_sentences(document) for document in documents]
    sentences = [sentence.of(document.text) for document in split for sentence in document.sentences]
    if not sentences:
        raise UsageError("there is no sentence to annotate; name a file or split that has documents")
    recognizer = models.load(model)
    alone = [Document(str(n), sentence) for n, sentence in enumerate(sentences)]
    contestants = [
        Contestant("biomark, documents", lambda: _run(recognizer, split)),
        Contestant("biomark, single sentences", lambda: _run(recognizer, alone)),
        *_pipelines(sentences, model, weights),
    ]
    types = tuple(dict.fromkeys(e.type for d in map(with_canonical_types, documents) for e in d.entities))
    f1 = {"biomark": _strict(split, recognizer, types)}
    if spacy:
        pipeline = _spacy(spacy, model, types, reject, progress)
        contestants.append(Contestant("spaCy tok2vec NER", lambda: _run(pipeline, documents)))
        f1["spaCy tok2vec NER"] = _strict(documents, pipeline, types)
    seconds = measure(contestants, rounds)
    rates = {name: round(len(sentences) / best, 1) for name, best in seconds.items()}
    best = max(rate for name, rate in rates.items() if name.startswith("transformers"))
    return {
        "bench": "annotate",
        "documents": len(split),
        "sentences": len(sentences),
        "sentences_per_second": rates,
        "strict_f1": f1,
        "types": types,
        "ratio": round(rates["biomark, documents"] / best, 2),
        "ratio_single_sentences": round(rates["biomark, single sentences"] / best, 2),
        "rounds": rounds,
        **machine("onnxruntime", "transformers", "torch", *(["spacy"] if spacy else [])),
    }


def _run(recognizer: Recognizer, documents: Sequence[Document]) -> None:
    for _ in recognizer.annotate(documents):
        pass


def _strict(documents: Sequence[Document], recognizer: Recognizer, types: Sequence[str]) -> float:
    predicted = (annotated.document for annotated in recognizer.annotate(documents))
    return round(evaluation.evaluate(documents, predicted, types=types).overall.strict.f1, 4)


def _spacy(
    folder: Path, model: str, types: Sequence[str], reject: Reject, progress: Callable[[str], None]
) -> Recognizer:
    if folder.exists():
        return spacy_ner.SpacyRecognizer(folder)
    names = models.describe(model).get("train")
    return spacy_ner.train(names if isinstance(names, list) else [], types, folder, reject=reject, progress=progress)


def _pipelines(sentences: Sequence[str], model: str, weights: Path | None) -> list[Contestant]:
    try:
        import torch
        import transformers
        from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

        from biomark.runtime.bases import weights_folder
        from biomark.tagging.training.trainer import load_trained
    except ImportError as error:
        raise MissingExtraError(error.name or "transformers", "train") from error
    facts = models.describe(model)
    if "encoder" not in facts:
        raise UsageError(f"{model}: is not a tagging model; name one, such as {models.DEFAULT}")
    encoder = weights_folder(str(facts["encoder"]))
    types = facts["types"]
    labels = [
        "O",
        *(f"{tag}-{entity_type}" for entity_type in (types if isinstance(types, list) else []) for tag in "BI"),
    ]
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    network = AutoModelForTokenClassification.from_pretrained(
        encoder, num_labels=len(labels), dtype=torch.float32
    ).eval()
    if weights:
        network.base_model.load_state_dict(load_trained(weights)[0].encoder.state_dict())
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    tag = pipeline("token-classification", model=network, tokenizer=tokenizer, aggregation_strategy="simple")

    def run(size: int) -> None:
        for _ in tag(list(sentences), batch_size=size):
            pass

    return [
        Contestant(f"transformers pipeline fp32, batch size {size}", lambda size=size: run(size))  # type: ignore[misc]
        for size in (1, 8, 32)
    ]
