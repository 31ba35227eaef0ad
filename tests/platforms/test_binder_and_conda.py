"""What repo2docker makes of this repository for Binder, and whether conda can read the environment files.

repo2docker writes the Dockerfile without Docker, so the whole recipe is seen; only the build itself needs a network.
rattler is conda's own grammar as a library: it reads every specification, and solves none.
"""

import re

import pytest
import yaml

from labkit.base import assets

if assets.checkout() is None:
    pytest.skip("needs a checkout", allow_module_level=True)
ROOT = assets.CHECKOUT
FILES = ("environment.yml", "binder/environment.yml")


@pytest.fixture(scope="module")
def recipe() -> tuple[str, str]:
    """The kind of build that repo2docker chooses here, and its Dockerfile."""
    app = pytest.importorskip("repo2docker.app", reason="the extra platforms is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for kind in app.Repo2Docker().buildpacks:
            pack = kind(base_image="buildpack-deps:24.04")
            pack.platform = "linux/amd64"
            if pack.detect():
                return kind.__name__, pack.render({"NB_USER": "learner", "NB_UID": "1000"})
    raise AssertionError("repo2docker finds nothing to build here")


def after(text: str, *signs: str) -> None:
    """The signs stand in the text, one after the other."""
    place = 0
    for sign in signs:
        found = text.find(sign, place)
        assert found >= 0, f"{sign!r} does not come where it should"
        place = found + len(sign)


def test_binder_builds_with_conda_from_its_own_file(recipe):
    kind, text = recipe
    assert kind == "CondaBuildPack"
    after(text, '--file "binder/environment.yml"', "COPY --chown=1000:1000 src/ ", "RUN ./binder/postBuild")
    assert '"environment.yml"' not in text


def test_binder_starts_through_the_start_script(recipe):
    after(recipe[1], 'chmod +x "${REPO_DIR}/binder/start"', 'ENV R2D_ENTRYPOINT="${REPO_DIR}/binder/start"', "CMD")


def test_binder_gets_the_python_that_is_asked_for(recipe):
    """Without a version that it understands, repo2docker falls back to an old one, with a warning that nobody reads."""
    lines = yaml.safe_load((ROOT / "binder/environment.yml").read_text(encoding="utf-8"))["dependencies"]
    (version,) = [line.removeprefix("python=") for line in lines if str(line).startswith("python=")]
    assert re.search(rf"environment-2epy-2d{version.replace('.', '-2e')}-2dlinux", recipe[1])


@pytest.mark.parametrize("file", FILES)
def test_conda_reads_every_specification(file):
    rattler = pytest.importorskip("rattler", reason="the extra platforms is not installed")
    document = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
    assert document["name"] and document["channels"] == ["conda-forge"]
    for line in document["dependencies"]:
        if isinstance(line, str):
            spec = rattler.MatchSpec(line, strict=True)
            assert spec.name is not None and spec.name.normalized == re.split("[=<>]", line)[0]


@pytest.mark.parametrize("wrong", ["numpy=>>1", "numpy >=1.0.*<", "numpy[version=]"])
def test_the_grammar_is_strict(wrong):
    """The test above can fail: what conda could not read is refused."""
    rattler = pytest.importorskip("rattler", reason="the extra platforms is not installed")
    with pytest.raises(Exception, match=r".+"):
        rattler.MatchSpec(wrong, strict=True)


@pytest.mark.parametrize("file", FILES)
def test_pip_reads_every_requirement(file):
    from packaging.requirements import Requirement

    lines = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))["dependencies"]
    (piped,) = [line["pip"] for line in lines if isinstance(line, dict)]
    names = {Requirement(line).name for line in piped if not line.startswith("--")}
    assert "xllamacpp" in names
