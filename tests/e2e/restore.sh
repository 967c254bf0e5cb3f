#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# kcachectl restore into a cache that is too small for some of the entries: it stores the
# others, and tells which ones it skipped. What it does otherwise is in cli.sh. KTAP on
# standard output; exit 0 pass, 1 fail, 4 skip. Run as root, in a guest:
#
#	tests/vm/run -- tests/e2e/restore.sh
#
# Empties the cache, and changes its limits.
#
# shellcheck disable=SC2317 # the tests are called by check()
set -u

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PATH=${KCACHE_BUILD:-$checkout/build/userspace}:$PATH
limit=/sys/class/kcache/kcache/limits/max_bytes

if ! kcachectl info > /dev/null; then
	echo '1..0 # SKIP no device, or no kcachectl'
	exit 4
fi

tmp=$(mktemp -d)
before=$(cat "$limit")
trap 'echo "$before" > "$limit"; rm -rf "$tmp"' EXIT

nr=0
failed=0

# $1: a function that succeeds if the test does, named as the behaviour is. Starts with an
# empty cache of 8 MiB, whose values have 256 KiB. What it prints is shown if it fails.
check()
{
	nr=$((nr + 1))
	kcachectl flush
	echo 8M > "$limit"
	if "$1" > "$tmp/log" 2>&1; then
		echo "ok $nr - $1"
	else
		echo "not ok $nr - $1"
		cut -c 1-300 "$tmp/log" | sed 's/^/# /'
		failed=1
	fi
}

# $1: exit code, $2: all that standard error has to say, of the file $tmp/dump
restore_says()
{
	local got=0
	kcachectl restore "$tmp/dump" 2> "$tmp/err" || got=$?
	echo "exit $got, $(cat "$tmp/err")"
	[ "$got" = "$1" ] && sed "s|$tmp/||" "$tmp/err" | diff - <(echo "$2")
}

# $1: a key, $2: bytes of value: a line
line()
{
	printf '%s ' "$1"
	head -c "$2" /dev/zero | tr '\0' x
	echo
}

keys()
{
	kcachectl list | sort | xargs
}

too_long='key or value is longer than the cache takes; skipped'
longest=262144

dump_of_a_larger_cache_fills_a_smaller_one()
{
	local i size
	echo 64M > "$limit"
	for i in $(seq 20); do
		size=$((i * 20000))
		yes "value $i" | head -c "$size" | kcachectl set "key$i" - || return 1
	done
	kcachectl save "$tmp/dump" && kcachectl flush && echo 8M > "$limit" || return 1

	kcachectl restore "$tmp/dump" 2> "$tmp/err"
	[ $? = 1 ] || return 1
	cat "$tmp/err"
	# 14 to 20 have more than 256 KiB, and each is told of with its line.
	for i in $(seq 14 20); do
		grep -qx "kcachectl: $tmp/dump: line $(grep -n "^key$i " "$tmp/dump" | cut -d : -f 1): $too_long: key$i" "$tmp/err" ||
			return 1
	done
	[ "$(wc -l < "$tmp/err")" = 9 ] && grep -q '^restored 13 entries, ' "$tmp/err" &&
		grep -qx 'skipped 7 entries, for which the cache is too small' "$tmp/err" || return 1
	for i in $(seq 13); do
		yes "value $i" | head -c $((i * 20000)) | cmp - <(kcachectl get "key$i") || return 1
	done
	[ "$(kcachectl list | wc -l)" = 13 ]
}

longest_value_fits_and_one_byte_more_does_not()
{
	{ line fits "$longest"; line more $((longest + 1)); line last 3; } > "$tmp/dump"
	restore_says 1 "kcachectl: dump: line 2: $too_long: more
restored 2 entries, 256.0K
skipped 1 entries, for which the cache is too small" && [ "$(keys)" = 'fits last' ]
}

# Lines are longer and shorter than what restore reads at once, 256 KiB, and than what the
# cache takes of a line that has no end yet.
entries_of_any_size_are_skipped_by_name()
{
	{
		line '@ttl_ms=100000,flags=7 first' 300000
		line a 10
		line '\x41\n@b' 5000000
		line '@flags=1 neighbour' 400000
		line b 200000
		line last 270000
	} > "$tmp/dump"
	restore_says 1 "kcachectl: dump: line 1: $too_long: first
kcachectl: dump: line 3: $too_long: A\\n@b
kcachectl: dump: line 4: $too_long: neighbour
kcachectl: dump: line 6: $too_long: last
restored 2 entries, 195.3K
skipped 4 entries, for which the cache is too small" && [ "$(keys)" = 'a b' ]
}

# It can have none in any cache.
key_that_is_too_long_is_skipped_without_a_name()
{
	{ line "$(printf '%01025d' 0)" 1; line b 1; } > "$tmp/dump"
	restore_says 1 "kcachectl: dump: line 1: $too_long
restored 1 entries, 4B
skipped 1 entries, for which the cache is too small" && [ "$(keys)" = b ]
}

line_that_is_none_is_found_behind_those_that_were_skipped()
{
	{ line a 1; line b 300000; line c 1; line d 3000000; echo nothing; line e 1; } > "$tmp/dump"
	restore_says 3 "kcachectl: dump: line 2: $too_long: b
kcachectl: dump: line 4: $too_long: d
kcachectl: dump: line 5: not a line of the form [@ttl_ms=N,flags=N ]KEY VALUE; the 2 entries before it are restored" &&
		[ "$(keys)" = 'a c' ]
}

dump_that_was_cut_off_in_what_is_skipped_is_refused()
{
	{ line a 1; line b 3000000 | head -c 2000000; } > "$tmp/dump"
	restore_says 3 "kcachectl: dump: line 2: $too_long: b
kcachectl: dump: line 2: no newline at its end: the dump was cut off; the 1 entries before it are restored" &&
		[ "$(keys)" = a ]
}

echo 'KTAP version 1'
check dump_of_a_larger_cache_fills_a_smaller_one
check longest_value_fits_and_one_byte_more_does_not
check entries_of_any_size_are_skipped_by_name
check key_that_is_too_long_is_skipped_without_a_name
check line_that_is_none_is_found_behind_those_that_were_skipped
check dump_that_was_cut_off_in_what_is_skipped_is_refused
echo "1..$nr"
exit $failed
