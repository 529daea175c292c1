"""The zip, as a person brings it into Krita: by its own importer, and on from the next start."""

import pytest

from krita_plugin.build import build_zip

from .conftest import ARTEFACTS, HERE, OTHER_ROOT, passed, websockets_source
from .harness.profile import Profile
from .harness.run import DRIVER_PLUGIN, KritaRun

pytestmark = pytest.mark.krita


def test_krita_imports_the_zip(tmp_path):
    archive = build_zip(tmp_path / "layer_diffusion.zip", websockets_source())
    profile = Profile(tmp_path / "user")
    profile.install(DRIVER_PLUGIN)
    profile.write_config({"python": {"enable_plugin_importer": "true"}})
    for again in (False, True):
        out = ARTEFACTS / f"import_{'again' if again else 'zip'}"
        with KritaRun(
            driver=HERE / "drivers" / "import_zip.py", out=out, args={"archive": str(archive), "again": again},
            environment=profile.environment(), chroot=OTHER_ROOT, binds=[tmp_path],
        ) as session:  # fmt: skip
            passed(session.wait(), out)
    assert (profile.resources / "actions" / "layer_diffusion.action").is_file()
