#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The module itself: it loads, takes its parameter or says why not, stays as long as
# somebody has the device open, and leaves nothing behind. KTAP on standard output;
# exit 0 pass, 1 fail, 4 skip. Run as root, in a guest:
#
#	tests/vm/run -- tests/e2e/module.sh
#
# Unloads the module, and loads it again at the end. $KCACHE_KO is its file, else
# the one that the guest began with.
#
# shellcheck disable=SC2317 # the tests are called by check()
set -u

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
module=${KCACHE_KO:-/run/vm/job/kcache.ko}
[ -e "$module" ] || module=$checkout/build/$(uname -r)/kcache.ko
parameter=/sys/module/kcache/parameters/max_bytes
stats=/sys/class/kcache/kcache/stats
limits=/sys/class/kcache/kcache/limits

if [ ! -e "$module" ] || [ ! -w /proc/sys/kernel/hostname ]; then
	echo "1..0 # SKIP no $module, or not root"
	exit 4
fi

tmp=$(mktemp -d)
at_first=$(cat "$parameter" 2> /dev/null || echo 64M)

nr=0
failed=0
marks=0

unload()
{
	[ ! -e /sys/module/kcache ] || rmmod kcache
}

# $@: parameters
load()
{
	insmod "$module" "$@"
}

finish()
{
	unload && load max_bytes="$at_first"
	rm -rf "$tmp"
}
trap finish EXIT

# $1: a function that succeeds if the test does, named as the behaviour is. Starts
# without the module, in a shell of its own, so that what it opens is closed. What
# it prints is shown if it fails.
check()
{
	nr=$((nr + 1))
	unload
	if ("$1") > "$tmp/log" 2>&1; then
		echo "ok $nr - $1"
	else
		echo "not ok $nr - $1"
		head -n 20 "$tmp/log" | cut -c 1-200 | sed 's/^/# /'
		failed=1
	fi
}

nothing_is_left()
{
	ls -d /sys/module/kcache /dev/kcache /sys/class/kcache 2> /dev/null && return 1
	! grep kcache /proc/devices /proc/modules
}

# Marks a place in the kernel's log.
mark()
{
	mark="module.sh: $BASHPID.$((++marks))"
	echo "$mark" > /dev/kmsg
}

# What is in the log behind the last mark.
messages()
{
	dmesg | sed "1,/$mark\$/d"
}

# $1: extended regular expression for what the kernel's log has to say; the rest:
# values of max_bytes that the module has to refuse, leaving nothing
refuses()
{
	local said=$1 text
	shift
	for text; do
		echo "max_bytes=$text"
		mark
		load "max_bytes=$text" 2> "$tmp/err" && return 1
		messages > "$tmp/messages"
		cat "$tmp/err" "$tmp/messages"
		grep -q 'Invalid parameters' "$tmp/err" && grep -Eq "$said" "$tmp/messages" && nothing_is_left ||
			return 1
	done
}

loaded_cache_is_empty_and_unloaded_one_leaves_nothing()
{
	local file line
	load && [ -c /dev/kcache ] && [ ! -s /dev/kcache ] || return 1
	for file in "$stats"/*; do
		read -r line < "$file"
		case $file in
		*/buckets | */bytes_allocated) [ "$line" -gt 0 ] || return 1 ;;
		*) [ "$line" = 0 ] || return 1 ;;
		esac
	done
	unload && nothing_is_left
}

device_is_for_root_only_at_first()
{
	load && [ "$(stat -c '%F %a %u %g' /dev/kcache)" = 'character special file 600 0 0' ]
}

# insmod and rmmod take much longer to start than the kernel takes to do it.
hundred_loads_with_work_in_between()
{
	perl -e '
		my ($module, $finit_module, $delete_module, $nonblock) = (shift, 313, 176, 04000);
		my ($none, $name) = ("", "kcache");
		for my $round (1 .. 100) {
			open(my $file, "<", $module) or die "$module: $!\n";
			syscall($finit_module, fileno($file), $none, 0) == 0 or die "load $round: $!\n";
			open(my $device, "+<", "/dev/kcache") or die "/dev/kcache: $!\n";
			read($device, my $text, 100) == 0 or die "round $round begins with $text";
			my $lines = "long$round 2\n" . "\@ttl_ms=500000 ttl 3\n" .
				"\@ttl_ms=" . (1 + $round % 3) . " short 1\n";
			syswrite($device, $lines) == length($lines) or die "write: $!\n";
			close($device) or die "close: $!\n";
			open($device, "<", "/dev/kcache") or die "/dev/kcache: $!\n";
			my @read = grep(!/ short 1$/, <$device>);
			@read == 2 && grep($_ eq "long$round 2\n", @read) or die "round $round: @read";
			close($device);
			syscall($delete_module, $name, $nonblock) == 0 or die "unload $round: $!\n";
		}' "$module" && nothing_is_left
}

entries_and_counters_do_not_survive_a_reload()
{
	load && seq 1 1000 | sed 's/.*/key& value/' > /dev/kcache && [ "$(< "$stats/entries")" = 1000 ] &&
		unload && load && [ "$(< "$stats/entries")" = 0 ] && [ "$(< "$stats/sets")" = 0 ] &&
		! grep -q . /dev/kcache
}

unload_gives_the_memory_back()
{
	local before full after
	load && before=$(awk '/^MemFree:/ { print $2 }' /proc/meminfo) || return 1
	awk 'BEGIN { for (value = "v"; length(value) < 100000;) value = value value; for (i = 0; i < 450; i++) print "key" i, value }' > /dev/kcache
	full=$(awk '/^MemFree:/ { print $2 }' /proc/meminfo)
	unload
	after=$(awk '/^MemFree:/ { print $2 }' /proc/meminfo)
	echo "free: $before KiB, with a full cache $full, without it $after"
	[ $((before - full)) -gt 50000 ] && [ $((after - full)) -gt 50000 ]
}

unload_while_the_device_is_open_is_refused()
{
	load && exec 3< /dev/kcache || return 1
	rmmod kcache 2> "$tmp/err" && return 1
	cat "$tmp/err"
	grep -q 'in use' "$tmp/err" && echo 'key value' > /dev/kcache && [ "$(cat <&3)" = 'key value' ] &&
		[ "$(< /sys/module/kcache/refcnt)" -ge 1 ] || return 1
	exec 3<&-
	[ "$(< /sys/module/kcache/refcnt)" = 0 ] && rmmod kcache && nothing_is_left
}

# rmmod looks before it asks; the kernel itself has to refuse, too.
unload_while_the_device_is_open_is_refused_by_the_kernel()
{
	load && exec 3> /dev/kcache || return 1
	perl -e '
		my ($delete_module, $name, $nonblock) = (176, "kcache", 04000);
		syscall($delete_module, $name, $nonblock) == -1 or die "it is unloaded\n";
		$!{EAGAIN} || $!{EBUSY} or die "$!\n"' || return 1
	echo 'key value' >&3
	exec 3>&-
	[ "$(< /dev/kcache)" = 'key value' ]
}

unload_waits_for_a_descriptor_that_a_child_has()
{
	local child
	load || return 1
	sleep 100 3< /dev/kcache &
	child=$!
	until [ "$(< /sys/module/kcache/refcnt)" -ge 1 ]; do
		kill -0 "$child" || return 1
	done
	rmmod kcache && return 1
	kill "$child"
	wait "$child"
	rmmod kcache && nothing_is_left
}

# The file goes, the descriptor stays: it has nothing to read any more.
open_sysfs_file_does_not_hold_the_module()
{
	load && exec 3< "$stats/hits" && exec 4> "$limits/max_bytes" || return 1
	rmmod kcache && nothing_is_left && ! cat <&3 && ! echo 32M >&4
	local result=$?
	exec 3<&- 4>&-
	return "$result"
}

unload_with_expiry_under_way()
{
	local round
	for round in {1..5}; do
		load && seq 1 300 | sed "s/.*/@ttl_ms=& key& value$round/" > /dev/kcache && rmmod kcache || return 1
	done
	nothing_is_left
}

opens_and_unloads_at_once()
{
	local opener round loaded=0
	load || return 1
	while [ ! -e "$tmp/enough" ]; do
		{ read -r _ < /dev/kcache; } 2> /dev/null
	done &
	opener=$!
	for round in {1..10}; do
		if rmmod kcache 2> /dev/null; then
			load || break
			loaded=$((loaded + 1))
		fi
	done
	touch "$tmp/enough"
	wait "$opener"
	rm "$tmp/enough"
	echo "unloaded $loaded times of 10, the last of them at $round"
	[ "$round" = 10 ] && echo 'key value' > /dev/kcache && [ "$(< /dev/kcache)" = 'key value' ]
}

second_load_is_refused()
{
	load && echo 'key value' > /dev/kcache || return 1
	load 2> "$tmp/err" && return 1
	cat "$tmp/err"
	grep -q 'File exists' "$tmp/err" && [ "$(< /dev/kcache)" = 'key value' ]
}

parameter_sets_the_limit()
{
	local text bytes
	while read -r text bytes; do
		echo "max_bytes=$text"
		load "max_bytes=$text" && [ "$(< "$limits/max_bytes")" = "$bytes" ] &&
			[ "$(< "$parameter")" = "$bytes" ] && echo 'key value' > /dev/kcache &&
			[ "$(< /dev/kcache)" = 'key value' ] && unload || return 1
	done <<-'END'
	1M 1048576
	1048576 1048576
	1048577 1048577
	3m 3145728
	5000000 5000000
	10000K 10240000
	256M 268435456
	END
	load && [ "$(< "$limits/max_bytes")" = 67108864 ]
}

cache_of_one_mebibyte_works()
{
	load max_bytes=1M || return 1
	local max
	max=$(< "$limits/value_max")
	[ "$max" -ge 16384 ] || return 1
	seq 1 30000 | sed 's/.*/key& value&/' > /dev/kcache && [ "$(< "$stats/bytes_allocated")" -le 1048576 ] &&
		[ "$(< "$stats/evictions")" -gt 1000 ] && [ "$(< "$stats/entries")" -gt 2000 ] &&
		grep -q '^key30000 value30000$' /dev/kcache &&
		[ "$(wc -l < /dev/kcache)" = "$(< "$stats/entries")" ] || return 1
	{ printf 'large '; head -c "$max" /dev/zero | tr '\0' v; echo; } > "$tmp/large"
	cat "$tmp/large" > /dev/kcache && grep -q '^large v*$' /dev/kcache || return 1
	{ printf 'large v'; head -c "$max" /dev/zero | tr '\0' v; echo; } > "$tmp/large"
	! cat "$tmp/large" > /dev/kcache && [ "$(< "$stats/bytes_allocated")" -le 1048576 ]
}

limit_under_one_mebibyte_is_refused()
{
	refuses 'kcache:.*max_bytes' 0 1048575
}

limit_over_the_memory_is_refused()
{
	local memory
	memory=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
	refuses 'kcache:.*max_bytes' "$((memory + 262144))K" 18446744073709551615
}

limit_that_is_no_number_is_refused()
{
	refuses 'kcache:.*max_bytes' garbage '' 64MM -1 +64M
}

limit_that_does_not_fit_in_64_bits_is_refused()
{
	refuses 'kcache:.*max_bytes' 18446744073776660480 17592186044480M
}

unknown_parameter_harms_nothing()
{
	load frobnicate=1 && [ -c /dev/kcache ]
}

loading_working_and_unloading_prints_nothing()
{
	load && unload && mark
	load && echo 'key value' > /dev/kcache && cat /dev/kcache && ! echo malformed > /dev/kcache &&
		echo 32M > "$limits/max_bytes" && ! echo nonsense > "$limits/max_bytes" && unload || return 1
	messages > "$tmp/messages"
	cat "$tmp/messages"
	[ ! -s "$tmp/messages" ]
}

tests=$(sed -n 's/^\([a-z0-9_]*\)()$/\1/p' "${BASH_SOURCE[0]}" |
	grep -vx -e unload -e load -e finish -e check -e nothing_is_left -e mark -e messages -e refuses)

echo 'KTAP version 1'
echo "1..$(wc -w <<< "$tests")"
for test in $tests; do
	check "$test"
done
exit $failed
