"""Playlists in the guise of a film: each would read another file or call an address."""

from __future__ import annotations

DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
    ' profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet>'
    '<Representation id="1" bandwidth="1"><BaseURL>{where}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>"
)
HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{where}\n#EXT-X-ENDLIST\n"
KEY = (
    '#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-KEY:METHOD=AES-128,URI="{where}"\n'
    "#EXTINF:9,\n{name}\n#EXT-X-ENDLIST\n"
)
MASTER = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{where}\n"
CONCAT = "ffconcat version 1.0\nfile {where}\n"
SDP = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
SMIL = '<smil><body><video src="{where}"/></body></smil>'
XSPF = (
    '<playlist version="1"><trackList><track><location>{where}</location></track></trackList>'
    "</playlist>"
)
REDIRECT = "[Reference]\nRef1={where}\n"
RTSP = "rtsptext{where}\n"

TEXTS = {
    "hls": HLS,
    "hls with a key": KEY,
    "hls master": MASTER,
    "concat": CONCAT,
    "dash": DASH,
    "sdp": SDP,
    "smil": SMIL,
    "xspf": XSPF,
    "asf redirect": REDIRECT,
    "rtsp redirect": RTSP,
}

PLACES = {
    "a name": "{name}",
    "a path": "{path}",
    "a file address": "file://{path}",
    "a part of a file": "subfile,,start,0,end,0,,:{path}",
    "a sum of files": "concat:{path}|{path}",
    "another's file": "/etc/passwd",
    "http": "http://127.0.0.1:{port}/film.ts",
    "tcp": "tcp://127.0.0.1:{port}",
    "data": "data:text/plain;base64,aGVsbG8=",
}


def playlist(kind: str, place: str, *, name: str, path: str, port: int) -> str:
    """Write a playlist of a kind that points to a place."""
    facts = {"name": name, "path": path, "port": port}
    return TEXTS[kind].format(where=PLACES[place].format(**facts), **facts)
