from __future__ import annotations

import pytest
from feed_documents import make_entry

from feedsvc.clean.elements import ALLOWED
from feedsvc.feeds.formats.media import Medium, enclosures, find_media, thumbnail

E = "https://e.org"


@pytest.mark.parametrize(
    ("images", "content", "expected"),
    [
        ((), "", []),
        ((), "<p>an audio, a video</p><audiobook>", []),
        ((f"{E}/a.jpg", f"{E}/b"), "", [("/a.jpg", "image", "image/jpeg"), ("/b", "image", None)]),
        ((f"{E}/a.PNG?w=1.gif", f"{E}/a.PNG?w=1.gif"), "", [("/a.PNG?w=1.gif", "image", "image/png")]),
        (("javascript:x", "//e.org/a.png", "data:image/png;base64,x", "https://e.]/a.png"), "", []),
        ((f"{E}/clip.mp4",), "", [("/clip.mp4", "image", None)]),
        ((), f'<video src="{E}/v.mp4" controls></video>', [("/v.mp4", "video", "video/mp4")]),
        ((), f'<audio controls="" src="{E}/a.mp3?x=1&amp;y=2"></audio>', [("/a.mp3?x=1&y=2", "audio", "audio/mpeg")]),
        ((), f'<audio controls><source src="{E}/a" type="Audio/MPEG"></audio>', [("/a", "audio", "audio/mpeg")]),
        (
            (),
            f'<video controls><source src="{E}/v.webm" type="video/webm; codecs=vp9"><source src="{E}/v.mp4"></video>',
            [("/v.webm", "video", "video/webm")],
        ),
        ((), f'<video controls><source src="{E}/v" type="x"></video>', [("/v", "video", None)]),
        ((), f'<video src="{E}/live.m3u8"></video>', [("/live.m3u8", "video", "application/vnd.apple.mpegurl")]),
        ((), f'<video src="{E}/v.ogg"></video>', [("/v.ogg", "video", "video/ogg")]),
        ((), f'<audio src="{E}/a.mp4"></audio>', [("/a.mp4", "audio", None)]),
        ((), f'<video src="{E}/v.mp4"></video><p><video src="{E}/v.mp4"></video>', [("/v.mp4", "video", "video/mp4")]),
        ((), "<video controls></video><audio><source></audio>", []),
        (
            (f"{E}/p.jpg",),
            f'<audio src="{E}/a.mp3"></audio><video poster="{E}/p.jpg" src="{E}/v.mp4"></video>',
            [("/p.jpg", "image", "image/jpeg"), ("/a.mp3", "audio", "audio/mpeg"), ("/v.mp4", "video", "video/mp4")],
        ),
        ((), f'<p>\ud800\x00</p><video src="{E}/v.mp4"></video>', [("/v.mp4", "video", "video/mp4")]),
        # A video that another site plays stays a link with its picture.
        (
            ("https://i.ytimg.com/vi/x/hqdefault.jpg",),
            '<a href="https://www.youtube.com/watch?v=x"><img src="https://i.ytimg.com/vi/x/hqdefault.jpg"></a>',
            [("https://i.ytimg.com/vi/x/hqdefault.jpg", "image", "image/jpeg")],
        ),
    ],
)
def test_find_media(images: tuple[str, ...], content: str, expected: list[tuple[str, str, str | None]]) -> None:
    found = find_media(make_entry(0, images=images, content=content))
    assert [(medium.address.removeprefix(E), medium.kind, medium.media_type) for medium in found] == expected


PICTURE = Medium(f"{E}/1.jpg", "image", "image/jpeg")
SOUND = Medium(f"{E}/a.mp3", "audio", "audio/mpeg")
UNKNOWN = Medium(f"{E}/v", "video", None)
VIDEO = Medium(f"{E}/v.mp4", "video", "video/mp4")


@pytest.mark.parametrize(
    ("media", "picture", "played"),
    [
        ((), None, ()),
        ((PICTURE, Medium(f"{E}/2", "image", None)), PICTURE, ()),
        ((SOUND, UNKNOWN, VIDEO), None, (SOUND, VIDEO)),
        ((PICTURE, SOUND), PICTURE, (SOUND,)),
    ],
)
def test_choices(media: tuple[Medium, ...], picture: Medium | None, played: tuple[Medium, ...]) -> None:
    assert thumbnail(media) == picture
    assert enclosures(media) == played


def test_the_sanitiser_leaves_what_is_looked_for() -> None:
    assert "src" in ALLOWED["audio"] & ALLOWED["video"] & ALLOWED["source"]
    assert "type" in ALLOWED["source"]
