"""Players and pages of videos: each address leads to the one page that people watch."""

from __future__ import annotations

import pytest

from feedsvc.clean.videos import find_video, player_video, video_entry

ID = "dQw4w9-_Xc0"
WATCH = f"https://www.youtube.com/watch?v={ID}"
PICTURE = f"https://i.ytimg.com/vi/{ID}/hqdefault.jpg"
DAILYMOTION = "https://www.dailymotion.com/video/x8abc"


@pytest.mark.parametrize(
    ("address", "name", "page", "thumbnail"),
    [
        (f"https://www.youtube.com/embed/{ID}", "YouTube", WATCH, PICTURE),
        (f"https://www.youtube.com/embed/{ID}?feature=oembed&autoplay=1", "YouTube", WATCH, PICTURE),
        (f"http://www.youtube-nocookie.com/embed/{ID}", "YouTube", WATCH, PICTURE),
        (f"https://m.youtube.com/watch?app=desktop&v={ID}&t=9", "YouTube", WATCH, PICTURE),
        (f"https://youtu.be/{ID}?si=x", "YouTube", WATCH, PICTURE),
        (f"https://youtube.com/shorts/{ID}", "YouTube", WATCH, PICTURE),
        (f"https://www.youtube.com/v/{ID}&hl=en", "YouTube", WATCH, PICTURE),
        (WATCH, "YouTube", WATCH, PICTURE),
        (
            "https://www.youtube.com/embed/videoseries?list=PLx-1",
            "YouTube",
            "https://www.youtube.com/playlist?list=PLx-1",
            None,
        ),
        (
            "https://www.youtube.com/embed/live_stream?channel=UCx",
            "YouTube",
            "https://www.youtube.com/channel/UCx/live",
            None,
        ),
        ("https://player.vimeo.com/video/123?dnt=1", "Vimeo", "https://vimeo.com/123", None),
        ("https://player.vimeo.com/video/123?h=ab12&dnt=1", "Vimeo", "https://vimeo.com/123/ab12", None),
        ("https://vimeo.com/123", "Vimeo", "https://vimeo.com/123", None),
        (
            "https://player.bilibili.com/player.html?aid=1&bvid=BV1xx&page=1",
            "Bilibili",
            "https://www.bilibili.com/video/BV1xx",
            None,
        ),
        ("https://player.bilibili.com/player.html?aid=17", "Bilibili", "https://www.bilibili.com/video/av17", None),
        (
            "https://www.bilibili.com/blackboard/html5mobileplayer.html?bvid=BV1xx",
            "Bilibili",
            "https://www.bilibili.com/video/BV1xx",
            None,
        ),
        ("https://www.bilibili.com/video/BV1xx/?p=2", "Bilibili", "https://www.bilibili.com/video/BV1xx", None),
        (
            "https://www.dailymotion.com/embed/video/x8abc?mute=1",
            "Dailymotion",
            DAILYMOTION,
            "https://www.dailymotion.com/thumbnail/video/x8abc",
        ),
        (
            "https://geo.dailymotion.com/player/x1y.html?video=x8abc",
            "Dailymotion",
            DAILYMOTION,
            "https://www.dailymotion.com/thumbnail/video/x8abc",
        ),
        ("https://platform.twitter.com/embed/Tweet.html?dnt=false&id=99", "X", "https://x.com/i/status/99", None),
        ("https://twitter.com/i/videos/99?embed_source=x", "X", "https://x.com/i/status/99", None),
        (
            "https://www.facebook.com/plugins/video.php?height=3&href=https%3A%2F%2Fwww.facebook.com%2Fa%2Fvideos%2F7%2F",
            "Facebook",
            "https://www.facebook.com/a/videos/7/",
            None,
        ),
        ("https://www.facebook.com/a.b/videos/7/", "Facebook", "https://www.facebook.com/watch/?v=7", None),
        ("https://open.spotify.com/embed/track/4x?theme=0", "Spotify", "https://open.spotify.com/track/4x", None),
        (
            "https://open.spotify.com/embed-podcast/episode/4x",
            "Spotify",
            "https://open.spotify.com/episode/4x",
            None,
        ),
        (
            "https://w.soundcloud.com/player/?url=https%3A//soundcloud.com/a/b&color=ff5500",
            "SoundCloud",
            "https://soundcloud.com/a/b",
            None,
        ),
        ("https://www.instagram.com/p/Cx-1/embed/captioned/", "Instagram", "https://www.instagram.com/p/Cx-1/", None),
        ("https://v.qq.com/txp/iframe/player.html?vid=x1", "Tencent", "https://v.qq.com/x/page/x1.html", None),
        ("https://player.youku.com/embed/XMz==", "Youku", "https://v.youku.com/v_show/id_XMz==.html", None),
    ],
)
def test_video(address: str, name: str, page: str, thumbnail: str | None) -> None:
    video = find_video(address)
    assert video is not None
    assert (video.name, video.page, video.thumbnail) == (name, page, thumbnail)
    again = find_video(page)
    assert again is None or again.thumbnail == thumbnail
    assert player_video(address) == video


@pytest.mark.parametrize(
    "address",
    [
        "https://www.youtube.com/",
        "https://www.youtube.com/embed/short",
        f"https://www.youtube.com/embed/{ID}x",
        "https://www.youtube.com/channel/UCxxxxxxxxx",
        f"https://notyoutube.com/embed/{ID}",
        f"https://h.example/?u=https://www.youtube.com/embed/{ID}",
        "https://vimeo.com/channels/123",
        "https://vimeo.com/123abc",
        "https://www.facebook.com/plugins/video.php?href=https%3A%2F%2Fevil.example%2F",
        "https://www.facebook.com/plugins/video.php?href=javascript:x",
        "https://w.soundcloud.com/player/?url=https%3A//api.soundcloud.com/tracks/1",
        "https://www.bilibili.com/read/cv1",
        "https://open.spotify.com/user/x",
        "https://player.example/1",
    ],
)
def test_no_video_that_is_known(address: str) -> None:
    assert find_video(address) is None
    assert player_video(address).page == address
    assert player_video(address).thumbnail is None


def test_unknown_player_has_the_name_of_its_host() -> None:
    assert player_video("https://www.player.example:81/1?x").name == "player.example"


def test_entry_of_a_video_escapes_its_title() -> None:
    video = find_video(WATCH)
    assert video is not None
    assert video_entry(video, 'a "b" <c>') == (
        f'<p><a href="{WATCH}"><img src="{PICTURE}" alt="a &quot;b&quot; &lt;c&gt;"></a></p>'
        f'<p><a href="{WATCH}">a "b" &lt;c&gt;</a></p>'
    )
