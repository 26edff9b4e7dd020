#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Transfers from a server that lies in every way there is: the verdict, its words, and the bytes of
# the requests.
# shellcheck source=tests/integration/tap.sh
. "$BSI_TESTS/integration/tap.sh"

# What the client says beside its results is a fault: a sanitizer speaks there.
# shellcheck disable=SC2317  # run calls it
client() {
	timeout 30 "$program" "$@" 2>>"$tap_dir/client.errors"
}

program=$BSI_BUILD/tests/integration/fetch-client
command -v python3 >/dev/null || skip_all "python3 is not installed"

server=$tap_dir/server
mkdir "$server"
head -c $((3 * 1048576 + 123)) /dev/urandom >"$server/data"
size=$(stat -c %s "$server/data")
python3 "$BSI_TESTS/integration/fetch-server.py" "$server" 150 >/dev/null 2>"$server/errors" &
at_exit "kill $! 2>/dev/null"
for ((i = 0; i < 100; i++)); do
	[[ -e $server/port ]] && break
	sleep 0.1
done
if [[ ! -e $server/port ]]; then
	not_ok "the test server starts" "$(<"$server/errors")"
	finish
fi
port=$(<"$server/port")
url=http://127.0.0.1:$port
out=$tap_dir/out

# get [OPTION...] PATH: sets $got to what the client says, $out to what it wrote
get() {
	local options=("${@:1:$#-1}")
	run client --out "$out" "${options[@]}" "$url${*: -1}"
	got=$run_out
}

# good NAME [OPTION...] PATH: succeeds with the content "good"
good() {
	local name=$1
	shift
	rm -f "$out"
	get "$@"
	like "$got $(<"$out")" $'^code=ok .* good$' "$name"
}

# bad NAME CODE REGEX [OPTION...] PATH
bad() {
	local name=$1 code=$2 regex=$3
	shift 3
	get "$@"
	like "$got" "^code=$code .*text=$url${*: -1}: .*$regex" "$name"
}

last_request() {
	local files=("$server"/requests/*)
	cat "${files[-1]}"
}

diag "answers that are as they should be"
good "a plain answer" /ok
good "chunks" --exact 5 /chunked
good "a body that ends with the connection" --exact 5 /until-close
good "an interim answer before the real one" /interim
good "Content-Encoding: identity" /identity
good "into memory" --buffer /ok
get /empty
like "$got" '^code=ok bytes=0 .*status=200' "an empty file"
rm -f "$out"
get --max 9999999 --exact "$size" /data
like "$got" "^code=ok bytes=$size " "3 MiB"
pass "3 MiB: the same bytes" cmp "$server/data" "$out"
head -c 9000000 /dev/zero >"$out"
get /ok
is "$(<"$out")" good "a longer file that was there before is cut"

diag "status"
for path in missing forbidden gone; do
	get "/$path"
	like "$got" '^code=missing bytes=0 .*status=4' "/$path is missing"
done
bad "a password is wanted" transfer "401 \(a password is wanted\)" /password
bad "a broken server" transfer "503 .*try again later" /broken
bad "no content" transfer "204" /no-content
bad "not modified, unasked" transfer "not conditional" /not-modified
bad "416, unasked" transfer "416 .*no range was asked for" /range-never

diag "lengths"
bad "fewer bytes than Content-Length" transfer "ended early, after 10 bytes" /length-short
bad "fewer bytes, expected length unlike" transfer "has 1000 bytes, 10 were expected" --exact 10 /length-short
bad "Content-Length unlike the expected" transfer "has 10 bytes, 1000 were expected" --exact 1000 /length-long
get /length-long
like "$got" '^code=ok bytes=10 ' "what follows after Content-Length is not taken"
bad "a word as length" transfer "no number|Invalid Content-Length" /length-word
bad "a negative length" transfer "no number|Invalid Content-Length" /length-negative
bad "a length beyond 64 bits" transfer "no number" /length-huge
bad "a list of lengths" transfer "no number" /length-list
bad "two lengths" transfer "two Content-Lengths that differ" /length-two
bad "length and chunks" transfer "two lengths for one body" /length-and-chunks
bad "a chunk cut off" transfer "ended early, after 5 bytes" /chunk-cut
bad "a chunk size that is none" transfer "." /chunk-size
bad "an expected length not reached" transfer "sent 5 bytes, 9 were expected" --exact 9 /until-close
bad "an expected length exceeded" transfer "more than the 4 bytes that were expected" --exact 4 /chunked
bad "more than allowed, announced" limit "$size bytes, at most 1000 are allowed" --max 1000 /data
bad "more than allowed, in chunks" limit "more than the 4 bytes that are allowed" --max 4 /chunked

diag "no end"
bad "an endless body" limit "more than the 1048576 bytes" /endless
like "$got" 'bytes=(9[0-9]{5}|10[0-4][0-9]{4}) ' "an endless body: written up to the limit"
bad "endless chunks" limit "more than the 1048576 bytes" /endless-chunks
bad "endless header fields" transfer "without end" /endless-fields
bad "an endless header field" transfer "a header field without end" /endless-field
bad "endless interim answers" transfer "without end" /endless-interim
bad "endless trailers" transfer "without end" /endless-trailer
bad "an endless error page" missing "not on the server \(404\)" /endless-missing
like "$got" 'received=[0-9]{1,6} ' "an endless error page is not read on"

diag "no progress"
bad "no answer" transfer "stalled after 0 bytes" --stall 1 /stall
bad "half a header" transfer "stalled after 0 bytes" --stall 1 /stall-header
bad "half a body" transfer "stalled after 10 bytes" --stall 1 /stall-body
bad "a byte now and then" transfer "stalled after [0-9]+ bytes" --stall 2 /drip
bad "steady but too long" transfer "not complete in the time allowed" --total 2 /steady
bad "closed without an answer" transfer "ended early, after 0 bytes" /close
bad "reset in the body" transfer "ended early" /reset
bad "cancelled" errno-125 "cancelled" --cancel-at 2000 --total 20 /steady

diag "elsewhere"
good "a redirect on the same server" /redirect
good "a relative redirect" /redirect-relative
like "$got" 'requests=2 connects=1 ' "a redirect uses the connection that is there"
good "three redirects" /redirect-two
bad "four redirects" transfer "more than 3 redirects, the last one to /ok" /redirect-three
bad "a loop" transfer "more than 3 redirects" /redirect-loop
bad "another host" transfer "another server, http://elsewhere.invalid/ok\?\.\.\., .* enrol that address" /redirect-host
unlike "$got" 'secret' "another host: its query is not shown"
bad "another port" transfer "another server, http://127.0.0.1:1/ok" /redirect-port
bad "another scheme" transfer "another server, https://127.0.0.1/ok" /redirect-scheme
bad "a local file" transfer "another server, file:///etc/passwd" /redirect-file
bad "an address with spaces" transfer "no http address: /ok%20or%20not" /redirect-words
bad "nowhere" transfer "302 .*leads nowhere" /redirect-nowhere
bad "control bytes in an address" transfer "%1B\[31mred" /escape

diag "other things than were asked for"
bad "a web page for metadata" transfer "a web page \(text/html; charset=utf-8\) where signed metadata" --buffer /html
bad "a web page for a payload" transfer "19 bytes, 500 were expected; it is a web page" --exact 500 /html
bad "a compressed body" transfer "compressed body nobody asked for \(Content-Encoding: gzip\)" /gzip
bad "a compressed transfer" transfer "compressed body nobody asked for \(Transfer-Encoding\)" /gzip-transfer
bad "no HTTP" transfer "." /http09
bad "HTTP/2 as text" transfer "." /http2
bad "a folded field" transfer "on more than one line" /folded

diag "ranges"
resume() {
	head -c "${2:-1048576}" "$server/data" >"$out"
	get --max 9999999 --exact "$size" --offset "${2:-1048576}" "$1"
}
resumed() {
	resume "$3" "${4:-1048576}"
	like "$got" "^code=ok bytes=$size restarted=$2 " "$1"
	pass "$1: the same bytes" cmp "$server/data" "$out"
}
bad_range() {
	resume "$3"
	like "$got" "^code=transfer .*text=$url$3: .*$2" "$1"
	is "$(head -c 1048576 "$server/data" | sha256sum)" "$(sha256sum <"$out")" "$1: nothing is written"
}
resumed "resume" 0 /data
is "$(last_request)" $'GET /data HTTP/1.1\r\nHost: 127.0.0.1:'"$port"$'\r\nRange: bytes=1048576-\r\n\r' "the bytes of a resume"
resumed "resume at 3 MiB" 0 /data 3145728
resumed "resume behind a redirect" 0 /redirect-data
resumed "200 instead of a part" 1 /range-ignored
resumed "416 instead of a part" 1 /range-refused
like "$got" ' requests=2 connects=1 ' "416: asked once more, on the same connection"
bad_range "a part from elsewhere" "from 1048577 on, from 1048576 on were asked for" /range-start
bad_range "a part that ends early" "up to 1048676 of $size, all were asked for" /range-end
bad_range "a part that ends before it starts" "makes no sense" /range-backwards
bad_range "a part beyond the end" "makes no sense" /range-beyond
bad_range "a part in lines" "not in bytes" /range-units
bad_range "a part without Content-Range" "without saying which" /range-silent
bad_range "a part of another length" "do not agree" /range-length
bad_range "a part beyond 64 bits" "cannot be read" /range-huge
bad_range "416 for ever" "416" /range-never
bad "a part, unasked" transfer "where the whole was asked for" /range-unasked
rm -f "$out"
get --max 9999999 --exact "$size" /broken-once
like "$got" '^code=transfer bytes=2102152 .*ended early, after 2102152 bytes' "broken off in the middle"
get --max 9999999 --exact "$size" --offset 2097152 /broken-once
like "$got" "^code=ok bytes=$size restarted=0 .*received=10[0-9]{5} " "and gone on with from 2 MiB"
pass "and gone on with: the same bytes" cmp "$server/data" "$out"
get --offset 4096 --max 9999999 /data
like "$got" '^code=errno-22 ' "an offset that is no multiple of 1 MiB"
get --offset 1048576 --exact 1048576 /data
like "$got" '^code=ok bytes=1048576 .*requests=0 ' "all there already: no request"

diag "the bytes of a request"
wanted=$'GET /planted HTTP/1.1\r\nHost: 127.0.0.1:'"$port"$'\r\n\r\n.'
one=$tap_dir/home-one
mkdir "$one"
echo "machine 127.0.0.1 login me password secret" >"$one/.netrc"
echo 'user-agent = "curlrc"' >"$one/.curlrc"
run env HOME="$one" LANG=de_DE.UTF-8 http_proxy=http://127.0.0.1:1 ALL_PROXY=http://127.0.0.1:1 \
	"$program" "$url/planted" "$url/planted" "$url/redirect" "$url/planted"
files=("$server"/requests/*)
is "$(cat "${files[-5]}" && echo .)" "$wanted" "the first request"
is "$(cat "${files[-1]}" && echo .)" "$wanted" "the same with a history, a netrc, a proxy in the environment"
run env -i "$program" "$url/planted"
is "$(last_request && echo .)" "$wanted" "the same from another device"
run client --proxy "$url" http://127.0.0.1:1/ok
is "$(last_request && echo .)" $'GET http://127.0.0.1:1/ok HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n.' \
	"a proxy is used when it is asked for"

diag "counts"
run client "$url/missing" "$url/ok"
is "$(sed 's/ .*connects=/ connects=/; s/ sent.*//' <<<"$run_out" | grep -v text)" \
	$'code=missing connects=1\ncode=ok connects=0' "two requests on one connection, a 404 first"
sent=$(($(stat -c %s "${files[-1]}") - 5))
run client "$url/ok"
like "$run_out" " sent=$sent received=43 wire_sent=$sent wire_received=43\$" "bytes in both directions"

diag "addresses"
for address in ftp://127.0.0.1/x scp://127.0.0.1/x 127.0.0.1/x "$url/a b" "$url/%zz" "$url/../x" "$url/%2E%2e/x" "$url/x#y"; do
	run client "$address"
	like "$run_out" '^code=transfer .*requests=0 ' "$address is refused"
done
run client "http://me:p@ss@127.0.0.1:$port/ok"
like "$run_out" '^code=transfer .*text=http://\.\.\.@127.0.0.1:[0-9]*/ok: .*user name or password' "a password is refused"
unlike "$run_out" 'p@ss|me:' "and not shown"
run client "http://127.0.0.1:1/ok"
like "$run_out" 'no connection: Connection refused' "nobody listens"
run client "http://no-such-name.invalid/ok"
like "$run_out" 'name is not known' "a name that does not resolve"

diag "files"
run client --out "$out" --max 9999999 --exact "$size" "file://$server/data"
like "$run_out" "^code=ok bytes=$size " "a local file"
pass "a local file: the same bytes" cmp "$server/data" "$out"
head -c 2097152 "$server/data" >"$out"
run client --out "$out" --max 9999999 --offset 2097152 "file://$server/data"
pass "a local file, resumed" cmp "$server/data" "$out"
head -c 9000000 /dev/zero >"$out"
run client --out "$out" --max 9999999 --offset 8388608 "file://$server/data"
like "$run_out" "^code=ok bytes=$size restarted=1 " "a local file that became shorter: from the start"
pass "a local file that became shorter: the same bytes" cmp "$server/data" "$out"
run client "file://$server/nothing"
like "$run_out" '^code=missing .*no such file' "no local file"
run client "file://$server"
like "$run_out" '^code=transfer .*not a regular file' "a directory"
mkfifo "$tap_dir/fifo"
run client "file://$tap_dir/fifo"
like "$run_out" '^code=transfer .*not a regular file' "a FIFO does not hang"
run client "file://$server/data"
like "$run_out" "^code=limit .*$size bytes, at most 1048576" "a local file that is too large"
run client --max 9999999 --exact 5 "file://$server/data"
like "$run_out" "^code=transfer .*$size bytes, 5 were expected" "a local file of another length"
run client --out /dev/full --max 9999999 "file://$server/data"
like "$run_out" '^code=errno-28 .*cannot be written here: No space left' "a full disk"
run client --out /dev/full "$url/ok"
like "$run_out" '^code=errno-28 .*cannot be written here: No space left' "a full disk, over HTTP"

is "$(cat "$server/errors")" "" "the server met nothing unforeseen"
is "$(<"$tap_dir/client.errors")" "" "the client is silent on stderr"
finish
