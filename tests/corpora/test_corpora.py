"""The catalogue: its rows, splits, folders, and the commands that show it."""

import json
from pathlib import Path

import pytest

from biomark import corpora as catalogue
from biomark.corpora import corpus_types, parse_split, read_split
from biomark.entity_types import entity_types
from biomark.errors import CorpusError, UsageError

ALL_SPLITS = [f"{name}:{split}" for name, corpus in catalogue.catalogue().items() for split in corpus.splits]


def test_every_row_is_complete_and_consistent():
    required = [
        "ncbi_disease",
        "bc5cdr",
        "bc5cdr_chemical",
        "bc5cdr_disease",
        "bc2gm",
        "nlm_chem",
        "nlm_gene",
        "jnlpba",
    ]
    required += ["jnlpba_abstracts", "jnlpba_iob", "bc4chemd_iob", "chemdner_sentences", "i2b2_2010"]
    required += ["linnaeus", "s800", "bc4chemd", "gnormplus", "bioid", "tmvar3", "mtsamples", "vaers"]
    assert set(required) <= set(catalogue.catalogue())
    own = {"cell_type", "investigation", "nervous_adverse_event", "other_adverse_event", "procedure"}
    for name, corpus in catalogue.catalogue().items():
        assert corpus.title
        assert corpus.licence
        assert corpus.citation
        assert corpus.homepage.startswith("http")
        assert set(corpus.types) <= set(entity_types()) | own
        for split in corpus.splits.values():
            assert set(split.files) <= set(corpus.files), name
            assert all(len(corpus.files[file].sha256) == (64 if split.documents else 0) for file in split.files)
            assert (split.documents is None) == (split.mentions is None)
        for path, file in corpus.files.items():
            assert not Path(path).is_absolute()
            assert ".." not in path
            assert file.url.startswith("http") or corpus.notes
            assert bool(file.member) == file.url.endswith((".zip", ".gz"))


@pytest.mark.parametrize("name", ALL_SPLITS)
def test_splits_have_the_counts_of_the_catalogue(corpora, name):
    corpus, (split,) = parse_split(name)
    if catalogue.folder_of(corpus, split) is None:
        pytest.skip(f"{name} is not there")
    rejects, documents, mentions, types = [], 0, 0, set()
    for document in read_split(name, reject=rejects.append):
        documents += 1
        mentions += len(document.entities)
        types |= {entity.type for entity in document.entities}
    assert (documents, mentions) == (corpus.splits[split].documents, corpus.splits[split].mentions)
    assert types == set(corpus_types(name))
    assert len(rejects) <= 40


def test_bc2gm_is_split_by_the_text_of_the_tokenised_sentences(corpora):
    documents = list(read_split("bc2gm:all", reject=lambda _: None))
    assert len(documents) == len({document.id for document in documents}) == 15_000
    train, devel = documents[:12_500], documents[12_500:]
    assert [d.id for d in read_split("bc2gm:train", reject=lambda _: None)] == [d.id for d in train]
    # devel is what train leaves; the tokenised devel file, which was not looked at, has the same text.
    texts = ["".join(document.text.split()) for document in devel]
    tokenised = ["".join(document.text.split()) for document in read_split("bc2gm_iob:devel")]
    assert sum(map(len, texts)) == sum(map(len, tokenised))
    lines = "\n".join(texts)
    assert all(sentence in lines for sentence in tokenised)


def small_bc2gm(folder, sentences):
    for name, text in {
        "bc2gm/train.in": "P1 The p53 gene. It binds.\nP2 II.\nP3 II.\nP4 Not this.\n",
        "bc2gm/train.GENE.eval": "P1|3 5|p53\n",
        "bc2gm/train.ALTGENE.eval": "P1|3 9|p53 gene\n",
        "iob/bc2gm/train.tsv": sentences,
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty corpora folder, and the only one."""
    monkeypatch.setattr(catalogue, "corpus_folders", lambda: (tmp_path / "corpora",))
    return tmp_path / "corpora"


def test_a_sentence_split_again_and_sentences_with_one_text_find_their_split(folder):
    small_bc2gm(folder, "II\tO\n.\tO\n\nThe\tO\np53\tB-GENE\ngene\tO\n.\tO\n\nIt\tO\nbinds\tO\n.\tO\n\n")
    assert [document.id for document in read_split("bc2gm:train")] == ["P1", "P2"]
    assert [document.id for document in read_split("bc2gm:devel")] == ["P3", "P4"]


def test_tokenised_sentences_of_another_corpus_are_an_error(folder):
    small_bc2gm(folder, "The\tO\np63\tB-GENE\n\nII\tO\n.\tO\n\n")
    with pytest.raises(CorpusError, match=r"train\.tsv.*Thep63.*fetch both again"):
        list(read_split("bc2gm:train"))


@pytest.mark.parametrize(
    "name",
    ["nlm_gene:train", "linnaeus:train", "s800:train", "bioid:train", "tmvar3:train", "bc5cdr:devel", "bc2gm:devel"],
)
def test_parts_of_a_split_share_no_article_and_leave_none_out(corpora, name):
    row, _ = parse_split(name)
    parts = [split for split, facts in row.splits.items() if facts.tenths]
    found = [[document.id for document in read_split(f"{row.name}:{part}", reject=lambda _: None)] for part in parts]
    whole = [document.id for document in read_split(name, reject=lambda _: None)]
    assert sorted(id for part in found for id in part) == sorted(whole)
    article = row.splits[parts[0]].article or None
    articles = [{id[:article] for id in part} for part in found]
    assert sum(map(len, articles)) == len(set().union(*articles))


def test_missing_files_are_named_with_the_folders(folder):
    small_bc2gm(folder, "")
    (folder / "iob/bc2gm/train.tsv").unlink()
    with pytest.raises(CorpusError, match=r"lacks iob/bc2gm/train\.tsv.*biomark corpora fetch bc2gm"):
        read_split("bc2gm:train")


@pytest.mark.parametrize("name", ["bc2gm", "bc2gm:", "bc2gm:tran", "bc2gm:train+", "nope:train", "bc4chemd:fit"])
def test_unknown_names_are_wrong_usage(name):
    with pytest.raises(UsageError, match=r"choose from|has no splits"):
        parse_split(name)


def test_all_is_what_a_model_may_learn_from():
    assert parse_split("bc5cdr:all")[1] == ("train", "devel")
    assert parse_split("tmvar3:all")[1] == ("fit", "devel")  # train contains what is held out
    assert parse_split("nlm_gene:train+test")[1] == ("train", "test")


def test_folders_are_the_named_one_then_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("BIOMARK_CORPORA", str(tmp_path / "named"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert catalogue.corpus_folders() == (tmp_path / "named", tmp_path / "cache" / "biomark" / "corpora")
    monkeypatch.delenv("BIOMARK_CORPORA")
    assert catalogue.corpus_folders()[0] == tmp_path / "cache" / "biomark" / "corpora"


def test_what_nobody_has_counted_is_said_so(biomark):
    assert "not counted" in biomark("corpora", "show", "i2b2_2010").out
    shown = json.loads(biomark("corpora", "show", "bc4chemd_iob", "--json").out)
    assert shown["splits"]["train"]["documents"] is None
    assert "not counted" in biomark("corpora", "list").out


def test_tokenised_chemicals_are_read_with_and_without_their_type(tmp_path, monkeypatch):
    monkeypatch.setenv("BIOMARK_CORPORA", str(tmp_path))
    (tmp_path / "iob" / "bc4chemd").mkdir(parents=True)
    (tmp_path / "iob" / "bc4chemd" / "train.tsv").write_text("No\tO\nzinc\tB-Chemical\n\nAcetic\tB\nacid\tI\n")
    found = [[(e.type, e.mention(d.text)) for e in d.entities] for d in read_split("bc4chemd_iob:train")]
    assert found == [[("chemical", "zinc")], [("chemical", "Acetic acid")]]


def test_list_and_show_tell_what_there_is(biomark):
    listed = biomark("corpora", "list", "--json")
    assert set(json.loads(listed.out)) == set(catalogue.catalogue())
    assert "bc4chemd" in biomark("corpora", "list").out
    shown = json.loads(biomark("corpora", "show", "bc2gm", "--json").out)
    assert shown["types"] == ["gene"]
    assert shown["splits"]["train"]["documents"] == 12_500
    page = biomark("corpora", "show", "ncbi_disease").out
    assert "public domain" in page
    assert "SpecificDisease" in page
    assert biomark("corpora", "show", "nope").status == 2
