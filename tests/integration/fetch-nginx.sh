#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Transfers from a real web server, in the clear and over TLS with authorities made here.
# shellcheck source=tests/integration/tap.sh
. "$BSI_TESTS/integration/tap.sh"

# What the client says beside its results is a fault: a sanitizer speaks there.
# shellcheck disable=SC2317  # run calls it
client() {
	timeout 30 "$program" "$@" 2>>"$tap_dir/client.errors"
}

PATH=$PATH:/usr/sbin:/sbin
program=$BSI_BUILD/tests/integration/fetch-client
for needed in nginx openssl python3; do
	command -v "$needed" >/dev/null || skip_all "$needed is not installed"
done

# Authorities: "ours" signs the good, the expired and the misnamed certificate.
pki=$tap_dir/pki
mkdir "$pki"
cat >"$pki/ca.conf" <<END
[ca]
default_ca = ours
[ours]
database = $pki/index
new_certs_dir = $pki
serial = $pki/serial
default_md = sha256
policy = policy
copy_extensions = copy
unique_subject = no
[policy]
commonName = supplied
END
: >"$pki/index"
echo 01 >"$pki/serial"

authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 -subj "/CN=$1" \
		-keyout "$pki/$1.key" -out "$pki/$1.pem" 2>/dev/null
}
# certificate NAME HOST START END
certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=$1" \
		-addext "subjectAltName=DNS:$2" -keyout "$pki/$1.key" -out "$pki/$1.csr" 2>/dev/null &&
		openssl ca -batch -config "$pki/ca.conf" -cert "$pki/ours.pem" -keyfile "$pki/ours.key" \
			-startdate "$3" -enddate "$4" -in "$pki/$1.csr" -out "$pki/$1.pem" -notext 2>/dev/null
}
yesterday=$(date -u -d yesterday +%Y%m%d%H%M%SZ)
tomorrow=$(date -u -d tomorrow +%Y%m%d%H%M%SZ)
later=$(date -u -d '3 days' +%Y%m%d%H%M%SZ)
long_ago=$(date -u -d '10 days ago' +%Y%m%d%H%M%SZ)
if ! {
	authority ours && authority theirs &&
		certificate good localhost "$yesterday" "$tomorrow" &&
		certificate misnamed elsewhere.invalid "$yesterday" "$tomorrow" &&
		certificate expired localhost "$long_ago" "$yesterday" &&
		certificate early localhost "$tomorrow" "$later"
}; then
	skip_all "openssl makes no certificates"
fi

folder=$tap_dir/www
mkdir -p "$folder/metadata" "$folder/targets"
echo '{"signed":{}}' >"$folder/metadata/timestamp.json"
head -c $((5 * 1048576 + 77)) /dev/urandom >"$folder/targets/payload.zst"
size=$(stat -c %s "$folder/targets/payload.zst")

# Ports that are free now; if another program is quicker, nginx does not start and we try again.
start_nginx() {
	read -r -a ports < <(python3 -c '
import socket
found = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
print(*[s.getsockname()[1] for s in found])')
	tls() {
		echo "server { listen 127.0.0.1:$1 ssl; ssl_certificate $pki/$2.pem; ssl_certificate_key $pki/$2.key;" \
			"location = /metadata/once.json { keepalive_timeout 0; alias $folder/metadata/timestamp.json; } }"
	}
	cat >"$tap_dir/nginx.conf" <<END
daemon off;
master_process off;
pid $tap_dir/nginx.pid;
error_log $tap_dir/error.log;
events {}
http {
	log_format ours '\$request_uri \$status connection=\$connection n=\$connection_requests reused=\$ssl_session_reused agent=\$http_user_agent accept=\$http_accept';
	access_log $tap_dir/access.log ours;
	client_body_temp_path $tap_dir/t1; proxy_temp_path $tap_dir/t2; fastcgi_temp_path $tap_dir/t3;
	uwsgi_temp_path $tap_dir/t4; scgi_temp_path $tap_dir/t5;
	root $folder;
	gzip on; gzip_types *; gzip_min_length 1;
	ssl_session_cache shared:all:1m; ssl_session_tickets on;
	server { listen 127.0.0.1:${ports[0]}; }
	$(tls "${ports[1]}" good)
	$(tls "${ports[2]}" misnamed)
	$(tls "${ports[3]}" expired)
	$(tls "${ports[4]}" early)
}
END
	timeout 100 nginx -e "$tap_dir/error.log" -p "$tap_dir" -c "$tap_dir/nginx.conf" >/dev/null 2>&1 &
	nginx_pid=$!
	for ((i = 0; i < 50; i++)); do
		kill -0 "$nginx_pid" 2>/dev/null || break
		client "http://127.0.0.1:${ports[0]}/metadata/timestamp.json" >/dev/null && return 0
		sleep 0.1
	done
	kill "$nginx_pid" 2>/dev/null
	return 1
}
# shellcheck disable=SC2016  # the pid of the last try
at_exit 'kill "$nginx_pid" 2>/dev/null'
if ! start_nginx && ! start_nginx && ! start_nginx; then
	not_ok "nginx starts" "$(<"$tap_dir/error.log")"
	finish
fi
plain=http://127.0.0.1:${ports[0]}
out=$tap_dir/out

diag "in the clear"
run client --out "$out" --max 9999999 --exact "$size" "$plain/targets/payload.zst"
like "$run_out" "^code=ok bytes=$size .*status=200" "a payload"
pass "a payload: the same bytes" cmp "$folder/targets/payload.zst" "$out"
head -c 2097152 "$folder/targets/payload.zst" >"$out"
run client --out "$out" --max 9999999 --exact "$size" --offset 2097152 "$plain/targets/payload.zst"
like "$run_out" "^code=ok bytes=$size restarted=0 status=206 " "a payload, resumed"
pass "a payload, resumed: the same bytes" cmp "$folder/targets/payload.zst" "$out"
head -c 9437184 /dev/zero >"$out"
run client --out "$out" --max 9999999 --offset 9437184 "$plain/targets/payload.zst"
like "$run_out" "^code=ok bytes=$size restarted=1 status=200 requests=2 connects=1" "nginx's 416: from the start"
pass "nginx's 416: the same bytes" cmp "$folder/targets/payload.zst" "$out"
run client --buffer --out "$out" "$plain/metadata/timestamp.json"
rm -f "$out"
run client --buffer --out "$out" "$plain/metadata/2.root.json" "$plain/metadata/timestamp.json"
like "$run_out" $'^code=missing .*status=404 requests=1 connects=1 .*\ncode=ok .*status=200 requests=1 connects=0 ' \
	"a check without news: two requests on one connection"
bytes=$(($(grep -o -E ' (sent|received)=[0-9]+' <<<"$run_out" | sed 's/.*=//' | paste -sd+)))
diag "$bytes bytes of HTTP"
pass "a check without news: under 1500 bytes of HTTP" test "$bytes" -lt 1500
pass "a check without news: the same bytes" cmp "$folder/metadata/timestamp.json" "$out"

diag "TLS"
tls=https://localhost:${ports[1]}
run client --ca "$pki/ours.pem" --out "$out" --max 9999999 "$tls/targets/payload.zst"
like "$run_out" "^code=ok bytes=$size " "a payload over TLS"
pass "a payload over TLS: the same bytes" cmp "$folder/targets/payload.zst" "$out"
sent=$(sed -n 's/.* sent=\([0-9]*\) .*/\1/p' <<<"$run_out")
wire=$(sed -n 's/.*wire_received=\([0-9]*\).*/\1/p' <<<"$run_out")
pass "what TLS adds is counted" test "$wire" -gt "$((size + sent))"
run client --ca "$pki/ours.pem" "$tls/metadata/2.root.json" "$tls/metadata/timestamp.json"
like "$run_out" $'^code=missing .* connects=1 .*\ncode=ok .* connects=0 ' "two requests on one TLS connection"
run client --ca "$pki/ours.pem" "$tls/metadata/once.json" "$tls/metadata/once.json"
like "$run_out" $'^code=ok .* connects=1 .*\ncode=ok .* connects=1 ' "two TLS connections"
is "$(grep -c 'reused=r' "$tap_dir/access.log")" 0 "no TLS session is resumed"
is "$(tail -n 1 "$tap_dir/access.log" | grep -o 'agent=.*')" "agent=- accept=-" "no name, no preferences"

refused() {
	local name=$1 regex=$2
	shift 2
	run client "$@"
	like "$run_out" "^code=transfer bytes=0 .*status=0 .*no trusted connection: .*$regex" "$name"
}
here=metadata/timestamp.json
asked=$(wc -l <"$tap_dir/access.log")
refused "an authority that the system does not know" "certificate" "$tls/$here"
refused "another authority" "certificate" --ca "$pki/theirs.pem" "$tls/$here"
refused "a certificate for another name" "does not match|no alternative certificate subject name" \
	--ca "$pki/ours.pem" "https://localhost:${ports[2]}/$here"
refused "an address instead of the name" "does not match|no alternative certificate subject name" \
	--ca "$pki/ours.pem" "https://127.0.0.1:${ports[1]}/$here"
refused "an expired certificate" "expired.*this device's clock is wrong" \
	--ca "$pki/ours.pem" "https://localhost:${ports[3]}/$here"
refused "a certificate from the future" "not yet valid.*this device's clock is wrong" \
	--ca "$pki/ours.pem" "https://localhost:${ports[4]}/$here"
is "$(wc -l <"$tap_dir/access.log")" "$asked" "nothing was asked of a server that is not trusted"
refused "no TLS on the other side" "." --ca "$pki/ours.pem" "https://127.0.0.1:${ports[0]}/$here"
refused "a file of authorities that is not there" "nothing.pem" --ca "$tap_dir/nothing.pem" "$tls/$here"

kill "$nginx_pid"
wait "$nginx_pid" 2>/dev/null
run client "$plain/$here"
like "$run_out" '^code=transfer .*no connection: Connection refused' "a server that is gone"
is "$(<"$tap_dir/client.errors")" "" "the client is silent on stderr"
finish
