#!/bin/sh
# make_root.sh SUITE FOLDER: a newer Krita in a folder, for LAYER_DIFFUSION_KRITA_ROOT.
#
#   trixie        Krita 5.2 with PyQt5     1.3 GB, about 100 s
#   sid           Krita 5.3 with PyQt5     1.4 GB, about  85 s
#   experimental  Krita 6.0 with PyQt6     1.5 GB, about  90 s
#
# Needs root and debootstrap.  Nothing is started inside and nothing stays mounted.
set -e
suite=$1
root=$2
[ -n "$root" ] || { echo "usage: make_root.sh trixie|sid|experimental FOLDER" >&2; exit 2; }
mirror=${MIRROR:-$(apt-get indextargets --format '$(SITE)' | grep -v security | head -n 1)}
base=$suite
qt=5
extra=
from=
if [ "$suite" = experimental ]; then
    base=sid                      # experimental holds single packages over sid
    qt=6
    extra=qt6-svg-plugins         # without it Krita 6 shows no icons
    from="-t experimental"
fi
debootstrap --variant=minbase --include=ca-certificates "$base" "$root" "$mirror"
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"      # start no services
chmod +x "$root/usr/sbin/policy-rc.d"
if [ "$base" = sid ]; then
    # A mirror that is refreshed now and then: sid's lists count as stale after a week.
    echo 'Acquire::Check-Valid-Until "false";' > "$root/etc/apt/apt.conf.d/90mirror"
fi
if [ "$suite" = experimental ]; then
    echo "deb $mirror experimental main" > "$root/etc/apt/sources.list.d/experimental.list"
fi
chroot "$root" env DEBIAN_FRONTEND=noninteractive sh -ec "
    apt-get update -q
    apt-get install -y -q --no-install-recommends $from \
        krita python3-pyqt$qt $extra dbus-daemon fonts-dejavu-core libgl1-mesa-dri
    apt-get clean"
chroot "$root" dpkg-query -W -f '${Package} ${Version}\n' krita python3-pyqt$qt
