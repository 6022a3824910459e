"""A Postgres server of our own: made in a temporary folder, reached over loopback, gone after the tests."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

NEEDS = "initdb and postgres (apt-get install postgresql; macOS: brew install postgresql)"
USER = "reader"


@dataclass(frozen=True)
class Server:
    """Where the server listens, and the password it asks for."""

    port: int
    password: str

    def url(self, database: str) -> str:
        """Return the address of one of its databases, as a user would write it."""
        return f"postgres://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create(self, name: str) -> str:
        """Create an empty database and return its address."""
        import psycopg

        database = f"{name[:40]}_{secrets.token_hex(4)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(database)))
        return self.url(quote(database))

    def empty(self, url: str) -> None:
        """Remove every row of a database but which revision its tables are at."""
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            tables = connection.execute(
                "SELECT tablename FROM pg_tables "
                "WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
            ).fetchall()
            names = psycopg.sql.SQL(", ").join(psycopg.sql.Identifier(name) for (name,) in tables)
            connection.execute(psycopg.sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(names))

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        import psycopg

        database = unquote(url.rpartition("/")[2])
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(
                psycopg.sql.SQL("DROP DATABASE {} WITH (FORCE)").format(psycopg.sql.Identifier(database))
            )


def programs() -> Path | None:
    """Return the folder of the server programs, which distributions keep outside the PATH."""
    folders = [Path(found).parent for found in [shutil.which("initdb")] if found]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        told = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True)
        folders.append(Path(told.stdout.strip()))
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if _complete(folder)), None)


def _complete(folder: Path) -> bool:
    return all((folder / name).exists() for name in ("initdb", "postgres", "pg_isready"))


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run a server from the programs in `folder` until the block ends."""
    with tempfile.TemporaryDirectory(prefix="lifecycle-postgres-") as home:
        # Postgres refuses to run as root.
        owner = _other_user() if os.geteuid() == 0 else None
        if owner is not None:
            os.chown(home, owner.pw_uid, owner.pw_gid)
        given = {} if owner is None else {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        password = secrets.token_hex(8)
        secret = Path(home, "password")
        secret.write_text(password)
        if owner is not None:
            os.chown(secret, owner.pw_uid, owner.pw_gid)
        subprocess.run(
            [
                *(folder / "initdb", "--pgdata", f"{home}/data", "--username", USER, "--pwfile", secret),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"),
            ],
            cwd=home,
            check=True,
            capture_output=True,
            **given,
        )
        port = _free_port()
        log = Path(home, "log")
        with log.open("wb") as written:
            server = subprocess.Popen(
                [
                    *(folder / "postgres", "-D", f"{home}/data", "-p", str(port), "-F", "-k", home),
                    # Far from UTC, so that an instant read as local time shows.
                    *("-c", "listen_addresses=127.0.0.1", "-c", "TimeZone=America/St_Johns"),
                    *("-c", "shared_buffers=32MB", "-c", "max_connections=20"),
                ],
                cwd=home,
                stdout=written,
                stderr=subprocess.STDOUT,
                **given,
            )
        try:
            _wait(folder, port, server, log)
            yield Server(port, password)
        finally:
            server.send_signal(3)  # SIGQUIT: end now, nothing is kept
            server.wait(timeout=30)


def _other_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("Postgres does not run as root, and there is neither a user postgres nor nobody.")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _wait(folder: Path, port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    asked = [folder / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    for _ in range(300):
        if subprocess.run(asked, check=False).returncode == 0:
            return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"Postgres did not start: {log.read_text()[-2000:]}")
