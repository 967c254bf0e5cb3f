#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# read and write on the real device, as a person at a shell uses it: echo, cat,
# redirections, dump and restore. Bytes and offsets are in text_test.c. KTAP on
# standard output; exit 0 pass, 1 fail, 4 skip. Run as root, in a guest:
#
#	tests/vm/run -- tests/e2e/text.sh
#
# Empties the cache.
#
# shellcheck disable=SC2317,SC2094 # check() calls the tests; they read and write one device
set -u

if [ ! -c /dev/kcache ]; then
	echo "1..0 # SKIP no /dev/kcache"
	exit 4
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

nr=0
failed=0

flush()
{
	perl -e 'open(F, "+<", "/dev/kcache") && ioctl(F, 0xe812, 0) or die "flush: $!\n"'
}

# $1: a function that succeeds if the test does, named as the behaviour is. Starts
# with an empty cache. What it prints is shown if it fails.
check()
{
	nr=$((nr + 1))
	[ "$(< /sys/class/kcache/kcache/stats/entries)" = 0 ] || flush
	if "$1" > "$tmp/log" 2>&1; then
		echo "ok $nr - $1"
	else
		echo "not ok $nr - $1"
		head -n 20 "$tmp/log" | cut -c 1-200 | sed 's/^/# /'
		failed=1
	fi
}

# Standard input is what the device reads, but for the order of its lines.
reads()
{
	sort > "$tmp/want"
	sort /dev/kcache > "$tmp/got"
	diff "$tmp/want" "$tmp/got"
}

# $@: a command that has to fail
refused()
{
	! "$@"
}

echo_stores_and_cat_lists()
{
	echo 'greeting hello' > /dev/kcache && [ "$(cat /dev/kcache)" = 'greeting hello' ] &&
		echo 'greeting hello, world' > /dev/kcache && [ "$(cat /dev/kcache)" = 'greeting hello, world' ]
}

here_document_stores_each_line()
{
	cat > /dev/kcache <<-'END' || return 1
	one 1
	two 2 and a half
	@flags=3 three \x33
	END
	reads <<-'END'
	one 1
	two 2 and a half
	@flags=3 three 3
	END
}

opening_for_writing_removes_nothing()
{
	echo 'one 1' > /dev/kcache && : > /dev/kcache && echo 'two 2' >> /dev/kcache
	printf 'one 1\ntwo 2\n' | reads
}

read_takes_a_line()
{
	local key value
	echo 'key some value' > /dev/kcache && read -r key value < /dev/kcache &&
		[ "$key" = key ] && [ "$value" = 'some value' ]
}

loop_over_the_lines()
{
	local key value sum=0
	seq 1 100 | sed 's/.*/key& &/' > /dev/kcache
	while read -r key value; do
		[ "key$value" = "$key" ] || return 1
		sum=$((sum + value))
	done < /dev/kcache
	[ "$sum" = 5050 ]
}

one_descriptor_to_write_and_to_read()
{
	local line
	exec 3<> /dev/kcache
	echo 'key value' >&3 && read -r line <&3
	exec 3>&-
	[ "$line" = 'key value' ]
}

filters_read_the_device()
{
	seq 1 50 | sed 's/.*/key& value&/' > /dev/kcache
	[ "$(wc -l < /dev/kcache)" = 50 ] && [ "$(grep -c 'key4[0-9] ' /dev/kcache)" = 10 ] &&
		[ "$(sort -V /dev/kcache | tail -n 1)" = 'key50 value50' ] &&
		[ "$(awk '{ print $2 }' /dev/kcache | sort -V | head -n 1)" = value1 ] &&
		[ "$(head -n 3 /dev/kcache | wc -l)" = 3 ] && [ "$(tail -n 3 /dev/kcache | wc -l)" = 3 ] &&
		[ "$(sed -n '$=' /dev/kcache)" = 50 ]
}

reader_that_stops_early_is_no_error()
{
	seq 1 20000 | sed 's/.*/key& value&/' > /dev/kcache
	head -n 1 /dev/kcache > /dev/null && [ "$(head -c 100 /dev/kcache | wc -c)" = 100 ] || return 1
	# shellcheck disable=SC2002 # cat is whom the pipe is closed to
	cat /dev/kcache | head -n 1
	[ "${PIPESTATUS[0]}" = 141 ]
}

malformed_line_is_told()
{
	refused eval 'echo hello > /dev/kcache' && refused eval 'echo > /dev/kcache' &&
		refused eval 'echo "@ttl_ms=x key value" > /dev/kcache' && reads < /dev/null
}

missing_newline_is_told()
{
	printf 'one 1\ntwo 2' > "$tmp/dump"
	refused cp "$tmp/dump" /dev/kcache && refused cat "$tmp/dump" > /dev/kcache &&
		refused dd status=none if="$tmp/dump" of=/dev/kcache &&
		echo 'one 1' | reads && refused tee /dev/kcache < "$tmp/dump"
}

# All bytes in key and value, and all attributes.
make_entries()
{
	awk 'BEGIN {
		for (i = 0; i < 256; i++) {
			attributes = i % 3 == 1 ? sprintf("@flags=%.0f ", i * 16777216) : ""
			printf "%sb\\x%02x%d\\x%02x \\x%02x\\x%02x value \\x%02x\n",
			       attributes, i, i, i, i, 255 - i, i
		}
		for (i = 0; i < 30; i++)
			printf "text%d a value of %d words   \n", i, i
		print "empty "
	}' > /dev/kcache
}

dump_flush_restore_brings_every_entry_back()
{
	make_entries && cat /dev/kcache > "$tmp/dump" && flush && reads < /dev/null &&
		cat "$tmp/dump" > /dev/kcache && reads < "$tmp/dump" && [ "$(wc -l < "$tmp/dump")" = 287 ]
}

restore_adds_to_what_is_there()
{
	printf 'one 1\ntwo 2\n' > /dev/kcache && cat /dev/kcache > "$tmp/dump" && flush &&
		printf 'two other\nthree 3\n' > /dev/kcache && cat "$tmp/dump" > /dev/kcache &&
		printf 'one 1\ntwo 2\nthree 3\n' | reads
}

dump_keeps_the_ttl_that_is_left()
{
	local ttl
	echo '@ttl_ms=500000,flags=9 key value' > /dev/kcache && sleep 0.01 && cat /dev/kcache > "$tmp/dump" &&
		flush && cat "$tmp/dump" > /dev/kcache || return 1
	cat "$tmp/dump" /dev/kcache
	ttl=$(sed -n 's/^@ttl_ms=\([0-9]*\),flags=9 key value$/\1/p' /dev/kcache)
	[ "$ttl" -gt 1 ] && [ "$ttl" -lt 500000 ]
}

dump_by_other_tools()
{
	make_entries && cat /dev/kcache > "$tmp/dump" && cp /dev/kcache "$tmp/copy" && cmp "$tmp/dump" "$tmp/copy" &&
		dd status=none if=/dev/kcache of="$tmp/copy" bs=7 && cmp "$tmp/dump" "$tmp/copy" &&
		dd status=none if=/dev/kcache of="$tmp/copy" bs=1M && cmp "$tmp/dump" "$tmp/copy" &&
		tee "$tmp/copy" < /dev/kcache > /dev/null && cmp "$tmp/dump" "$tmp/copy"
}

restore_by_other_tools()
{
	make_entries && cat /dev/kcache > "$tmp/dump" || return 1
	flush && cp "$tmp/dump" /dev/kcache && reads < "$tmp/dump" &&
		flush && dd status=none if="$tmp/dump" of=/dev/kcache bs=1 && reads < "$tmp/dump" &&
		flush && dd status=none if="$tmp/dump" of=/dev/kcache bs=11 && reads < "$tmp/dump" &&
		flush && tee /dev/kcache < "$tmp/dump" > /dev/null && reads < "$tmp/dump"
}

restore_stops_at_a_malformed_line()
{
	printf 'one 1\ntwo 2\nno-value\nthree 3\n' > "$tmp/dump"
	refused cat "$tmp/dump" > /dev/kcache && printf 'one 1\ntwo 2\n' | reads
}

dump_of_gzip_size()
{
	local size
	for size in 1000 100000 1000000; do
		{ printf 'random%d ' "$size"; head -c "$size" /dev/urandom | base64 -w 0; echo; } >> "$tmp/large"
	done
	cat "$tmp/large" > /dev/kcache && reads < "$tmp/large" && gzip -c < /dev/kcache > "$tmp/dump.gz" && flush &&
		zcat "$tmp/dump.gz" > /dev/kcache && reads < "$tmp/large"
}

copy_of_the_device_to_itself_ends_and_changes_nothing()
{
	make_entries && cat /dev/kcache > "$tmp/dump" && timeout 100 dd status=none if=/dev/kcache of=/dev/kcache bs=1k &&
		reads < "$tmp/dump"
}

writers_in_parallel()
{
	local i pids=()
	for i in 1 2 3 4; do
		seq 1 500 | sed "s/.*/writer$i.& value$i.&/" > /dev/kcache &
		pids+=($!)
	done
	wait "${pids[@]}" && [ "$(grep -c '^writer\([1-4]\)\.\([0-9]*\) value\1\.\2$' /dev/kcache)" = 2000 ]
}

stranger_is_refused()
{
	echo 'key value' > /dev/kcache
	refused setpriv --reuid 65534 --regid 65534 --clear-groups cat /dev/kcache &&
		refused setpriv --reuid 65534 --regid 65534 --clear-groups sh -c "echo 'key other' > /dev/kcache" &&
		echo 'key value' | reads
}

tests=$(sed -n 's/^\([a-z0-9_]*\)()$/\1/p' "${BASH_SOURCE[0]}" |
	grep -vx -e flush -e check -e reads -e refused -e make_entries)

echo 'KTAP version 1'
echo "1..$(wc -w <<< "$tests")"
for test in $tests; do
	check "$test"
done
exit $failed
