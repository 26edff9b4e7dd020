#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# While an improvement loads the state is free: the owner and the hooks get what they ask for,
# nothing is loaded twice, and what is attached in the end is what is wanted then.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

# contents that do not pack: a payload is as large as they are
for v in 1 2 3; do
	head -c 3000000 /dev/urandom >"$tap_dir/data.$v"
	device_package hello 1.0-$v usr/lib/hello/a.txt=a$v "usr/lib/hello/data=@$tap_dir/data.$v"
done
lab_base "$packages/hello_1.0-1.deb"
device_repository
publish add --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-2.deb" >/dev/null 2>&1

# A web server. Of a path that matches what the file `slow` says the first half comes at once; the
# rest only when the file `open` is there, and until then, of a payload, what is fast enough.
device_serve "$repo" "$tap_dir" <<'PY'
import http.server, os, re, sys, time, urllib.parse
root, here = sys.argv[1], sys.argv[2]
OPEN = os.path.join(here, "open")

def is_slow(path):
    try:
        with open(os.path.join(here, "slow")) as f:
            return re.search(f.read().strip(), path)
    except OSError:
        return False

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with open(os.path.join(here, "hosts"), "a") as log:
            log.write(self.headers.get("Host", "") + "\n")
        path = os.path.join(root, urllib.parse.unquote(self.path).lstrip("/"))
        is_payload = path.endswith((".delta", ".zst"))
        try:
            with open(path, "rb") as f:
                data = f.read()
        except OSError:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        found = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        at = int(found.group(1)) if found else 0
        if is_payload:
            with open(os.path.join(here, "payloads"), "a") as log:
                log.write("%d\n" % at)
        self.send_response(206 if found else 200)
        if found:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (at, len(data) - 1, len(data)))
        self.send_header("Content-Length", str(len(data) - at))
        self.end_headers()
        if is_slow(self.path):
            half = max(at, len(data) // 2)
            self.wfile.write(data[at:half])
            at = half
            open(os.path.join(here, "waits"), "w").close()
            while not os.path.exists(OPEN) and at < len(data):
                n = 1000 if is_payload else 0
                self.wfile.write(data[at:at + n])
                at += n
                time.sleep(0.2)
        self.wfile.write(data[at:])

    def log_message(self, *args):
        pass
PY

text() { cat /usr/lib/hello/a.txt; }
parts() { find /var/lib/bsi/downloads -type f | wc -l; }
let_go() { touch "$tap_dir/open"; }
# begin VERB...: bsi in the background, until its payload comes slowly
begin() { begin_slow '(delta|zst)$' "$@"; }
# the same, and what comes slowly is any path of that kind
begin_slow() {
	rm -f "$tap_dir/open" "$tap_dir/waits" "$tap_dir/payloads"
	printf '%s' "$1" >"$tap_dir/slow"
	shift
	bsi "$@" >"$tap_dir/out" 2>"$tap_dir/err" </dev/null &
	loading=$!
	until [[ -e $tap_dir/waits ]] || ! kill -0 $loading 2>/dev/null; do sleep 0.05; done
	[[ -e $tap_dir/waits ]] || not_ok "bsi $* loads" "$(cat "$tap_dir/out" "$tap_dir/err")"
}
# its end: $status, $out, $err
ended() {
	status=0
	wait "$loading" || status=$?
	out=$(<"$tap_dir/out")
	err=$(<"$tap_dir/err")
}
still() { kill -0 "$loading" 2>/dev/null; }

bsi enroll "http://127.0.0.1:$port" --root "$repo/metadata/1.root.json" >/dev/null
begin install
is "$(text)" a1 "while (a) loads the base is there"
pass "the status is shown" bsi status
pass "the configuration is changed" bsi config auto on
is "$(bsi config --json | jq .auto)" true "and holds"
pass "packages are matched" bsi attach
pass "the repository is asked" bsi check
run bsi install
is "$run_status" 5 "nothing is loaded twice"
like "$run_err" "'bsi install' \(process $loading\) is loading" "and who loads is said"
run bsi run
is "$run_status" 5 "nor by the timer"
still && ok "all that while it loads" || not_ok "all that while it loads"
let_go
ended
is "$status" 0 "it comes to its end" || diag "$err"
is "$(text)" a2 "(a) is attached"
is "$(wc -l <"$tap_dir/payloads") $(parts)" "1 0" "the payload was asked for once, and is used up"

# the base changes, and the mounts with it: the store is cleaned while it loads
publish add --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-3.deb" >/dev/null 2>&1
begin run
is "$(text)" a2 "while (b) loads (a) stays"
image=$(ls /var/lib/bsi/images)
bsi base -- sh -c 'printf x >/usr/lib/hello/a.txt'
run bsi attach
is "$run_status $(text)" "0 x" "a base file changed: (a) goes off while (b) loads" || diag "$run_err"
bsi base -- sh -c 'printf a1 >/usr/lib/hello/a.txt'
run bsi attach
is "$run_status $(text)" "0 a2" "it is whole again: (a) comes back" || diag "$run_err"
is "$(parts)" 1 "the part that loads was not cleaned away"
let_go
ended
is "$status" 0 "it comes to its end" || diag "$err"
is "$(text)" a3 "(b) is attached"
is "$(wc -l <"$tap_dir/payloads")" 1 "the payload was asked for once"
like "$(ls -A /var/lib/bsi/images)" "$image" "what was before is kept"
is "$(find /var/lib/bsi/images -type f | wc -l)" 2 "and nothing else"

# only_a: (a) is installed, and the image of (b) is gone
only_a() {
	local file

	let_go
	bsi remove >/dev/null 2>&1
	bsi install a >/dev/null 2>&1
	for file in /var/lib/bsi/images/*; do [[ $file == */$image ]] || rm "$file"; done
	is "$(text)" a2 "(a) is installed"
}

# its process ends: the next one goes on
only_a
begin install b
kill -KILL "$loading"
wait "$loading" 2>/dev/null
is "$(parts) $(text)" "1 a2" "it is killed: what came stays"
let_go
rm "$tap_dir/payloads"
run bsi install b
is "$run_status $(text)" "0 a3" "the next run does the rest" || diag "$run_err"
is "$(cat "$tap_dir/payloads")" 1048576 "from where it was"
only_a
begin install b
kill -TERM "$loading"
wait "$loading" 2>/dev/null
is "$(parts) $(text)" "1 a2" "it is ended: what came stays"
pass "the state is free" bsi config auto on

# the owner leaves
only_a
begin install b
run bsi remove
is "$run_status $(text)" "0 a1" "remove takes (a) off while (b) loads" || diag "$run_err"
like "$run_err" "'bsi install' \(process $loading\) is loading an improvement; that is not taken" "and says what becomes of that"
ended
is "$status $(text)" "10 a1" "it ends by itself, and nothing is attached"
like "$err" "\(b\) is not taken: 'bsi remove' \(process [0-9]+\) came while it was loaded" "and says why"
run bsi run
is "$run_status $(text)" "0 a1" "nor does it come by itself"
like "$(bsi status)" "taken off on this device" "the status says why"

begin install b
run bsi remove
like "$run_out" "nothing was installed" "on the base there is nothing to remove"
like "$run_err" "is loading an improvement; that is not taken" "but what loads, and it says so"
ended
is "$status $(text)" "10 a1" "with nothing attached"

only_a
begin install b
run bsi rollback
is "$run_status $(text)" "0 a1" "rollback leaves (a) while (b) loads" || diag "$run_err"
ended
is "$status $(text)" "10 a1" "and (b) is not attached either"
like "$err" "'bsi rollback' \(process [0-9]+\) came while" "and why is said"

# a device that was never here
fresh() {
	find /var/lib/bsi -mindepth 1 -delete
	rm -rf /run/bsi
	bsi enroll "http://127.0.0.1:$port" --root "$repo/metadata/1.root.json" >/dev/null
	bsi config auto on >/dev/null
}

# by the timer that is no failure
fresh
begin run
pass "the owner says no to what the timer loads" bsi remove
ended
is "$status $(text)" "0 a1" "the timer's run obeys" || diag "$err"
like "$(bsi status)" "taken off on this device" "the status says why"
run bsi run
is "$run_status $(text)" "0 a1" "the next run does, too"

# who loads hears nothing of it
fresh
begin run
kill -STOP "$loading"
run bsi remove
is "$run_status" 0 "the owner says no to what a process loads that does not hear it" || diag "$run_err"
like "$run_err" "is loading an improvement; that is not taken" "and is told that it is not taken"
kill -KILL "$loading"
wait "$loading" 2>/dev/null
let_go
run bsi run
is "$run_status $(text)" "0 a1" "it is killed: the next run does not take it all the same" || diag "$run_err"
like "$(bsi status)" "taken off on this device" "the status says why"

# what was wanted is not wanted any more
begin install b
bsi base -- sh -c 'printf x >/usr/lib/hello/a.txt'
let_go
ended
is "$status $(text)" "9 x" "the base changed while it loaded: nothing is attached"
like "$err" "does not fit" "and why is said"
bsi base -- sh -c 'printf a1 >/usr/lib/hello/a.txt'
pass "whole again, it is" bsi install b
is "$(text)" a3 "attached"

only_a
find /var/lib/bsi -mindepth 1 -delete
bsi attach >/dev/null 2>&1
rm -rf /run/bsi
bsi enroll "http://127.0.0.1:$port" --root "$repo/metadata/1.root.json" >/dev/null
bsi config auto on >/dev/null
begin run
bsi config auto off >/dev/null
let_go
ended
is "$status $(text)" "0 a1" "automatic installation was switched off while it loaded: nothing is attached" || diag "$err"
like "$(bsi status)" "automatic installation is off" "the status says why"

only_a
begin install b
publish withdraw b --action remove --reason "for the test" >/dev/null
pass "another run hears of a withdrawal" bsi run
let_go
ended
is "$status $(text)" "10 a2" "withdrawn while it loaded: it is not taken"
like "$err" "withdrawn by the publisher: for the test" "and why is said"

# what is in it comes slowly, before its payloads
fresh() {
	let_go
	bsi remove >/dev/null 2>&1
	find /var/lib/bsi -mindepth 1 -delete
	rm -rf /run/bsi
	bsi enroll "http://127.0.0.1:$port" --root "$repo/metadata/1.root.json" >/dev/null
}
fresh
begin_slow manifest install
pass "while the manifest comes the configuration is changed" bsi config auto on
pass "and packages are matched" bsi attach
let_go
ended
is "$status $(text)" "0 a2" "it comes to its end" || diag "$err"
is "$(wc -l <"$tap_dir/payloads")" 1 "the payload was asked for once"
fresh
begin_slow manifest install
pass "while the manifest comes remove ends what loads" bsi remove
let_go
ended
is "$status $(text)" "10 a1" "and nothing is attached"
like "$err" "\(a\) is not taken: 'bsi remove'" "and why is said"

# what is published comes slowly: by what another process saw or changed meanwhile nothing is decided
for slow in timestamp 'targets/.*index'; do
	fresh
	begin_slow "$slow" install
	run bsi config auto on
	is "$run_status" 5 "while the repository is asked for the ${slow##*/} the state is locked"
	like "$run_err" "'bsi install' \(process $loading\) is changing the state" "and who asks is said"
	pass "the status is shown" bsi status
	let_go
	ended
	is "$status $(text)" "0 a2" "it comes to its end" || diag "$err"
done

# the only letter that is left is withdrawn while it loads, and nobody named it
fresh
begin install
publish withdraw a --action remove --reason "for the test" >/dev/null
pass "another run hears that nothing is left" bsi run
let_go
ended
is "$status $(text)" "0 a1" "withdrawn while it loaded: there is nothing to attach" || diag "$err"
like "$out" "^nothing to do: no improvement is published" "and that is said"
unlike "$(bsi history)" "installed" "nor is it told later that it was installed"

# the repository is another one when it is loaded, of the same publisher
fresh
publish add --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-3.deb" >/dev/null 2>&1
begin install
bsi enroll "http://localhost:$port" --replace --root "$repo/metadata/1.root.json" >/dev/null
rm -f "$tap_dir/hosts"
let_go
ended
is "$status $(text)" "0 a3" "another repository was named while it loaded: it is attached" || diag "$err"
like "$(cat "$tap_dir/hosts")" "localhost:$port" "and it was asked whether it is wanted"

# the operating system is another one when it is loaded
fresh
begin install
bsi base -- sed -i 's/^VERSION_ID=.*/VERSION_ID="99"/' /etc/os-release
let_go
ended
is "$(text)" a1 "the base is another one when it is loaded: nothing is attached"
like "$err" "99" "and why is said"
finish
