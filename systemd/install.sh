#!/usr/bin/env bash
set -euo pipefail
umask 022

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
programs=/opt/feedsvc
program=$programs/bin/feedsvc  # a link to that of the release in use
settings=/etc/feedsvc
state=/var/lib/feedsvc
drop=/srv/feedsvc/drop
units=/etc/systemd/system
oldest_systemd=252

usage() {
    cat <<EOF
usage: systemd/install.sh [--help]

Installs feedsvc from this checkout as a systemd service and starts it; run again, it upgrades. Needs root,
systemd $oldest_systemd or newer and Python 3.11 or newer with its venv module.

  $programs   programs; bin/feedsvc is the one in use
  $settings/config.toml   settings; yours is never changed, config.toml.sample is that of the installed version
  $drop   drop folder: members of the group feedsvc-drop may write
  $state   state, above all feedsvc.db: back it up

An upgrade is made beside the running version, and replaces it at the end; if it does not start, the old one does.

From the environment:
  PYTHON   the Python to use, such as /usr/bin/python3.12; it must not be below /home or /root
  PIP_*    options of pip, such as PIP_NO_INDEX=1 PIP_FIND_LINKS=/srv/wheels
EOF
}

say() { printf '%s\n' "$*"; }
die() {
    printf 'install.sh: %s\n' "$1" >&2
    shift
    [ $# = 0 ] || printf '  %s\n' "$@" >&2
    exit 1
}

check_system() {
    [ "$(id -u)" = 0 ] || die "must run as root" "sudo $0"
    [ -d /run/systemd/system ] || die "systemd does not run this machine" \
        "without it, start the daemon with: make run"
    local version
    version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge "$oldest_systemd" ] || die "systemd is version ${version:-unknown}, too old" \
        "version $oldest_systemd or newer is needed (Debian 12, Ubuntu 23.04, Fedora 37)"
    if [ -e "$program" ] && [ ! -L "$program" ]; then
        die "$programs is in use by something that this script did not install" \
            "move it away: mv $programs $programs.old"
    fi
}

# Prints why a Python cannot be used; nothing if it can.
refuse_python() {
    local home
    home=$("$1" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))' 2>/dev/null) || { say "does not run"; return; }
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { say "is older than 3.11"; return; }
    case $home/ in /home/* | /root/* | /run/* | /tmp/*) say "is in $home, which the service cannot see"; return ;; esac
    "$1" -c 'import ensurepip, venv' 2>/dev/null || say "cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv"
}

find_python() {
    local candidate reason reasons=()
    local candidates=(python3 /usr/local/bin/python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11)
    [ -z "${PYTHON-}" ] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        command -v "$candidate" >/dev/null || continue
        reason=$(refuse_python "$candidate")
        [ -n "$reason" ] || { python=$(command -v "$candidate"); return; }
        reasons+=("$candidate $reason")
    done
    die "no usable Python ${PYTHON:+at $PYTHON}; install Python 3.11 or newer, or name one: PYTHON=/usr/bin/python3.12 $0" \
        "${reasons[@]}"
}

pip_install() {
    "$release/bin/python" -m pip install --quiet --disable-pip-version-check "$@" ||
        die "pip could not install feedsvc, see above" \
            "without a connection to the package index: PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER $0"
}

make_release() {
    release=$programs/releases/$(date +%Y%m%d-%H%M%S)-$$
    trap discard EXIT
    mkdir -p "$release"
    say "Making $release with $python ..."
    "$python" -m venv "$release" || die "$python cannot make virtual environments" \
        "on Debian and Ubuntu: apt install python3-venv"
    # Packages of others, and those that build feedsvc, must have the hashes of the lock.
    pip_install --require-hashes --requirement "$checkout/locks/run.txt"
    pip_install --no-deps --no-build-isolation "$checkout"
    mkdir "$release/systemd"
    cp "$checkout"/systemd/{feedsvc.service,feedsvc.socket,websub.conf,sysusers.conf,tmpfiles.conf,uninstall.sh} \
        "$release/systemd/"
    write_sample >"$release/systemd/config.toml"
}

# Prints config.toml with the paths of a service.
write_sample() {
    sed -e "s|^directories = .*|directories = [\"$drop\"]|" \
        -e "s|^url = .*|url = \"sqlite:///$state/feedsvc.db\"|" \
        -e "s|^listen = .*|# A service listens where feedsvc.socket says: systemctl edit feedsvc.socket.\n&|" "$checkout/config.toml"
}

discard() {
    [ "$release" = "$(current)" ] || rm -rf "$release"
}

current() { [ ! -L "$program" ] || dirname "$(dirname "$(readlink "$program")")"; }

make_users_and_folders() {
    install -D -m 644 "$release/systemd/sysusers.conf" /etc/sysusers.d/feedsvc.conf
    install -D -m 644 "$release/systemd/tmpfiles.conf" /etc/tmpfiles.d/feedsvc.conf
    systemd-sysusers feedsvc.conf
    systemd-tmpfiles --create feedsvc.conf
    as_service test -r "$drop" -a -x "$drop" || die "the user feedsvc cannot read $drop" \
        "its file system has no access control lists: use one that has (ext4, xfs, btrfs, zfs), mounted without noacl"
    as_service "$release/bin/feedsvc" --version >/dev/null || die "the user feedsvc cannot run $release/bin/feedsvc" \
        "$python and all folders above it must be readable to everybody"
}

as_service() { runuser -u feedsvc -- "$@"; }

# The settings may hold passwords.
make_settings() {
    install -d -m 755 "$settings"
    if [ ! -e "$settings/config.toml" ]; then
        install -m 640 -g feedsvc "$release/systemd/config.toml" "$settings/config.toml"
    elif ! cmp -s "$release/systemd/config.toml" "$settings/config.toml.sample"; then
        say "Settings have new keys or defaults: compare $settings/config.toml with config.toml.sample beside it."
    fi
    install -m 644 "$release/systemd/config.toml" "$settings/config.toml.sample"
    local said code=0
    said=$(cd / && as_service "$release/bin/feedsvc" check --config "$settings/config.toml" 2>&1) || code=$?
    [ "$code" = 0 ] || say "$said"
    [ "$code" != 2 ] || die "this version refuses the settings, see above; what was installed before is as it was" \
        "mend $settings/config.toml and run this again"
}

activate() {
    install -m 644 "$1"/systemd/feedsvc.{service,socket} "$units/"
    mkdir -p "$programs/bin"
    ln -sfn "$1/bin/feedsvc" "$program.new"
    mv -T "$program.new" "$program"
    install -m 755 "$1/systemd/uninstall.sh" "$programs/"
    systemctl daemon-reload
}

start() {
    if [ -z "$old" ]; then
        activate "$release"
        systemctl enable --quiet feedsvc.socket feedsvc.service
        systemctl start feedsvc.socket feedsvc.service || die "the service did not start; it is tried again and again" \
            "see why: journalctl -u feedsvc"
        return
    fi
    cmp -s "$release/systemd/feedsvc.socket" "$units/feedsvc.socket" ||
        say "feedsvc.socket has changed; when it suits: systemctl restart feedsvc.socket feedsvc.service"
    local ran=no
    systemctl is-active --quiet feedsvc.socket && ran=yes
    activate "$release"
    if [ "$ran" = no ]; then
        say "The service was not running and is not started: systemctl start feedsvc"
    elif ! systemctl restart feedsvc.service; then
        activate "$old"
        systemctl restart feedsvc.service || true
        die "the new version did not start, the old one is back" "see why: journalctl -u feedsvc"
    fi
}

case "${1-}" in
"") ;;
-h | --help)
    usage
    exit
    ;;
*)
    usage >&2
    exit 2
    ;;
esac

check_system
exec 9>/run/feedsvc-install.lock
flock -n 9 || die "another install.sh is at work" "wait for it to end"
find_python
old=$(current)
make_release
make_users_and_folders
make_settings
start
for each in "$programs"/releases/*; do
    [ "$each" = "$release" ] || rm -rf "$each"
done

say "feedsvc $("$release/bin/feedsvc" --version | cut -d ' ' -f 2) is installed."
say "  dumps: $drop (let somebody write there: usermod -aG feedsvc-drop NAME)"
say "  feed: http://127.0.0.1:8080/feed.atom"
say "  settings: $settings/config.toml, then systemctl reload feedsvc"
say "  what it does: systemctl status feedsvc, journalctl -u feedsvc"
say "  remove: $programs/uninstall.sh"
