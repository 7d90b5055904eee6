"""Downloads that break off, corpora made of downloads and of local copies, and the command that fetches them."""

import hashlib
import io
import tarfile
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from biomark import corpora as catalogue
from biomark.corpora import CorpusFile, corpus_named, read_split
from biomark.corpora.fetching import download, fetch
from biomark.errors import CorpusError


class Server:
    """A web server on this machine, with the faults that a test asks for.

    Attributes:
        files: what it has, by path.
        ranges: whether it obeys Range.
        cut: for each request in turn, after how many bytes of the answer it hangs up; None: not.
        status: for each request in turn, an HTTP status to answer instead; None: not.
        asked: the Range of each request.
    """

    def __init__(self):
        self.files, self.ranges, self.cut, self.status, self.asked, self.etag = {}, True, [], [], [], '"1"'


@contextmanager
def serving(server):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = server.files.get(self.path)
            range = self.headers.get("Range")
            server.asked.append(range)
            status = server.status.pop(0) if server.status else None
            if status or body is None:
                self.send_error(status or 404)
                return
            start = 0
            if range and server.ranges and self.headers.get("If-Range") == server.etag:
                start = int(range.removeprefix("bytes=").removesuffix("-"))
                if start >= len(body):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            if server.etag:
                self.send_header("ETag", server.etag)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            cut = server.cut.pop(0) if server.cut else None
            self.wfile.write(body[start:][:cut])

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server = Server()
    with serving(server) as address:
        server.address = address
        yield server


BODY = bytes(range(256)) * 2000


def test_a_download_goes_on_where_it_broke_off(server, tmp_path):
    server.files["/x"], server.cut = BODY, [100_000, 50_000]
    seen = []
    download(f"{server.address}/x", tmp_path / "x", pause=0, progress=lambda *step: seen.append(step))
    assert (tmp_path / "x").read_bytes() == BODY
    assert server.asked == [None, "bytes=100000-", "bytes=150000-"]
    assert seen[-1] == (f"{server.address}/x", len(BODY), len(BODY))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_later_run_goes_on_as_well(server, tmp_path):
    server.files["/x"], server.cut = BODY, [70_000]
    with pytest.raises(CorpusError, match="the connection ended after 70000 of 512000 bytes; run the command again"):
        download(f"{server.address}/x", tmp_path / "x", tries=1)
    assert not (tmp_path / "x").exists()
    download(f"{server.address}/x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == BODY
    assert server.asked[1] == "bytes=70000-"


@pytest.mark.parametrize("change", ["no ranges", "another version", "no version", "nothing missing"])
def test_what_cannot_be_continued_begins_anew(server, tmp_path, change):
    server.files["/x"], server.cut = BODY, [70_000]
    server.ranges = change != "no ranges"
    server.etag = None if change == "no version" else '"1"'
    with pytest.raises(CorpusError):
        download(f"{server.address}/x", tmp_path / "x", tries=1)
    if change == "another version":
        server.files["/x"], server.etag = BODY[::-1], '"2"'
    if change == "nothing missing":
        server.files["/x"] = BODY[:70_000]
    download(f"{server.address}/x", tmp_path / "x", pause=0)
    assert (tmp_path / "x").read_bytes() == server.files["/x"]


def test_a_busy_server_is_asked_again_and_a_refusal_is_final(server, tmp_path):
    server.files["/x"], server.status = BODY, [503, 429]
    download(f"{server.address}/x", tmp_path / "x", pause=0)
    assert len(server.asked) == 3
    with pytest.raises(CorpusError, match="/y: the server answers 404"):
        download(f"{server.address}/y", tmp_path / "y", pause=0)
    assert len(server.asked) == 4


def test_a_server_that_is_not_there_is_an_error(tmp_path):
    with serving(Server()) as address:
        pass
    with pytest.raises(CorpusError, match="2 attempts failed"):
        download(f"{address}/x", tmp_path / "x", tries=2, pause=0)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "x"])
def test_only_the_web_is_downloaded_from(url, tmp_path):
    with pytest.raises(CorpusError, match="not a web address"):
        download(url, tmp_path / "x")


def corpus_of(files):
    return catalogue.Corpus("small", "", "", "", "", {}, {}, files, notes="Ask its makers.")


def file(text, url, member=""):
    return CorpusFile(hashlib.sha256(text).hexdigest(), url, member)


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def tarred(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(text, str):
                info.type, info.linkname = tarfile.SYMTYPE, text
                archive.addfile(info)
            else:
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text))
    return buffer.getvalue()


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_members_of_an_archive_come_under_the_catalogues_names(server, tmp_path, pack):
    server.files["/a.zip"] = pack({"../../evil.txt": b"evil", "top/a.txt": b"one", "top/deep/b.txt": b"two"})
    url = f"{server.address}/a.zip"
    corpus = corpus_of({"c/train.txt": file(b"one", url, "a.txt"), "c/test.txt": file(b"two", url, "deep/b.txt")})
    found = fetch(corpus, tmp_path)
    assert [(f.path, f.how) for f in found] == [
        (tmp_path / "c/train.txt", "downloaded"),
        (tmp_path / "c/test.txt", "downloaded"),
    ]
    assert len(server.asked) == 1
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["test.txt", "train.txt"]
    assert not (tmp_path.parent.parent / "evil.txt").exists()
    assert [f.how for f in fetch(corpus, tmp_path)] == ["there", "there"]
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"no archive", "neither a zip nor a tar"),
        (zipped({"other.txt": b"one"}), "expected one file named a.txt, got 0"),
        (zipped({"x/a.txt": b"one", "y/a.txt": b"one"}), "expected one file named a.txt, got 2"),
        (zipped({"a.txt": b"another"}), "differs from the catalogue's file .its sha256 is"),
        (zipped({"a.txt": b"one" * 999}).replace(b"oneone", b"twotwo", 1), "damaged: Bad CRC"),
        (tarred({"a.txt": "/etc/hostname"}), "expected one file named a.txt, got 0"),
    ],
)
def test_a_wrong_archive_leaves_nothing(server, tmp_path, body, message):
    server.files["/a.zip"] = body
    with pytest.raises(CorpusError, match=message):
        fetch(corpus_of({"c/a.txt": file(b"one", f"{server.address}/a.zip", "a.txt")}), tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_changed_file_is_fetched_again(server, tmp_path):
    server.files["/a.txt"] = b"one"
    corpus = corpus_of({"a.txt": file(b"one", f"{server.address}/a.txt")})
    (tmp_path / "a.txt").write_bytes(b"changed")
    assert [f.how for f in fetch(corpus, tmp_path)] == ["downloaded"]
    assert (tmp_path / "a.txt").read_bytes() == b"one"


def test_a_file_without_an_address_needs_a_folder(tmp_path):
    with pytest.raises(CorpusError, match=r"no address has a\.txt.*`source`.*Ask its makers"):
        fetch(corpus_of({"a.txt": file(b"one", "")}), tmp_path)


def test_a_local_copy_says_how_it_differs(tmp_path):
    source, to = tmp_path / "source", tmp_path / "to"
    source.mkdir()
    (source / "a.txt").write_bytes(b"one")
    (source / "b.txt").write_bytes(b"changed")
    corpus = corpus_of({"c/a.txt": file(b"one", ""), "c/b.txt": file(b"two", "")})
    a, b = fetch(corpus, to, source=source)
    assert (a.how, a.difference, b.how) == ("copied", None, "copied")
    assert "its sha256 is" in b.difference
    assert (to / "c/b.txt").read_bytes() == b"changed"
    (source / "b.txt").unlink()
    (to / "c/b.txt").unlink()
    with pytest.raises(CorpusError, match=r"lacks c/b\.txt"):
        fetch(corpus, to, source=source)


def test_a_folder_of_pairs_is_a_split_and_is_copied_as_a_whole(biomark, tmp_path, monkeypatch):
    for split, text in (("train", "No fever .\n"), ("test", "Had a cough .\n")):
        folder = tmp_path / "mine" / split
        for part in ("txt", "concept"):
            (folder / part).mkdir(parents=True)
        (folder / "txt" / "record-7.txt").write_text(text)
        word = text.split()[-2]
        place = f"1:{len(text.split()) - 2}"
        (folder / "concept" / "record-7.con").write_text(f'c="{word}" {place} {place}||t="problem"\n')
    monkeypatch.setenv("BIOMARK_CORPORA", str(tmp_path / "corpora"))
    with pytest.raises(
        CorpusError, match=r"i2b2_2010:train is not available .*biomark corpora fetch i2b2_2010, from a local folder"
    ):
        read_split("i2b2_2010:train")
    missing = biomark("corpora", "fetch", "i2b2_2010")
    assert missing.status == 2
    assert "no address has i2b2_2010/train, i2b2_2010/test; copy them from a local folder (--from)" in missing.err
    for how in ("copied", "there"):
        done = biomark("corpora", "fetch", "i2b2_2010", "--from", tmp_path / "mine", "--to", tmp_path / "corpora")
        assert done.status == 0, done.err
        assert done.err.count(f": {how}") == 2
    found = {split: list(read_split(f"i2b2_2010:{split}")) for split in ("train", "test")}
    assert {
        split: [(d.id, [(e.type, e.mention(d.text)) for e in d.entities]) for d in documents]
        for split, documents in found.items()
    } == {
        "train": [("txt/record-7", [("problem", "fever")])],
        "test": [("txt/record-7", [("problem", "cough")])],
    }


def test_fetch_copies_from_a_folder_and_reads_from_the_cache(biomark, corpora, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("BIOMARK_CORPORA", raising=False)
    result = biomark("corpora", "fetch", "ncbi_disease", "--from", corpora)
    assert result.status == 0, result.err
    assert result.err.count("copied") == 3
    assert catalogue.folder_of(corpus_named("ncbi_disease"), "test") == tmp_path / "biomark" / "corpora"
    assert sum(1 for _ in read_split("ncbi_disease:test")) == 100


def test_fetch_says_what_differs_and_ends_with_1(biomark, tmp_path):
    for split in ("train", "devel", "test"):
        (tmp_path / f"{split}.pubtator").write_text("1|t|x\n\n")
    result = biomark("corpora", "fetch", "ncbi_disease", "--from", tmp_path, "--to", tmp_path / "to")
    assert result.status == 1
    assert result.err.count("its sha256 is") == 3
