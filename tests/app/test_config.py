"""The configuration: the file in the repository, every kind of mistake, and the environment."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from places import ROOT
from pydantic import BaseModel

from feedsvc.app.config import Config, load_config, parse_duration
from feedsvc.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENTED = ROOT / "config.toml"


def load(folder: Path, text: str, **environment: str) -> Config:
    path = folder / "config.toml"
    path.write_text(text, "utf-8")
    return load_config(path, environment)


def refusal(folder: Path, text: str, **environment: str) -> str:
    with pytest.raises(ConfigError) as raised:
        load(folder, text, **environment)
    return str(raised.value).replace(str(folder), "FOLDER")


def every_key(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]
        sections = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        for section in sections:
            yield from every_key(section, f"{prefix}{name}.")
        if not sections:
            yield prefix + name


# The file in the repository


def test_documented_file_says_the_defaults() -> None:
    assert load_config(DOCUMENTED, {}) == Config().resolve(ROOT)


def uncommented() -> str:
    """The file with the keys that are left out of it."""
    return re.sub(r"^# (?=[a-z_]+ = |\[\[)", "", DOCUMENTED.read_text("utf-8"), flags=re.MULTILINE)


def shown_keys(value: object, name: str = "") -> Iterator[str]:
    """The keys of a parsed file; those of all tables of an array under the array's name."""
    tables = value if isinstance(value, list) else [value]
    for table in tables or [None]:
        if isinstance(table, dict):
            for key, inner in table.items():
                yield from shown_keys(inner, f"{name}.{key}" if name else key)
        else:
            yield name


def test_every_key_is_documented() -> None:
    assert set(shown_keys(tomllib.loads(uncommented()))) == set(every_key(Config))


def test_every_documented_example_is_accepted(tmp_path: Path) -> None:
    config = load(tmp_path, uncommented())
    assert config.base_url == "https://feeds.example.org"
    assert (config.feed.language, config.feed.max_bytes) == ("zh-CN", 2_000_000)
    assert [feed.filter.source for feed in config.feeds] == [["RFI"]]


def test_every_key_has_words_above_it() -> None:
    lines = DOCUMENTED.read_text("utf-8").splitlines()
    bare = [key for above, key in pairwise(lines) if re.match(r"[a-z_]+ = ", key) and not above.startswith("# ")]
    assert bare == ['title = "feedsvc"']  # which says it all


# What is accepted


def test_no_file_means_the_defaults_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(None, {})
    assert config == Config().resolve(tmp_path)
    assert config.store.url == f"sqlite:///{tmp_path}/var/feedsvc.db"
    assert config.watch.directories == [f"{tmp_path}/seeds"]


def test_relative_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    config = load(
        tmp_path,
        """
        [watch]
        directories = ["a", "/b", "~/c", "../d"]
        [clean]
        rules = ["rules", "/etc/rules"]
        [store]
        url = "sqlite+pysqlite:///data/x.db"
        """,
    )
    assert config.watch.directories == [f"{tmp_path}/a", "/b", "/home/somebody/c", f"{tmp_path.parent}/d"]
    assert config.clean.rules == [f"{tmp_path}/rules", "/etc/rules"]
    assert config.store.url == f"sqlite+pysqlite:///{tmp_path}/data/x.db"


@pytest.mark.parametrize("url", ["sqlite:////var/x.db", "postgresql://u:p@host/name", "sqlite://"])
def test_addresses_that_are_absolute_stay(tmp_path: Path, url: str) -> None:
    assert load(tmp_path, f'[store]\nurl = "{url}"').store.url == url


def test_file_beside_which_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text("")
    assert load_config(Path("config.toml"), {}).watch.directories == [f"{tmp_path}/seeds"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, timedelta(0)),
        (90, timedelta(seconds=90)),
        (0.25, timedelta(milliseconds=250)),
        ("500 ms", timedelta(milliseconds=500)),
        ("30s", timedelta(seconds=30)),
        (" 5 m ", timedelta(minutes=5)),
        ("1.5 h", timedelta(minutes=90)),
        ("90 d", timedelta(days=90)),
        ("2 w", timedelta(days=14)),
    ],
)
def test_durations(value: object, expected: timedelta) -> None:
    assert parse_duration(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        -1,
        -0.5,
        "",
        "5",
        "m",
        "5 minutes",
        "-5 m",
        "1e3 s",
        "٣ m x",
        True,
        None,
        [5],
        float("nan"),
        float("inf"),
        float("-inf"),
        "99999999999999999999 w",
        1e300,
        "101 y",
        "37000 d",
    ],
)
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match=r"give seconds as a number|longer than a century"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"forever"', None),
        ('"90 d"', timedelta(days=90)),
        ('"10000 entries"', 10_000),
        ('"1entries"', 1),
    ],
)
def test_how_long_entries_are_kept(tmp_path: Path, text: str, expected: timedelta | int | None) -> None:
    assert load(tmp_path, f"[store]\nkeep = {text}").store.keep == expected


def test_times_of_the_schedule(tmp_path: Path) -> None:
    config = load(tmp_path, '[schedule]\nrescan = "30 4 * * *"\nretention = 60\nupkeep = "2 h"\nregenerate = 0')
    assert config.schedule.rescan == "30 4 * * *"
    assert config.schedule.retention == timedelta(minutes=1)
    assert config.schedule.upkeep == timedelta(hours=2)
    assert config.schedule.regenerate == timedelta(0)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://feeds.example.org", "https://feeds.example.org"),
        ("https://feeds.example.org/", "https://feeds.example.org"),
        ("http://Example.org:8080/news//", "http://example.org:8080/news"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://例子.example/", "https://xn--fsqu00a.example"),
    ],
)
def test_base_url(tmp_path: Path, url: str, expected: str) -> None:
    assert load(tmp_path, f'base_url = "{url}"').base_url == expected


# What is refused


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bogus = 1", "FOLDER/config.toml: bogus: no such key; the nearest known one is websub"),
        ("[watch]\nsetle = 1", "FOLDER/config.toml: watch.setle: no such key; the nearest known one is settle"),
        ("[feeds]\ntitle = 'x'", "FOLDER/config.toml: feeds: write each feed below a [[feeds]] of its own"),
        ("[watsh]\nsettle = 1", "FOLDER/config.toml: watsh: no such key; the nearest known one is watch"),
        ("watch = 3", "FOLDER/config.toml: watch: is a section; write its keys below [watch]"),
        ("[[watch]]\nsettle = 1", "FOLDER/config.toml: watch: is a section; write its keys below [watch]"),
        (
            "[feed]\nentries = 0",
            "FOLDER/config.toml: feed.entries: input should be greater than 0 (it is 0)",
        ),
        (
            "[feed]\nentries = '9'",
            "FOLDER/config.toml: feed.entries: input should be a valid integer (it is '9')",
        ),
        (
            "[watch]\ndirectories = [1]",
            "FOLDER/config.toml: watch.directories.0: input should be a valid string (it is 1)",
        ),
        (
            "[feed]\ntitle = ''",
            "FOLDER/config.toml: feed.title: string should have at least 1 character (it is '')",
        ),
        (
            "[watch]\non_delete = 'burn'",
            "FOLDER/config.toml: watch.on_delete: input should be 'keep' or 'withdraw' (it is 'burn')",
        ),
        (
            "[watch]\nsettle = inf",
            "FOLDER/config.toml: watch.settle: is longer than a century (it is inf)",
        ),
        (
            "[schedule]\nrescan = 0",
            "FOLDER/config.toml: schedule.rescan: an interval must be longer than nothing (it is 0)",
        ),
        (
            "[store]\nkeep = 5",
            (
                'FOLDER/config.toml: store.keep: give "forever", an age such as "90 d", or a number such as '
                '"10000 entries" (it is 5)'
            ),
        ),
        (
            "[watch]\ndirectories = ['~nobody-of-this-name/x']",
            "FOLDER: no such user's home in ~nobody-of-this-name/x",
        ),
    ],
)
def test_mistake_is_named(tmp_path: Path, text: str, expected: str) -> None:
    assert refusal(tmp_path, text) == expected


def test_what_is_no_cron_expression(tmp_path: Path) -> None:
    message = refusal(tmp_path, "[schedule]\nrescan = '61 * * * *'")
    assert message.startswith("FOLDER/config.toml: schedule.rescan: ")
    assert message.endswith("(it is '61 * * * *')")


def test_no_folder_at_all(tmp_path: Path) -> None:
    assert "watch.directories: list should have at least 1 item" in refusal(tmp_path, "[watch]\ndirectories = []")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "feeds.example.org",
        "ftp://x.example",
        "//x.example",
        "https://",
        "https://x.example?a",
        "https://x.example#",
        "https://[::1",
        "https://x y.example",
        "https://x.example:99999",
    ],
)
def test_what_is_no_base_url(tmp_path: Path, url: str) -> None:
    message = refusal(tmp_path, f'base_url = "{url}"')
    assert message.startswith("FOLDER/config.toml: base_url: give an address such as https://feeds.example.org")


@pytest.mark.parametrize(
    "hub",
    ["https://hub.example.org/", "http://hub.example.org", "https://[2001:db8::1]:8443/hub?a=b", "http://10.0.0.1"],
)
def test_hubs(tmp_path: Path, hub: str) -> None:
    text = f'base_url = "https://feeds.example.org"\n[websub]\nhubs = ["{hub}"]'
    assert load(tmp_path, text).websub.hubs == [hub]


@pytest.mark.parametrize(
    "hub",
    [
        "", "hub.example.org", "ftp://hub.example.org/", "https://", "https://:8080/", "https://user:x@hub.example.org/",
        "https://hub.example.org/#top", "https://hub.example.org/ x", "https://hub.example.org:99999/", "https://[::1/",
        "https://h:0/", "https://北约.example.org/",
    ],
)  # fmt: skip
def test_what_is_no_hub(tmp_path: Path, hub: str) -> None:
    text = f'base_url = "https://feeds.example.org"\n[websub]\nhubs = ["{hub}"]'
    assert "websub.hubs.0: give the address of a WebSub hub such as https://" in refusal(tmp_path, text)


def test_hubs_need_a_base_url(tmp_path: Path) -> None:
    said = refusal(tmp_path, '[websub]\nhubs = ["https://hub.example.org/"]')
    assert said == "FOLDER/config.toml: websub.hubs: set base_url too: hubs know a feed by its address"


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, "[feed]\nentries = 0\nbogus = 1\n[watch]\nsettle = 'x'")
    assert [line.split(": ")[1] for line in message.splitlines()] == ["watch.settle", "feed.entries", "feed.bogus"]


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file or directory"):
        load_config(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        load_config(tmp_path, {})


@pytest.mark.parametrize("data", [b"[watch", b"a = 1\na = 2", b"\xff\xfe", b"title = 'a\x00'"])
def test_file_that_is_no_toml(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "config.toml").write_bytes(data)
    with pytest.raises(ConfigError, match=r"config\.toml: not valid TOML: "):
        load_config(tmp_path / "config.toml", {})


# Feeds

FEED = '[[feeds]]\nname = "asia"\ntitle = "Asia"\n'
WORDS = "give at least one character that can be seen"
DURATION = 'give seconds as a number, or a text such as "500 ms", "30 s", "5 m", "1 h", "90 d"'
OWN = "(case does not count); give each its own"
RESERVED = "is the name of the feed of everything, which [feed] describes; give another one"
SECRETS = 'give at least 16 letters (a to z), digits, "-" and "_"; `openssl rand -hex 16` makes some'
TOGETHER = "name and secret are longer than 63 characters together; shorten one of them"
ACCOUNTS = 'give a user and the hash of a password, "USER:scrypt$...", as `feedsvc password` makes it'
NAMES = 'a name is 1 to 64 letters (a to z), digits, "-" and "_", for it stands in addresses'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("titel = 'x'", "titel: no such key; the nearest known one is title"),
        ("filter = { sources = 'x' }", "filter.sources: no such key; the nearest known one is source"),
        ("exclude = { age = '1 d' }", "exclude.age: no such key; the nearest known one is language"),
        ("filter = { age = 'soon' }", f"filter.age: {DURATION} (it is 'soon')"),
        ("filter = { age = 0 }", "filter.age: is shorter than any entry's age (it is 0)"),
        ("filter = { title = ['a', ' '] }", f"filter.title.1: {WORDS} (it is ' ')"),
        ("filter = { source = 3 }", "filter.source: input should be a valid list (it is 3)"),
        ("filter = 'x'", "filter: is a section; write its keys below [filter]"),
        ("formats = ['pdf']", "formats.0: input should be 'atom', 'rss' or 'json' (it is 'pdf')"),
        ("entries = 0", "entries: input should be greater than 0 (it is 0)"),
    ],
)
def test_mistake_in_a_feed_is_named(tmp_path: Path, line: str, message: str) -> None:
    assert refusal(tmp_path, FEED + line) == f'FOLDER/config.toml: [[feeds]] "asia": {message}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FEED + "secret = 'short'", f"[[feeds]] \"asia\": secret: {SECRETS} (it is 'short')"),
        (FEED + f"secret = '{'x' * 60}'", f'[[feeds]] "asia": {TOGETHER}'),
        (FEED + "auth = 'reader'", f"[[feeds]] \"asia\": auth: {ACCOUNTS} (it is 'reader')"),
        (FEED + FEED.replace("asia", "ASIA"), f"feeds: two feeds have the name 'ASIA' {OWN}"),
        ("[[feeds]]\nname = 'a'", '[[feeds]] "a": title: is missing'),
        ("[[feeds]]\ntitle = 'a'", "[[feeds]] number 1: name: is missing"),
        (FEED + "[[feeds]]\ntitle = 'a'\nname = 'b/c'", f"[[feeds]] number 2: name: {NAMES} (it is 'b/c')"),
        ("[[feeds]]\ntitle = 'a'\nname = 'Feed'", f"[[feeds]] number 1: name: {RESERVED} (it is 'Feed')"),
    ],
)
def test_mistake_in_the_name_of_a_feed_is_named(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text) == f"FOLDER/config.toml: {message}"


def test_what_a_feed_does_not_say_is_as_in_feed(tmp_path: Path) -> None:
    text = "[feed]\nauthor = 'Me'\nentries = 7\nmax_bytes = 9\nlanguage = 'zh'\nsources = false\n"
    own = "[[feeds]]\nname = 'b'\ntitle = 'B'\nauthor = 'You'\nentries = 8\nformats = ['json']\nfilter = {age = '1 d'}"
    plan = load(tmp_path, text + FEED + own).plan
    assert not plan.sources
    assert (plan.everything.name, plan.everything.entries, plan.everything.language) == ("feed", 7, "zh")
    first, second = plan.configured
    assert (first.name, first.title, first.author, first.entries, first.max_bytes) == ("asia", "Asia", "Me", 7, 9)
    assert (first.language, first.formats, first.filter.age) == (None, ("atom", "rss", "json"), None)
    assert (second.author, second.entries, second.formats, second.filter.age) == (
        "You",
        8,
        ("json",),
        timedelta(days=1),
    )


# The environment


def environment_of(key: str) -> str:
    return f"FEEDSVC_{key.replace('.', '_')}".upper()


# Feeds are overridden all at once: FEEDSVC_FEEDS is an array of tables.
@pytest.mark.parametrize("key", sorted(key for key in every_key(Config) if not key.startswith("feeds.")))
def test_every_key_can_be_overridden(tmp_path: Path, key: str) -> None:
    message = refusal(tmp_path, "", **{environment_of(key): "{ wrong = 1 }"})
    assert message.startswith(f"environment: {environment_of(key)}: ")
    assert message.endswith("(it is {'wrong': 1})")


@pytest.mark.parametrize("variable", ["FEEDSVC_SERVER_LISTEN", "FEEDSVC_SERVER__LISTEN"])
def test_both_ways_to_join(tmp_path: Path, variable: str) -> None:
    config = load(tmp_path, '[server]\nlisten = "127.0.0.1:1"', **{variable: "0.0.0.0:80"})
    assert config.server.listen == "0.0.0.0:80"


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("FEEDSVC_FEED_ENTRIES", "7", 7),
        ("FEEDSVC_FEED_TITLE", "News of the day", "News of the day"),
        ("FEEDSVC_FEED_TITLE", '"2024"', "2024"),
        ("FEEDSVC_FEED_TITLE", "a # b = [c", "a # b = [c"),
        ("FEEDSVC_FEED_MAX_BYTES", "9", 9),
        ("FEEDSVC_CLEAN_LEARN", "true", True),
        ("FEEDSVC_CLEAN_RULES", '["/a", "/b"]', ["/a", "/b"]),
        ("FEEDSVC_SCHEDULE_RESCAN", "5 m", timedelta(minutes=5)),
        ("FEEDSVC_STORE_KEEP", "forever", None),
        ("FEEDSVC_FEED_SOURCES", "false", False),
    ],
)
def test_values_are_toml_or_text(tmp_path: Path, variable: str, text: str, value: object) -> None:
    config: Any = load(tmp_path, "[feed]\nentries = 5", **{variable: text})
    section, _, key = variable.removeprefix("FEEDSVC_").lower().partition("_")
    assert getattr(getattr(config, section), key) == value


def test_top_level_key_from_the_environment(tmp_path: Path) -> None:
    assert load(tmp_path, "", FEEDSVC_BASE_URL="https://x.example/").base_url == "https://x.example"


def test_other_variables_do_not_matter(tmp_path: Path) -> None:
    assert load(tmp_path, "", FEEDSVC_CONFIG="x", PATH="/bin", feedsvc_feed_title="x") == Config().resolve(tmp_path)


def test_unknown_variable_is_an_error(tmp_path: Path) -> None:
    assert refusal(tmp_path, "", FEEDSVC_SERVER_LISTENS="x") == (
        "environment: FEEDSVC_SERVER_LISTENS: no such key; the nearest known one is FEEDSVC_SERVER_LISTEN"
    )


def test_mistake_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    message = refusal(tmp_path, "[feed]\nentries = 5", FEEDSVC_FEED__ENTRIES="none")
    assert message == "environment: FEEDSVC_FEED__ENTRIES: input should be a valid integer (it is 'none')"


def test_mistake_in_the_environment_without_a_file() -> None:
    with pytest.raises(ConfigError, match=r"^environment: FEEDSVC_FEED_ENTRIES: "):
        load_config(None, {"FEEDSVC_FEED_ENTRIES": "none"})


def test_override_of_a_key_in_what_is_no_section(tmp_path: Path) -> None:
    message = refusal(tmp_path, "watch = 3", FEEDSVC_WATCH_POLLING="true")
    assert message == "FOLDER/config.toml: watch: is a section; write its keys below [watch]"


def test_file_is_not_changed_by_loading(tmp_path: Path) -> None:
    config = load(tmp_path, "")
    with pytest.raises(ValueError, match="frozen"):
        config.base_url = "x"
