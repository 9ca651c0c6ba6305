"""Every spelling of the settings and of the database's address, and what never shows."""

from __future__ import annotations

import inspect
import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from asyncpg import connect_utils

from mediaq import settings
from mediaq.errors import Rejected
from mediaq.settings import Database, Settings

EXAMPLE = Path(__file__).parents[2] / "deploy" / "env.example"
SECRET = "hunter2-never-shown"
ODD_PASSWORDS = [
    "p@ss:/?#%",
    "%40",
    "a+b c",
    "[x]",
    "пароль",
    "'\"\\$`",
    "&sslmode=disable",
    "tab\tnewline\n",
    "@",
    ":",
]


class Read(NamedTuple):
    """What asyncpg makes of a DSN."""

    addresses: list[Any]
    user: str
    password: str | None
    database: str
    sslmode: str
    server_settings: dict[str, str] | None


def found(**environ: str) -> Database:
    database = settings.database(environ)
    assert database is not None
    return database


def read_by_asyncpg(database: Database) -> Read:
    """Read the DSN as asyncpg itself does when it connects."""
    names = inspect.signature(connect_utils._parse_connect_dsn_and_args).parameters
    addresses, parameters, *_ = connect_utils._parse_connect_dsn_and_args(
        **dict.fromkeys(names) | {"dsn": database.dsn.get_secret_value()}
    )
    return Read(
        addresses,
        parameters.user,
        parameters.password,
        parameters.database,
        parameters.sslmode.name,
        parameters.server_settings,
    )


def read_with(monkeypatch: pytest.MonkeyPatch, **environ: str) -> Settings:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return settings.read()


def refusal(monkeypatch: pytest.MonkeyPatch, **environ: str) -> str:
    with pytest.raises(Rejected) as caught:
        read_with(monkeypatch, **environ)
    return caught.value.message


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting, service or password file of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith(("MEDIAQ_", "MEDIA_ANALYSIS_", "DB_", "PG")) or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


# The database's address


@pytest.mark.parametrize(
    ("prefix", "name"),
    [("MEDIA_ANALYSIS_DB_", "NAME"), ("DB_", "NAME"), ("PG", "DATABASE")],
)
def test_single_variables_make_an_address(prefix: str, name: str) -> None:
    database = found(
        **{
            f"{prefix}HOST": "db.example",
            f"{prefix}PORT": "6543",
            f"{prefix}{name}": "media",
            f"{prefix}USER": "ann",
            f"{prefix}PASSWORD": SECRET,
        }
    )
    read = read_by_asyncpg(database)
    assert read[:4] == ([("db.example", 6543)], "ann", SECRET, "media")
    assert database.source == f"{prefix}*"
    assert database.address == "ann@db.example:6543/media"


@pytest.mark.parametrize(
    "scheme",
    ["postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg", "POSTGRESQL"],
)
def test_a_url_makes_an_address(scheme: str) -> None:
    database = found(DATABASE_URL=f"{scheme}://ann:{SECRET}@db.example:6543/media")
    assert read_by_asyncpg(database)[:4] == ([("db.example", 6543)], "ann", SECRET, "media")
    assert database.source == "DATABASE_URL"
    assert database.address == "ann@db.example:6543/media"


@pytest.mark.parametrize(
    ("query", "sslmode"),
    [
        ("", "prefer"),
        ("?ssl=require", "require"),
        ("?sslmode=disable", "disable"),
        ("?ssl=true", "require"),
        ("?ssl=false", "disable"),
        ("?application_name=x&ssl=prefer", "prefer"),
    ],
)
def test_the_ssl_of_other_drivers_is_understood(query: str, sslmode: str) -> None:
    read = read_by_asyncpg(found(DATABASE_URL=f"postgresql+asyncpg://u:p@h.example:5432/d{query}"))
    assert read.sslmode == sslmode


def test_other_parameters_of_a_url_reach_the_server_unchanged() -> None:
    url = "postgresql://u@h.example/d?application_name=a+b%20c&options=-c%20work_mem%3D8MB"
    database = found(DATABASE_URL=url)
    assert read_by_asyncpg(database).server_settings == {
        "application_name": "a+b c",
        "options": "-c work_mem=8MB",
    }
    # For libpq a plus is a plus; a space must stay %20.
    assert "+" not in database.dsn.get_secret_value()


@pytest.mark.parametrize("password", ODD_PASSWORDS)
@pytest.mark.parametrize("prefix", ["MEDIA_ANALYSIS_DB_", "DB_", "PG"])
def test_odd_passwords_survive_single_variables(prefix: str, password: str) -> None:
    database = found(
        **{f"{prefix}HOST": "h.example", f"{prefix}PASSWORD": password} | {f"{prefix}USER": "u@x:y"}
    )
    read = read_by_asyncpg(database)
    assert (read.user, read.password) == ("u@x:y", password)
    assert read.addresses == [("h.example", 5432)]


@pytest.mark.parametrize("password", ["p%40ss%3A%2F%3F%23%25", "p@ss:%2F%3F%23%25"])
def test_odd_passwords_survive_a_url(password: str) -> None:
    read = read_by_asyncpg(found(DATABASE_URL=f"postgresql://ann:{password}@h.example/d"))
    assert (read.user, read.password) == ("ann", "p@ss:/?#%")
    assert read.addresses == [("h.example", 5432)]


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({"PGHOST": "/run/pg"}, "/run/pg/.s.PGSQL.5432"),
        ({"DB_HOST": "/run/pg", "DB_PORT": "6543"}, "/run/pg/.s.PGSQL.6543"),
        ({"DATABASE_URL": "postgresql:///d?host=/run/pg"}, "/run/pg/.s.PGSQL.5432"),
        ({"DATABASE_URL": "postgresql://u:p@/d?host=/run/pg&port=99"}, "/run/pg/.s.PGSQL.99"),
        ({"DATABASE_URL": "postgresql://u@%2Frun%2Fpg/d"}, "/run/pg/.s.PGSQL.5432"),
        ({"MEDIA_ANALYSIS_DB_HOST": "::1"}, ("::1", 5432)),
        ({"MEDIA_ANALYSIS_DB_HOST": "[::1]"}, ("::1", 5432)),
        ({"DATABASE_URL": "postgresql://u:p@[::1]:6543/d"}, ("::1", 6543)),
        ({"DATABASE_URL": "postgresql://h.example"}, ("h.example", 5432)),
        ({"DATABASE_URL": "postgresql://u:p@h.example/d\n"}, ("h.example", 5432)),
        ({"DB_NAME": "d"}, ("localhost", 5432)),
    ],
)
def test_a_host_may_be_a_socket_an_address_or_left_out(
    environ: dict[str, str], address: object
) -> None:
    assert read_by_asyncpg(found(**environ)).addresses == [address]


def test_several_hosts_keep_their_ports() -> None:
    database = found(DATABASE_URL=f"postgresql://u:{SECRET}@a.example:1111,b.example/d")
    assert read_by_asyncpg(database).addresses == [("a.example", 1111), ("b.example", 5432)]
    assert database.address == "u@a.example:1111,b.example:5432/d"


@pytest.mark.parametrize(
    "environ",
    [
        {"DATABASE_URL": "postgresql://h.example"},
        {"DATABASE_URL": "postgresql://h.example/"},
        {"MEDIA_ANALYSIS_DB_HOST": "h.example"},
        {"PGHOST": "h.example"},
    ],
)
def test_the_name_of_the_database_has_a_default(environ: dict[str, str]) -> None:
    assert read_by_asyncpg(found(**environ)).database == "af-memory"


def test_no_spelling_means_no_address() -> None:
    assert settings.database({}) is None
    assert settings.database({"DATABASE_URL": "", "PGHOST": "", "DB_HOST": ""}) is None


def test_the_first_spelling_found_wins() -> None:
    environ = {
        "DATABASE_URL": "postgresql://one.example/d",
        "MEDIA_ANALYSIS_DB_HOST": "two.example",
        "DB_HOST": "three.example",
        "PGHOST": "four.example",
    }
    hosts = []
    while environ:
        hosts.append(read_by_asyncpg(found(**environ)).addresses[0][0])
        del environ[next(iter(environ))]
    assert hosts == ["one.example", "two.example", "three.example", "four.example"]


def test_one_spelling_is_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    database = found(
        MEDIA_ANALYSIS_DB_HOST="two.example",
        MEDIA_ANALYSIS_DB_USER="ann",
        DB_PASSWORD=SECRET,
        DB_PORT="1111",
        PGDATABASE="other",
    )
    monkeypatch.setenv("PGPORT", "2222")
    read = read_by_asyncpg(database)
    assert read[:4] == ([("two.example", 5432)], "ann", None, "af-memory")
    assert SECRET not in database.dsn.get_secret_value()


def test_a_password_that_is_left_out_is_looked_for_as_psql_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert read_by_asyncpg(found(DATABASE_URL="postgresql://u@h.example/d")).password == SECRET


@pytest.mark.parametrize("prefix", ["MEDIA_ANALYSIS_DB_", "DB_", "PG"])
@pytest.mark.parametrize("port", ["0", "65536", "-1", "5432x", "5 432", "1e3", "٥٤٣٢", "9" * 5000])
def test_a_bad_port_is_one_sentence_without_the_secret(prefix: str, port: str) -> None:
    with pytest.raises(Rejected) as caught:
        found(**{f"{prefix}PORT": port, f"{prefix}PASSWORD": SECRET})
    assert caught.value.message == f"{prefix}*: the port must be a number from 1 to 65535"


@pytest.mark.parametrize(
    "url",
    [
        SECRET,
        f"mysql://u:{SECRET}@h/d",
        f"http://u:{SECRET}@h/d",
        f"postgresql:u:{SECRET}@h/d",
        f"postgresql://u:{SECRET}@h:port/d",
        f"postgresql://u:{SECRET}@h:0/d",
        f"postgresql://u:{SECRET}@h:65536/d",
        f"postgresql://u:{SECRET}@[::1/d",
        f"postgresql://u:{SECRET}@a b/d",
        f"postgresql://u:{SECRET}@a,,b/d",
        f"postgresql://u:{SECRET}@a:1:2/d",
        f"postgresql://u:12/{SECRET}@h/d",
        f"postgresql://u:12?{SECRET}@h/d",
        f"postgresql://u:12#{SECRET}@h/d",
        f"postgresql://u:{SECRET}[@h/d",
        f"postgresql://u:{SECRET}@h/d?nonsense",
        f"postgresql://u:{SECRET}@\u2100/d",
    ],
)
def test_a_bad_url_is_one_sentence_without_the_secret(url: str) -> None:
    with pytest.raises(Rejected) as caught:
        found(DATABASE_URL=url)
    assert re.fullmatch(r"DATABASE_URL: the (address|host|port) must [^\n]+", caught.value.message)
    assert SECRET not in f"{caught.value!r} {caught.value.details}"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("host", ["a b", "u@h", "h/d", "h?x", "h#x", "[::1", "a\nb"])
def test_a_bad_host_is_one_sentence(host: str) -> None:
    with pytest.raises(Rejected, match=r"^DB_\*: the host must be"):
        found(DB_HOST=host, DB_PASSWORD=SECRET)


@pytest.mark.parametrize(
    "environ",
    [
        {"DATABASE_URL": f"postgresql+asyncpg://u:{SECRET}@h.example/d?ssl=require"},
        {"DATABASE_URL": f"postgresql://h.example/d?user=u&password={SECRET}"},
        {"MEDIA_ANALYSIS_DB_PASSWORD": SECRET},
        {"DB_PASSWORD": SECRET, "DB_HOST": "/run/pg"},
        {"PGPASSWORD": SECRET},
    ],
)
def test_the_password_never_shows(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    database = found(**environ)
    assert SECRET in database.dsn.get_secret_value()
    shown = [
        repr(database),
        str(database),
        f"{database}",
        database.model_dump_json(),
        json.dumps(database.model_dump(), default=str),
        database.address,
    ]
    whole = read_with(monkeypatch, **environ)
    shown += [repr(whole), str(whole), whole.model_dump_json()]
    assert not [text for text in shown if SECRET in text]


# The settings


def test_defaults_hold_without_any_variable() -> None:
    read = settings.read()
    assert (read.pool_size, read.max_overflow, read.port) == (5, 10, 8001)
    assert read.storage == read.home / "storage"


@pytest.mark.parametrize(
    ("environ", "field", "value"),
    [
        ({"MEDIAQ_POOL_SIZE": "7"}, "pool_size", 7),
        ({"MEDIA_ANALYSIS_DB_POOL_SIZE": "8"}, "pool_size", 8),
        ({"MEDIA_ANALYSIS_DB_POOL_SIZE": "8", "MEDIAQ_POOL_SIZE": "7"}, "pool_size", 7),
        ({"MEDIA_ANALYSIS_DB_MAX_OVERFLOW": "0"}, "max_overflow", 0),
        ({"MEDIAQ_MAX_OVERFLOW": "20"}, "max_overflow", 20),
        ({"PORT": "9000"}, "port", 9000),
        ({"PORT": "9000", "MEDIAQ_PORT": "9001"}, "port", 9001),
        ({"PORT": "9000", "MEDIAQ_PORT": ""}, "port", 9000),
        ({"POOL_SIZE": "7"}, "pool_size", 5),
        ({"HOST": "0.0.0.0"}, "host", "127.0.0.1"),  # noqa: S104 - not listened on
        ({"MEDIAQ_QUEUES": " video, auto,"}, "queues", ("video", "auto")),
        (
            {"MEDIAQ_FETCH_ALLOW": "media.internal,10.0.0.0/8"},
            "fetch_allow",
            ("media.internal", "10.0.0.0/8"),
        ),
        ({"MEDIAQ_MEDIA_ROOTS": "/a b:/c,d:"}, "media_roots", (Path("/a b"), Path("/c,d"))),
        ({"MEDIAQ_STORAGE_DIR": "/s"}, "storage", Path("/s")),
    ],
)
def test_a_variable_fills_its_field(
    environ: dict[str, str], field: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert getattr(read_with(monkeypatch, **environ), field) == value


def test_a_misspelt_name_is_told_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(monkeypatch, MEDIAQ_MAX_ATEMPTS=SECRET)
    assert (
        told == "MEDIAQ_MAX_ATEMPTS is not a setting of mediaq; did you mean MEDIAQ_MAX_ATTEMPTS?"
    )


def test_a_name_near_to_none_is_told_where_all_are(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(monkeypatch, MEDIAQ_XYZZY=SECRET)
    assert told == "MEDIAQ_XYZZY is not a setting of mediaq; see deploy/env.example for all"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"),
        ("MEDIAQ_PORT", "http"),
        ("MEDIAQ_POOL_SIZE", "0"),
        ("MEDIA_ANALYSIS_DB_POOL_SIZE", SECRET),
        ("MEDIAQ_MAX_OVERFLOW", "-1"),
        ("MEDIAQ_CONCURRENCY", "65"),
        ("MEDIAQ_FETCH_TIMEOUT", "nan"),
        ("MEDIAQ_RETRY_DELAY", "0"),
        ("MEDIAQ_LOG_LEVEL", SECRET),
        ("MEDIAQ_LOG_FORMAT", "xml"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_the_variable_alone(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = refusal(monkeypatch, **{name: value})
    assert told.startswith(f"{name} does not fit: input should be ")
    assert SECRET not in told
    assert "\n" not in told


# What is written about them


def written() -> dict[str, str]:
    """Name every assignment of the example, with the comment lines above it."""
    assignments, comments = {}, ""
    for line in EXAMPLE.read_text().splitlines():
        if assigned := re.fullmatch(r"#([A-Z][A-Z_]+)=(.*)", line):
            assert assigned[1] not in assignments
            assert assigned[2]
            assignments[assigned[1]], comments = comments, ""
        elif line.startswith("# "):
            comments += line.removeprefix("#")
        else:
            assert not line or line.startswith("#  "), line
            comments = comments if line else ""
    return assignments


def test_the_example_holds_every_setting_and_every_spelling_and_nothing_else() -> None:
    spelt = {prefix + key for prefix, keys in settings.SPELLINGS for key in keys}
    assert written().keys() == settings.variables().keys() | spelt | {"DATABASE_URL"}


def test_every_setting_of_the_example_is_explained() -> None:
    assert not [name for name, comment in written().items() if not comment.strip()]


def test_the_example_shows_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    defaults = settings.read()
    shown = dict(re.findall(r"^#([A-Z_]+)=(.+)$", EXAMPLE.read_text(), re.MULTILINE))
    shown["MEDIAQ_HOME"] = shown["MEDIAQ_HOME"].replace("~", str(tmp_path))
    example = read_with(monkeypatch, **{n: shown[n] for n in settings.variables()})
    examples = {
        *("storage_dir", "ffmpeg", "whisper_model", "pg_bin_dir", "media_roots", "fetch_allow"),
        "queues",
        *("webhook_secret", "webhook_secret_file"),
        "keep_requests_days",
    }
    assert example.model_dump(exclude=examples) == defaults.model_dump(exclude=examples)
    for field in examples:
        assert not getattr(defaults, field)
        assert getattr(example, field)


def test_the_example_holds_no_password() -> None:
    shown = re.findall(r"^#\w*PASSWORD=(.+)$", EXAMPLE.read_text(), re.MULTILINE)
    assert set(shown) == {"password"}
