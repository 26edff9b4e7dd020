#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Two devices of the same base in the same state send the same bytes, whatever they went through
# before, and nothing that a server planted comes back to it.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

device_package hello 1.0-1 usr/lib/hello/hello.txt=one
device_package hello 1.0-2 usr/lib/hello/hello.txt=two
lab_base "$packages/hello_1.0-1.deb"
device_repository
publish add --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-2.deb" >/dev/null

# A server that records every byte and plants what servers plant.
device_serve "$repo" "$tap_dir/requests" <<'PY'
import http.server, os, sys, urllib.parse
root, log = sys.argv[1], sys.argv[2]

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with open(log, "ab") as f:
            f.write(self.raw_requestline + bytes(str(self.headers), "latin1"))
        path = os.path.join(root, urllib.parse.unquote(self.path).lstrip("/"))
        try:
            with open(path, "rb") as f:
                data = f.read()
            self.send_response(200)
        except OSError:
            data = b""
            self.send_response(404)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Set-Cookie", "device=42; Max-Age=100000")
        self.send_header("ETag", '"planted-42"')
        self.send_header("Last-Modified", "Tue, 24 Nov 2026 10:00:00 GMT")
        self.send_header("Alt-Svc", 'h2="127.0.0.1:1"; ma=100000')
        self.send_header("Strict-Transport-Security", "max-age=100000")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass
PY
url=http://127.0.0.1:$port

# `device NAME ARGS...`: bsi as another device: its own state and run directory
device() {
	local name=$1
	shift
	bsi "$@" --state "$tap_dir/$name.state" --run "$tap_dir/$name.run" >/dev/null
}
recorded() {
	sha256sum <"$tap_dir/requests"
	: >"$tap_dir/requests"
}

mkdir "$tap_dir/one.state" "$tap_dir/two.state"
device one enroll "$url" --root "$repo/metadata/1.root.json"
device one install
# the second one has a history: installed, removed, installed by name, other settings
device two enroll "$url" --root "$repo/metadata/1.root.json"
device two install
device two remove
device two config auto off
device two install a
device two config auto on
device two check

: >"$tap_dir/requests"
device one check
cp "$tap_dir/requests" "$tap_dir/shown"
one=$(recorded)
device two check
two=$(recorded)
is "$one" "$two" "a check sends the same bytes from both devices"
like "$(cat "$tap_dir/shown")" "GET /metadata/2.root.json" "the requests were recorded"
unlike "$(cat "$tap_dir/shown")" "ookie|If-|ETag|planted|User-Agent|device" "nothing planted comes back, and no agent is named"
is "$(grep -c '^GET ' "$tap_dir/shown")" 2 "a check without news is two requests"

device_package hello 1.0-3 usr/lib/hello/hello.txt=three
publish add --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-3.deb" >/dev/null
: >"$tap_dir/requests"
device one run
one=$(recorded)
device two run
two=$(recorded)
is "$one" "$two" "an install sends the same bytes from both devices"
is "$(cat /usr/lib/hello/hello.txt)" three "and happened"
finish
