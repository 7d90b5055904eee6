"""Tuning on small random models: losses, methods, scores, resumption, the model folder, several processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from biomark import demonstrations, formats
from biomark import models as library
from biomark.demonstrations import Demonstration
from biomark.errors import MissingExtraError, ModelError, UsageError
from biomark.generative.training.checks import check
from biomark.marks import Aligned
from biomark.spans import Document, Entity, Rejected, Span
from biomark.tagging.training.checks import check as check_tagging
from biomark.training.checks import check_splits
from biomark.training.recipe import ADAPTER_WEIGHTS, GenerativeRecipe, TaggingRecipe, load_recipe
from conftest import HANG, ROOT, Outcome
from toy_corpus import CHEMICALS, CLAUSES, DISEASES, documents

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from biomark.generative.answering import WindowPrompt  # noqa: E402
from biomark.generative.decoding.vocabulary import Vocabulary  # noqa: E402
from biomark.generative.recognizer import GenerativeRecognizer  # noqa: E402
from biomark.generative.training import merging  # noqa: E402
from biomark.generative.training import model as causal  # noqa: E402
from biomark.generative.training import trainer as generative  # noqa: E402
from biomark.generative.training.data import chosen, read_data, read_demonstrations  # noqa: E402
from biomark.generative.training.export import export  # noqa: E402
from biomark.generative.training.loss import AnswerTrainer, EpochRows, answer_loss  # noqa: E402
from biomark.generative.training.packing import IGNORED, TokenisedDemonstration, collate, pack, tokenise  # noqa: E402
from biomark.training import runs, scoring  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads


def quiet(_: object) -> None:
    pass


def fail(rejected: object) -> None:
    raise AssertionError(rejected)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small random models, a byte-level tokenizer, and corpora under their catalogue names."""
    folder = tmp_path_factory.mktemp("home")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [clause.format(d=d, c=c) for clause in CLAUSES for d in DISEASES for c in CHEMICALS]
    tokenizer.train_from_iterator([*texts, *["Mark disease: chemical ="] * 50], trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    size = {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
    }
    configs = {
        "llama": transformers.LlamaConfig(**size, tie_word_embeddings=False),
        "qwen3": transformers.Qwen3Config(**size, head_dim=16, tie_word_embeddings=True),
    }
    for name, config in configs.items():
        torch.manual_seed(3)
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder / name)
        fast.save_pretrained(folder / name)
    bert = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    transformers.BertModel(bert).save_pretrained(folder / "bert")
    fast.save_pretrained(folder / "bert")
    for split, count, seed in (("train", 40, 1), ("devel", 8, 2), ("test", 8, 3)):
        for corpus, type, mentions in (
            ("ncbi_disease", "SpecificDisease", DISEASES),
            ("bc5cdr", "Chemical", CHEMICALS),
        ):
            path = folder / "corpora" / corpus / f"{split}.pubtator"
            path.parent.mkdir(parents=True, exist_ok=True)
            formats.write(documents(type, mentions, count, seed + len(type)), path)
    return folder


@pytest.fixture(autouse=True)
def _corpora(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOMARK_CORPORA", str(home / "corpora"))


@pytest.fixture(scope="module")
def recipe(home: Path) -> GenerativeRecipe:
    return GenerativeRecipe(
        name="small",
        model=str(home / "llama"),
        train=("ncbi_disease:train", "bc5cdr_chemical:train"),
        devel=("ncbi_disease:devel", "bc5cdr_chemical:devel"),
        types=("disease", "chemical"),
        prompt="short",
        epochs=2,
        row_tokens=256,
        learning_rate=3e-3,
        devel_sentences=3,
    )


def train(recipe: GenerativeRecipe, folder: Path, *, resume: bool = False) -> Path:
    return generative.train(recipe, folder, reject=fail, resume=resume, progress=quiet)


# Losses


def examples_of(recipe: GenerativeRecipe, vocabulary: Vocabulary, count: int) -> list[TokenisedDemonstration]:
    found = []
    for demonstration in read_demonstrations("ncbi_disease:train", recipe, fail):
        example = tokenise(demonstration, vocabulary, form=recipe.prompt, longest=recipe.row_tokens)
        assert isinstance(example, TokenisedDemonstration)
        found.append(example)
    return found[:count]


def loss_of(model: torch.nn.Module, rows: list[list[TokenisedDemonstration]], **settings: bool) -> float:
    batch = collate(rows, 0, **settings)
    labels = batch.pop("labels")
    with torch.inference_mode():
        return float(answer_loss(model, causal.head_of(model), batch, labels))


@pytest.mark.parametrize("full_prompts", [False, True])
@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_packed_rows_have_the_loss_of_separate_ones(
    home: Path, recipe: GenerativeRecipe, name: str, full_prompts: bool
) -> None:
    model, vocabulary = causal.prepare_model(replace(recipe, model=str(home / name)))
    examples = examples_of(recipe, vocabulary, 12)
    rows = pack(examples, 128, seed=1)
    assert len(rows) < len(examples) / 2
    together = loss_of(model.eval(), rows, full_prompts=full_prompts)
    separate = sum(loss_of(model, [[example]], full_prompts=full_prompts) for example in examples)
    assert together == pytest.approx(separate, rel=1e-5)
    # The same by transformers' own loss over whole sequences, of which the answers' part is taken.
    if not full_prompts:
        plain = 0.0
        for example in examples:
            ids = torch.tensor([example.ids])
            labels = ids.clone()
            labels[:, : example.answer] = IGNORED
            with torch.inference_mode():
                mean = model(input_ids=ids, labels=labels, use_cache=False).loss
            plain += float(mean) * (len(example.ids) - example.answer)
        assert together == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_packed_examples_do_not_see_each_other(home: Path, recipe: GenerativeRecipe, name: str) -> None:
    model, vocabulary = causal.prepare_model(replace(recipe, model=str(home / name)))
    a, b, c = examples_of(recipe, vocabulary, 3)

    def logits(row: list[TokenisedDemonstration]) -> torch.Tensor:
        batch = collate([row], 0)
        del batch["labels"]
        with torch.inference_mode():
            return model.eval()(**batch, use_cache=False).logits[0]

    changed = TokenisedDemonstration(tuple((id + 7) % 300 for id in a.ids), a.answer)
    first, second = len(a.ids), len(a.ids) + len(b.ids)
    before, after = logits([a, b, c]), logits([changed, b, c])
    assert not torch.allclose(before[:first], after[:first], atol=1e-3)
    assert torch.equal(before[first:], after[first:])
    assert torch.equal(
        before[first:second], logits([a, b, TokenisedDemonstration(c.ids[::-1], c.answer)])[first:second]
    )


def test_the_loss_is_on_the_answer_alone(recipe: GenerativeRecipe) -> None:
    _, vocabulary = causal.prepare_model(recipe)
    demonstration = Demonstration("Mark disease", "No fever was.", "No <mark>fever</mark> was.", "1", Span(0, 13))
    example = tokenise(demonstration, vocabulary, form="short", longest=256)
    assert isinstance(example, TokenisedDemonstration)
    batch = collate([[example]], 0, length=200)
    said = batch["labels"][0]
    assert said[said != IGNORED].tolist() == [*vocabulary.answer("No fever was.", [Span(3, 8)]), vocabulary.end]
    assert vocabulary.text(said[said != IGNORED].tolist()).strip() == demonstration.output
    assert vocabulary.text(example.ids[: example.answer]) == "Mark disease: No fever was. ="


@pytest.mark.parametrize("fast", [True, False])
def test_matrices_are_multiplied_in_what_the_processor_is_fast_with(
    recipe: GenerativeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    monkeypatch.setattr(generative, "multiplies_bf16", lambda: fast)
    assert generative.arguments(recipe, tmp_path).bf16 is fast
    assert generative.arguments(replace(recipe, weights="bfloat16"), tmp_path).bf16


def test_sampled_negatives_are_the_whole_vocabulary_if_there_are_enough(recipe: GenerativeRecipe, home: Path) -> None:
    recipe = replace(recipe, model=str(home / "qwen3"), marks="tokens")
    model, vocabulary = causal.prepare_model(recipe)
    batch = collate(pack(examples_of(recipe, vocabulary, 6), 256, seed=1), 0)
    settings = generative.arguments(recipe, home / "unused")
    losses = {}
    for negatives in (0, 50, 50_000):
        trainer = AnswerTrainer(model=model, args=settings, train_dataset=EpochRows([]), negatives=negatives)
        with torch.inference_mode():
            losses[negatives] = float(trainer.compute_loss(model, dict(batch)))
    assert losses[50_000] == pytest.approx(losses[0], rel=1e-5)
    assert losses[50] < losses[0]


# Methods

METHODS = {
    "full": {"model": "qwen3", "marks": "tokens", "negatives": 100, "prompt_attention": "full"},
    "lora": {"gradient_checkpointing": True},
    "lora-tokens": {"marks": "tokens"},
    "lora-bf16": {"marks": "tokens", "model": "qwen3", "weights": "bfloat16"},
    "qlora": {"marks": "tokens", "gradient_checkpointing": True},
    "llama-adapter": {"accumulate": 2},
}


@pytest.mark.parametrize("name", METHODS)
def test_each_method_tunes_its_own_part_and_comes_back(home: Path, recipe: GenerativeRecipe, name: str) -> None:
    settings: dict[str, object] = dict(METHODS[name])
    method = re.sub("-(tokens|bf16)$", "", name)
    if method == "qlora":
        pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    folder = home / name
    changed = replace(recipe, method=method, **{**settings, "model": str(home / str(settings.get("model", "llama")))})  # type: ignore[arg-type]
    torch.manual_seed(changed.seed)
    fresh, vocabulary = causal.prepare_model(changed, notify=quiet)
    tuned = {name for name, parameter in fresh.named_parameters() if parameter.requires_grad}
    if method != "full":
        assert all(re.search(r"lora_|trainable_tokens|adaption_", name) for name in tuned)
        assert any("head" in name for name in tuned) == (name in ("lora-tokens", "qlora"))  # the untied ones
    train(changed, folder)
    before = {key: value.clone() for key, value in fresh.state_dict().items()}
    causal.set_weights(fresh, folder)
    moved = {key for key, value in fresh.state_dict().items() if not torch.equal(value, before[key])}
    assert moved
    if method != "full":
        assert all(re.search(r"lora_|trainable_tokens|adaption_", key) for key in moved)
    # What is loaded for use computes what was trained, and finds what was scored.
    loaded, _, read = causal.load_trained(folder)
    assert read == changed
    ids = torch.tensor([vocabulary.prompt("Mark disease: No fever was seen. =")])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=changed.weights == "bfloat16"):
        expected = causal.plain(fresh).eval()(ids, use_cache=False).logits
        found = loaded(ids, use_cache=False).logits
    assert torch.allclose(found.float(), expected.float(), atol=1e-4 if changed.weights == "float32" else 0.05)
    rows = json.loads((folder / "scores.json").read_text())
    assert [row["epoch"] for row in rows] == [1.0, 2.0]
    if changed.weights == "float32":
        devel = scoring.read_devel(recipe.devel, recipe.types, sentences=3, seed=recipe.seed, reject=fail)
        again = scoring.strict_scores(generative.recognizer_of(loaded, vocabulary, changed), devel)
        assert again in [row["scores"] for row in rows]
    kept = {path.name for path in folder.iterdir()}
    own = {"model.safetensors", "config.json"} if method == "full" else {"adapter_model.safetensors", causal.ADAPTER}
    assert own | {"recipe.json", "scores.json", "run.json", "tokenizer.json", "tokenizer_config.json"} <= kept
    assert not [name for name in kept if name.endswith(".part")]


def test_a_model_overfits_a_few_demonstrations(home: Path, recipe: GenerativeRecipe, tmp_path: Path) -> None:
    gold = documents("disease", DISEASES, 5, 5)
    formats.write(gold, tmp_path / "gold.pubtator")
    made = demonstrations.write(
        demonstrations.demonstrations(gold, ["disease"], demonstrations.Style("short")), tmp_path / "demos.json"
    )
    assert made["with"] >= 8
    few = replace(
        recipe,
        train=(str(tmp_path / "demos.json"),),
        devel=(str(tmp_path / "gold.pubtator"),),
        types=("disease",),
        epochs=60,
        save_steps=60,
        learning_rate=1e-2,
        devel_sentences=0,
    )
    train(few, tmp_path / "run")
    model, vocabulary, _ = causal.load_trained(tmp_path / "run")
    found = list(generative.recognizer_of(model, vocabulary, few).annotate(gold))
    assert [[(e.extent, e.type) for e in f.document.entities] for f in found] == [
        [(e.extent, e.type) for e in document.entities] for document in gold
    ]
    (row,) = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert row["scores"][str(tmp_path / "gold.pubtator")]["f1"] == 1.0


@pytest.mark.parametrize("shape", ["tanl", "dice"])
def test_a_model_learns_to_answer_in_another_shape(
    home: Path, recipe: GenerativeRecipe, tmp_path: Path, shape: str
) -> None:
    gold = documents("disease", DISEASES, 2, 5)
    formats.write(gold, tmp_path / "gold.pubtator")
    style = demonstrations.Style("short", shape, guideline_text={"disease": "Any."})
    demonstrations.write(demonstrations.demonstrations(gold, ["disease"], style), tmp_path / "demos.json")
    few = replace(
        recipe,
        train=(str(tmp_path / "demos.json"),),
        devel=(str(tmp_path / "gold.pubtator"),),
        types=("disease",),
        shape=shape,
        guideline_text={"disease": "Any."},
        epochs=120,
        save_steps=120,
        learning_rate=1e-2,
        devel_sentences=0,
    )
    train(few, tmp_path / "run")
    (row,) = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert row["scores"][str(tmp_path / "gold.pubtator")]["f1"] == 1.0
    loaded = library.load(str(tmp_path / "run"))  # asks as the run's recipe has it, whatever the decoding
    found = [[(e.extent, e.type) for e in a.document.entities] for a in loaded.annotate(gold)]
    assert found == [[(e.extent, e.type) for e in document.entities] for document in gold]
    with pytest.raises(UsageError, match=f"answers in the shape {shape}, not in marks"):
        library.load(str(tmp_path / "run"), library.Asking(drafter="default"))


def test_the_users_own_sentence_is_learnt_saved_and_asked_with(
    home: Path, recipe: GenerativeRecipe, tmp_path: Path
) -> None:
    recipe = replace(recipe, examples=2, epochs=1, guideline_text={"disease": "Classes too."})
    made = {d.instruction for name in recipe.train for d in read_demonstrations(name, recipe, fail)}
    assert made == {"Mark disease Classes too.", "Mark chemical"}
    train(recipe, tmp_path / "run")
    _, vocabulary, saved = causal.load_trained(tmp_path / "run")
    assert saved == recipe
    asked: list[str] = []
    recognizer = library.load(str(tmp_path / "run"))
    assert isinstance(recognizer, GenerativeRecognizer)
    answer = recognizer.answering.answer

    def spy(windows: Sequence[WindowPrompt]) -> list[Aligned | None]:
        asked.extend(vocabulary.text(window.prompt) for window in windows)
        return answer(windows)

    recognizer.answering.answer = spy  # type: ignore[method-assign]
    list(recognizer.annotate([Document("1", "No fever.")]))
    assert sorted(asked) == ["Mark chemical: No fever. =", "Mark disease Classes too.: No fever. ="]


def test_demonstrations_with_another_instruction_are_told(recipe: GenerativeRecipe, home: Path, tmp_path: Path) -> None:
    gold = documents("disease", DISEASES, 3, 5)
    file = str(tmp_path / "demos.json")
    recipe = replace(recipe, train=(file,), devel=("ncbi_disease:devel",), types=("disease",))
    _, vocabulary = causal.prepare_model(recipe)
    demonstrations.write(demonstrations.demonstrations(gold, ["disease"], recipe.style), Path(file))
    read_data(recipe, vocabulary, fail)
    demonstrations.write(
        demonstrations.demonstrations(gold, ["disease"], demonstrations.Style("short", guideline_text="All.")),
        Path(file),
    )
    told: list[Rejected] = []
    data = read_data(recipe, vocabulary, told.append)
    assert len(data.examples) == data.train[file]["demonstrations"] > 0  # learnt all the same
    (one,) = told
    assert one.source == file
    assert "'Mark disease All.'" in one.reason
    with pytest.raises(UsageError, match="an instruction that differs from the recipe's, such as 'Mark disease All"):
        read_data(replace(recipe, shape="tanl"), vocabulary, fail)
    wrong = [replace(d, instruction="Bracket disease") for d in demonstrations.read(Path(file))]
    demonstrations.write([*wrong, replace(wrong[0], output=wrong[0].input)], Path(file))
    told.clear()
    data = read_data(replace(recipe, shape="tanl"), vocabulary, told.append)
    assert len(data.examples) == 1  # marks are no answer of this shape
    assert len(told) == len(wrong)


def test_development_sentences_are_split_as_the_recipe_has_it(tmp_path: Path) -> None:
    pytest.importorskip("spacy")
    formats.write(
        [Document("1", "Fever (see Fig. 3).", entities=(Entity((Span(0, 5),), "disease"),))], tmp_path / "a.jsonl"
    )
    for split_by, expected in (("biomark", 1), ("spacy", 2)):
        (found,) = scoring.read_devel(
            [str(tmp_path / "a.jsonl")], ["disease"], sentences=9, split_by=split_by, reject=fail
        )
        assert len(found.documents) == expected


# Scores and resumption


@pytest.fixture(scope="module")
def whole(home: Path, recipe: GenerativeRecipe) -> Path:
    """A run that nobody disturbed, with checkpoints inside epochs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOMARK_CORPORA", str(home / "corpora"))
        return train(replace(recipe, save_steps=3), home / "whole")


class Killed(Exception):
    pass


def same(a: Path, b: Path) -> bool:
    names = {path.name for path in a.iterdir() if path.suffix == ".safetensors"} | {"scores.json"}
    return len(names) == 2 and all((a / name).read_bytes() == (b / name).read_bytes() for name in names)


def test_the_best_checkpoint_is_kept_and_old_ones_are_dropped(whole: Path) -> None:
    rows = json.loads((whole / "scores.json").read_text())
    assert [row["step"] for row in rows] == [3, 6, 9, 12, 14][: len(rows)]
    assert [path.name for path in (whole / runs.CHECKPOINTS).iterdir()] == [f"checkpoint-{rows[-1]['step']}"]
    means = [scoring.mean_f1(row["scores"]) for row in rows]
    assert means[-1] > 0


def test_a_better_score_decides_and_the_later_of_equal_ones(tmp_path: Path) -> None:
    run = runs.TrainingFolder(tmp_path)
    for step, f1 in ((1, 0.2), (2, 0.5), (3, 0.4), (4, 0.5)):
        folder = tmp_path / runs.CHECKPOINTS / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        state = {"global_step": step, "epoch": step / 2, "max_steps": 4}
        (folder / "trainer_state.json").write_text(json.dumps(state))
        (folder / "model.safetensors").write_text(f"weights {step}")
        (checkpoint,) = run.unscored()
        assert checkpoint.last == (step == 4)
        best = run.add(checkpoint, {"devel": {"precision": f1, "recall": f1, "f1": f1}}, "base")
        assert best == (step != 3)
        assert (tmp_path / "model.safetensors").read_text() == f"weights {2 if step == 3 else step}"
    assert [c.step for c in run.checkpoints()] == [4]


@pytest.mark.parametrize(("method", "point"), [("full", "training"), ("full", "scoring"), ("lora", "training")])
def test_a_stopped_run_goes_on_to_the_same_weights_and_scores(
    recipe: GenerativeRecipe, whole: Path, tmp_path: Path, method: str, point: str
) -> None:
    recipe = replace(recipe, save_steps=3, method=method)
    if method != "full":  # with dropout, so that random numbers matter
        whole = train(recipe, tmp_path / "whole")
    calls = 0

    def counted(original: Callable[..., object], stop: int) -> Callable[..., object]:
        def call(*args: object, **settings: object) -> object:
            nonlocal calls
            calls += 1
            if calls == stop:
                raise Killed
            return original(*args, **settings)

        return call

    with pytest.MonkeyPatch.context() as patch:
        if point == "training":  # in the second epoch, after a checkpoint inside it
            patch.setattr(AnswerTrainer, "compute_loss", counted(AnswerTrainer.compute_loss, 11))
        else:  # after the second checkpoint was written
            patch.setattr(generative, "strict_scores", counted(scoring.strict_scores, 2))
        with pytest.raises(Killed):
            train(recipe, tmp_path / "run")
    with pytest.raises(UsageError, match=r"resume it \(`resume`\)"):
        train(recipe, tmp_path / "run")
    train(recipe, tmp_path / "run", resume=True)
    assert same(tmp_path / "run", whole)


def test_checkpoints_without_scores_are_scored(
    recipe: GenerativeRecipe, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a run that could not score: all of them, in order, and without training again."""
    recipe = replace(recipe, save_steps=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generative.Scoring, "on_save", lambda *_, **__: None)
        train(recipe, tmp_path / "run")
    assert len(list((tmp_path / "run" / runs.CHECKPOINTS).iterdir())) > 3
    assert not (tmp_path / "run" / "model.safetensors").exists()
    monkeypatch.setattr(AnswerTrainer, "train", fail)
    train(recipe, tmp_path / "run", resume=True)
    assert same(tmp_path / "run", whole)


# The command line, killed when it is about to score for the second time.
KILLED = """
import os, signal
from biomark.cli import main
from biomark.generative.training import trainer as generative  # noqa: E402

score, calls = generative.strict_scores, []

def killed(*arguments, **settings):
    calls.append(arguments)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return score(*arguments, **settings)

generative.strict_scores = killed
main()
"""


def test_a_killed_process_goes_on_to_the_same_weights_and_scores(
    home: Path, recipe: GenerativeRecipe, tmp_path: Path, whole: Path
) -> None:
    recipe = replace(recipe, save_steps=3)
    path = tmp_path / "recipe.toml"
    write_toml(recipe, path)
    command = [sys.executable, "-c", KILLED, "train", str(path), "-o", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(runs.TrainingFolder(tmp_path / "run").scores()) == 1
    assert load_recipe(path) == recipe
    train(recipe, tmp_path / "run", resume=True)
    assert same(tmp_path / "run", whole)


def write_toml(recipe: GenerativeRecipe, path: Path) -> None:
    lines = []
    for name in recipe.__slots__:
        value = getattr(recipe, name)
        lines.append(f"{name} = {json.dumps(list(value) if isinstance(value, tuple) else value)}")
    path.write_text("\n".join(lines))


def test_development_sentences_keep_their_mentions() -> None:
    text = "No fever was seen. Dry\ncough was. Asthma came."
    spans = (Span(3, 8), Span(19, 28), Span(19, 40))
    document = Document("7", text, sentences=(), entities=tuple(Entity((span,), "disease") for span in spans))
    parts, lost = scoring._sentences([document])
    assert lost == 1
    assert [(part.id, part.text) for part in parts] == [
        ("7:0", "No fever was seen."),
        ("7:1", "Dry\ncough was."),
        ("7:2", "Asthma came."),
    ]
    assert [[entity.mention(part.text) for entity in part.entities] for part in parts] == [
        ["fever"],
        ["Dry\ncough"],
        [],
    ]


def test_a_sample_of_the_development_split_depends_on_the_seed_alone(recipe: GenerativeRecipe) -> None:
    def sample(seed: int, sentences: int = 3) -> scoring.Devel:
        (found,) = scoring.read_devel(["ncbi_disease:devel"], ["disease"], sentences=sentences, seed=seed, reject=fail)
        return found

    assert sample(1) == sample(1)
    assert sample(1).digest() == sample(1).digest() != sample(2).digest()
    assert len(sample(1).documents) == 3
    assert len(sample(1, 0).documents) == 8
    assert len(sample(1, 100).documents) > 8


# The model's folder and the command line


def test_models_are_shown_merged_and_loaded(
    home: Path,
    recipe: GenerativeRecipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    biomark: Callable[..., Outcome],
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = replace(recipe, name="mine", method="lora", marks="tokens", types=(), epochs=1)
    write_toml(recipe, tmp_path / "recipe.toml")
    done = biomark("train", "recipe.toml")
    assert (done.status, done.out) == (0, ""), done
    lines = done.err.splitlines()
    assert re.fullmatch(r"\d+ demonstrations, \d+ tokens, in \d+ rows", lines[0])
    assert re.fullmatch(r"epoch 1.00 step \d+: ncbi_disease:devel .* mean \d\.\d+ \(best\), scored in \d+ s", lines[1])
    assert lines[2:] == ["the model is in runs/mine"]

    facts = json.loads(biomark("models", "show", "mine").out)
    assert facts["types"] == ["disease", "chemical"]
    run = facts["run"]
    made = list(read_demonstrations("ncbi_disease:train", recipe, fail))
    assert run["train"]["ncbi_disease:train"]["demonstrations"] == len(made)
    assert re.fullmatch(r"[0-9a-f]{64}", run["train"]["bc5cdr_chemical:train"]["sha256"])
    assert run["devel"]["ncbi_disease:devel"]["documents"] == 3
    assert {"biomark", "torch", "transformers", "peft", "python"} <= set(run["versions"])
    assert run["tuned_parameters"] < run["parameters"] / 2
    assert facts["scores"][0]["epoch"] == 1.0
    assert "mine: disease, chemical" in biomark("models", "list").out

    merged = biomark("models", "merge", "mine", "-o", "runs/merged")
    assert merged.status == 0, merged
    assert merged.err.startswith("runs/merged: the merged model")
    before, vocabulary, _ = causal.load_trained(Path("runs/mine"))
    after, _, _ = causal.load_trained(Path("runs/merged"))
    assert isinstance(after.get_output_embeddings(), torch.nn.Linear)
    ids = torch.tensor([vocabulary.prompt("Mark disease: No fever was seen. =")])
    with torch.inference_mode():
        assert torch.allclose(before(ids).logits, after(ids).logits, atol=1e-4)
    assert json.loads(Path("runs/merged/run.json").read_text())["merged"]["from"] == "runs/mine"
    for again, message in (("mine", "already exists and is not empty"), ("merged", "no adapter")):
        refused = biomark("models", "merge", again, "-o", "runs/merged" if again == "mine" else "other")
        assert refused.status == 2
        assert message in refused.err

    text = b"No fever was seen after zinc.\n"
    annotated = [biomark("annotate", "--model", name, "--to", "terminal", stdin=text) for name in ("mine", "merged")]
    assert annotated[0].status == 0, annotated[0]
    assert annotated[0].out == annotated[1].out

    shutil.move(tmp_path / "runs" / "mine" / "run.json", tmp_path / "aside.json")
    settings = json.loads((tmp_path / "runs" / "mine" / "recipe.json").read_text())
    (tmp_path / "runs" / "mine" / "recipe.json").write_text(json.dumps({**settings, "model": "package:not_there"}))
    with pytest.raises(ModelError, match="its adapter needs the base model package:not_there"):
        causal.load_trained(tmp_path / "runs" / "mine")


@pytest.mark.parametrize("method", ["lora", "llama-adapter"])
def test_an_exported_adapter_is_small(
    recipe: GenerativeRecipe, tmp_path: Path, biomark: Callable[..., Outcome], method: str
) -> None:
    marks = "tokens" if method == "lora" else "text"
    run, folder = train(replace(recipe, method=method, marks=marks, epochs=1), tmp_path / "run"), tmp_path / "small"
    done = biomark("export", run, "-o", folder)
    assert done.status == 0, done
    whole, weights = (load_file(path / ADAPTER_WEIGHTS) for path in (run, folder))
    assert {value.dtype for value in weights.values()} == {torch.bfloat16}
    assert weights.keys() == whole.keys()
    assert all(torch.allclose(value.float(), whole[name], rtol=2**-8) for name, value in weights.items())
    rows = [tuple(value.shape) for name, value in weights.items() if "trainable_tokens" in name]
    assert rows == ([(2, 64)] * 2 if method == "lora" else [])  # of the embedding, and of the head
    assert json.loads((folder / causal.ADAPTER).read_text())["base_model_name_or_path"] == recipe.model
    size = round((folder / ADAPTER_WEIGHTS).stat().st_size / 1e6, 1)
    assert done.err == f"{folder}: {size} MB of weights\n"
    assert library.describe(str(folder)) == {**library.describe(str(run)), "folder": str(folder), "megabytes": size}
    loaded, vocabulary, _ = causal.load_trained(folder)
    before, same, _ = causal.load_trained(run)
    assert vocabulary.full.to_str() == same.full.to_str()
    ids = torch.tensor([vocabulary.prompt("Mark disease: No fever was seen. =")])
    with torch.inference_mode():
        assert torch.allclose(loaded(ids).logits, before(ids).logits, atol=0.02)
    (folder / ADAPTER_WEIGHTS).unlink()
    refused = biomark("export", folder, "-o", tmp_path / "again")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "adapter_model.safetensors is missing" in refused.err


def test_an_exported_adapter_answers_as_before(home: Path, recipe: GenerativeRecipe, tmp_path: Path) -> None:
    """On a base that is sure of its answers, and whose head is its embedding."""
    gold = documents("disease", DISEASES, 5, 5)
    formats.write(gold, tmp_path / "gold.pubtator")
    sure = replace(
        recipe,
        model=str(home / "qwen3"),
        train=(str(tmp_path / "gold.pubtator"),),
        devel=(str(tmp_path / "gold.pubtator"),),
        types=("disease",),
        marks="tokens",
        epochs=60,
        save_steps=60,
        learning_rate=1e-2,
    )
    train(sure, tmp_path / "base")
    tuned = replace(sure, model=str(tmp_path / "base"), method="lora", epochs=4, save_steps=0, learning_rate=1e-3)
    folders = (train(tuned, tmp_path / "run"), export(tmp_path / "run", tmp_path / "small"))
    assert {value.ndim for value in load_file(tmp_path / "small" / ADAPTER_WEIGHTS).values()} == {2}
    answers = [[a.document.entities for a in library.load(str(folder)).annotate(gold)] for folder in folders]
    found = [[[entity.extent for entity in entities] for entities in documents] for documents in answers]
    assert found[0] == found[1] == [[entity.extent for entity in document.entities] for document in gold]
    scores = [[entity.score or 0 for entities in documents for entity in entities] for documents in answers]
    assert scores[0] == pytest.approx(scores[1], abs=0.02)


def test_a_tuned_model_is_a_base_for_the_next_one(recipe: GenerativeRecipe, whole: Path, tmp_path: Path) -> None:
    export(whole, tmp_path / "small")
    ids = torch.tensor([[5, 6, 7, 8]])
    logits = []
    for folder, precise in ((whole, True), (tmp_path / "small", False)):
        model, vocabulary = causal.prepare_model(replace(recipe, model=str(folder)))
        tuned, same, _ = causal.load_trained(folder)
        assert vocabulary.full.to_str() == same.full.to_str()
        assert vocabulary.end == same.end
        with torch.inference_mode():
            logits += [model.eval()(ids, use_cache=False).logits, tuned(ids, use_cache=False).logits]
        assert torch.equal(logits[-1], logits[-2])
        assert torch.allclose(logits[-1], logits[0], atol=1e-6 if precise else 0.3)
    (tmp_path / "small" / causal.ADAPTER).write_text("{}")
    with pytest.raises(ModelError, match="is an adapter; merge it first"):
        causal.prepare_model(replace(recipe, model=str(tmp_path / "small")))


# What cannot work

ORPHAN = {"train": ("ncbi_disease:train",), "types": ("gene",)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": "long"}, "unknown prompt 'long'; choose from alpaca, short"),
        ({"shape": "json"}, "unknown shape 'json'; choose from mark, tanl, dice"),
        ({"shape": "dice", "marks": "tokens"}, 'marks = "tokens" needs shape = "mark", got .dice'),
        ({"sentences": "nltk"}, "unknown sentences 'nltk'; choose from biomark, spacy"),
        ({"guideline_text": {"gene": "All."}}, "guideline text is for gene, but the types are disease, chemical"),
        ({"guideline_text": {"gene": "All."}, "types": ()}, "guideline text is for gene, but the types are disease"),
        ({"marks": "both"}, "unknown marks 'both'; choose from text, tokens"),
        ({"weights": "int8"}, "unknown weights 'int8'; choose from float32, bfloat16"),
        ({"prompt_attention": "none"}, "unknown prompt_attention 'none'"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"rank": 0}, "rank must be at least 1"),
        ({"warmup": 1.0}, r"warmup must be in \[0, 1\), got 1.0"),
        ({"without_mentions": 1.5}, r"without_mentions must be in \[0, 1\], got 1.5"),
        ({"learning_rate": 0.0}, "learning_rate must be greater than 0, got 0.0"),
        ({"negatives": 10, "method": "lora"}, 'negatives needs method = "full"'),
        ({"method": "qlora", "fsdp": True}, 'fsdp needs the method "full" or "lora"'),
        ({"fsdp": True}, "fsdp shards over several GPUs: torchrun"),
        ({"train": ()}, "train is empty, so there is nothing to learn from"),
        ({"devel": ()}, "devel is empty, so no checkpoint can be chosen"),
        ({"train": ("ncbi_disease:test",)}, "train names ncbi_disease:test, a test split"),
        ({"train": ("bioid:train",)}, "bioid:train, which contains the test split held_out; name bioid:fit"),
        ({"train": ("tmvar3:held_out",)}, "train names tmvar3:held_out, a test split"),
        ({"devel": ("bc5cdr_chemical:devel+test",)}, "devel names bc5cdr_chemical:devel.test, a test split"),
        ({"train": ("demos.json",)}, "train names demos.json, which is neither a file nor a corpus of the catalogue"),
        ({"train": ("ncbi_disease:tests",)}, "name a split of ncbi_disease"),
        (ORPHAN, "annotates disease, but none of"),
        ({"devel": ("bc2gm:devel",)}, "bc2gm:devel: annotates gene, but none of disease, chemical"),
        ({"row_tokens": 1024}, "row_tokens is 1024, but .* reads at most 512 tokens"),
        ({"model": "qwen3", "method": "llama-adapter"}, "llama-adapter supports llama and mistral, but .* is qwen3"),
        ({"method": "llama-adapter", "marks": "tokens"}, "llama-adapter cannot learn new tokens"),
    ],
)
def test_recipes_that_cannot_work_are_refused(
    home: Path, recipe: GenerativeRecipe, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    if "model" in change:
        change = {**change, "model": str(home / str(change["model"]))}
    with pytest.raises(UsageError, match=message):
        train(replace(recipe, **change), tmp_path / "run")  # type: ignore[arg-type]
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_an_encoder_becomes_a_decoder_by_full_tuning_alone(home: Path, recipe: GenerativeRecipe) -> None:
    recipe = replace(recipe, model=str(home / "bert"))
    told: list[str] = []
    model, _ = causal.prepare_model(recipe, notify=told.append)
    assert model.config.is_decoder
    assert re.search(r"\d+ weights are missing, such as cls\.predictions", told[0])
    with pytest.raises(ModelError, match='only method = "full"'):
        causal.prepare_model(replace(recipe, method="lora"))


def test_libraries_that_are_not_there_are_named(recipe: GenerativeRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtraError, match=re.escape(".[qlora]")):
        causal.prepare_model(replace(recipe, method="qlora"))
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=re.escape(".[train]")):
        causal.prepare_model(replace(recipe, method="lora"))


def test_a_run_is_not_overwritten_and_resumed_as_it_began_only(
    home: Path, recipe: GenerativeRecipe, whole: Path, tmp_path: Path
) -> None:
    recipe = replace(recipe, save_steps=3)
    with pytest.raises(UsageError, match=r"already contains a run; resume it \(`resume`\)"):
        train(recipe, whole)
    with pytest.raises(UsageError, match="differs from the recipe"):
        train(replace(recipe, seed=2), whole, resume=True)
    with pytest.raises(UsageError, match="no checkpoint to resume from"):
        train(recipe, tmp_path / "nothing", resume=True)
    path = home / "corpora" / "ncbi_disease" / "train.pubtator"
    before = path.read_bytes()
    path.write_bytes(before.replace(b"fever", b"hives"))
    try:
        with pytest.raises(UsageError, match=r"train was .* when the run started"):
            train(recipe, whole, resume=True)
    finally:
        path.write_bytes(before)
    kept = whole / "model.safetensors"
    stamp = kept.stat().st_mtime_ns
    train(recipe, whole, resume=True)  # there is nothing left to do
    assert kept.stat().st_mtime_ns == stamp


def test_a_model_folder_that_lacks_something_says_what(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "copy")
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config\.json is missing; has the run saved a model"):
        causal.load_trained(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing"):
        causal.load_trained(folder)
    with pytest.raises(UsageError, match="no adapter"):
        merging.merge(folder, tmp_path / "merged")


@pytest.mark.parametrize("name", ["new.jsonl", "new.json", "new.bioc.json", "new.jsonl.gz"])
def test_documents_in_json_are_no_demonstrations(
    name: str, recipe: GenerativeRecipe, home: Path, tmp_path: Path
) -> None:
    documents = list(formats.read(home / "corpora" / "ncbi_disease" / "train.pubtator"))
    formats.write(documents, tmp_path / name, "bioc_json" if "bioc" in name else "jsonl")
    found = list(read_demonstrations(str(tmp_path / name), recipe, fail))
    demonstrations.write(found, tmp_path / "demos.jsonl")
    assert found == list(read_demonstrations(str(tmp_path / "demos.jsonl"), recipe, fail))
    learnt = read_demonstrations(recipe.train[0], recipe, fail)
    assert [d.output for d in found] == [d.output for d in learnt]


def test_a_finished_run_without_its_checkpoints(
    recipe: GenerativeRecipe, whole: Path, tmp_path: Path, biomark: Callable[..., Outcome]
) -> None:
    folder = shutil.copytree(whole, tmp_path / "done")
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(UsageError, match="no checkpoint to resume from"):
        train(replace(recipe, save_steps=3), folder, resume=True)
    (folder / "recipe.json").write_text('{"task": "generative", "model": "x", "flux": 1}')
    with pytest.raises(ModelError, match=r"recipe\.json: unknown setting .flux.+ saved by another version of biomark"):
        causal.load_trained(folder)
    (folder / "recipe.json").write_text("{")
    with pytest.raises(ModelError, match=r"recipe\.json: cannot be read"):
        library.load(str(folder))
    with pytest.raises(ModelError, match=r"recipe\.json: cannot be read"):
        library.describe(str(folder))
    assert "is both input and output" in biomark("export", folder, "-o", folder).err


def test_demonstrations_that_are_too_long_are_rejected_not_cut(recipe: GenerativeRecipe) -> None:
    _, vocabulary = causal.prepare_model(recipe)
    rejected: list[object] = []
    data = read_data(replace(recipe, row_tokens=36), vocabulary, rejected.append)
    assert rejected
    made = [d for name in recipe.train for d in read_demonstrations(name, recipe, fail)]
    assert len(data.examples) + len(rejected) == len(made)
    assert all(len(example.ids) <= 36 for example in data.examples)
    with pytest.raises(UsageError, match="no usable demonstration"):
        read_data(replace(recipe, row_tokens=2), vocabulary, rejected.append)


@pytest.mark.parametrize("shape", demonstrations.TUNED)
@pytest.mark.parametrize(("share", "left"), [(1.0, 21), (0.5, 10), (0.0, 0)])
def test_a_share_of_the_demonstrations_without_mentions_is_learnt_from(
    recipe: GenerativeRecipe, shape: str, share: float, left: int
) -> None:
    texts = [Document(str(n), f"Fever {n} came.") for n in range(63)]
    fever = (Entity((Span(0, 5),), "disease"),)
    annotated = [replace(d, entities=fever) if n % 3 else d for n, d in enumerate(texts)]
    made = list(demonstrations.demonstrations(annotated, ["disease"], demonstrations.Style("short", shape)))
    assert len(made) == 63
    changed = replace(recipe, without_mentions=share)
    found = chosen(made, changed)
    assert len({d.input for d in found}) == len(found) == 42 + left
    assert sum(d.document_id in {str(n) for n in range(0, 63, 3)} for d in found) == left
    assert chosen(made, changed) == found != chosen(made, replace(changed, seed=2))
    assert found == [d for d in chosen(made, recipe) if d in found]
    assert chosen(made, replace(changed, examples=5)) == found[:5]


# Recipes


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_are_sound(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    if isinstance(recipe, TaggingRecipe):
        made = [name for name in (*recipe.train, *recipe.devel) if name.startswith("runs/")]  # by other recipes
        rest = {key: tuple(n for n in getattr(recipe, key) if n not in made) for key in ("train", "devel")}
        check_tagging(replace(recipe, **rest))
        return
    check(recipe)
    for name in recipe.train:
        for made in generative.with_types(recipe).types:
            assert demonstrations.instruction(made, recipe.style), name


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('guideline_text = "Classes too."', "Classes too."),
        ('guideline_text = { disease = "Classes too." }', {"disease": "Classes too."}),
        ("guideline_text = 7", None),
        ("guideline_text = { disease = 7 }", None),
    ],
)
def test_a_recipe_has_one_guideline_text_or_one_for_each_type(tmp_path: Path, line: str, expected: object) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(f'name = "a"\nmodel = "b"\ntrain = []\ndevel = []\n{line}\n')
    if expected is None:
        with pytest.raises(UsageError, match=r"guideline_text.*must be a text in quotes"):
            load_recipe(path)
        return
    recipe = load_recipe(path, ["shape=tanl"])
    assert isinstance(recipe, GenerativeRecipe)
    assert (recipe.guideline_text, recipe.style.shape) == (expected, "tanl")
    again = load_recipe(path, ["guideline_text=Mark a = b."])
    assert isinstance(again, GenerativeRecipe)
    assert again.guideline_text == "Mark a = b."


def test_tagging_recipes_may_not_see_test_splits_either() -> None:
    recipe = load_recipe(ROOT / "recipes" / "default-tagging.toml", ['devel=["bc2gm:test"]'])
    with pytest.raises(UsageError, match="a test split"):
        check_splits(recipe)


# Several processes


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG, check=False)


def test_two_processes_train_as_one_that_accumulates_twice(recipe: GenerativeRecipe, tmp_path: Path) -> None:
    recipe = replace(recipe, packing=False, examples=32, epochs=1)  # 8 batches of 4
    write_toml(recipe, tmp_path / "recipe.toml")
    done = torchrun("-m", "biomark", "train", str(tmp_path / "recipe.toml"), "-o", str(tmp_path / "two"))
    assert done.returncode == 0, done.stderr
    ours = [line for line in done.stderr.splitlines() if "demonstrations," in line or "the model is in" in line]
    assert len(ours) == 2, done.stderr  # the first process alone speaks
    train(replace(recipe, accumulate=2), tmp_path / "one")
    two, _, _ = causal.load_trained(tmp_path / "two")
    one, _, _ = causal.load_trained(tmp_path / "one")
    start, _ = causal.prepare_model(recipe)
    for name, weight in one.state_dict().items():
        moved = (weight - start.state_dict()[name]).norm()
        assert (weight - two.state_dict()[name]).norm() < 0.02 * moved, name
    run = json.loads((tmp_path / "two" / "run.json").read_text())
    assert run["processes"] == 2
    with pytest.raises(UsageError, match="processes was 2 when the run started"):
        train(recipe, tmp_path / "two", resume=True)


SHARDED = """
import os
import sys
import time
import torch
import torch.distributed as dist
from pathlib import Path
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForCausalLM
from biomark.generative.training.loss import answer_loss
from biomark.generative.training.model import head_of

dist.init_process_group("gloo")
torch.set_num_threads(1)
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
batch = torch.load(sys.argv[2])
labels = batch.pop("labels")
whole = answer_loss(model, head_of(model), batch, labels)
whole.backward()
expected = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
model.zero_grad()
# The units that accelerate makes: layers, the embedding, the last norm with the head, the rest.
mesh = dist.device_mesh.init_device_mesh("cpu", (2,))
for layer in model.model.layers:
    fully_shard(layer, mesh=mesh)
if not model.config.tie_word_embeddings:
    fully_shard(model.model.embed_tokens, mesh=mesh)
    fully_shard([model.model.norm, model.lm_head], mesh=mesh, reshard_after_forward=False)
else:
    tail = [model.model.norm, model.model.embed_tokens, model.lm_head]
    fully_shard(tail, mesh=mesh, reshard_after_forward=False)
fully_shard(model, mesh=mesh)
size = sum(parameter.to_local().numel() for parameter in model.parameters())
assert size < 0.6 * sum(grad.numel() for grad in expected.values()), size
loss = answer_loss(model, head_of(model), batch, labels)
loss.backward()
assert torch.allclose(loss, whole, rtol=1e-5), (loss, whole)
for name, parameter in model.named_parameters():
    assert torch.allclose(parameter.grad.full_tensor(), expected[name], atol=1e-4, rtol=1e-4), name
sys.stdout.write(f"equal on {dist.get_rank()}\\n")  # in one piece, as both processes write to one pipe
sys.stdout.flush()
dist.barrier()
left = [Path(f"{sys.argv[2]}.{rank}") for rank in range(2)]
left[dist.get_rank()].touch()
while not all(path.exists() for path in left):  # until the other one has left the barrier, too
    time.sleep(0.01)
os._exit(0)  # gloo's threads may abort a process that ends while a mesh still holds them
"""


@pytest.mark.parametrize("name", ["llama", pytest.param("qwen3", marks=pytest.mark.slow)])
def test_sharded_weights_give_the_same_loss_and_gradients(
    home: Path, recipe: GenerativeRecipe, tmp_path: Path, name: str
) -> None:
    _, vocabulary = causal.prepare_model(recipe)
    torch.save(collate(pack(examples_of(recipe, vocabulary, 8), 256, seed=1), 0), tmp_path / "batch.pt")
    (tmp_path / "sharded.py").write_text(SHARDED)
    done = torchrun(str(tmp_path / "sharded.py"), str(home / name), str(tmp_path / "batch.pt"))
    assert done.returncode == 0, done.stderr
    assert sorted(re.findall(r"equal on (\d)", done.stdout)) == ["0", "1"]
