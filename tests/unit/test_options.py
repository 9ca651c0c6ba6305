"""One table of options, good and bad; the flow tests hold the database to the same one."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from mediaq.model import Options

GOOD = [
    "{}",
    '{"grid": "1x1"}',
    '{"grid": "20x20"}',
    '{"grid": "9x10"}',
    '{"frames": 1}',
    '{"frames": 1000}',
    '{"frames": 5.0}',
    '{"frames": 1e2}',
    '{"frames": null}',
    '{"interval_seconds": 86400}',
    '{"interval_seconds": 0.5}',
    '{"timeout_seconds": 60}',
    '{"timeout_seconds": 1.5, "frames": 5}',
    '{"timeout_seconds": null}',
    '{"interval_seconds": 1e-3}',
    '{"interval_seconds": null}',
    '{"interval_seconds": 5, "frames": null}',
    '{"interval_seconds": null, "frames": 5}',
    '{"interval_seconds": null, "frames": null}',
    '{"thumb_width": 32}',
    '{"thumb_width": 1920}',
    '{"thumb_width": 320.0}',
    '{"format": "jpeg"}',
    '{"format": "webp"}',
    '{"format": "png"}',
    '{"timestamps": false}',
    '{"exact": true}',
    '{"want": ["transcription"]}',
    '{"want": ["contact_sheets", "summary", "summary"]}',
    '{"want": null}',
    '{"storyboard": true}',
    '{"storyboard": false}',
    '{"storyboard": {}}',
    '{"storyboard": {"interval_seconds": 10, "width": 160, "grid": "10x10"}}',
    '{"storyboard": {"interval_seconds": null, "width": 32.0}}',
    '{"gps": true}',
    '{"language": "en"}',
    '{"language": "deu"}',
    '{"language": null}',
    '{"max_parallel": 1}',
    '{"max_parallel": 1000}',
    '{"max_parallel": null}',
    '{"grid": "4x6", "frames": 48, "thumb_width": 200, "format": "png", "timestamps": true}',
    '{"frames": 0, "frames": 5}',
]

BAD = [
    # want
    '{"want": []}',
    '{"want": {}}',
    '{"want": "transcription"}',
    '{"want": ["transcript"]}',
    '{"want": ["summary", null]}',
    '{"want": ["summary", 1]}',
    '{"want": [["summary"]]}',
    '{"want": true}',
    # storyboard
    '{"storyboard": null}',
    '{"storyboard": 1}',
    '{"storyboard": "yes"}',
    '{"storyboard": []}',
    '{"storyboard": {"tiles": 3}}',
    '{"storyboard": {"width": null}}',
    '{"storyboard": {"width": 31}}',
    '{"storyboard": {"width": 641}}',
    '{"storyboard": {"width": 100.5}}',
    '{"storyboard": {"width": "160"}}',
    '{"storyboard": {"interval_seconds": 0}}',
    '{"storyboard": {"interval_seconds": 86401}}',
    '{"storyboard": {"interval_seconds": true}}',
    '{"storyboard": {"grid": "10"}}',
    '{"storyboard": {"grid": null}}',
    # gps, language, max_parallel
    '{"gps": null}',
    '{"gps": 1}',
    '{"language": ""}',
    '{"language": "EN"}',
    '{"language": "english"}',
    '{"language": "en\\n"}',
    '{"language": 1}',
    '{"max_parallel": 0}',
    '{"max_parallel": 1001}',
    '{"max_parallel": 1.5}',
    '{"max_parallel": "2"}',
    '{"max_parallel": false}',
    # no object
    "null",
    "true",
    "5",
    '"grid"',
    "[]",
    '[{"grid": "2x3"}]',
    # no option
    '{"": 1}',
    '{"Grid": "2x3"}',
    '{"grid ": "2x3"}',
    '{"frame": 5}',
    '{"options": {"grid": "2x3"}}',
    '{"columns": 2}',
    '{"rows": 3}',
    '{"model_config": {}}',
    '{"grid": "2x3", "x": null}',
    # grid
    '{"grid": null}',
    '{"grid": true}',
    '{"grid": 23}',
    '{"grid": [2, 3]}',
    '{"grid": ["2x3"]}',
    '{"grid": {"columns": 2}}',
    '{"grid": ""}',
    '{"grid": "2"}',
    '{"grid": "2X3"}',
    '{"grid": "2*3"}',
    '{"grid": "0x3"}',
    '{"grid": "2x0"}',
    '{"grid": "21x3"}',
    '{"grid": "2x21"}',
    '{"grid": "100x1"}',
    '{"grid": "02x3"}',
    '{"grid": "-2x3"}',
    '{"grid": "2x3 "}',
    '{"grid": " 2x3"}',
    '{"grid": "2x3\\n"}',
    '{"grid": "2x3\\n4x5"}',
    '{"grid": "2x3x4"}',
    '{"grid": "٢x٣"}',
    '{"grid": "2x3\\u0000"}',
    # frames
    '{"frames": 0}',
    '{"frames": -0.0}',
    '{"frames": -1}',
    '{"frames": 1001}',
    '{"frames": 5.5}',
    '{"frames": 0.5}',
    '{"frames": "5"}',
    '{"frames": ""}',
    '{"frames": true}',
    '{"frames": false}',
    '{"frames": []}',
    '{"frames": [5]}',
    '{"frames": {}}',
    '{"frames": 1e3000}',
    '{"frames": -1e3000}',
    '{"frames": 99999999999999999999999999999999999999}',
    '{"frames": NaN}',
    '{"frames": Infinity}',
    # interval_seconds
    '{"interval_seconds": 0}',
    '{"interval_seconds": 0.0}',
    '{"interval_seconds": 1e-400}',
    '{"interval_seconds": 0.0009}',
    # timeout_seconds
    '{"timeout_seconds": 0.5}',
    '{"timeout_seconds": 86401}',
    '{"timeout_seconds": "60"}',
    '{"interval_seconds": -0.0}',
    '{"interval_seconds": -1}',
    '{"interval_seconds": 86400.001}',
    '{"interval_seconds": 1e3000}',
    '{"interval_seconds": "5"}',
    '{"interval_seconds": true}',
    '{"interval_seconds": [5]}',
    '{"interval_seconds": {}}',
    '{"interval_seconds": NaN}',
    '{"interval_seconds": -Infinity}',
    # thumb_width
    '{"thumb_width": null}',
    '{"thumb_width": 31}',
    '{"thumb_width": 1921}',
    '{"thumb_width": 320.5}',
    '{"thumb_width": "320"}',
    '{"thumb_width": true}',
    '{"thumb_width": [320]}',
    '{"thumb_width": -320}',
    # format
    '{"format": null}',
    '{"format": ""}',
    '{"format": "JPEG"}',
    '{"format": "jpg"}',
    '{"format": "gif"}',
    '{"format": 1}',
    '{"format": true}',
    '{"format": ["jpeg"]}',
    '{"format": "jpeg "}',
    # switches
    '{"timestamps": null}',
    '{"timestamps": 1}',
    '{"timestamps": 0}',
    '{"timestamps": "true"}',
    '{"timestamps": "yes"}',
    '{"timestamps": []}',
    '{"exact": null}',
    '{"exact": 1}',
    '{"exact": 1.0}',
    '{"exact": "false"}',
    '{"exact": {}}',
    # together
    '{"frames": 5, "interval_seconds": 5}',
    '{"frames": 5.0, "interval_seconds": 0.5, "grid": "2x3"}',
]


@pytest.mark.parametrize("text", GOOD)
def test_good_options_are_taken(text: str) -> None:
    from_text = Options.model_validate_json(text)
    assert from_text == Options.model_validate(json.loads(text))
    # What the API passes on to the database is the same again.
    dumped = from_text.model_dump(exclude_unset=True, exclude_none=True)
    assert Options.model_validate(json.loads(json.dumps(dumped))) == from_text


@pytest.mark.parametrize("text", BAD)
def test_bad_options_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate_json(text)
    with pytest.raises(ValidationError):
        Options.model_validate(json.loads(text))


def test_whole_numbers_come_out_whole() -> None:
    read = Options.model_validate({"frames": 5.0, "thumb_width": 320.0})
    assert (repr(read.frames), repr(read.thumb_width)) == ("5", "320")


def test_a_grid_has_columns_and_rows() -> None:
    options = Options(grid="4x16")
    assert (options.columns, options.rows) == (4, 16)


def test_defaults_are_one_full_sheet() -> None:
    assert Options().model_dump() == {
        "want": None,
        "storyboard": None,
        "gps": False,
        "language": None,
        "max_parallel": None,
        "grid": "2x3",
        "frames": None,
        "interval_seconds": None,
        "timeout_seconds": None,
        "thumb_width": 320,
        "format": "jpeg",
        "timestamps": True,
        "exact": False,
    }
