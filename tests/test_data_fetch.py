"""How data is fetched, and what happens when that fails: with real pip on small fake indexes.

Each index is a folder of archives built here, or a server on this machine; the network is not used.
"""

import dataclasses
import errno
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
import venv
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
from underglass import data
from underglass.data import __main__ as cli
from underglass.data import archives, fetch, store
from underglass.data.store import cache_folder, content_hash, is_complete, obtain, place
from underglass.data.table import GROUPS, TABLE, Entry, Source

TEXT = {"words.txt": b"one\ntwo\n", "more/numbers.txt": b"1 2 3\n"}


@pytest.fixture(autouse=True)
def index(tmp_path, monkeypatch):
    """An empty index that pip uses instead of the reader's, and an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("UNDERGLASS_DATA", str(tmp_path / "cache"))
    return folder


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def hash_of(files: dict[str, bytes], folder: Path) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return content_hash(folder)


def wheel(members: dict[str, bytes], name="tiny_data") -> bytes:
    info = f"{name}-1.0.dist-info"
    fixed = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in {**members, **fixed}.items():
            archive.writestr(member, content)
    return buffer.getvalue()


def tarball(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def sdist(members: dict[str, bytes], setup: str, *, pyproject=False) -> bytes:
    fixed = {"PKG-INFO": b"Metadata-Version: 2.1\nName: tiny_data\nVersion: 1.0\n"}
    fixed["setup.py"] = setup.encode()
    if pyproject:
        fixed["pyproject.toml"] = (
            b'[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        )
    return tarball({f"tiny_data-1.0/{name}": text for name, text in {**fixed, **members}.items()})


def entry_for(archive: bytes, tmp_path: Path, **changes) -> Entry:
    """A table entry for `archive` whose files are TEXT."""
    source = Source("tiny-data", "1.0", sha256(archive), 0.1, root="tiny/")
    return Entry(
        name="tiny",
        summary="a tiny data set",
        files=("words.txt", "more/*.txt"),
        content=hash_of(TEXT, tmp_path / "expected"),
        sources=(dataclasses.replace(source, **changes),),
        licence="none",
        leaves_open="nothing",
        citation="none",
    )


@pytest.fixture
def tiny(index, tmp_path):
    """An entry whose wheel lies in the index."""
    archive = wheel({f"tiny/{name}": content for name, content in TEXT.items()})
    (index / "tiny_data-1.0-py3-none-any.whl").write_bytes(archive)
    return entry_for(archive, tmp_path)


@pytest.fixture
def quick(tiny, index, monkeypatch):
    """Where pip is not what is tested, the archive is there at once; pip takes a second."""
    archive = index / "tiny_data-1.0-py3-none-any.whl"
    monkeypatch.setattr(store, "download", lambda source, folder: archive)


def files_of(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def assert_nothing_left():
    assert list(cache_folder().iterdir()) == []


# What works


def test_a_wheel_is_fetched_once(tiny, index):
    folder = obtain(tiny)
    assert files_of(folder) == TEXT
    shutil.rmtree(index)  # from here on there is no index at all
    assert obtain(tiny) == folder
    assert [path.name for path in cache_folder().iterdir()] == [folder.name]


@pytest.mark.parametrize("pyproject", [False, True])
@pytest.mark.parametrize("inner", ["", "extra/inner.tar.gz"])
def test_a_source_distribution_is_read_and_never_run(index, tmp_path, inner, pyproject):
    ran = tmp_path / "setup_ran"
    members = {f"tiny/{name}": content for name, content in TEXT.items()}
    if inner:
        members = {inner: tarball(members)}
    archive = sdist(members, f"open({str(ran)!r}, 'w')", pyproject=pyproject)
    (index / "tiny_data-1.0.tar.gz").write_bytes(archive)
    entry = entry_for(archive, tmp_path, kind="sdist", inner=inner)
    assert files_of(obtain(entry)) == TEXT
    assert not ran.exists()


def test_an_installed_package_is_used_and_not_imported(tiny, index, tmp_path, monkeypatch):
    site = tmp_path / "site"
    with zipfile.ZipFile(index / "tiny_data-1.0-py3-none-any.whl") as archive:
        archive.extractall(site)
    (site / "tiny" / "__init__.py").write_text("raise SystemExit('imported')")
    rows = [*(f"tiny/{name},," for name in TEXT), "tiny/__init__.py,,", "tiny/more/gone.txt,,"]
    (site / "tiny_data-1.0.dist-info" / "RECORD").write_text("\n".join(rows))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(sys, "executable", "no pip may be asked")
    assert files_of(obtain(tiny)) == TEXT


@pytest.mark.parametrize("fault", ["version", "content"])
def test_another_installed_package_is_passed_over(tiny, index, tmp_path, monkeypatch, fault):
    site = tmp_path / "site"
    with zipfile.ZipFile(index / "tiny_data-1.0-py3-none-any.whl") as archive:
        archive.extractall(site)
    info = site / "tiny_data-1.0.dist-info"
    (info / "RECORD").write_text("\n".join(f"tiny/{name},," for name in TEXT))
    if fault == "version":
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny_data\nVersion: 2.0\n")
    else:
        (site / "tiny" / "words.txt").write_text("three")
    monkeypatch.syspath_prepend(str(site))
    told = []
    assert files_of(obtain(tiny, lambda line, megabytes: told.append(line))) == TEXT
    assert any(line.startswith("fetching tiny-data==1.0 (0.1 MB)") for line in told)
    assert any("content hash" in line for line in told) == (fault == "content")


def test_a_second_source_is_used_when_the_first_fails(tiny):
    missing = dataclasses.replace(tiny.sources[0], distribution="not-there")
    entry = dataclasses.replace(tiny, sources=(missing, tiny.sources[0]))
    assert files_of(obtain(entry)) == TEXT


def test_a_source_may_make_what_it_lacks(index, tmp_path):
    archive = wheel({"tiny/more/numbers.txt": TEXT["more/numbers.txt"]})
    (index / "tiny_data-1.0-py3-none-any.whl").write_bytes(archive)

    def complete(folder: Path) -> None:
        (folder / "words.txt").write_bytes(TEXT["words.txt"])

    assert files_of(obtain(entry_for(archive, tmp_path, complete=complete))) == TEXT


def test_a_damaged_cache_is_fetched_again(tiny, quick):
    folder = obtain(tiny)
    (folder / "words.txt").write_bytes(b"one")  # cut off
    assert files_of(obtain(tiny)) == TEXT
    (folder / ".manifest.json").write_text("[1")
    assert files_of(obtain(tiny)) == TEXT
    (folder / "words.txt").write_bytes(b"one\ntwx\n")  # same size: seen by the thorough look only
    assert is_complete(tiny)
    assert files_of(obtain(tiny, thorough=True)) == TEXT
    assert [path.name for path in cache_folder().iterdir()] == [folder.name]


# What fails, and what the error says


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_a_wrong_hash_stops_before_anything_runs(index, tmp_path, kind):
    ran = tmp_path / "setup_ran"
    members = {f"tiny/{name}": content for name, content in TEXT.items()}
    if kind == "wheel":
        archive, name = wheel(members), "tiny_data-1.0-py3-none-any.whl"
    else:
        archive, name = sdist(members, f"open({str(ran)!r}, 'w')"), "tiny_data-1.0.tar.gz"
    (index / name).write_bytes(archive)
    entry = entry_for(archive, tmp_path, kind=kind, sha256="0" * 64)
    message = f"tiny-data==1.0 has sha256 {sha256(archive)}, expected {'0' * 64}: .* nothing of it"
    with pytest.raises(data.DamagedDataError, match=message):
        obtain(entry)
    assert not ran.exists()
    assert_nothing_left()


def test_our_own_look_at_the_hash_does_not_lean_on_pip(tiny, monkeypatch):
    """A pip that does not check, whatever the reason."""
    requirement = f"tiny-data==1.0 --hash=sha256:{tiny.sources[0].sha256}"
    monkeypatch.setattr(Source, "release", property(lambda self: requirement))
    entry = dataclasses.replace(
        tiny, sources=(dataclasses.replace(tiny.sources[0], sha256="0" * 64),)
    )
    with pytest.raises(ValueError, match=f"has sha256 {tiny.sources[0].sha256}, expected 000"):
        obtain(entry)


def test_an_archive_cut_off_on_the_way(tiny, index):
    path = index / "tiny_data-1.0-py3-none-any.whl"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(data.DataError, match=r"data 'tiny' cannot be had:\n- tiny-data==1\.0"):
        obtain(tiny)
    assert_nothing_left()


@pytest.mark.parametrize("inner", ["inner.tar.gz", "inner.zip"])
def test_an_inner_archive_that_is_cut_off(index, tmp_path, inner):
    members = {f"tiny/{name}": content for name, content in TEXT.items()}
    inside = tarball(members) if inner.endswith("gz") else wheel(members)
    archive = wheel({inner: inside[:-30]})
    (index / "tiny_data-1.0-py3-none-any.whl").write_bytes(archive)
    with pytest.raises(ValueError, match=r"tiny-data==1\.0 holds an archive that is cut off"):
        obtain(entry_for(archive, tmp_path, inner=inner))
    assert_nothing_left()


@pytest.mark.parametrize("change", [{"root": "other/"}, {"inner": "inner.zip"}])
def test_a_missing_member(tiny, quick, change):
    source = dataclasses.replace(tiny.sources[0], **change)
    missing = change.get("inner", "other/words.txt")
    with pytest.raises(ValueError, match=rf"tiny-data==1\.0 has no member '{missing}'"):
        obtain(dataclasses.replace(tiny, sources=(source,)))
    assert_nothing_left()


def test_other_content(tiny, quick):
    with pytest.raises(ValueError, match=r"its files have content hash [0-9a-f]{64}, expected 00"):
        obtain(dataclasses.replace(tiny, content="0" * 64))
    assert_nothing_left()


def test_a_member_that_would_leave_the_folder(index, tmp_path):
    archive = wheel({"tiny/words.txt": b"", "tiny/more/../../../../evil.txt": b"evil"})
    (index / "tiny_data-1.0-py3-none-any.whl").write_bytes(archive)
    with pytest.raises(ValueError, match=r"unsafe member name 'more/\.\./.*evil\.txt'"):
        obtain(entry_for(archive, tmp_path))
    assert not list(tmp_path.rglob("evil.txt"))


def test_no_network_says_what_to_install_or_set(tiny, monkeypatch):
    with socket.socket() as probe:  # a port that nobody listens on
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(OSError, match=r"data 'tiny' cannot be had") as caught:
        obtain(tiny)
    assert isinstance(caught.value, data.FetchError)
    message = str(caught.value)
    assert "Connection refused" in message
    assert "set PIP_INDEX_URL" in message
    assert "`pip install --no-deps tiny-data==1.0`" in message
    assert "UNDERGLASS_DATA" in message
    assert place(tiny).name in message
    assert_nothing_left()


def test_every_source_that_failed_is_named(tiny, index):
    shutil.rmtree(index)
    other = dataclasses.replace(tiny.sources[0], distribution="not-there")
    with pytest.raises(data.FetchError, match=r"(?s)- tiny-data==1\.0 .*- not-there==1\.0 .*MB"):
        obtain(dataclasses.replace(tiny, sources=(tiny.sources[0], other)))


def test_no_pip(tiny, tmp_path, monkeypatch):
    venv.create(tmp_path / "bare", with_pip=False)
    scripts = "Scripts" if sys.platform == "win32" else "bin"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / scripts / "python"))
    with pytest.raises(data.FetchError, match=r"has no pip; run `.* -m ensurepip`"):
        obtain(tiny)


def test_a_cache_that_cannot_be_made(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("UNDERGLASS_DATA", str(tmp_path / "file" / "cache"))
    with pytest.raises(OSError, match=r"data 'tiny' cannot be kept in .*set UNDERGLASS_DATA") as c:
        obtain(tiny)
    assert isinstance(c.value, data.StorageError)


def test_a_full_disk(tiny, quick, monkeypatch):
    def full(reader, writer):
        writer.write(b"o")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archives.shutil, "copyfileobj", full)
    with pytest.raises(data.StorageError, match=r"\(.*No space left on device\): make room there"):
        obtain(tiny)
    assert_nothing_left()


def test_a_disk_that_is_full_while_pip_fetches(tiny, monkeypatch):
    """Where the system can limit a process's disk use, pip meets the limit itself."""
    said = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
    done = subprocess.CompletedProcess([], 1, stdout="", stderr=said)
    monkeypatch.setattr(fetch.subprocess, "run", lambda *args, **kwargs: done)
    with pytest.raises(data.StorageError, match=r"no space left for tiny-data==1\.0 .*0\.1 MB"):
        obtain(tiny)
    assert_nothing_left()


# Interrupted, and side by side


class _Stalling(BaseHTTPRequestHandler):
    """An index that sends the first half of a wheel and then nothing."""

    archive = b""
    begun = Event()
    stop = Event()

    def do_GET(self):
        name = "tiny_data-1.0-py3-none-any.whl"
        page = f'<a href="/{name}">{name}</a>'.encode()
        body = self.archive if self.path.endswith(".whl") else page
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if body is page else body[: len(body) // 2])
        if body is not page:
            self.begun.set()
            self.stop.wait(60)

    def log_message(self, format, *args):
        pass


@pytest.fixture
def stalling(tiny, index):
    archive = (index / "tiny_data-1.0-py3-none-any.whl").read_bytes()
    handler = type("Handler", (_Stalling,), {"archive": archive, "begun": Event(), "stop": Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server, handler
    handler.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()


def _in_another_process(entry: Entry, environment: dict[str, str]) -> subprocess.Popen:
    program = f"""
from underglass.data.store import obtain
from underglass.data.table import Entry, Source
print(obtain({entry!r}))
"""
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_fetch_leaves_nothing_half_written(tiny, stalling, how):
    server, handler = stalling
    address = f"http://127.0.0.1:{server.server_port}/simple"
    process = _in_another_process(tiny, {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": address,
                                         "PIP_FIND_LINKS": ""})  # fmt: skip
    assert handler.begun.wait(60)
    os.killpg(process.pid, how)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not place(tiny).exists()
    left = [path for path in cache_folder().iterdir() if path.name.startswith(".partial-")]
    assert len(left) == (1 if how is signal.SIGKILL else 0)  # a killed process cannot tidy up
    assert files_of(obtain(tiny)) == TEXT  # the next call simply starts again
    two_days_ago = time.time() - 2 * 24 * 3600
    for path in left:  # and a later one tidies up
        os.utime(path, (two_days_ago, two_days_ago))
    shutil.rmtree(place(tiny))
    obtain(tiny)
    assert [path.name for path in cache_folder().iterdir()] == [place(tiny).name]


def test_processes_at_once_do_no_harm(tiny):
    processes = [_in_another_process(tiny, {}) for _ in range(3)]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
        assert out.decode().strip() == str(place(tiny))
    assert files_of(place(tiny)) == TEXT
    assert is_complete(tiny, thorough=True)
    assert [path.name for path in cache_folder().iterdir()] == [place(tiny).name]


def test_losing_the_race_keeps_the_winners_copy(tiny, quick, monkeypatch):
    """The place is taken between the look at the cache and the renaming."""
    winner = obtain(tiny)
    aside = winner.with_name("aside")
    winner.rename(aside)
    original = Path.rename

    def rename(path, target):
        if path.name == "files" and aside.exists():
            original(aside, winner)
        return original(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    assert files_of(obtain(tiny)) == TEXT
    assert [path.name for path in cache_folder().iterdir()] == [winner.name]


# The command


def test_command_fetches_says_how_much_and_then_is_quick(tiny, index, monkeypatch, capsys):
    monkeypatch.setitem(TABLE, "tiny", tiny)
    assert cli.main(["tiny"]) == 0
    said = capsys.readouterr().out
    assert f"Data goes to {cache_folder()}" in said
    assert "fetching tiny-data==1.0 (0.1 MB) with pip" in said
    assert "Total: 0.0 MB, 0.1 MB fetched now" in said
    shutil.rmtree(index)
    assert cli.main(["tiny", "tiny"]) == 0
    said = capsys.readouterr().out
    assert said.count("already there") == 1
    assert "0.0 MB fetched now" in said


def test_command_mends_what_the_quick_look_does_not_see(tiny, quick, monkeypatch, capsys):
    monkeypatch.setitem(TABLE, "tiny", tiny)
    (obtain(tiny) / "words.txt").write_bytes(b"one\ntwx\n")
    assert cli.main(["tiny"]) == 0
    assert "fetching tiny-data==1.0" in capsys.readouterr().out
    assert files_of(place(tiny)) == TEXT


def test_command_ends_with_one_clear_error(tiny, index, monkeypatch, capsys):
    monkeypatch.setitem(TABLE, "tiny", tiny)
    shutil.rmtree(index)
    assert cli.main(["tiny"]) == 1
    assert capsys.readouterr().err.startswith("error: data 'tiny' cannot be had:")
    assert cli.main(["spech"]) == 1
    assert "did you mean 'speeches'?" in capsys.readouterr().err
    assert not place(tiny).exists()


def test_command_lists_without_fetching(capsys):
    assert cli.main(["--list"]) == 0
    said = capsys.readouterr().out
    assert all(f"{name}: " in said for name in TABLE)
    assert not cache_folder().exists()


def test_the_groups_name_real_data():
    assert set(GROUPS["chapters"]) <= set(GROUPS["tests"]) < set(GROUPS["all"]) < set(TABLE)
    assert set(GROUPS["all"]) - set(GROUPS["tests"]) == {"glove"}


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "chosen/underglass"),
        ("linux", None, "home/.cache/underglass"),
        ("darwin", None, "home/Library/Caches/underglass"),
        ("win32", "LOCALAPPDATA", "chosen/underglass"),
    ],
)
def test_the_cache_lies_where_the_platform_keeps_caches(
    tmp_path, monkeypatch, platform, variable, expected
):
    for name in ("UNDERGLASS_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "chosen"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == tmp_path / expected


def test_the_manifest_lists_every_file(tiny, quick):
    manifest = json.loads((obtain(tiny) / ".manifest.json").read_text())
    assert manifest == {name: len(content) for name, content in TEXT.items()}
