# SPDX-License-Identifier: LGPL-2.1-or-later
"""Packages of one architecture as apt offers them, and which files of two versions belong together."""
import collections
import functools
import os
import pathlib
import re
import subprocess

Offer = collections.namedtuple("Offer", "package versions deb_bytes")


def run_quietly(args, **kw):
    return subprocess.run(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kw)


def is_elf(path):
    with path.open("rb") as f:
        return f.read(4) == b"\x7fELF"


def plain_files(tree):
    """Every regular file of an unpacked package, by its name in it."""
    return {str(p.relative_to(tree)): p for p in sorted(tree.rglob("*"))
            if p.is_file() and not p.is_symlink()}


def soname(path):
    text = subprocess.run(["readelf", "-dW", path], capture_output=True, text=True).stdout
    found = re.search(r"\(SONAME\).*\[(.*)\]", text)
    return found and found.group(1)


def pairs_of(old_tree, new_tree):
    """Files that changed between two trees: (name, old, new), by path, else by SONAME in one folder."""
    old, new = plain_files(old_tree), plain_files(new_tree)
    lost = [n for n in old if n not in new]
    result = []
    for name, path in new.items():
        partner = old.get(name)
        if not partner and ".so" in path.name and is_elf(path):
            same = [old[n] for n in lost if pathlib.Path(n).parent == pathlib.Path(name).parent and
                    ".so" in n and is_elf(old[n]) and soname(old[n]) == soname(path)]
            partner = same[0] if len(same) == 1 else None
        if partner and partner.read_bytes() != path.read_bytes():
            result.append((name, partner, path))
    return result


class Archive:
    """Fetched with apt into a folder; with a private apt state where the architecture is another."""

    def __init__(self, work, arch):
        self.debs, self.trees, self.arch = work / "debs", work / "trees", arch
        self.debs.mkdir(parents=True, exist_ok=True)
        self.trees.mkdir(exist_ok=True)
        self.env = dict(os.environ)
        if arch:
            self.private_state(work / "apt")

    def private_state(self, state):
        for d in ("lists/partial", "cache/archives/partial"):
            (state / d).mkdir(parents=True, exist_ok=True)
        (state / "status").touch()
        conf = state / "apt.conf"
        conf.write_text(f'APT::Architecture "{self.arch}";\nAPT::Architectures {{"{self.arch}";}};\n'
                        f'Dir::State "{state}";\nDir::State::status "{state}/status";\n'
                        f'Dir::Cache "{state}/cache";\nAcquire::Languages "none";\n')
        self.env["APT_CONFIG"] = str(conf)
        if not list((state / "lists").glob("*Packages*")):
            run_quietly(["apt-get", "update", "-q"], env=self.env, check=True)

    def tree(self, package, version):
        """The unpacked package, or None where the archive has it no more."""
        name = f"{package}_{version.replace(':', '%3a')}"
        tree = self.trees / name
        if not tree.is_dir():
            if not list(self.debs.glob(f"{name}_*.deb")):
                run_quietly(["apt-get", "download", "-q", f"{package}={version}"], cwd=self.debs,
                            env=self.env)
            found = list(self.debs.glob(f"{name}_*.deb"))
            if not found:
                return None
            subprocess.run(["dpkg-deb", "-x", found[0], tree], check=True)
        return tree

    def file(self, package, version, pattern):
        tree = self.tree(package, version)
        files = [f for f in sorted(tree.glob(pattern)) if f.is_file() and not f.is_symlink()] if tree else []
        return files[0] if files else None

    @functools.lru_cache
    def offers(self):
        """Packages of which the archive has two versions or more, oldest first; by name."""
        versions, size = collections.defaultdict(set), collections.defaultdict(int)
        lists = subprocess.run(["apt-get", "indextargets", "--format", "$(FILENAME)",
                                "Created-By: Packages"], env=self.env, capture_output=True, text=True,
                               check=True).stdout.split()
        for name in lists:
            text = subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", name], env=self.env,
                                  capture_output=True, text=True, check=True).stdout
            for stanza in text.split("\n\n"):
                fields = dict(re.findall(r"^(Package|Version|Architecture|Size): (.*)$", stanza, re.M))
                if fields and fields["Architecture"] != "all" and "-dbg" not in fields["Package"]:
                    versions[fields["Package"]].add(fields["Version"])
                    size[fields["Package"]] = max(size[fields["Package"]], int(fields["Size"]))
        return [Offer(p, sorted(v, key=functools.cmp_to_key(compare_versions)), size[p])
                for p, v in sorted(versions.items()) if len(v) > 1]


def compare_versions(a, b):
    if a == b:
        return 0
    return -1 if run_quietly(["dpkg", "--compare-versions", a, "lt", b]).returncode == 0 else 1


def upstream(version):
    return version.split(":")[-1].rsplit("-", 1)[0].split("+b")[0]
