from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from evaluation_cases import document, mention

from biomark import formats

GOLD = document(mention("SpecificDisease", 12, 25), mention("DiseaseClass", 50, 56))
PREDICTED = document(mention("Disease", 12, 25), mention("Disease", 29, 33), mention("Chemical", 0, 7))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    gold, predicted = tmp_path / "test.pubtator", tmp_path / "out.pubtator"
    formats.write([GOLD], gold)
    formats.write([PREDICTED], predicted)
    return gold, predicted


def test_evaluate_prints_one_json_object(biomark: Callable, files: tuple[Path, Path]) -> None:
    outcome = biomark("evaluate", *files, "--json")
    assert outcome.status == 0
    found = json.loads(outcome.out)
    strict = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "tp": 1, "fp": 1, "fn": 1}
    assert found["strict"].items() >= strict.items()
    assert found["types"]["disease"]["strict"].items() >= strict.items()
    assert set(found["partial"]) >= set(strict)
    assert found["errors"] == {"missing": 1, "wrong": 1, "boundary": 0, "type": 0}
    assert "|split:test|" in found["signature"]
    assert "not scored (see --types): chemical (1)" in outcome.err


def test_evaluate_prints_a_table(biomark: Callable, files: tuple[Path, Path]) -> None:
    outcome = biomark("evaluate", *files)
    assert "50.00" in outcome.out
    assert "disease" in outcome.out
    assert "types:disease|scheme:strict+partial" in outcome.out


def test_types_and_type_map(biomark: Callable, files: tuple[Path, Path]) -> None:
    found = json.loads(biomark("evaluate", *files, "--types", "Chemical,disease", "--json").out)
    assert found["strict"]["fp"] == 2
    mapped = biomark("evaluate", *files, "--type-map", "DiseaseClass=class", "--json")
    assert list(json.loads(mapped.out)["types"]) == ["class", "disease"]


def test_types_that_look_like_markup(biomark: Callable, tmp_path: Path) -> None:
    path = tmp_path / "gold.pubtator"
    path.write_text("1|t|Gout and colds\n1|a|\n1\t0\t4\tGout\t[red]x[/blue]\n1\t9\t14\tcolds\t[dim]\n\n")
    found = biomark("evaluate", path, path)
    assert (found.status, "[red]x[/blue]" in found.out, "[dim]" in found.out) == (0, True, True)


def test_types_of_one_label_have_rows_of_their_own(biomark: Callable, tmp_path: Path) -> None:
    gold, predicted = tmp_path / "gold.pubtator", tmp_path / "found.pubtator"
    head = "1|t|Gout and colds\n1|a|\n1\t0\t4\tGout\tmy_type\n"
    gold.write_text(head + "1\t9\t14\tcolds\tmy type\n\n")
    predicted.write_text(head + "\n")
    out = biomark("evaluate", gold, predicted, "--report", tmp_path / "report").out
    assert re.findall(r"(my.type) +strict +([\d.]+)", out) == [("my type", "0.00"), ("my_type", "100.00")]
    compared = biomark("compare", gold, predicted, predicted).out
    assert set(re.findall(r"(my.type) +strict", compared)) == {"my type", "my_type"}
    assert (tmp_path / "report" / "index.html").read_text("utf-8").count("my_type") >= 1


def test_the_report_is_written(biomark: Callable, files: tuple[Path, Path], tmp_path: Path) -> None:
    outcome = biomark("evaluate", *files, "--report", tmp_path / "report", "--training", files[0], "--json")
    assert outcome.status == 0
    json.loads(outcome.out)
    assert '"seen":true' in (tmp_path / "report" / "index.html").read_text("utf-8")


def test_compare_prints_one_json_object(biomark: Callable, files: tuple[Path, Path]) -> None:
    found = json.loads(biomark("compare", files[0], files[1], files[0], "--json").out)
    assert (found["strict"]["a"], found["strict"]["b"], found["strict"]["difference"]) == (0.5, 1.0, 0.5)
    assert 0 < found["types"]["disease"]["partial"]["p"] <= 1
    assert (found["strict"]["won"], found["strict"]["lost"], found["strict"]["documents"]) == (1, 0, 1)
    assert found["strict"]["interval"] == [0.5, 0.5]
    assert [(system["name"], system["strict"]["precision"]) for system in found["systems"]] == [
        ("out.pubtator", 0.5),
        ("test.pubtator", 1.0),
    ]
    assert found["systems"][0]["types"]["disease"]["strict"]["recall"] == 0.5
    assert found["differences"][0]["a"] == "out.pubtator"
    assert "B - A" in biomark("compare", files[0], files[1], files[0]).out


def test_compare_takes_more_than_two_systems(biomark: Callable, files: tuple[Path, Path], tmp_path: Path) -> None:
    again = tmp_path / "again" / "out.pubtator"
    again.parent.mkdir()
    again.write_bytes(files[1].read_bytes())
    outcome = biomark("compare", files[0], files[1], files[0], again, again, "--report", tmp_path / "report")
    assert outcome.status == 0
    # Files of one name keep their folders, and one that comes twice is numbered.
    assert [line.split(": ")[1].strip() for line in outcome.out.splitlines() if re.match("[A-D]: ", line)] == [
        str(files[1]),
        str(files[0]),
        str(again),
        f"{again} (2)",
    ]
    rows = re.findall(r"all types +strict +(\w(?: - \w)?) +([-+\d.]+) +([-+\d.]+)", outcome.out)
    assert rows[0] == ("A", "50.00", "50.00")
    assert [row[:2] for row in rows[4:]] == [("B - A", "+50.00"), ("C - A", "+0.00"), ("D - A", "+0.00")]
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert str(again) in page
    assert "report: " in outcome.err


def test_compare_needs_two_systems(biomark: Callable, files: tuple[Path, Path]) -> None:
    outcome = biomark("compare", files[0], files[1])
    assert (outcome.status, outcome.out) == (2, "")
    assert "needs 2 to 26 systems, got 1" in outcome.err


def test_where_no_document_matches_the_command_ends_with_an_error(
    biomark: Callable, files: tuple[Path, Path], tmp_path: Path
) -> None:
    other = tmp_path / "other.pubtator"
    other.write_text(files[1].read_text().replace("1|", "PMID1|").replace("1\t", "PMID1\t"))
    for arguments in (("evaluate", files[0], other), ("compare", files[0], files[1], other)):
        outcome = biomark(*arguments)
        assert (outcome.status, outcome.out) == (2, "")
        assert "gold has 1 (1), the predictions have 1 (PMID1)" in outcome.err


def test_control_characters_of_files_do_not_reach_the_terminal(biomark: Callable, tmp_path: Path) -> None:
    clear = "\x1b[2J\x9b31m"
    gold, predicted = tmp_path / "gold.jsonl", tmp_path / "found.jsonl"
    line = {"id": f"1{clear}", "text": f"gout {clear}", "entities": [{"spans": [[0, 4]], "type": f"disease{clear}"}]}
    gold.write_text(json.dumps(line) + "\n" + json.dumps({**line, "id": f"2{clear}"}), "utf-8")
    bad = {**line, "id": f"3{clear}", "entities": 5}
    other = {**line, "entities": [{"spans": [[5, 6]], "type": "gene"}]}
    predicted.write_text("\n".join(map(json.dumps, (other, bad))), "utf-8")
    report = tmp_path / "report"
    for command in (["evaluate", gold, predicted], ["compare", gold, predicted, gold]):
        for more in ([], ["--json"], ["--report", report]):
            outcome = biomark(*command, *more)
            assert outcome.status == 1
            assert not re.search("[\x1b\x7f-\x9f]", outcome.out + outcome.err)
            assert "rejected: " in outcome.err
            assert (
                f"disease{clear}" in json.loads(outcome.out)["types"]
                if more == ["--json"]
                else "disease␛[2J" in outcome.out
            )
        assert not re.search("[\x1b\x7f-\x9f]|\\\\u00[19]", (report / "index.html").read_text("utf-8"))


def test_texts_that_differ_end_the_command(biomark: Callable, files: tuple[Path, Path]) -> None:
    files[1].write_text(files[1].read_text().replace("Aspirin", "Ibuprof"))
    outcome = biomark("evaluate", *files, "--json")
    assert outcome.status == 2
    assert outcome.out == ""
    assert "document 1" in outcome.err


def test_a_bad_line_is_rejected_and_the_rest_is_scored(biomark: Callable, files: tuple[Path, Path]) -> None:
    with files[1].open("a") as file:
        file.write("1\t3\t999\tx\tDisease\n")
    outcome = biomark("evaluate", *files, "--json")
    assert outcome.status == 1
    assert json.loads(outcome.out)["strict"]["tp"] == 1


def test_an_eval_file_without_sentences(biomark: Callable, tmp_path: Path) -> None:
    (tmp_path / "gold.in").write_text("S1 The p53 protein and MDM2\n")
    (tmp_path / "gold.GENE.eval").write_text("S1|3 12|p53 protein\nS1|16 19|MDM2\n")
    (tmp_path / "gold.ALTGENE.eval").write_text("S1|3 5|p53\n")
    (tmp_path / "mine.eval").write_text("S1|3 5|p53\nS1|16 19|MDM2\n")
    arguments = ("evaluate", tmp_path / "gold.in", tmp_path / "mine.eval", "--json")
    assert json.loads(biomark(*arguments).out)["strict"]["tp"] == 1
    assert json.loads(biomark(*arguments, "--corpus-style", "bc2gm").out)["strict"]["f1"] == 1.0


def test_a_split_of_the_catalogue(biomark: Callable, corpora: Path) -> None:
    found = json.loads(
        biomark("evaluate", "ncbi_disease:test", corpora / "ncbi_disease" / "test.pubtator", "--json").out
    )
    assert found["strict"]["f1"] == 1.0
    assert found["signature"].startswith("corpus:ncbi_disease|split:test|")
