"""Videos and sounds of other sites: from the address of a player to the page that people watch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from feedsvc.clean.markup import escape, start_tag
from feedsvc.clean.proxies import is_public
from feedsvc.links import tidy_link


@dataclass(frozen=True, slots=True)
class Video:
    """A video or sound.

    Attributes:
        page: The address of the page on which people watch or hear it.
        name: The service, or the host.
        thumbnail: The address of a picture of it, if it follows from the video's own.
    """

    page: str
    name: str
    thumbnail: str | None = None


@dataclass(frozen=True, slots=True)
class _Service:
    """Addresses of one service; `page` and `thumbnail` are filled with the groups of the pattern."""

    name: str
    pattern: re.Pattern[str]
    page: str
    thumbnail: str | None = None


def _service(name: str, pattern: str, page: str, thumbnail: str | None = None) -> _Service:
    return _Service(name, re.compile(rf"https?://(?:www\.|m\.)?{pattern}"), page, thumbnail)


_YOUTUBE: Final = r"(?:music\.)?youtube(?:-nocookie)?\.com"
_YOUTUBE_ID: Final = r"(?!videoseries|live_stream)(?P<id>[A-Za-z0-9_-]{11})(?![A-Za-z0-9_-])"
_YOUTUBE_PAGE: Final = "https://www.youtube.com/watch?v={id}"
_YOUTUBE_PICTURE: Final = "https://i.ytimg.com/vi/{id}/hqdefault.jpg"
_QUERY: Final = r"\?(?:[^#]*&)?"

_SERVICES: Final = (
    _service("YouTube", rf"{_YOUTUBE}/(?:embed|v|e|shorts|live)/{_YOUTUBE_ID}", _YOUTUBE_PAGE, _YOUTUBE_PICTURE),
    _service("YouTube", rf"{_YOUTUBE}/watch/?{_QUERY}v={_YOUTUBE_ID}", _YOUTUBE_PAGE, _YOUTUBE_PICTURE),
    _service("YouTube", rf"youtu\.be/{_YOUTUBE_ID}", _YOUTUBE_PAGE, _YOUTUBE_PICTURE),
    _service(
        "YouTube",
        rf"{_YOUTUBE}/(?:embed/videoseries|playlist){_QUERY}list=(?P<id>[A-Za-z0-9_-]+)",
        "https://www.youtube.com/playlist?list={id}",
    ),
    _service(
        "YouTube",
        rf"{_YOUTUBE}/embed/live_stream{_QUERY}channel=(?P<id>[A-Za-z0-9_-]+)",
        "https://www.youtube.com/channel/{id}/live",
    ),
    # A video that is not listed is found by its second number only.
    _service(
        "Vimeo", rf"player\.vimeo\.com/video/(?P<id>\d+){_QUERY}h=(?P<key>[0-9a-f]+)", "https://vimeo.com/{id}/{key}"
    ),
    _service(
        "Vimeo", r"(?:player\.)?vimeo\.com/(?:video/)?(?P<id>\d+(?:/[0-9a-f]{8,})?)(?![\w/])", "https://vimeo.com/{id}"
    ),
    _service(
        "Bilibili",
        rf"(?:player\.)?bilibili\.com/(?:player|blackboard/[\w-]+)\.html{_QUERY}bvid=(?P<id>[Bb][Vv][A-Za-z0-9]+)",
        "https://www.bilibili.com/video/{id}",
    ),
    _service(
        "Bilibili",
        rf"(?:player\.)?bilibili\.com/(?:player|blackboard/[\w-]+)\.html{_QUERY}aid=(?P<id>\d+)",
        "https://www.bilibili.com/video/av{id}",
    ),
    _service(
        "Bilibili", r"bilibili\.com/video/(?P<id>(?:[Bb][Vv]|av)[A-Za-z0-9]+)", "https://www.bilibili.com/video/{id}"
    ),
    _service(
        "Dailymotion",
        r"(?:geo\.)?dailymotion\.com/(?:embed/)?video/(?P<id>[A-Za-z0-9]+)",
        "https://www.dailymotion.com/video/{id}",
        "https://www.dailymotion.com/thumbnail/video/{id}",
    ),
    _service(
        "Dailymotion",
        rf"geo\.dailymotion\.com/player(?:/[\w-]+)?\.html{_QUERY}video=(?P<id>[A-Za-z0-9]+)",
        "https://www.dailymotion.com/video/{id}",
        "https://www.dailymotion.com/thumbnail/video/{id}",
    ),
    _service("X", rf"platform\.(?:twitter|x)\.com/embed/[\w.]+{_QUERY}id=(?P<id>\d+)", "https://x.com/i/status/{id}"),
    _service("X", r"(?:twitter|x)\.com/i/videos/(?:tweet/)?(?P<id>\d+)", "https://x.com/i/status/{id}"),
    _service("Facebook", rf"facebook\.com/plugins/(?:video|post)\.php{_QUERY}href=(?P<page>[^&#]+)", "{page}"),
    _service("Facebook", rf"facebook\.com/watch/?{_QUERY}v=(?P<id>\d+)", "https://www.facebook.com/watch/?v={id}"),
    _service("Facebook", r"facebook\.com/[\w.-]+/videos/(?P<id>\d+)", "https://www.facebook.com/watch/?v={id}"),
    _service(
        "Spotify",
        r"open\.spotify\.com/(?:embed(?:-podcast)?/)?(?P<kind>track|album|playlist|episode|show|artist)/(?P<id>\w+)",
        "https://open.spotify.com/{kind}/{id}",
    ),
    _service("SoundCloud", rf"w\.soundcloud\.com/player/?{_QUERY}url=(?P<page>[^&#]+)", "{page}"),
    _service(
        "Instagram", r"instagram\.com/(?P<kind>p|reel|tv)/(?P<id>[\w-]+)", "https://www.instagram.com/{kind}/{id}/"
    ),
    _service(
        "Tencent",
        rf"v\.qq\.com/(?:txp/)?iframe/player\.html{_QUERY}vid=(?P<id>\w+)",
        "https://v.qq.com/x/page/{id}.html",
    ),
    _service("Tencent", r"v\.qq\.com/x/page/(?P<id>\w+)\.html", "https://v.qq.com/x/page/{id}.html"),
    _service("Youku", r"player\.youku\.com/embed/(?P<id>[\w=]+)", "https://v.youku.com/v_show/id_{id}.html"),
    _service("Youku", r"v\.youku\.com/v_show/id_(?P<id>[\w=]+)\.html", "https://v.youku.com/v_show/id_{id}.html"),
)
_PAGE_HOSTS: Final = ("facebook.com", "fb.watch", "soundcloud.com")
"""Hosts of pages, for players with the whole address of a page in theirs."""


def find_video(address: str) -> Video | None:
    """Return the video that a valid absolute address of a player or page leads to, the same for each of its addresses.

    None if no known service plays or shows it there.
    """
    for service in _SERVICES:
        if match := service.pattern.match(address):
            page = service.page.format(**_groups(match))
            if "page" in match.groupdict() and not _is_page(page):
                continue
            thumbnail = service.thumbnail and service.thumbnail.format(**_groups(match))
            return Video(page, service.name, thumbnail)
    return None


def player_video(address: str) -> Video:
    """Return the video of a player with an http(s) address; for an unknown player, the address itself is the page."""
    return find_video(address) or Video(address, (urlsplit(address).hostname or address).removeprefix("www."))


def video_html(video: Video, label: str) -> tuple[str, ...]:
    """Write a video as links to its page: the thumbnail if there is one, then the label or else the service."""
    start = start_tag("a", {"href": video.page})
    label = label or video.name
    lines = [f"{start}{escape(label)}</a>"]
    if video.thumbnail is not None:
        lines.insert(0, f"{start}{start_tag('img', {'src': video.thumbnail, 'alt': label})}</a>")
    return tuple(lines)


def video_entry(video: Video, title: str) -> str:
    """Write the content of an entry that is a video and says nothing about it."""
    return "".join(f"<p>{line}</p>" for line in video_html(video, title))


def _groups(match: re.Match[str]) -> dict[str, str]:
    groups = match.groupdict()
    if "page" in groups:
        groups["page"] = tidy_link(unquote(groups["page"])) or ""
    return groups


def _is_page(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    return (
        is_public(address)
        and any(host == known or host.endswith(f".{known}") for known in _PAGE_HOSTS)
        and (not host.startswith("api."))
    )
