#!/usr/bin/env bash
# Removes all that install.sh installed but data and settings, and prints their paths.
set -euo pipefail

[ "$(id -u)" = 0 ] || { echo "uninstall.sh: must run as root: sudo $0" >&2; exit 1; }
[ $# = 0 ] || { echo "usage: uninstall.sh; removes feedsvc, but for its data and settings" >&2; exit 2; }

units=/etc/systemd/system
for unit in feedsvc.socket feedsvc.service; do
    [ ! -e "$units/$unit" ] || systemctl disable --quiet --now "$unit"
    rm -f "$units/$unit"
done
rm -f /etc/sysusers.d/feedsvc.conf /etc/tmpfiles.d/feedsvc.conf
systemctl daemon-reload
systemctl reset-failed feedsvc.service feedsvc.socket 2>/dev/null || true  # unknown if they never failed
rm -rf /opt/feedsvc

echo "feedsvc is removed. These stay, if they exist:"
for path in /var/lib/feedsvc /srv/feedsvc /etc/feedsvc "$units"/feedsvc.{service,socket}.d; do
    [ ! -e "$path" ] || echo "  $path"
done
echo "  the user feedsvc and the groups feedsvc and feedsvc-drop, to whom these files belong"
