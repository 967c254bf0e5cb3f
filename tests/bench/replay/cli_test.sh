#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# What replay says and how it ends, run on the core. Prints KTAP.
#
# shellcheck disable=SC2317	# ok calls the functions
set -u

replay=${REPLAY:?says where the program is}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
n=0
failed=0

# ok WHAT COMMAND...: passes if COMMAND does
ok() {
	local what=$1

	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $what"
	else
		echo "not ok $n - $what"
		sed 's/^/# /' "$dir/out" "$dir/err"
		failed=1
	fi
}

# ends STATUS TEXT ARGUMENT...: replay exits so, with TEXT on stdout or stderr
ends() {
	local status=$1 text=$2 got

	shift 2
	"$replay" "$@" >"$dir/out" 2>"$dir/err" </dev/null
	got=$?
	[ "$got" = "$status" ] && cat "$dir/out" "$dir/err" | grep -qF -- "$text"
}

# One line on stderr and nothing on stdout.
refuses() {
	ends "$@" && [ "$(wc -l <"$dir/err")" = 1 ] && [ ! -s "$dir/out" ]
}

small=(--requests 30000 --objects 8000 -s 1M)

json_is_complete() {
	ends 0 '"violations"' "${small[@]}" -w zipf-1.0,ttl --json &&
	python3 - "$dir/out" <<-'END'
	import json, sys
	report = json.load(open(sys.argv[1]))
	assert [w["name"] for w in report["workloads"]] == ["zipf-1.0", "ttl"]
	for workload in report["workloads"]:
	    row, = workload["rows"]
	    assert row["bytes"] == 1 << 20
	    assert set(row["caches"]) == {"kcache", "fifo", "lru", "s3-fifo"}
	    for cache in row["caches"].values():
	        assert cache["gets"] == 24000 and 0 < cache["misses"] < 24000
	        assert 0 < cache["bytes_allocated"] <= 1 << 20
	END
}

# kcache in more memory than there is data misses each object once, as all others do.
all_fit() {
	ends 0 violation -w zipf-1.0 --requests 30000 --objects 8000 -s 64M --warm-up 0 --json &&
	python3 - "$dir/out" <<-'END'
	import json, sys
	workload, = json.load(open(sys.argv[1]))["workloads"]
	for name, cache in workload["rows"][0]["caches"].items():
	    assert cache["misses"] == workload["objects"], name
	END
}

strict_tells() {
	ends 0 '2 violations' --warm-up 0 -s 1M "$dir/large.csv" &&
	ends 1 '2 violations' --warm-up 0 -s 1M --strict "$dir/large.csv"
}

# One value that kcache takes only in a larger cache, and LRU keeps.
{
	echo time,id,size
	yes 1,a,100000 | head -n 10
} >"$dir/large.csv"
printf '1,a,10\n2,b\n' >"$dir/bad.csv"
printf 'short' >"$dir/bad.bin"

echo "TAP version 14"
echo "1..13"
ok "help is told on stdout" ends 0 "usage: replay" --help
ok "workloads are listed" ends 0 "zipf-1.0" --list
ok "an unknown option is wrong usage" ends 2 "see replay --help" --frobnicate
ok "an unknown workload is wrong usage" refuses 2 "no workload called 'nonesuch'" -w nonesuch
ok "an unknown cache is wrong usage" refuses 2 "no cache called 'arc'" -c arc
ok "a size of no kind is wrong usage" refuses 2 "'5X'" -s 5X
ok "a size under the least is wrong usage" refuses 2 "at least 1M" -s 512K
ok "a bad line is told with its number" ends 1 "bad.csv: line 2: 2 fields" "$dir/bad.csv"
ok "a bad record is told with its number" ends 1 "bad.bin: record 1: cut short" "$dir/bad.bin"
ok "a missing device is an error" ends 1 "$dir/none" --device="$dir/none" "${small[@]}" -w ttl
ok "JSON is complete" json_is_complete
ok "with memory for all, all miss each object once" all_fit
ok "--strict tells of a missed aim" strict_tells
exit $failed
