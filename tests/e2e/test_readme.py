"""README.md and the pages in docs/ are true and complete: their commands run, and nothing is left out."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from feed_documents import Shelf
from typer.main import get_command
from waiting import wait_for

from e2e.harness import PROJECT, environment, make_dump
from e2e.test_feed import Seeds
from feedsvc.app import cli
from feedsvc.app.config import Config, Section
from feedsvc.feeds.formats import FORMATS
from feedsvc.feeds.formats.addresses import EVERYTHING
from feedsvc.feeds.pages.assets import static_files
from feedsvc.feeds.represent import represent
from feedsvc.feeds.resources import make_resources
from feedsvc.http import Operations, make_app

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
PAGES = {str(file.relative_to(PROJECT)): file.read_text("utf-8") for file in FILES}
README, COMMANDS_PAGE, ADDRESSES = (PAGES[name] for name in ("README.md", "docs/commands.md", "docs/addresses.md"))
COMMANDS: dict[str, Any] = vars(get_command(cli.app))["commands"]


def rows(text: str) -> list[list[str]]:
    """The rows of the tables in a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    heads = {index - 1 for index, row in enumerate(table) if set(row[0]) == {"-"}}
    return [row for index, row in enumerate(table) if index not in heads and set(row[0]) != {"-"}]


def shell_lines(page: str) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


LINES = list(dict.fromkeys(line for page in PAGES.values() for line in shell_lines(page)))
MAKE = [line for line in LINES if line.startswith("make ")]
OTHERS = [line for line in LINES if not line.startswith("make ")]


def test_the_two_commands_come_first() -> None:
    assert shell_lines(README)[:2] == ["make run", "make test"]


@pytest.mark.parametrize("line", MAKE)
def test_a_make_target_exists(line: str) -> None:
    targets = re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert line.split()[1] in targets


def test_the_make_targets_in_the_text_exist() -> None:
    for target in re.findall(r"`make ([a-z]+)", "".join(PAGES.values())):
        test_a_make_target_exists(f"make {target}")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeds]:
    """A copy of the tree as far as the commands need it, with the daemon running as `make run` starts it."""
    home = tmp_path_factory.mktemp("checkout")
    (home / ".venv").symlink_to(Path(sys.executable).parents[1])
    daemon = Seeds(home)
    try:
        daemon.start()
        yield daemon
        daemon.stop()
    finally:
        daemon.kill()


@pytest.mark.parametrize("line", OTHERS)
def test_a_command_runs_as_it_is_written(line: str, checkout: Seeds) -> None:
    own = environment(FEEDSVC_SERVER_LISTEN=f"127.0.0.1:{checkout.port}")
    done = subprocess.run(
        ["sh", "-c", line], cwd=checkout.home, env=own, capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr
    if "/srv/dumps" in line and not Path("/srv/dumps").exists():
        assert (done.returncode, "/srv/dumps" in done.stdout) == (1, True)
    else:
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_is_documented_and_no_other() -> None:
    documented = {shlex.split(row[0].strip("`"))[1] for row in rows(COMMANDS_PAGE) if "feedsvc" in row[0]}
    assert documented == set(COMMANDS)


def test_every_option_is_documented_and_no_other() -> None:
    there = {
        option
        for group in COMMANDS.values()
        for command in (group, *vars(group).get("commands", {}).values())
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--")
    }
    assert set(re.findall(r"--[a-z][a-z-]*", COMMANDS_PAGE)) == there | {"--help"}


def test_the_exit_codes_are_those_of_the_program() -> None:
    documented = {row[0]: row[1] for row in rows(COMMANDS_PAGE) if row[0].isdigit()}
    meant = dict(re.findall(r"^ {4}(\d) {2}(.*)$", cli.__doc__ or "", re.MULTILINE))
    assert documented == meant
    assert list(documented) == ["0", "1", "2", "3"]


def test_every_address_is_documented_and_no_other() -> None:
    resources = make_resources({name: tuple(FORMATS) for name in (EVERYTHING, "NAME")})
    operations = Operations(
        networks=(),
        metrics=lambda _accept: ("text/plain", b""),
        problems=lambda _base_url: represent(b"", "text/xml", last_modified=None, max_age=0),
        counter=lambda _route, _method, _status: [0],
        observe=lambda _route, _seconds: None,
    )
    app = make_app(
        publisher=Shelf(resources).publisher,
        load_entry=lambda _key: None,
        status=dict,
        base_url=None,
        operations=operations,
    )
    there = ({getattr(route, "path", "") for route in app.routes} | resources.keys()) - static_files().keys()
    documented = {row[0].strip("`") for row in rows(ADDRESSES)}
    assert {address.replace("KEY", "{key}") for address in documented} == there


def test_every_address_answers(checkout: Seeds) -> None:
    checkout.drop("sourced.txt", f"---\ntitle: From a source\ntags: Example\n---\n\n{make_dump('From a source')}")
    wait_for(lambda: checkout.get("/feeds/example.atom").status == 200)
    key = re.findall(r"/entries/([a-z0-9]+)", checkout.get("/").body.decode("utf-8"))[0]
    for row in rows(ADDRESSES):
        assert checkout.get(row[0].strip("`").replace("KEY", key).replace("NAME", "example")).status == 200


def test_every_key_stands_in_the_configuration_file_with_its_default() -> None:
    text = (PROJECT / "config.toml").read_text("utf-8")
    # An optional key stands there as a comment.
    written = tomllib.loads(re.sub(r"^# (\w+ = |\[\[)", r"\1", text, flags=re.MULTILINE))
    known = {name: set(value) if isinstance(value, dict) else None for name, value in written.items()}
    assert known == {
        name: set(field.annotation.model_fields)
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        else None
        for name, field in Config.model_fields.items()
    }
    assert Config.model_validate(tomllib.loads(text)) == Config()


def test_the_keys_that_the_text_names_exist() -> None:
    named = re.findall(r"`\[(\w+)\] (\w+)", "".join(PAGES.values()))
    assert named
    for name, key in named:
        model = Config.model_fields[name].annotation
        assert isinstance(model, type)
        assert issubclass(model, Section)
        assert key in model.model_fields


def links(name: str) -> list[Path]:
    """The files that a page links."""
    targets = re.findall(r"\]\(([^)#:]+)\)", re.sub(r"```.*?```", "", PAGES[name], flags=re.DOTALL))
    return [(PROJECT / name).parent / target for target in targets]


@pytest.mark.parametrize("name", PAGES)
def test_links_to_files_lead_somewhere(name: str) -> None:
    assert [target for target in links(name) if not target.exists()] == []


def test_every_page_is_linked() -> None:
    linked = {target.resolve() for name in ("README.md", "CONTRIBUTING.md") for target in links(name)}
    assert {file.resolve() for file in FILES} - linked <= {PROJECT / "README.md"}


def test_the_example_of_a_dump_becomes_the_example_of_an_entry(checkout: Seeds) -> None:
    dump, entry = (re.search(rf"```{kind}\n(.*?)```", README, re.DOTALL) for kind in ("html", "xml"))
    assert dump
    assert entry
    checkout.drop("readme-example.txt", dump[1])
    wait_for(lambda: "The title" in checkout.feed().titles)
    served = checkout.feed().body.decode("utf-8")
    for line in entry[1].splitlines():
        # The id is shortened in the text.
        assert line.strip().split("…")[0] in served


def test_the_example_of_a_rule_is_one(tmp_path: Path) -> None:
    rule = re.search(r"```toml\n(.*?)```", PAGES["docs/cleaning.md"], re.DOTALL)
    assert rule
    (tmp_path / "mine.toml").write_text(rule[1], "utf-8")
    shutil.copytree(PROJECT / "seeds", tmp_path / "seeds")
    done = subprocess.run(
        [Path(sys.executable).with_name("feedsvc"), "clean", "seeds"],
        cwd=tmp_path,
        env=environment(FEEDSVC_CLEAN_RULES=f'["{tmp_path}"]'),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
