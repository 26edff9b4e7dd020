#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A million mutated deltas, half of them by structure, against a decoder that compares no digest,
# within limits of memory and processor time. MUTATIONS: another number.
. "$BSI_TESTS/integration/tap.sh" || exit 99

program=$BSI_BUILD/tests/unit/delta/test-delta-mutate
[[ -x $program ]] || skip_all "the mutations are not built"
n=${MUTATIONS:-1000000}
# as many at a time as there are processors, each with random numbers of its own
parts=$(nproc)
diag "$n mutations, $parts processes"
pids=()
for ((i = 0; i < parts; i++)); do
	MUTATIONS=$((n / parts + (i < n % parts))) MUTATION_SEED=$((1000 + i)) \
		nice prlimit --as=536870912 --cpu=7200 "$program" >"$tap_dir/$i" 2>&1 &
	pids+=($!)
done
for ((i = 0; i < parts; i++)); do
	wait "${pids[i]}"
	is $? 0 "$(grep -o '[0-9]* mutations.*' "$tap_dir/$i" || tail -n 3 "$tap_dir/$i" | tr '\n' ' ')"
done
finish
