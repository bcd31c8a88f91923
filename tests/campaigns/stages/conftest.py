"""What the tests of the stages share: the two presets, tools in memory, a folder."""

from pathlib import Path

import pytest

from campaigns.brief.presets import load_preset
from campaigns.brief.schema import Brief
from tests.campaigns.briefs import TODAY
from tests.campaigns.stages.stand import Folder, ToolBox

PRESETS = ("aurora-one", "casa-olmeda-early-harvest")


@pytest.fixture(scope="session", params=PRESETS)
def brief(request: pytest.FixtureRequest) -> Brief:
    """Each of the presets."""
    return Brief.model_validate(load_preset(request.param, TODAY))


@pytest.fixture(scope="session")
def light(brief: Brief) -> Brief:
    """Each of the presets with its first creative alone, where pictures are not what is looked at."""
    return brief.model_copy(update={"creative_sizes": brief.creative_sizes[:1]})


@pytest.fixture(scope="session")
def aurora() -> Brief:
    """The reference campaign."""
    return Brief.model_validate(load_preset("aurora-one", TODAY))


@pytest.fixture
def tools() -> ToolBox:
    return ToolBox()


@pytest.fixture
def files(tmp_path: Path) -> Folder:
    return Folder(tmp_path)
