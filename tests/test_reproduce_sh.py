"""reproduce.sh, in a small copy of the repository that needs none of the heavy dependencies."""

from __future__ import annotations

import configparser
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]

# What the bench of the copy does: tell how it was called, and exit as told.
BENCH = """\
import os, sys
print(os.getpid(), os.getcwd(), os.environ["AEXAD_COMMAND"], *sys.argv[1:], sep="\\n", flush=True)
if "--wait" in sys.argv:
    sys.stdin.readline()
sys.exit(int(os.environ.get("BENCH_STATUS", "0")))
"""

# A Python whose environments cost nothing and whose pip only does what a test tells it to.
FAKE_PYTHON = f"""\
#!/bin/sh
case "$1 $2 $3" in
"-P -m "*)
    PYTHONPATH="$FAKE_INSTALLED" exec "{sys.executable}" "$@" ;;
*" -m venv")
    mkdir -p "$4/bin" && cp "$0" "$4/bin/python"
    exit ;;
*" -m pip")
    echo $$ "$*" >>"$FAKE_PIP_CALLS"
    echo "what pip says"
    [ -z "$FAKE_PIP_SLEEP" ] || sleep "$FAKE_PIP_SLEEP"
    exit "${{FAKE_PIP_STATUS:-0}}" ;;
esac
exec "{sys.executable}" "$@"
"""


# A build backend that needs nothing from an index: the copy's folder in a .pth file, and the
# requirements that setup.cfg has.
BACKEND = """\
import configparser, os, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    config = configparser.ConfigParser()
    config.read("setup.cfg")
    required = config["options"]["install_requires"].split()
    files = {"copy.pth": os.getcwd(),
             "copy-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: copy\\nVersion: 1\\n"
             "Provides-Extra: test\\n" + "".join(f"Requires-Dist: {r}\\n" for r in required),
             "copy-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nTag: py3-none-any\\n",
             "copy-1.dist-info/RECORD": ""}
    with zipfile.ZipFile(os.path.join(folder, "copy-1-py3-none-any.whl"), "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return "copy-1-py3-none-any.whl"
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


class Copy:
    """A repository with reproduce.sh, and a way to call it from elsewhere."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = tmp_path / "a repo"
        self.cwd = tmp_path / "where the user is"
        self.venv = self.root / ".venv"
        self.pip_calls_file = tmp_path / "pip calls"
        (self.root / "aexad" / "bench").mkdir(parents=True)
        (self.root / "aexad" / "__init__.py").touch()
        (self.root / "aexad" / "bench" / "__main__.py").write_text(BENCH)
        (self.root / "backend.py").write_text(BACKEND)
        (self.root / "pyproject.toml").write_text(PYPROJECT)
        self.cwd.mkdir()
        (self.root / "constraints.txt").touch()
        self.script = Path(shutil.copy2(REPO / "reproduce.sh", self.root))
        self.require("")
        python = self.executable(tmp_path / "fake python", FAKE_PYTHON)
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("AEXAD_") and name not in ("PYTHON", "PYTHONPATH")
        }
        self.env |= {"PYTHON": str(python), "FAKE_PIP_CALLS": str(self.pip_calls_file),
                     "FAKE_INSTALLED": str(self.root)}

    @staticmethod
    def executable(path: Path, text: str) -> Path:
        path.write_text(text)
        path.chmod(0o755)
        return path

    def require(self, *requirements: str) -> None:
        lines = "".join(f"\n    {requirement}" for requirement in requirements)
        (self.root / "setup.cfg").write_text(
            f"[options]\ninstall_requires ={lines}\n\n[options.extras_require]\ntest =\n"
        )

    def start(self, *args: str, script: Path | str | None = None, **env: str) -> subprocess.Popen:
        return subprocess.Popen(
            [script or self.script, *args],
            cwd=self.cwd,
            env=self.env | env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A test run in the background has SIGINT ignored, which bash can't undo.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def call(self, *args: str, **options) -> subprocess.CompletedProcess:
        process = self.start(*args, **options)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def pip_calls(self) -> list[int]:
        """The process ids of the calls of the fake pip."""
        if not self.pip_calls_file.exists():
            return []
        return [int(line.split()[0]) for line in self.pip_calls_file.read_text().splitlines()]

    def wait_for_pip(self) -> int:
        return wait_for(self.pip_calls)[-1]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def wait_for(condition, timeout: float = 15):
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return value


def test_passes_arguments_directory_and_status_through(copy: Copy) -> None:
    wrong = copy.cwd / "aexad"  # must not be taken for the repository's own
    wrong.mkdir()
    (wrong / "__init__.py").write_text("raise SystemExit('wrong aexad')")
    process = copy.start("table2", "--out", "a b", "", "*", BENCH_STATUS="7")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 7, err
    # The same process id: exec, so that signals reach the bench.
    expected = [process.pid, copy.cwd, "./reproduce.sh", "table2", "--out", "a b", "", "*"]
    assert out.splitlines() == [str(item) for item in expected]
    assert "Setting up" in err


def test_no_arguments_ask_for_help(copy: Copy) -> None:
    assert copy.call().stdout.splitlines()[3:] == ["--help"]


def test_sets_up_once_until_setup_cfg_changes(copy: Copy) -> None:
    assert copy.call(AEXAD_SETUP_ONLY="1").stdout == ""
    ready = (copy.venv / ".ready").stat().st_mtime_ns
    again = copy.call("x")
    assert again.returncode == 0 and again.stderr == ""
    assert (copy.venv / ".ready").stat().st_mtime_ns == ready
    assert len(copy.pip_calls()) == 1

    (copy.venv / "left from before").touch()
    copy.require("something==1")
    assert copy.call("x").returncode == 0
    assert len(copy.pip_calls()) == 2
    assert not (copy.venv / "left from before").exists()


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_sets_up_again_when_what_it_is_made_from_changes(copy: Copy, name: str) -> None:
    assert copy.call("x").returncode == 0
    with open(copy.root / name, "a") as file:
        file.write("# changed\n")
    changed = copy.call("x")
    assert changed.returncode == 0
    assert f"{copy.venv} was made from other versions, or elsewhere: it is made anew" in (
        changed.stderr)
    assert copy.call("x").stderr == "" and len(copy.pip_calls()) == 2


def test_what_is_required_by_what_is_required_is_pinned_too(copy: Copy) -> None:
    assert copy.call("x").returncode == 0
    constraints = f"--constraint {copy.root}/constraints.txt"
    assert f"{constraints} --editable {copy.root}[test,onnx]" in copy.pip_calls_file.read_text()


def test_extras_are_in_an_environment_of_their_own(copy: Copy) -> None:
    assert copy.call("x").returncode == 0
    with open(copy.root / "setup.cfg", "a") as file:
        file.write("more =\n    nothing\nothers =\n[options.package_data]\nnot_one =\n")
    assert copy.call("x").returncode == 0
    before = copy.pip_calls()
    for extras, name in (("more", ".venv-more"), ("more,others", ".venv-more-others")):
        made = copy.call("x", AEXAD_EXTRAS=extras)
        assert made.returncode == 0 and f"Setting up {copy.root}/{name} " in made.stderr
        asked = copy.pip_calls_file.read_text().splitlines()[-1]
        assert f"--editable {copy.root}[test,onnx,{extras}]" in asked
        assert copy.call("x", AEXAD_EXTRAS=extras).stderr == ""
    assert copy.call("x").stderr == "" and len(copy.pip_calls()) == len(before) + 2
    # one environment for both is made anew for the other
    assert "made anew" in copy.call("x", AEXAD_VENV=str(copy.root / ".venv-more")).stderr


@pytest.mark.parametrize("extras", ["nothing", "test,not_one", "test]", "t.*"])
def test_an_extra_that_there_is_not(copy: Copy, extras: str) -> None:
    refused = copy.call("x", AEXAD_EXTRAS=extras)
    assert refused.returncode == 1 and not copy.pip_calls()
    [line] = refused.stderr.splitlines()
    assert f"AEXAD_EXTRAS={extras}: there is no extra '" in line and line.endswith("known: test")


@pytest.mark.parametrize("name", ["setup.cfg", "pyproject.toml", "constraints.txt"])
def test_a_checkout_that_lacks_a_file(copy: Copy, name: str) -> None:
    (copy.root / name).unlink()
    result = copy.call("x")
    assert result.returncode == 1 and f"there is no {copy.root}/{name}." in result.stderr


# -- several checkouts, and what runs in an environment --


@pytest.fixture
def other(copy: Copy, tmp_path: Path) -> Path:
    """Another checkout with the same versions; both have the environment `shared`."""
    copy.env["AEXAD_VENV"] = str(tmp_path / "shared")
    return shutil.copytree(copy.root, tmp_path / "other") / "reproduce.sh"


def running(copy: Copy, **options) -> subprocess.Popen:
    """A command that runs until its standard input is closed."""
    process = copy.start("x", "--wait", **options)
    while process.stdout.readline() not in ("--wait\n", ""):
        pass
    assert process.poll() is None
    return process


def test_a_moved_checkout_gets_its_environment_anew(copy: Copy) -> None:
    assert copy.call("x").returncode == 0
    (copy.venv / "left from before").touch()
    moved = copy.root.rename(copy.root.with_name("moved"))
    copy.env["FAKE_INSTALLED"] = str(moved)
    result = copy.call("x", script=moved / "reproduce.sh")
    assert result.returncode == 0, result.stderr
    assert f"{moved}/.venv was made from other versions, or elsewhere" in result.stderr
    assert not (moved / ".venv" / "left from before").exists()


def test_another_checkout_is_put_in_place_of_the_first(copy: Copy, other: Path) -> None:
    assert copy.call("x").returncode == 0
    venv = Path(copy.env["AEXAD_VENV"])
    (venv / "left from before").touch()
    for checkout, before in ((other.parent, copy.root), (copy.root, other.parent)):
        result = copy.call("x", script=checkout / "reproduce.sh")
        assert result.returncode == 0
        assert result.stderr == (f"{venv} is of the checkout {before}; installing {checkout} in "
                                 f"its place...\n")
        [*_, last] = copy.pip_calls_file.read_text().splitlines()
        assert last.endswith(f"--no-deps --no-build-isolation --editable {checkout}")
        assert copy.call("x", script=checkout / "reproduce.sh").stderr == ""
    assert (venv / "left from before").exists() and len(copy.pip_calls()) == 3


def test_a_checkout_half_put_in_place_is_not_trusted(copy: Copy, other: Path) -> None:
    assert copy.call("x").returncode == 0
    failed = copy.call("x", script=other, FAKE_PIP_STATUS="3")
    assert failed.returncode == 3
    assert "failed while installing the project (pip), status 3" in failed.stderr
    assert "installing" in copy.call("x").stderr
    assert len(copy.pip_calls()) == 3  # the environment was not made again


def test_an_environment_is_not_changed_while_another_checkout_runs_in_it(
    copy: Copy, other: Path
) -> None:
    assert copy.call("x").returncode == 0
    runs, beside = running(copy), running(copy)
    result = copy.call("x", script=other)
    assert result.returncode == 1 and len(copy.pip_calls()) == 1
    [line] = result.stderr.splitlines()
    assert f"something of the checkout {copy.root} runs in it: wait for its end, or name" in line
    assert copy.call("x").returncode == 0  # its own checkout still may
    assert runs.communicate()[1] == beside.communicate()[1] == ""
    assert copy.call("x", script=other).returncode == 0


def test_an_environment_is_not_removed_while_something_runs_in_it(copy: Copy) -> None:
    assert copy.call("x").returncode == 0
    runs = running(copy)
    copy.require("something==1")
    result = copy.call("x")
    assert result.returncode == 1 and "runs in it: wait for its end" in result.stderr
    assert (copy.venv / ".ready").exists()
    runs.communicate()
    assert copy.call("x").returncode == 0 and len(copy.pip_calls()) == 2


def test_called_through_a_symlink(copy: Copy) -> None:
    (copy.cwd / "absolute").symlink_to(copy.script)
    (copy.cwd / "relative").symlink_to("absolute")
    result = copy.call("x", script="./relative")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1] == str(copy.cwd)
    assert copy.venv.is_dir()


def test_half_an_environment_is_not_trusted(copy: Copy) -> None:
    (copy.venv / "bin").mkdir(parents=True)
    copy.executable(copy.venv / "bin" / "python", "#!/bin/sh\necho untrusted; exit 0\n")
    result = copy.call("x")
    assert result.returncode == 0, result.stderr
    assert "untrusted" not in result.stdout
    assert len(copy.pip_calls()) == 1


def test_an_environment_elsewhere(copy: Copy, tmp_path: Path) -> None:
    result = copy.call("x", AEXAD_VENV="../an environment/")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "an environment" / ".ready").exists()
    assert not copy.venv.exists()


@pytest.mark.parametrize("named", ["~/venv", "~/a venv/"])
def test_an_environment_in_the_home_folder(copy: Copy, tmp_path: Path, named: str) -> None:
    home = tmp_path / "my home"
    home.mkdir()
    assert copy.call("x", AEXAD_VENV=named, HOME=str(home)).returncode == 0
    assert (home / named[2:] / ".ready").exists() and not list(copy.cwd.iterdir())


def test_never_replaces_what_is_not_its_own(copy: Copy) -> None:
    (copy.cwd / "thesis.tex").touch()
    result = copy.call("x", AEXAD_VENV=".")
    assert result.returncode == 1 and "holds something else" in result.stderr
    assert (copy.cwd / "thesis.tex").exists()


def test_failing_pip(copy: Copy) -> None:
    result = copy.call("x", FAKE_PIP_STATUS="3")
    assert result.returncode == 3
    assert "failed while installing the project and what it needs (pip), status 3" in result.stderr
    assert "    what pip says" in result.stderr
    assert str(copy.root / ".venv-setup.log") in result.stderr
    assert not copy.venv.exists()
    assert copy.call("x").returncode == 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_set_up_leaves_nothing(
    copy: Copy, tmp_path: Path, signum: signal.Signals
) -> None:
    # As a pyenv shim does for pip, run Python as a child rather than become it.
    forks = f'#!/bin/sh\n"{copy.env["PYTHON"]}" "$@"\nexit $?\n'
    copy.env["PYTHON"] = str(copy.executable(tmp_path / "forking python", forks))
    process = copy.start("x", FAKE_PIP_SLEEP="60")
    copy.wait_for_pip()
    process.send_signal(signum)
    _, err = process.communicate(timeout=15)
    assert process.returncode == 128 + signum
    assert "interrupted while installing the project" in err
    assert not copy.venv.exists()
    following = copy.call("x")
    assert following.returncode == 0
    assert "Waiting" not in following.stderr  # pip ended too: it would have kept the lock


def test_killed_set_up_is_not_trusted(copy: Copy) -> None:
    process = copy.start("x", FAKE_PIP_SLEEP="60")
    pip = copy.wait_for_pip()
    process.kill()
    process.wait(timeout=15)
    assert (copy.venv / "bin" / "python").exists() and not (copy.venv / ".ready").exists()

    # The pip left behind still writes: the next call lets it end, and then starts afresh.
    following = copy.start("x")
    line = following.stderr.readline()
    os.killpg(os.getpgid(pip), signal.SIGKILL)
    _, err = following.communicate(timeout=60)
    assert "Waiting for another call" in line
    assert following.returncode == 0, err
    assert len(copy.pip_calls()) == 2


def test_two_calls_at_once_set_up_once(copy: Copy) -> None:
    first = copy.start("first", FAKE_PIP_SLEEP="1")
    copy.wait_for_pip()
    second = copy.call("second")
    first_out, first_err = first.communicate(timeout=60)
    assert first.returncode == 0, first_err
    assert second.returncode == 0, second.stderr
    assert "Waiting for another call" in second.stderr
    assert (first_out.split()[-1], second.stdout.split()[-1]) == ("first", "second")
    assert len(copy.pip_calls()) == 1


def test_runs_the_tests_of_the_repository(copy: Copy) -> None:
    (copy.root / "tests").mkdir()
    (copy.root / "tests" / "test_it.py").write_text(
        "import aexad.bench, os\ndef test_cwd(): print('in', os.getcwd())\n"
    )
    result = copy.call("test", "-s", "tests/test_it.py", "-k", "cwd or nothing")
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"in {copy.root}\n" in result.stdout and "1 passed" in result.stdout
    assert copy.call("test", "-k", "nothing").returncode == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("exit 127", "needs Python 3.11 or later, found none: install python3.11"),
        ('case "$*" in *ensurepip*) exit 1 ;; esac', "install python3-venv"),
    ],
)
def test_no_suitable_python(copy: Copy, tmp_path: Path, behaviour: str, message: str) -> None:
    pythons = tmp_path / "pythons"
    pythons.mkdir()
    for version in ("3.11", "3.12", "3.13", "3"):
        copy.executable(pythons / f"python{version}", f"#!/bin/sh\n{behaviour}\n")
    result = copy.call("x", PYTHON="", PATH=f"{pythons}:{copy.env['PATH']}")
    assert result.returncode == 1
    assert message in result.stderr and len(result.stderr.splitlines()) == 1
    assert not copy.venv.exists()


def test_unsuitable_python_named_by_the_user(copy: Copy) -> None:
    result = copy.call("x", PYTHON="/bin/false")
    assert result.returncode == 1
    assert "PYTHON=/bin/false is not a working Python 3.11 or later" in result.stderr


def test_with_a_real_environment(copy: Copy) -> None:
    real = {"PYTHON": sys.executable, "PIP_NO_INDEX": "1"}
    copy.require("no-such-package-aexad==1")
    failed = copy.call("x", **real)
    assert failed.returncode == 1
    assert "failed while installing the project and what it needs (pip)" in failed.stderr
    assert "No matching distribution found for no-such-package-aexad==1" in failed.stderr
    assert not copy.venv.exists()

    copy.require()
    repaired = copy.call("x", **real)
    assert repaired.returncode == 0, repaired.stderr
    assert (copy.venv / ".ready").exists()
    assert copy.call("x", **real).stderr == ""


def test_dependencies_are_pinned() -> None:
    config = configparser.ConfigParser(interpolation=None)
    config.read(REPO / "setup.cfg", encoding="utf-8")
    listed = config["options"]["install_requires"] + config["options.extras_require"]["test"]
    requirements = [line.partition(";")[0].strip() for line in listed.splitlines()
                    if line.strip() and not line.startswith("#")]
    assert all(requirement.count("==") == 1 for requirement in requirements), requirements
    assert {"torch", "torchvision", "timm", "pytest"} <= {r.split("==")[0] for r in requirements}
