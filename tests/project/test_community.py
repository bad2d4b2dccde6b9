"""What people meet before the code: forms, the citation, addresses that agree."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import lmkit
from lmkit.registry.component import KINDS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
ADDRESS = re.compile(r"https?://(?:www\.)?github\.com/([\w.-]+/lmkit)\b(?!-)")
PAGES = [
    *ROOT.glob("*.*"),
    *(ROOT / ".github").rglob("*.*"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "lmkit").rglob("*.*"),
]
"""Where an address may stand."""


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_a_form_asks_for_what_it_names(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.name == "config.yml":
        assert form["blank_issues_enabled"] is False
        return
    assert form["name"]
    assert form["description"]
    assert all(f"`{label}`" in read("docs/releasing.md") for label in form["labels"])
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    names = [field["id"] for field in fields]
    assert len(set(names)) == len(names)
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_there_is_a_form_for_bugs_features_and_methods():
    assert {path.stem for path in FORMS} == {"bug", "config", "feature", "method"}
    form = yaml.safe_load(read(".github/ISSUE_TEMPLATE/method.yml"))
    (kinds,) = (field for field in form["body"] if field.get("id") == "kinds")
    offered = [option["label"] for option in kinds["attributes"]["options"]]
    assert offered[: len(KINDS)] == list(KINDS)


def test_the_citation_is_of_this_version_and_of_the_paper_that_the_readme_cites():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert str(citation["version"]) == lmkit.__version__
    assert citation["license"] == PROJECT["license"]
    assert citation["repository-code"] == PROJECT["urls"]["Repository"]
    assert set(citation["keywords"]) == set(PROJECT["keywords"])
    paper = citation["preferred-citation"]
    authors = [f"{each['family-names']}, {each['given-names']}" for each in paper["authors"]]
    cited = dict(re.findall(r"^ +(\w+) += \{(.+)\},?$", read("README.md"), re.M))
    assert cited == {
        "title": paper["title"],
        "author": " and ".join(authors),
        "booktitle": paper["collection-title"],
        "year": str(paper["year"]),
    }


def test_the_repository_has_one_address_and_the_page_on_releases_says_where_it_stands():
    owner, name = PROJECT["urls"]["Repository"].split("/")[-2:]
    assert PROJECT["urls"]["Repository"] == f"https://github.com/{owner}/{name}"
    assert all(url.startswith(PROJECT["urls"]["Repository"]) for url in PROJECT["urls"].values())
    found = {}
    for path in PAGES:
        if path.is_file() and path.suffix in (".cff", ".md", ".py", ".toml", ".yml"):
            addresses = set(ADDRESS.findall(path.read_text(encoding="utf-8")))
            found |= {path.relative_to(ROOT).as_posix(): addresses} if addresses else {}
    page = "docs/releasing.md"
    assert set().union(*found.values()) == {f"{owner}/{name}"}
    told = set(
        re.findall(r"`([\w./-]+)`", read(page).partition("It is in")[2].partition("always")[0])
    )
    assert {*told, page} == found.keys()


def test_the_readme_says_which_systems_are_tested():
    section = read("README.md").partition("## Systems\n")[2].partition("\n## ")[0]
    pythons = sorted(
        (each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.search(r"3\.\d+$", each)),
        key=lambda each: int(each.partition(".")[2]),
    )
    assert f"{pythons[0]} to {pythons[-1]}" in section
    for system in ("Linux", "macOS", "Windows"):
        assert system in section
