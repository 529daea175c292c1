"""The real backend with a catalogue of small files; nothing else is changed.

Copy the folder `small`; the file `project` in it names the project's folder, `catalogue.json` holds the fields of the
entries, which together are the bundle `small`.
"""

import json
import sys
from pathlib import Path

HERE = Path.cwd()
sys.path.insert(0, (HERE / "project").read_text(encoding="utf-8").strip())
for name in [name for name in sys.modules if name == "backend" or name.startswith("backend.")]:
    del sys.modules[name]

from backend.__main__ import main  # noqa: E402 - the project's, not this folder's
from backend.models import bundles, install, library  # noqa: E402
from backend.models.catalogue import Entry  # noqa: E402

ENTRIES = tuple(Entry(*fields) for fields in json.loads((HERE / "catalogue.json").read_text(encoding="utf-8")))
bundles.CATALOGUE = install.CATALOGUE = library.CATALOGUE = ENTRIES
bundles.BASES = install.BASES = library.BASES = ()
bundles.BUNDLES = library.BUNDLES = (bundles.Bundle("small", "Small files for both families", ENTRIES),)

if __name__ == "__main__":
    sys.exit(main())
