#!/usr/bin/with-contenv bash
# shellcheck shell=bash
# Starts keyward with the file that the app's settings name; the first time with one that holds the doors alone.
set -euo pipefail
name=$(jq --raw-output '.config // "proxy.toml"' /data/options.json)
case $name in
    */* | .*) echo "config: $name is no name of a file in the app's folder" >&2; exit 2 ;;
esac
file=/config/$name
[ -e "$file" ] || cp /usr/share/keyward/first.toml "$file"
exec keyward run --config "$file"
