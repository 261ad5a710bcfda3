#!/usr/bin/env bash
# Makes sure that there is a Chromium for the browser tests, and writes its path into the file $1.
# On Debian and its kin the distribution's own is installed if there is none.
set -euo pipefail
found() {
	for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
		if [ -n "$name" ] && command -v "$name" > /dev/null; then
			command -v "$name"
			return
		fi
	done
	# What `playwright install chromium` left. `find` fails where the folder is missing.
	local cache="${PLAYWRIGHT_BROWSERS_PATH:-${HOME:-}/.cache/ms-playwright}"
	if [ -d "$cache" ]; then
		find "$cache" -name chrome -path '*chrome-linux*' -type f | sort | tail -n 1
	fi
}
path=$(found)
if [ -z "$path" ] && command -v apt-get > /dev/null; then
	as_root=$([ "$(id -u)" = 0 ] || echo sudo)
	$as_root apt-get update -qq
	DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends chromium > /dev/null
	path=$(found)
fi
if [ -z "$path" ]; then
	echo "error: The browser tests need Chromium: install it, or set CHROMIUM to its path." >&2
	exit 1
fi
mkdir -p "$(dirname "$1")"
echo "$path" > "$1"
