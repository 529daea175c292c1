#!/bin/sh
# run_newer.sh FOLDER [pytest arguments]: the tests of the plugin in the Kritas of newer Debian suites.
#
# Each suite gets a root in FOLDER (see make_root.sh), which is kept for the next time.  Needs root, debootstrap, what
# install_krita.sh installs, and the environment's Python as `python`, which must not be Debian's own.
set -e
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
[ -n "$folder" ] || { echo "usage: run_newer.sh FOLDER [pytest arguments]" >&2; exit 2; }
shift
mkdir -p "$folder"
failed=
for suite in trixie sid experimental; do
    root="$folder/$suite"
    [ -e "$root.made" ] || { "$here/make_root.sh" "$suite" "$root" && touch "$root.made"; }
    version=$(chroot "$root" dpkg-query -W -f '${Version}' krita)
    echo "── Krita $version ($suite)"
    LAYER_DIFFUSION_KRITA_ROOT="$root" LAYER_DIFFUSION_ARTEFACTS="$folder/artefacts-$suite" \
        LAYER_DIFFUSION_REQUIRE_KRITA=1 python -m pytest -m krita "$here/.." "$@" || failed="$failed $suite"
done
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
