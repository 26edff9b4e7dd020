#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Change what the current manifest of a repository says, as its publisher could, and sign again.

resign.py REPOSITORY KEYS ONLINE-KEYS BASE STATEMENT: the Python statement is run for each payload
p of each component c. Versions of metadata stay, so this is for devices that enrol afterwards.
Keys are plain Ed25519, one for each role, as `bsi-publish init --no-passphrase` makes them.
"""
import glob
import hashlib
import json
import os
import subprocess
import sys
import tempfile


def canonical(value):
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def sign(data, key):
    with tempfile.NamedTemporaryFile() as f:
        f.write(data)
        f.flush()
        return subprocess.run(
            ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", f.name],
            check=True, stdout=subprocess.PIPE).stdout.hex()


def newest(pattern):
    return max(glob.glob(pattern), key=lambda p: int(os.path.basename(p).split(".")[0]))


def rewrite(path, change, key):
    """Apply a change to a metadata file's signed part; the new bytes."""
    with open(path, "rb") as f:
        document = json.load(f)
    change(document["signed"])
    document["signatures"][0]["sig"] = sign(canonical(document["signed"]), key)
    data = canonical(document)
    with open(path, "wb") as f:
        f.write(data)
    return data


def entry(data):
    return {"hashes": {"sha256": hashlib.sha256(data).hexdigest()}, "length": len(data)}


def main(repository, keys, online, base, statement):
    metadata, targets = f"{repository}/metadata", f"{repository}/targets/{base}"
    role = newest(f"{metadata}/*.{base}.json")
    with open(role, "rb") as f:
        listed = json.load(f)["signed"]["targets"]
    name = max((n for n in listed if "/manifest-" in n),
               key=lambda n: int(n.rsplit("-", 1)[1].removesuffix(".json")))
    digest = listed[name]["hashes"]["sha256"]
    with open(f"{targets}/{digest}.{name.split('/')[1]}", "rb") as f:
        manifest = json.load(f)
    for c in manifest["components"]:
        for p in c["payloads"]:
            exec(statement, {"c": c, "p": p})
    data = canonical(manifest)
    with open(f"{targets}/{hashlib.sha256(data).hexdigest()}.{name.split('/')[1]}", "wb") as f:
        f.write(data)

    made = rewrite(role, lambda s: s["targets"].update({name: entry(data)}), f"{keys}/{base}/1.pem")
    made = rewrite(newest(f"{metadata}/*.snapshot.json"),
                   lambda s: s["meta"][f"{base}.json"].update(entry(made)),
                   f"{online}/snapshot/1.pem")
    rewrite(f"{metadata}/timestamp.json", lambda s: s["meta"]["snapshot.json"].update(entry(made)),
            f"{online}/timestamp/1.pem")


main(*sys.argv[1:])
