#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A web server that lies, one way for each path.

fetch-server.py FOLDER SECONDS: serves FOLDER/data on a loopback port that it writes to FOLDER/port,
keeps each request's bytes as FOLDER/requests/CONNECTION-NUMBER, and ends after SECONDS.
"""
import os
import re
import socket
import struct
import sys
import threading
import time

FOLDER = sys.argv[1]
DATA = open(os.path.join(FOLDER, "data"), "rb").read()
PLANTED = (
    "Set-Cookie: id=planted\r\nETag: \"planted\"\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
    "Alt-Svc: h2=\":1\"; ma=9999\r\nStrict-Transport-Security: max-age=9999\r\n"
    "Cache-Control: max-age=9999\r\n"
)


class Hangup(Exception):
    """The connection ends here."""


def head(status, *fields):
    return ("HTTP/1.1 " + status + "\r\n" + "".join(f + "\r\n" for f in fields) + "\r\n").encode()


def whole(body, status="200 OK", *fields):
    return head(status, "Content-Length: %d" % len(body), *fields) + body


def text(*pieces):
    """A path that sends fixed bytes; the connection stays."""

    def behave(conn, request):
        for piece in pieces:
            conn.sendall(piece)

    return behave


def closing(*pieces):
    """A path that sends fixed bytes and closes."""

    def behave(conn, request):
        text(*pieces)(conn, request)
        raise Hangup

    return behave


def endless(first, piece, pause=0.0):
    def behave(conn, request):
        conn.sendall(first)
        while True:
            conn.sendall(piece)
            time.sleep(pause)

    return behave


def stalling(first):
    def behave(conn, request):
        conn.sendall(first)
        time.sleep(3600)

    return behave


def reset(conn, request):
    conn.sendall(head("200 OK", "Content-Length: 1000") + b"x" * 10)
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise Hangup


def asked_offset(request):
    found = re.search(rb"\r\nRange: bytes=(\d+)-\r\n", request)
    return int(found.group(1)) if found else None


def data(conn, request):
    offset = asked_offset(request)
    if offset is None:
        conn.sendall(whole(DATA))
    elif offset >= len(DATA):
        conn.sendall(whole(b"", "416 No", "Content-Range: bytes */%d" % len(DATA)))
    else:
        part = "bytes %d-%d/%d" % (offset, len(DATA) - 1, len(DATA))
        conn.sendall(whole(DATA[offset:], "206 Part", "Content-Range: " + part))


def part(content_range, body=b"x" * 100, *fields):
    """An answer to every range that claims content_range."""
    return text(whole(body, "206 Part", "Content-Range: " + content_range, *fields))


def broken_after(n):
    """The first n bytes of the data, then a hang-up; a range is served well."""

    def behave(conn, request):
        if asked_offset(request) is not None:
            return data(conn, request)
        conn.sendall(head("200 OK", "Content-Length: %d" % len(DATA)) + DATA[:n])
        raise Hangup

    return behave


def redirect(location, status="302 Found"):
    return text(whole(b"moved", status, "Location: " + location))


MIB = 1 << 20
END = len(DATA) - 1
PATHS = {
    "/ok": text(whole(b"good\n")),
    "/empty": text(whole(b"")),
    "/planted": text(whole(b"good\n", "200 OK", *PLANTED.strip().split("\r\n"))),
    "/chunked": text(head("200 OK", "Transfer-Encoding: chunked") + b"3\r\ngoo\r\n2\r\nd\n\r\n0\r\n\r\n"),
    "/until-close": closing(head("200 OK"), b"good\n"),
    "/interim": text(b"HTTP/1.1 103 Early\r\nContent-Length: 9\r\n\r\n", whole(b"good\n")),
    "/missing": text(whole(b"nothing here", "404 Not Found")),
    "/forbidden": text(whole(b"no", "403 Forbidden")),
    "/gone": text(whole(b"no", "410 Gone")),
    "/password": text(whole(b"no", "401 No", "WWW-Authenticate: Basic realm=x")),
    "/broken": text(whole(b"no", "503 Broken")),
    "/no-content": text(head("204 None")),
    "/not-modified": text(head("304 Not Modified")),
    "/data": data,
    # lengths
    "/length-short": closing(head("200 OK", "Content-Length: 1000") + b"x" * 10),
    "/length-long": closing(head("200 OK", "Content-Length: 10") + b"x" * 1000),
    "/length-word": closing(head("200 OK", "Content-Length: abc") + b"x"),
    "/length-negative": closing(head("200 OK", "Content-Length: -1") + b"x"),
    "/length-huge": closing(head("200 OK", "Content-Length: 99999999999999999999999") + b"x"),
    "/length-list": closing(head("200 OK", "Content-Length: 5, 5") + b"good\n"),
    "/length-two": closing(head("200 OK", "Content-Length: 5", "Content-Length: 6") + b"good\n"),
    "/length-and-chunks": closing(
        head("200 OK", "Content-Length: 5", "Transfer-Encoding: chunked") + b"5\r\ngood\n\r\n0\r\n\r\n"),
    "/chunk-cut": closing(head("200 OK", "Transfer-Encoding: chunked") + b"ff\r\ngood\n"),
    "/chunk-size": closing(head("200 OK", "Transfer-Encoding: chunked") + b"zz\r\ngood\n"),
    # no end
    "/endless": endless(head("200 OK"), b"x" * 65536),
    "/endless-chunks": endless(head("200 OK", "Transfer-Encoding: chunked"), b"400\r\n" + b"x" * 1024 + b"\r\n"),
    "/endless-fields": endless(b"HTTP/1.1 200 OK\r\n", b"X-Field: " + b"x" * 100 + b"\r\n"),
    "/endless-field": endless(b"HTTP/1.1 200 OK\r\nX-Field: ", b"x" * 1000),
    "/endless-interim": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "/endless-trailer": endless(
        head("200 OK", "Transfer-Encoding: chunked") + b"5\r\ngood\n\r\n0\r\n", b"X-Field: " + b"x" * 100 + b"\r\n"),
    "/endless-missing": endless(head("404 Not Found"), b"x" * 65536),
    # no progress
    "/stall": stalling(b""),
    "/stall-header": stalling(b"HTTP/1.1 200 OK\r\nContent-"),
    "/stall-body": stalling(head("200 OK", "Content-Length: 1000") + b"x" * 10),
    "/drip": endless(head("200 OK", "Content-Length: 1000"), b"x", 0.2),
    "/steady": endless(head("200 OK", "Content-Length: 900000"), b"x" * 1000, 0.1),
    "/close": closing(),
    "/reset": reset,
    # elsewhere
    "/redirect": redirect("/ok"),
    "/redirect-relative": redirect("sub/../ok", "307 There"),
    "/redirect-one": redirect("/redirect"),
    "/redirect-two": redirect("/redirect-one"),
    "/redirect-three": redirect("/redirect-two"),
    "/redirect-loop": redirect("/redirect-loop", "301 There"),
    "/redirect-host": redirect("http://elsewhere.invalid/ok?id=secret"),
    "/redirect-port": redirect("http://127.0.0.1:1/ok"),
    "/redirect-scheme": redirect("https://127.0.0.1/ok"),
    "/redirect-file": redirect("file:///etc/passwd"),
    "/redirect-words": redirect("/ok or not"),
    "/redirect-nowhere": text(whole(b"", "302 Found")),
    "/redirect-data": redirect("/data", "308 There"),
    # other things than were asked for
    "/html": text(whole(b"<html>log in</html>", "200 OK", "Content-Type: text/html; charset=utf-8")),
    "/gzip": text(whole(b"\x1f\x8b", "200 OK", "Content-Encoding: gzip")),
    "/identity": text(whole(b"good\n", "200 OK", "Content-Encoding: identity")),
    "/gzip-transfer": closing(head("200 OK", "Transfer-Encoding: gzip, chunked") + b"2\r\n\x1f\x8b\r\n0\r\n\r\n"),
    "/http09": closing(b"good\n"),
    "/http2": closing(b"HTTP/2 200\r\nContent-Length: 5\r\n\r\ngood\n"),
    "/folded": closing(b"HTTP/1.1 200 OK\r\nContent-Encoding:\r\n gzip\r\nContent-Length: 5\r\n\r\ngood\n"),
    "/escape": closing(b"HTTP/1.1 302 x\r\nLocation: http://\x1b[31mred.invalid/\r\nContent-Length: 0\r\n\r\n"),
    # ranges
    "/range-ignored": text(whole(DATA)),
    "/range-unasked": part("bytes 0-99/100"),
    "/range-start": part("bytes %d-%d/%d" % (MIB + 1, END, len(DATA))),
    "/range-end": part("bytes %d-%d/%d" % (MIB, MIB + 99, len(DATA))),
    "/range-backwards": part("bytes %d-%d/%d" % (MIB, 5, len(DATA))),
    "/range-beyond": part("bytes %d-%d/%d" % (MIB, END, END)),
    "/range-units": part("lines 1-2/3"),
    "/range-silent": text(whole(b"x" * 100, "206 Part")),
    "/range-length": part("bytes %d-%d/%d" % (MIB, END, len(DATA))),
    "/range-huge": part("bytes %d-99999999999999999999999/*" % MIB),
    "/range-refused": lambda conn, request: conn.sendall(
        whole(DATA) if asked_offset(request) is None else whole(b"no", "416 No", "Content-Range: bytes */5")),
    "/range-never": text(whole(b"no", "416 No")),
    "/broken-once": broken_after(2 * MIB + 5000),
}


def serve(conn, number):
    pending = b""
    n = 0
    try:
        while True:
            while b"\r\n\r\n" not in pending:
                piece = conn.recv(65536)
                if not piece:
                    return
                pending += piece
            end = pending.index(b"\r\n\r\n") + 4
            request, pending = pending[:end], pending[end:]
            n += 1
            with open(os.path.join(FOLDER, "requests", "%03d-%d" % (number, n)), "wb") as log:
                log.write(request)
            target = re.sub("^http://[^/]*", "", request.split(b" ")[1].decode())  # as to a proxy
            PATHS[target](conn, request)
    except (Hangup, OSError):
        pass
    finally:
        conn.close()


def main():
    os.makedirs(os.path.join(FOLDER, "requests"), exist_ok=True)
    timer = threading.Timer(float(sys.argv[2]), os._exit, [0])
    timer.daemon = True
    timer.start()
    listener = socket.create_server(("127.0.0.1", 0))
    with open(os.path.join(FOLDER, "port.new"), "w") as port:
        port.write("%d\n" % listener.getsockname()[1])
    os.rename(os.path.join(FOLDER, "port.new"), os.path.join(FOLDER, "port"))
    number = 0
    while True:
        conn, _ = listener.accept()
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number += 1
        threading.Thread(target=serve, args=(conn, number), daemon=True).start()


main()
