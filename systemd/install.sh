#!/bin/sh
# Installs tickled as a systemd service, from the archive of a release or from `cargo build --release`, or removes it.
#
#   sudo ./systemd/install.sh               install, or upgrade: the configuration stays, a running daemon is restarted
#   sudo ./systemd/install.sh --uninstall   remove it; the configuration, the state and the group stay
#
# It enables and starts nothing by itself: edit the configuration first. It can be run again at any time.
#
#   PREFIX    where it goes: /usr/local unless set
#   BINARY    the program: unless set, that of this archive or target/release/tickled
#   DESTDIR   for packagers: install below this directory and change nothing on this system; use PREFIX=/usr
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
prefix=${PREFIX:-/usr/local}
root=${DESTDIR:-}
built=$here/target/release/tickled
# An archive of a release has the program beside the documents.
[ ! -x "$here/tickled" ] || built=$here/tickled
binary=${BINARY:-$built}
units=$prefix/lib/systemd/system
catalog=$prefix/lib/systemd/catalog/tickled.catalog
sysusers=$prefix/lib/sysusers.d/tickled.conf
config=/etc/tickled/tickled.toml

fail() {
	echo "install.sh: $*" >&2
	exit 1
}

put() { # put MODE FILE PATH: only what is different is written
	cmp -s "$2" "$root$3" && [ "$(stat -c %a "$root$3")" = "$1" ] || install -D -m "$1" "$2" "$root$3"
}

# Every file that is installed, but the configuration: MODE PATH FILE
files() {
	cd "$here"
	echo "755 $prefix/bin/tickled $binary"
	echo "644 $sysusers $here/systemd/tickled.sysusers"
	echo "644 $catalog $here/systemd/tickled.catalog"
	for page in "$here"/docs/man/*.1; do
		echo "644 $prefix/share/man/man1/${page##*/} $page"
	done
	echo "644 $prefix/share/bash-completion/completions/tickled $here/completions/tickled"
	echo "644 $prefix/share/zsh/site-functions/_tickled $here/completions/_tickled"
	echo "644 $prefix/share/fish/vendor_completions.d/tickled.fish $here/completions/tickled.fish"
	# In the folders that they have here, so that the links between them hold.
	for text in *.md LICENSE-* config/tickled.toml systemd/*.service systemd/*.conf docs/*.md docs/*.yml docs/*.json; do
		echo "644 $prefix/share/doc/tickled/$text $here/$text"
	done
}

# What systemd keeps of the files: the group, the catalogue, the unit.
tell_systemd() {
	[ -z "$root" ] || return 0
	[ ! -e "$sysusers" ] || systemd-sysusers "$sysusers"
	journalctl --update-catalog
	[ ! -d /run/systemd/system ] || systemctl daemon-reload
}

install_all() {
	[ -x "$binary" ] || fail "there is no $binary: run \`cargo build --release\` first, as yourself"
	if [ -z "$root" ] && [ -e /usr/lib/systemd/system/tickled.service ] && [ "$prefix" != /usr ]; then
		fail "the tickled of a package is installed: remove that first"
	fi
	files | while read -r mode path file; do
		put "$mode" "$file" "$path"
	done
	unit=$(mktemp)
	sed "s|^ExecStart=/usr/bin/|ExecStart=$prefix/bin/|" "$here/systemd/tickled.service" >"$unit"
	put 644 "$unit" "$units/tickled.service"
	rm -f "$unit"
	was_there=yes
	if [ ! -e "$root$config" ]; then
		was_there=no
		install -D -m 644 "$here/config/tickled.toml" "$root$config"
	fi
	tell_systemd
	if [ -n "$root" ]; then
		return
	fi
	if [ -d /run/systemd/system ] && systemctl --quiet is-active tickled.service; then
		# Do not stop a working daemon if the new one would not start.
		if ! "$prefix/bin/tickled" config show "$config" >/dev/null; then
			fail "installed, but the old daemon is still running, because the new one refuses the configuration (see above). \
Fix the file, then: sudo systemctl restart tickled"
		fi
		systemctl restart tickled.service
	fi
	if [ -d /run/systemd/system ] && systemctl --quiet is-active tickled.service; then
		echo "tickled is upgraded and running again."
	elif [ "$was_there" = yes ]; then
		echo "tickled is installed, and the existing configuration was kept. Start it with"
		echo "    sudo systemctl enable --now tickled"
	else
		echo "tickled is installed. Configure your gateways in $config, then start it with"
		echo "    sudo systemctl enable --now tickled"
	fi
	echo "To let a user use the control socket: sudo usermod -aG tickled NAME"
}

uninstall_all() {
	if [ -z "$root" ] && [ -d /run/systemd/system ] && [ -e "$units/tickled.service" ]; then
		systemctl --quiet disable --now tickled.service
	fi
	files | while read -r _ path _; do
		rm -f "$root$path"
	done
	rm -f "$root$units/tickled.service"
	rmdir "$root$prefix/share/doc/tickled/"*/ "$root$prefix/share/doc/tickled" 2>/dev/null || :
	tell_systemd
	[ -n "$root" ] || echo "tickled is removed; /etc/tickled, /var/lib/tickled and the group tickled are kept."
}

[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "this needs root: sudo $0 $*"
case $#${1:-} in
0) install_all ;;
1--uninstall) uninstall_all ;;
*)
	sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"
	exit 64
	;;
esac
