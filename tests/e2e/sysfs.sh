#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The files of a cache in sysfs: one value each, all of them documented, and
# limits/max_bytes, which changes the limit while the cache is in use. KTAP on
# standard output; exit 0 pass, 1 fail, 4 skip. Run as root, in a guest:
#
#	tests/vm/run -- tests/e2e/sysfs.sh
#
# Empties the cache.
#
# shellcheck disable=SC2317 # the tests are called by check()
set -u

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
abi=$checkout/docs/ABI/sysfs-kcache
sysfs=/sys/class/kcache/kcache
max_bytes=$sysfs/limits/max_bytes

if [ ! -d "$sysfs" ]; then
	echo "1..0 # SKIP no $sysfs"
	exit 4
fi

tmp=$(mktemp -d)
at_load=$(cat /sys/module/kcache/parameters/max_bytes)
trap 'echo "$at_load" > "$max_bytes"; rm -rf "$tmp"' EXIT

nr=0
failed=0

flush()
{
	perl -e 'open(F, "+<", "/dev/kcache") && ioctl(F, 0xe812, 0) or die "flush: $!\n"'
}

# $1: a function that succeeds if the test does, named as the behaviour is. Starts
# with an empty cache of its first size. What it prints is shown if it fails.
check()
{
	nr=$((nr + 1))
	[ "$(< "$sysfs/stats/entries")" = 0 ] || flush
	echo "$at_load" > "$max_bytes"
	if "$1" > "$tmp/log" 2>&1; then
		echo "ok $nr - $1"
	else
		echo "not ok $nr - $1"
		head -n 20 "$tmp/log" | cut -c 1-200 | sed 's/^/# /'
		failed=1
	fi
}

# $1: a file in stats/
stat_of()
{
	echo "$(< "$sysfs/stats/$1")"
}

# $1: text for max_bytes, with printf's escapes, written at once
write_max_bytes()
{
	printf %b "$1" > "$tmp/text"
	case $1 in
	*'\n'?*) cat "$tmp/text" > "$max_bytes" ;;
	*) printf %b "$1" > "$max_bytes" ;;	# much faster
	esac
}

# $1: text that max_bytes has to take, and to read as $2 then
takes()
{
	local got
	write_max_bytes "$1" || return 1
	got=$(< "$max_bytes")
	echo "max_bytes '$1': $got, wanted $2"
	[ "$got" = "$2" ]
}

# $@: texts that max_bytes has to refuse as invalid, and that change nothing
refuses()
{
	local before text
	before=$(< "$max_bytes")
	for text; do
		if write_max_bytes "$text" 2> "$tmp/err"; then
			echo "max_bytes takes '$text'"
			return 1
		fi
		grep -q 'Invalid argument' "$tmp/err" || {
			echo "'$text' is not an invalid argument: $(< "$tmp/err")"
			return 1
		}
		[ "$(< "$max_bytes")" = "$before" ] || {
			echo "max_bytes was $before, and is not any more after '$text' was refused"
			return 1
		}
	done
}

# $1: bytes of value in each of $2 entries
fill()
{
	awk -v size="$1" -v nr="$2" 'BEGIN {
		value = "v"
		while (length(value) < size)
			value = value value
		value = substr(value, 1, size)
		for (i = 0; i < nr; i++)
			print "key" i, value
	}' > /dev/kcache
}

is_within_limit()
{
	local used limit
	used=$(stat_of bytes_allocated)
	limit=$(< "$max_bytes")
	echo "$used bytes of $limit, $(stat_of entries) entries"
	[ "$used" -le "$limit" ]
}

# The files that are ours, as stats/hits.
files()
{
	(cd "$sysfs" && find stats limits -type f | sort)
}

# The files that the documentation has, likewise.
documented()
{
	sed -n 's|^What:[[:space:]]*/sys/class/kcache/<name>/\(.*\)|\1|p' "$abi"
}

every_file_is_documented_and_every_documented_file_is_there()
{
	documented | sort > "$tmp/documented"
	files > "$tmp/files"
	diff "$tmp/documented" "$tmp/files"
}

every_entry_of_the_documentation_is_complete()
{
	local field count
	count=$(grep -c '^What:' "$abi")
	[ "$count" -gt 20 ] || return 1
	for field in Date KernelVersion Contact Description; do
		[ "$(grep -c "^$field:[[:space:]]*[^[:space:]]" "$abi")" = "$count" ] || {
			echo "$field is not in every entry"
			return 1
		}
	done
}

nothing_but_stats_and_limits_is_there()
{
	local others
	others=$(cd "$sysfs" && find . -mindepth 1 -maxdepth 1 ! -name stats ! -name limits ! -name dev \
		! -name uevent ! -name power ! -name subsystem)
	echo "$others"
	[ -z "$others" ]
}

every_file_is_one_number()
{
	local file lines bad=0
	for file in $(files); do
		mapfile -t lines < "$sysfs/$file"
		if [ ${#lines[@]} != 1 ] || ! [[ ${lines[0]} =~ ^[0-9]+$ ]]; then
			echo "$file: ${lines[*]}"
			bad=1
		fi
	done
	return "$bad"
}

only_settings_are_writable()
{
	local file settings="/(max_bytes|min_bytes|promote_after)\$"
	stat -c '%a %n' "$sysfs"/stats/* "$sysfs"/limits/* > "$tmp/modes"
	cat "$tmp/modes"
	[ "$(grep -cE "^644 .*$settings" "$tmp/modes")" = 3 ] &&
		! grep -vE "$settings" "$tmp/modes" | grep -v '^444 ' || return 1
	for file in "$sysfs"/stats/* "$sysfs/limits/key_max" "$sysfs/limits/value_max"; do
		{ echo 1 > "$file"; } 2> /dev/null && return 1
	done
	return 0
}

as_nobody()
{
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

everyone_reads_the_files()
{
	as_nobody cat "$sysfs"/stats/* "$sysfs"/limits/*
}

stranger_cannot_change_the_limit()
{
	local before
	before=$(< "$max_bytes")
	! as_nobody sh -c "echo 32M > $max_bytes" 2> "$tmp/err" && grep -q 'Permission denied' "$tmp/err" &&
		[ "$(< "$max_bytes")" = "$before" ]
}

counters_count()
{
	local sets hits flushes
	sets=$(stat_of sets) hits=$(stat_of hits) flushes=$(stat_of flushes)
	printf 'one 1\ntwo 2\none 3\n' > /dev/kcache
	[ $(($(stat_of sets) - sets)) = 3 ] && [ "$(stat_of entries)" = 2 ] &&
		cat /dev/kcache > /dev/null && [ "$(stat_of hits)" = "$hits" ] || return 1
	flush
	[ $(($(stat_of flushes) - flushes)) = 1 ] && [ "$(stat_of entries)" = 0 ]
}

limits_are_what_info_tells()
{
	[ "$(< "$sysfs/limits/key_max")" = 1024 ] && [ "$(< "$sysfs/limits/value_max")" -ge 1048576 ] &&
		[ "$(< "$max_bytes")" = "$at_load" ]
}

max_bytes_takes_bytes_and_suffixes()
{
	takes 67108864 67108864 && takes '33554432\n' 33554432 && takes 64M 67108864 &&
		takes '32M\n' 33554432 && takes 32m 33554432 && takes 32768K 33554432 &&
		takes 65536k 67108864 && takes 20000000 20000000 && takes 33333333 33333333
}

max_bytes_refuses_what_is_no_number()
{
	refuses '\n' ' ' garbage M M64 64Q 64MM '64 M' '64M garbage' '64M 64M' 64,000,000 1.5G 1e9 \
		'64M\n64M\n' 0x 64% sixty-four
}

max_bytes_refuses_signs()
{
	refuses -1 -64M -67108864 -0 --64M +64M
}

max_bytes_refuses_0_and_tiny()
{
	refuses 0 1 4096 64K 1048575 1023K 0M
}

max_bytes_refuses_more_than_the_memory()
{
	local memory
	memory=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
	refuses "$((memory + 262144))K" 1024G 1P 15E 9223372036854775807 9223372036854775808 \
		18446744073709551615
}

# 64 bits and 64M more are not 64M.
max_bytes_refuses_numbers_that_do_not_fit()
{
	refuses 18446744073709551616 18446744073776660480 17592186044480M 0x10000000004000000 \
		18014398509547520K 16E
}

full_cache_goes_on_after_the_limit_went_up()
{
	takes 32M 33554432 && fill 100000 400 && is_within_limit || return 1
	local before
	before=$(stat_of entries)
	[ "$before" -gt 150 ] && takes 64M 67108864 && [ "$(stat_of entries)" = "$before" ] &&
		fill 100000 800 && is_within_limit && [ "$(stat_of entries)" -gt $((before * 3 / 2)) ]
}

memory_comes_back_when_the_limit_goes_down()
{
	local size evictions
	fill 100000 700 && is_within_limit || return 1
	for size in 48 32 20 16 9 8; do
		takes "${size}M" $((size << 20)) && is_within_limit &&
			[ "$(stat_of bytes_live)" -gt $((size << 18)) ] || return 1
	done
	evictions=$(stat_of evictions)
	[ "$evictions" -gt 500 ] && echo 'after 1' > /dev/kcache && grep -q '^after 1$' /dev/kcache &&
		is_within_limit
}

many_small_entries_go_when_the_limit_goes_down()
{
	fill 20 100000 && [ "$(stat_of entries)" = 100000 ] && takes 8M 8388608 && is_within_limit &&
		[ "$(stat_of entries)" -gt 20000 ] && [ "$(wc -l < /dev/kcache)" = "$(stat_of entries)" ] &&
		takes 64M 67108864 && fill 20 100000 && [ "$(stat_of entries)" = 100000 ]
}

value_max_follows_max_bytes()
{
	local before
	before=$(< "$sysfs/limits/value_max")
	takes 32M 33554432 && [ "$(< "$sysfs/limits/value_max")" -lt "$before" ] &&
		takes 64M 67108864 && [ "$(< "$sysfs/limits/value_max")" = "$before" ]
}

limit_goes_up_and_down_many_times()
{
	local round
	for round in 1 2 3 4 5 6 7 8 9 10; do
		echo "round $round"
		fill 50000 500 && takes 16M 16777216 && is_within_limit && takes 64M 67108864 || return 1
	done
}

tests=$(sed -n 's/^\([a-z0-9_]*\)()$/\1/p' "${BASH_SOURCE[0]}" |
	grep -vx -e flush -e check -e write_max_bytes -e stat_of -e takes -e refuses -e fill -e is_within_limit -e files -e documented -e as_nobody)

echo 'KTAP version 1'
echo "1..$(wc -w <<< "$tests")"
for test in $tests; do
	check "$test"
done
exit $failed
