"""The HTTP API from outside: every route, every refusal, and a database that goes away."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import pytest
from aiohttp import ClientResponse, test_utils
from pydantic import SecretStr

import mediaq
from mediaq import db, events, store
from mediaq.api import app, bodies, context
from mediaq.api.context import Context
from mediaq.events import Bells
from mediaq.model import Event
from mediaq.settings import Database
from tests.flow.test_options import judged
from tests.unit.test_options import BAD

Client = test_utils.TestClient[Any, Any]

URL = "http://media.example/clip.mp4"
SECRET = "hunter2-never-shown"
PROBLEM = "application/problem+json"


@asynccontextmanager
async def serving(pool: db.Pool, bells: Bells) -> AsyncIterator[Client]:
    """A real server on a free port, and a client of it."""
    server = test_utils.TestServer(app.make(Context(pool, bells)), host="127.0.0.1")
    async with test_utils.TestClient(server) as client:
        yield client


@pytest.fixture
async def api(pool: db.Pool, bells: Bells) -> AsyncIterator[Client]:
    async with serving(pool, bells) as client:
        yield client


@pytest.fixture(scope="module")
async def refusing(
    server: Database, admin: asyncpg.Connection, template: str
) -> AsyncIterator[Client]:
    """An API that all tests of refusals share: none of them may leave a row."""
    await admin.execute(f"CREATE DATABASE refusals TEMPLATE {template}")
    parts = urlsplit(server.dsn.get_secret_value())._replace(path="/refusals")
    database = Database(dsn=SecretStr(parts.geturl()), source="test")
    async with (
        db.pool(database, name="test", size=1, overflow=2) as pool,
        events.bells(database) as bells,
        serving(pool, bells) as client,
    ):
        yield client
    await admin.execute("DROP DATABASE refusals WITH (FORCE)")


async def posted(api: Client, route: str = "analyze", **body: Any) -> dict[str, Any]:
    """Submit a request that is accepted."""
    async with api.post(f"/api/media/{route}", json=body) as response:
        assert response.status == 202, await response.text()
        assert response.content_type == "application/json"
        answer: dict[str, Any] = await response.json()
    assert response.headers["Location"] == f"/api/media/status/{answer['request_id']}"
    return answer


async def got(api: Client, path: str) -> dict[str, Any]:
    async with api.get(path) as response:
        assert response.status == 200, await response.text()
        answer: dict[str, Any] = await response.json()
    return answer


async def status_of(api: Client, request_id: str) -> dict[str, Any]:
    return await got(api, f"/api/media/status/{request_id}")


async def listed(api: Client, query: str = "") -> list[str]:
    answer = await got(api, f"/api/media/requests{query}")
    ids = [request["request_id"] for request in answer["requests"]]
    assert answer["count"] == len(ids)
    return ids


async def problem(response: ClientResponse, status: int) -> dict[str, Any]:
    """Read an answer that must be a problem of this status, in one sentence and without leaks."""
    text = await response.text()
    assert response.status == status, text
    assert response.content_type == PROBLEM
    answer: dict[str, Any] = json.loads(text)
    assert answer["type"] == "about:blank"
    assert answer["status"] == status
    assert answer["title"] == response.reason
    assert answer["detail"].isprintable()
    assert len(answer["detail"]) < 500
    assert answer.keys() <= {"type", "title", "status", "detail", "errors"}
    for leak in ("Traceback", 'File "', ".py", "asyncpg", "pydantic"):
        assert leak not in text
    return answer


async def refused(
    api: Client, body: object, *, status: int = 422, route: str = "analyze"
) -> dict[str, Any]:
    """Submit what must be refused; bytes go as they are. Nothing is inserted."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    async with api.post(f"/api/media/{route}", data=io.BytesIO(data), headers=headers) as response:
        answer = await problem(response, status)
    assert await listed(api) == []
    return answer


# Submitting


@pytest.mark.parametrize(
    ("route", "body", "media_type", "url", "path"),
    [
        ("analyze", {"media_url": URL}, "auto", URL, None),
        ("analyze", {"media_path": "a.mp4"}, "auto", None, "a.mp4"),
        ("analyze", {"media_path": "a.mp4", "media_type": "video"}, "video", None, "a.mp4"),
        ("analyze", {"media_path": "a.mp4", "media_type": None}, "auto", None, "a.mp4"),
        ("analyze", {"media_path": "a", "media_url": "", "prompt": ""}, "auto", None, "a"),
        ("video", {"media_url": URL}, "video", URL, None),
        ("video", {"video_url": URL}, "video", URL, None),
        ("video", {"video_path": "a.mp4"}, "video", None, "a.mp4"),
        ("video", {"video_url": URL, "media_path": "a.mp4"}, "video", URL, "a.mp4"),
        ("video", {"video_url": URL, "media_url": URL}, "video", URL, None),
        ("video", {"video_url": URL, "media_url": None}, "video", URL, None),
        ("video", {"video_url": URL, "media_type": "video"}, "video", URL, None),
    ],
)
async def test_a_request_is_accepted_and_stored(
    api: Client, route: str, body: dict[str, Any], media_type: str, url: str, path: str
) -> None:
    accepted = await posted(api, route, **body)
    assert accepted.keys() == {"request_id", "status", "media_type", "created_at"}
    assert (accepted["status"], accepted["media_type"]) == ("pending", media_type)
    assert datetime.fromisoformat(accepted["created_at"]).tzinfo
    stored = await status_of(api, accepted["request_id"])
    assert (stored["media_url"], stored["media_path"]) == (url, path)
    assert (stored["status"], stored["media_type"]) == ("pending", media_type)
    assert stored["source_endpoint"] == f"/api/media/{route}"


async def test_everything_that_a_client_says_is_kept(api: Client) -> None:
    said = {
        "media_path": 'it\'s "odd" \\ / \N{CLAPPER BOARD}\n.mp4',
        "prompt": "Что это? " * 100,
        "options": {"grid": "4x6", "frames": 48.0, "timestamps": False},
        "user_metadata": {"nested": [{"deep": [1, 2.5, True, None, "\\u0000"]}], "big": 10**30},
        "priority": -1000,
        "callback_url": "https://client.example/hook",
        "created_by": "n8n",
    }
    accepted = await posted(api, **said, run_after="2999-01-01T00:00:00+02:00")
    stored = await status_of(api, accepted["request_id"])
    assert {name: stored[name] for name in said} == said
    assert datetime.fromisoformat(stored["run_after"]) == datetime(2998, 12, 31, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/x-www-form-urlencoded",
        "application/vnd.api+json",
        None,
    ],
)
async def test_json_is_read_as_curl_and_others_send_it(
    api: Client, content_type: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    async with api.post(
        "/api/media/video",
        data=json.dumps({"video_url": URL}).encode(),
        headers=headers,
        skip_auto_headers=["Content-Type"],
    ) as response:
        assert response.status == 202, await response.text()


async def test_a_compressed_body_is_read(api: Client) -> None:
    async with api.post(
        "/api/media/analyze",
        data=gzip.compress(json.dumps({"media_url": URL}).encode()),
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ) as response:
        assert response.status == 202, await response.text()


# Waiting for the end


async def test_a_preferred_wait_is_answered_with_the_finished_request(
    api: Client, worker: None, video: Path
) -> None:
    options = {"grid": "2x2", "format": "png", "want": ["contact_sheets"]}
    body = {"video_path": video.name, "options": options}
    async with api.post(
        "/api/media/video", json=body, headers={"Prefer": "respond-async, wait=100"}
    ) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Preference-Applied"] == "wait=100"
        done = await response.json()
    assert response.headers["Location"].endswith(done["request_id"])
    assert done == await status_of(api, done["request_id"])
    assert (done["status"], done["error_message"], done["attempt"]) == ("completed", None, 1)
    assert done["completed_at"]
    assert done["processing_time_ms"] > 0
    assert [step["step"] for step in done["steps"]] == ["metadata", "contact_sheets"]


async def test_a_finished_request_shows_what_was_made(
    api: Client, worker: None, video: Path
) -> None:
    body = {"video_path": video.name, "options": {"grid": "2x2", "want": ["contact_sheets"]}}
    async with api.post("/api/media/video", json=body, headers={"Prefer": "wait=100"}) as response:
        done = await response.json()
    (result,) = done["results"]
    assert result["result_type"] == "metadata_extraction"
    assert result["provider"] == "internal"
    assert "36.0 s, 1280x720" in result["content"]
    assert result["content_json"]["duration_seconds"] > 0
    assert result["confidence"] is None
    assert "confidence_score" not in result

    files = {
        kind: [f for f in done["files"] if f["file_type"] == kind]
        for kind in ("contact_sheet", "frame", "thumbnail", "preview")
    }
    assert [len(found) for found in files.values()] == [1, 4, 1, 1]
    for file in done["files"]:
        assert Path(file["file_path"]).stat().st_size == file["file_size_bytes"]
        assert len(file["checksum"]) == 64
        mime_type = "image/webp" if file["file_type"] == "preview" else "image/jpeg"
        assert (file["mime_type"], file["storage_location"]) == (mime_type, "local")
    assert [frame["sequence_order"] for frame in files["frame"]] == [1, 2, 3, 4]

    (sheet,) = done["contact_sheets"]
    assert sheet["file_path"] == files["contact_sheet"][0]["file_path"]
    assert sheet["file_id"] == files["contact_sheet"][0]["file_id"]
    assert (sheet["grid_cols"], sheet["grid_rows"], sheet["frame_count"]) == (2, 2, 4)
    assert (sheet["sheet_number"], sheet["total_sheets"]) == (1, 1)


async def test_a_wait_also_ends_with_a_failure(api: Client, worker: None) -> None:
    body = {"video_path": "none.mp4"}
    async with api.post("/api/media/video", json=body, headers={"Prefer": "wait=100"}) as response:
        assert response.status == 200
        done = await response.json()
    assert done["status"] == "failed"
    assert "'none.mp4' is not a file below the media roots" in done["error_message"]
    assert (done["results"], done["files"], done["contact_sheets"]) == ([], [], [])


async def test_a_wait_also_ends_with_a_cancellation(
    api: Client, pool: db.Pool, bells: Bells
) -> None:
    waiting = asyncio.create_task(
        api.post("/api/media/analyze", json={"media_url": URL}, headers={"Prefer": "wait=100"})
    )
    with bells.waiter() as rung:
        while not await listed(api):
            await rung.wait()
            rung.clear()
    await pool.execute("UPDATE media_analysis_requests SET status = 'cancelled'")
    async with await waiting as response:
        assert response.status == 200
        assert (await response.json())["status"] == "cancelled"


@pytest.mark.parametrize("prefer", ["wait=0", 'wait="0"', "respond-async; wait=0", "WAIT=0"])
async def test_a_wait_that_is_over_is_answered_with_what_was_accepted(
    api: Client, prefer: str
) -> None:
    body = {"media_url": URL}
    async with api.post("/api/media/analyze", json=body, headers={"Prefer": prefer}) as response:
        assert response.status == 202
        assert response.headers["Preference-Applied"] == "wait=0"
        accepted = await response.json()
    assert accepted["status"] == "pending"
    assert response.headers["Location"] == f"/api/media/status/{accepted['request_id']}"


@pytest.mark.parametrize("prefer", ["", "respond-async", "wait", "wait=", "wait=x", "await=5"])
async def test_another_preference_is_no_wait(api: Client, prefer: str) -> None:
    body = {"media_url": URL}
    async with api.post("/api/media/analyze", json=body, headers={"Prefer": prefer}) as response:
        assert response.status == 202
        assert "Preference-Applied" not in response.headers


# Reading


async def test_a_list_is_newest_first_and_can_be_narrowed(api: Client, pool: db.Pool) -> None:
    assert await got(api, "/api/media/requests") == {"requests": [], "count": 0}
    ids = [(await posted(api, media_path=str(n)))["request_id"] for n in range(4)]
    ids.append((await posted(api, "video", video_path="v"))["request_id"])
    await pool.execute(
        "UPDATE media_analysis_requests SET status = 'cancelled' WHERE request_id = $1",
        UUID(ids[1]),
    )
    newest = ids[::-1]
    assert await listed(api) == newest
    assert await listed(api, "?limit=2") == newest[:2]
    assert await listed(api, "?limit=2&offset=2") == newest[2:4]
    assert await listed(api, "?offset=5") == []
    assert await listed(api, "?media_type=video") == [ids[4]]
    assert await listed(api, "?status=cancelled") == [ids[1]]
    assert await listed(api, "?status=pending&media_type=auto") == [ids[3], ids[2], ids[0]]
    assert await listed(api, "?status=&limit=") == newest


async def test_a_list_and_a_status_tell_the_same(api: Client) -> None:
    request_id = (await posted(api, media_url=URL))["request_id"]
    (entry,) = (await got(api, "/api/media/requests"))["requests"]
    detail = await status_of(api, request_id)
    lists = ("results", "files", "contact_sheets", "steps", "attempts", "deliveries")
    assert {name: detail.pop(name) for name in lists} == {name: [] for name in lists}
    assert entry == detail


async def test_a_result_shows_its_confidence_as_a_number(api: Client, pool: db.Pool) -> None:
    request_id = (await posted(api, media_url=URL))["request_id"]
    await pool.execute(
        "INSERT INTO media_analysis_results"
        " (request_id, result_type, provider, content, confidence_score)"
        " VALUES ($1, 'transcription', 'deepgram', 'hello', 0.9876)",
        UUID(request_id),
    )
    (result,) = (await status_of(api, request_id))["results"]
    assert (result["confidence"], result["content"]) == (0.9876, "hello")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "limit=1.5",
        "limit=99999999999999999999",
        "offset=-1",
        "offset=99999999999999999999",
        "status=done",
        "status=%00",
        "media_type=film",
        "limits=5",
        "order=asc",
        "a/b~c=1",
    ],
)
async def test_a_bad_query_is_refused(refusing: Client, query: str) -> None:
    async with refusing.get(f"/api/media/requests?{query}") as response:
        answer = await problem(response, 422)
    assert answer["detail"].startswith("the query does not fit at /")


@pytest.mark.parametrize(
    "text", ["x", "1", "%00", "%ff", "..%2f", "0" * 32 + "1", str(uuid4()), "x" * 5000]
)
async def test_a_request_that_does_not_exist_is_not_found(refusing: Client, text: str) -> None:
    async with refusing.get(f"/api/media/status/{text}") as response:
        answer = await problem(response, 404)
    assert "no request has the id" in answer["detail"]


# Refusals


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{'media_url': 1}",
        b"null",
        b"true",
        b"5",
        b'"media_url"',
        b"[]",
        b'[{"media_url": "http://x.example"}]',
        b"media_url=http://x.example",
        b'{"media_url": "http://x.example"} {}',
        b'{"media_url": "\xff\xfe"}',
        b'{"media_url": "\\ud800"}',
        b'{"user_metadata": {"\\udfff": 1}}',
        b'{"user_metadata": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"user_metadata": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
        "{}".encode("utf-16"),
    ],
    ids=lambda body: ascii(body[:40]),
)
async def test_what_is_no_json_object_is_refused(refusing: Client, body: bytes) -> None:
    answer = await refused(refusing, body, status=400)
    assert answer["detail"].startswith("the body is not a JSON object: ")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"media_url": 5}, "/media_url"),
        ({"media_url": ["http://x.example"]}, "/media_url"),
        ({"media_url": "http://x.example/\0"}, "/media_url"),
        ({"media_url": "http://x.example/" + "x" * 8192}, "/media_url"),
        ({"media_path": {}}, "/media_path"),
        ({"media_path": "a\0b"}, "/media_path"),
        ({"media_type": "film"}, "/media_type"),
        ({"media_type": ["video"]}, "/media_type"),
        ({"prompt": 5}, "/prompt"),
        ({"prompt": "a\0"}, "/prompt"),
        ({"prompt": "x" * 100_001}, "/prompt"),
        ({"options": {"grid": "2x3\0"}}, "/options"),
        ({"options": {"frames": float("inf")}}, "/options"),
        ({"user_metadata": []}, "/user_metadata"),
        ({"user_metadata": "x"}, "/user_metadata"),
        ({"user_metadata": {"a": ["\0"]}}, "/user_metadata"),
        ({"user_metadata": {"a": {"\0": 1}}}, "/user_metadata"),
        ({"user_metadata": {"a": float("nan")}}, "/user_metadata"),
        ({"user_metadata": {"a": [float("inf")]}}, "/user_metadata"),
        ({"user_metadata": {"a": 10**1000}}, "/user_metadata"),
        ({"priority": 1001}, "/priority"),
        ({"priority": 10**30}, "/priority"),
        ({"priority": "5"}, "/priority"),
        ({"priority": True}, "/priority"),
        ({"priority": 1.5}, "/priority"),
        ({"run_after": "2030-01-01T00:00:00"}, "/run_after"),
        ({"run_after": "tomorrow"}, "/run_after"),
        ({"run_after": "2030-01-01"}, "/run_after"),
        ({"run_after": "9999-12-31T23:59:59-12:00"}, "/run_after"),
        ({"run_after": "0001-01-01T00:00:00+12:00"}, "/run_after"),
        ({"run_after": 10**30}, "/run_after"),
        ({"callback_url": 5}, "/callback_url"),
        ({"created_by": "x" * 101}, "/created_by"),
        ({"created_by": "\0"}, "/created_by"),
        ({"request_id": str(UUID(int=1))}, "/request_id"),
        ({"status": "completed"}, "/status"),
        ({"source_endpoint": "x"}, "/source_endpoint"),
    ],
    ids=lambda value: ascii(value)[:50],
)
async def test_a_field_that_does_not_fit_is_pointed_at(
    refusing: Client, change: dict[str, Any], pointer: str
) -> None:
    answer = await refused(refusing, {"media_url": URL} | change)
    assert [error["pointer"] for error in answer["errors"]] == [pointer]
    assert (
        answer["detail"] == f"the body does not fit at {pointer}: {answer['errors'][0]['detail']}"
    )


async def test_every_field_that_does_not_fit_is_pointed_at(refusing: Client) -> None:
    answer = await refused(refusing, {"media_url": 5, "priority": "x", "nonsense": 1})
    assert {error["pointer"] for error in answer["errors"]} == {
        "/media_url",
        "/priority",
        "/nonsense",
    }


@pytest.mark.parametrize(
    ("body", "route", "hint"),
    [
        ({"media_urls": URL}, "analyze", "did you mean media_url?"),
        ({"mediaUrl": URL}, "analyze", "did you mean media_url?"),
        ({"video_url": URL}, "analyze", "did you mean media_url?"),
        ({"promt": "x"}, "analyze", "did you mean prompt?"),
        ({"Priority": 5}, "analyze", "did you mean priority?"),
        ({"xyzzy": 5}, "analyze", "known are media_type, media_url, media_path,"),
        ({"audio_url": URL}, "video", "did you mean media_url?"),
    ],
)
async def test_an_unknown_name_is_told_the_nearest(
    refusing: Client, body: dict[str, Any], route: str, hint: str
) -> None:
    answer = await refused(refusing, {"media_path": "x"} | body, route=route)
    assert hint in answer["detail"]


@pytest.mark.parametrize("route", ["analyze", "video"])
@pytest.mark.parametrize(
    "body", [{}, {"media_url": None}, {"media_url": "", "media_path": ""}, {"prompt": "what?"}]
)
async def test_a_request_without_a_source_is_refused(
    refusing: Client, route: str, body: dict[str, Any]
) -> None:
    answer = await refused(refusing, body, route=route)
    assert "give media_url (http or https) or media_path" in answer["detail"]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x.example", "x", "http://", "javascript:alert(1)"]
)
@pytest.mark.parametrize("field", ["media_url", "callback_url"])
async def test_an_address_that_is_not_http_is_refused_in_the_words_of_the_database(
    refusing: Client, field: str, url: str
) -> None:
    answer = await refused(refusing, {"media_path": "x", field: url})
    assert answer["detail"].startswith(f"{field} must start with http:// or https://")


@pytest.mark.parametrize(
    "body",
    [
        {"video_url": URL, "media_url": "http://other.example"},
        {"video_url": URL, "media_url": {}},
        {"video_url": [], "media_url": URL},
        {"video_path": "a", "media_path": "b"},
        {"video_url": URL, "media_type": "audio"},
        {"video_url": URL, "media_type": "auto"},
        {"video_url": URL, "media_type": ["video"]},
        {"video_url": {}},
        {"audio_url": URL},
    ],
)
async def test_the_route_of_a_media_type_refuses_contradictions(
    refusing: Client, body: dict[str, Any]
) -> None:
    await refused(refusing, body, route="video")


async def test_a_routes_own_spelling_is_pointed_at(refusing: Client) -> None:
    answer = await refused(refusing, {"video_url": 5}, route="video")
    assert answer["errors"][0]["pointer"] == "/video_url"


async def test_options_are_refused_in_the_words_of_the_database(
    refusing: Client, pool: db.Pool
) -> None:
    for text, sentence in (await judged(pool, BAD)).items():
        if text == "null":
            continue  # says nothing, here as in SQL
        body = f'{{"media_url": "{URL}", "options": {text}}}'.encode()
        async with refusing.post("/api/media/analyze", data=body) as response:
            answer = await problem(response, 422)
        if re.search("NaN|Infinity|e3000|u0000", text):
            # Beyond Python's floats or PostgreSQL's texts: no rule is reached.
            assert answer["detail"].startswith("the body does not fit at /options: ")
        else:
            # Python writes a number in another way, such as 0.0 for 1e-400.
            assert answer["detail"].split(", not ")[0] == (sentence or "").split(", not ")[0]
    assert await listed(refusing) == []


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ([], "/options"),
        ({"frames": 10**40}, "/options/frames"),
        ({"timestamps": True, "grid": None}, "/options/grid"),
        ({"frames": 5, "interval_seconds": 5}, "/options"),
        ({"a/b~c": 5}, "/options/a~1b~0c"),
    ],
    ids=str,
)
async def test_an_option_that_is_refused_is_pointed_at(
    refusing: Client, options: object, pointer: str
) -> None:
    answer = await refused(refusing, {"media_url": URL, "options": options})
    assert answer["errors"] == [{"pointer": pointer, "detail": answer["detail"]}]


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", "image/png"])
async def test_another_content_type_is_refused(refusing: Client, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    async with refusing.post("/api/media/analyze", data=b"{}", headers=headers) as response:
        answer = await problem(response, 415)
    assert "send application/json" in answer["detail"]


async def test_a_body_above_the_limit_is_refused(refusing: Client) -> None:
    answer = await refused(refusing, b" " * (bodies.MAX_BODY + 1), status=413)
    assert str(bodies.MAX_BODY) in answer["detail"]


async def test_a_body_that_grows_above_the_limit_is_refused(refusing: Client) -> None:
    async with refusing.post(
        "/api/media/analyze",
        data=gzip.compress(bytes(50 * bodies.MAX_BODY)),
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ) as response:
        await problem(response, 413)


async def test_a_body_that_is_not_compressed_as_it_says_is_refused(refusing: Client) -> None:
    async with refusing.post(
        "/api/media/analyze",
        data=b"not gzip",
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ) as response:
        assert response.status == 400
        assert "Traceback" not in await response.text()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/media/",
        "/api/media/film",
        "/api/media/status/",
        "/%00",
        "/\N{CLAPPER BOARD}",
    ],
)
async def test_a_path_that_leads_nowhere_is_not_found(refusing: Client, path: str) -> None:
    async with refusing.get(path) as response:
        await problem(response, 404)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/api/media/video", "POST"),
        ("PUT", "/api/media/analyze", "POST"),
        ("DELETE", f"/api/media/status/{UUID(int=1)}", "GET, HEAD"),
        ("POST", "/api/media/requests", "GET, HEAD"),
        ("OPTIONS", "/health", "GET, HEAD"),
        ("POST", "/api/media/events", "GET, HEAD"),
        ("DELETE", f"/api/media/{UUID(int=1)}/events", "GET, HEAD"),
    ],
)
async def test_a_method_that_is_not_taken_is_told_which_are(
    refusing: Client, method: str, path: str, allow: str
) -> None:
    async with refusing.request(method, path) as response:
        answer = await problem(response, 405)
    assert response.headers["Allow"] == allow
    assert allow in answer["detail"]


async def test_an_unforeseen_error_says_nothing_of_itself(
    refusing: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: db.Pool) -> None:
        raise KeyError(SECRET)

    monkeypatch.setattr(store, "queue_depth", broken)
    async with refusing.get("/health") as response:
        answer = await problem(response, 500)
    assert SECRET not in str(answer)


# Health, and a database that is away


async def test_health_tells_how_much_waits(api: Client) -> None:
    assert await got(api, "/health") == {
        "version": mediaq.__version__,
        "status": "ok",
        "database": "ok",
        "queue": {"pending": 0, "processing": 0, "oldest_pending_seconds": 0.0},
    }
    await posted(api, media_url=URL)
    queue = (await got(api, "/health"))["queue"]
    assert queue["pending"] == 1
    assert queue["oldest_pending_seconds"] >= 0


class Proxy:
    """A TCP proxy before the database, which can lose it."""

    def __init__(self, database: Database) -> None:
        self.target = urlsplit(database.dsn.get_secret_value())
        self.silent = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def database(self) -> Database:
        login = self.target.netloc.rpartition("@")[0]
        parts = self.target._replace(netloc=f"{login}@127.0.0.1:{self.port}")
        return Database(dsn=SecretStr(parts.geturl()), source="test")

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuse connections and reset those that are open."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(self.target.hostname, self.target.port)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers |= {writer, there[1]}
        await asyncio.gather(self._pump(reader, there[1]), self._pump(there[0], writer))
        self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if not self.silent:
                    writer.write(data)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        self._writers.discard(writer)


@pytest.fixture
async def proxy(database: Database) -> AsyncIterator[Proxy]:
    made = Proxy(database)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def far_api(proxy: Proxy, bells: Bells) -> AsyncIterator[Client]:
    """An API that reaches its database through the proxy."""
    async with (
        db.pool(proxy.database, name="test far", size=1, overflow=2) as pool,
        serving(pool, bells) as client,
    ):
        yield client


async def unavailable(response: ClientResponse) -> None:
    answer = await problem(response, 503)
    assert int(response.headers["Retry-After"]) > 0
    assert "database" in answer["detail"]


async def every_route_is_unavailable(api: Client) -> None:
    async with api.get(f"/api/media/status/{UUID(int=1)}") as response:
        await unavailable(response)
    async with api.get("/api/media/requests") as response:
        await unavailable(response)
    async with api.get("/api/media/events") as response:
        await unavailable(response)
    async with api.get(f"/api/media/{UUID(int=1)}/events") as response:
        await unavailable(response)
    body, headers = {"media_url": URL}, {"Prefer": "wait=100"}
    async with api.post("/api/media/analyze", json=body, headers=headers) as response:
        await unavailable(response)
    async with api.get("/health") as response:
        assert response.status == 503
        assert int(response.headers["Retry-After"]) > 0
        assert (await response.json())["database"] == "unreachable"


async def test_a_database_that_is_gone_is_told_and_comes_back(
    far_api: Client, proxy: Proxy
) -> None:
    await posted(far_api, media_url=URL)
    await proxy.close()
    await every_route_is_unavailable(far_api)
    await proxy.open()
    assert len(await listed(far_api)) == 1


async def test_a_database_that_falls_silent_is_told(
    far_api: Client, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "PATIENCE", 0.05)
    proxy.silent = True
    await every_route_is_unavailable(far_api)
    # What still waits for an answer ends with the connection.
    await proxy.close()
    proxy.silent = False
    await proxy.open()


async def test_a_request_that_was_accepted_stays_so_when_the_database_goes_while_it_waits(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: object) -> AsyncIterator[Event]:
        raise asyncpg.ConnectionDoesNotExistError
        yield

    monkeypatch.setattr(events, "of_request", gone)
    body, headers = {"media_url": URL}, {"Prefer": "wait=100"}
    async with api.post("/api/media/analyze", json=body, headers=headers) as response:
        assert response.status == 202
        accepted = await response.json()
    assert await listed(api) == [accepted["request_id"]]


async def test_connections_that_the_server_ends_are_replaced(
    api: Client, pool: db.Pool, admin: asyncpg.Connection, database: Database
) -> None:
    await posted(api, media_url=URL)
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
        urlsplit(database.dsn.get_secret_value()).path[1:],
    )
    while True:
        async with api.get("/health") as response:
            assert response.status in {200, 503}
            if response.status == 200:
                break
    assert len(await listed(api)) == 1


async def test_a_server_that_takes_no_connections_is_unavailable(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (
        asyncpg.CannotConnectNowError,
        asyncpg.AdminShutdownError,
        asyncpg.TooManyConnectionsError,
        asyncpg.ConnectionDoesNotExistError,
        asyncpg.InternalClientError,
        TimeoutError,
    ):
        await fails_with(api, monkeypatch, error(SECRET), unavailable)


async def test_a_database_without_tables_is_unavailable(
    empty_database: Database, bells: Bells
) -> None:
    async with (
        db.pool(empty_database, name="test", size=1, overflow=1) as pool,
        serving(pool, bells) as api,
    ):
        for path in ("/api/media/requests", "/health"):
            async with api.get(path) as response:
                answer = await problem(response, 503)
            assert "mediaq migrate" in answer["detail"]


async def fails_with(
    api: Client,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    check: Callable[[ClientResponse], Any],
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(store, "list_requests", fail)
        async with api.get("/api/media/requests") as response:
            assert SECRET not in await response.text()
            await check(response)


# The server itself


@asynccontextmanager
async def served(pool: db.Pool, bells: Bells) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """An API that serves as `mediaq api` does: its address, and what stops it."""
    stop, url = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        app.serve(Context(pool, bells), host="127.0.0.1", port=0, stop=stop, ready=url.set_result)
    )
    try:
        yield await url, stop
    finally:
        stop.set()
        await task


async def test_serving_tells_its_address_and_stops_when_asked(pool: db.Pool, bells: Bells) -> None:
    async with served(pool, bells) as (url, _):
        async with aiohttp.ClientSession() as session, session.get(f"{url}/health") as response:
            assert response.status == 200
        port = urlsplit(url).port
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_client_that_waits_when_the_server_stops_learns_what_was_accepted(
    pool: db.Pool, bells: Bells
) -> None:
    body, headers = {"media_url": URL}, {"Prefer": "wait=100"}
    async with served(pool, bells) as (url, stop), aiohttp.ClientSession() as session:
        waiting = asyncio.create_task(
            session.post(f"{url}/api/media/analyze", json=body, headers=headers)
        )
        with bells.waiter() as rung:
            while not await pool.fetchval("SELECT count(*) FROM media_analysis_requests"):
                await rung.wait()
                rung.clear()
        stop.set()
        async with await waiting as response:
            assert response.status == 202
            assert (await response.json())["status"] == "pending"


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"nonsense\r\n\r\n", "cannot be read as HTTP: Invalid"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "HTTPS traffic on an HTTP port"),
        (b"GET / HTTP/9.9\r\n\r\n", "Invalid HTTP version"),
        (b"GET / HTTP/1.1\r\nno header\r\n\r\n", "Invalid header"),
        (b"GET / HTTP/1.1\r\nA\0: 1\r\n\r\n", "Invalid header"),
        (b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n", "cannot be read as HTTP"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "Duplicate 'Host' header"),
        (b"GET / HTTP/1.1\r\n" + b"A: 1\r\n" * 200 + b"\r\n", "Too many headers"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 9000 + b"\r\n\r\n", "at most 8190 bytes"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", "at most 8190 bytes"),
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_malformed_http_is_answered_with_a_problem_and_closed(
    pool: db.Pool, bells: Bells, raw: bytes, found: str
) -> None:
    async with served(pool, bells) as (url, _), asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(raw)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    status, *headers = head.decode().lower().split("\r\n")
    assert status.endswith(" 400 bad request")
    assert f"content-type: {PROBLEM}" in headers
    answer = json.loads(body)
    assert (answer["status"], answer["title"]) == (400, "Bad Request")
    assert found in answer["detail"]
    assert answer["detail"].isprintable()
    assert len(answer["detail"]) < 200


async def test_a_port_that_is_taken_is_told(pool: db.Pool, bells: Bells) -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as taken:
        port = taken.sockets[0].getsockname()[1]
        with pytest.raises(mediaq.errors.Unavailable, match=f"cannot listen on 127.0.0.1:{port}"):
            await app.serve(
                Context(pool, bells),
                host="127.0.0.1",
                port=port,
                stop=asyncio.Event(),
                ready=lambda _: None,
            )
