#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# kcachectl against a real device: every command, condition and exit code. KTAP
# on standard output; exit 0 pass, 1 fail, 4 skip. Run as root, in a guest:
#
#	tests/vm/run -- tests/e2e/cli.sh
#
# Empties the cache. $KCACHE_BUILD is where kcachectl was built.
#
# shellcheck disable=SC2317 # the tests are called by check()
set -u

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${KCACHE_BUILD:-$checkout/build/userspace}
PATH=$build:$PATH
python=/usr/bin/python3

if [ ! -x "$build/kcachectl" ]; then
	echo "1..0 # SKIP no kcachectl in $build; run make there first"
	exit 4
fi
if ! kcachectl info > /dev/null; then
	echo '1..0 # SKIP no device'
	exit 4
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

nr=0
failed=0

# $1: a function that succeeds if the test does, named as the behaviour is. Starts
# with an empty cache. What it prints is shown if it fails.
check()
{
	nr=$((nr + 1))
	kcachectl flush
	if "$1" > "$tmp/log" 2>&1; then
		echo "ok $nr - $1"
	else
		echo "not ok $nr - $1"
		sed 's/^/# /' "$tmp/log"
		failed=1
	fi
}

# $1: exit code; the rest: arguments of kcachectl, whose output goes to $tmp/out
# and $tmp/err
expect()
{
	local code=$1 got=0
	shift
	kcachectl "$@" > "$tmp/out" 2> "$tmp/err" || got=$?
	echo "kcachectl $*: exit $got, stderr: $(cat "$tmp/err")"
	[ "$got" = "$code" ]
}

# $1: extended regular expression for standard error
told()
{
	grep -Eq -e "$1" "$tmp/err"
}

# $1: what standard output was, to the byte, with printf's escapes
# shellcheck disable=SC2059 # it is a format
printed()
{
	printf -- "$1" | cmp - "$tmp/out"
}

# $1: a key, $2: its value
holds()
{
	local value
	value=$(kcachectl get "$1") && echo "$1: $value" && [ "$value" = "$2" ]
}

# $1: a Python expression on "it", the JSON on standard input; prints its value
json()
{
	"$python" -c 'import json, sys; it = json.load(sys.stdin); print('"$1"')'
}

member()
{
	json "it['$1']" < "$tmp/out"
}

version_of()
{
	kcachectl stat --json "$1" | json "it['version']"
}

set_then_get_gives_the_value()
{
	expect 0 set greeting hello && printed '' &&
		expect 0 get greeting && printed hello &&
		expect 0 set greeting '' && expect 0 get greeting && printed ''
}

get_of_no_key_is_exit_1()
{
	expect 1 get nothing && printed '' && told '^kcachectl: nothing: no such key$'
}

get_of_many_keys_prints_a_line_each()
{
	kcachectl set one 1 && kcachectl set two '' && head -c 5000 /dev/zero | kcachectl set long - &&
		expect 0 get one two one && printed '1\n\n1\n' &&
		expect 1 get one nothing two && printed '1\n\n' && told '^kcachectl: nothing: no such key$' &&
		expect 0 get one long && [ "$(wc -c < "$tmp/out")" = 5003 ] &&
		expect 0 get --json one two && [ "$(wc -l < "$tmp/out")" = 2 ] &&
		[ "$(head -n 1 "$tmp/out" | json "it['value']")" = 1 ] &&
		[ "$(tail -n 1 "$tmp/out" | json "it['key']")" = two ] || return 1
	# More than one call of the kernel takes.
	seq 1100 | sed 's/.*/n& &/' > /dev/kcache
	# shellcheck disable=SC2046 # words
	expect 0 get $(seq -f n%g 1100) && seq 1100 | cmp - "$tmp/out"
}

error_shows_the_key_escaped()
{
	expect 1 get $'a b\n\x1b[31m\xff' && told '^kcachectl: a\\x20b\\n\\x1b\[31m\\xff: no such key$'
}

value_from_file_and_from_standard_input()
{
	head -c 1048576 /dev/urandom > "$tmp/mebibyte"
	expect 0 set --file "$tmp/mebibyte" from-file && expect 0 get from-file &&
		cmp "$tmp/mebibyte" "$tmp/out" &&
		expect 0 set from-input - < "$tmp/mebibyte" && expect 0 get from-input &&
		cmp "$tmp/mebibyte" "$tmp/out" &&
		expect 0 set -f - from-pipe < <(cat "$tmp/mebibyte") && expect 0 get from-pipe &&
		cmp "$tmp/mebibyte" "$tmp/out" &&
		expect 0 set --file /dev/null empty && expect 0 get empty && printed '' &&
		expect 3 set --file "$tmp/nothing" key && told 'No such file' &&
		expect 3 set --file "$tmp" key && told 'Is a directory'
}

values_of_all_bytes_come_back()
{
	"$python" -c 'import sys; sys.stdout.buffer.write(bytes(range(256)) * 2)' > "$tmp/bytes"
	expect 0 set --file "$tmp/bytes" bytes && expect 0 get bytes && cmp "$tmp/bytes" "$tmp/out" &&
		expect 0 pop bytes && cmp "$tmp/bytes" "$tmp/out"
}

longest_value_fits_and_one_more_byte_does_not()
{
	local max
	max=$(kcachectl info --json | json "it['value_max']")
	head -c $((max + 1)) /dev/zero > "$tmp/zeros"
	expect 3 set --file "$tmp/zeros" key && told "longer than a value may be.*$max" || return 1
	truncate -s "$max" "$tmp/zeros"
	expect 0 set --file "$tmp/zeros" key && expect 0 get key && cmp "$tmp/zeros" "$tmp/out" &&
		expect 3 append key x && told 'longer than the cache takes.*info'
}

long_keys()
{
	local key
	key=$(head -c 1024 /dev/zero | tr '\0' k)
	expect 0 set "$key" value && holds "$key" value &&
		expect 3 set "k$key" value && told 'longer than the cache takes' &&
		expect 3 get "k$key" && told 'longer than the cache takes' &&
		expect 3 remove "$key" "k$key" && told 'longer than the cache takes' && expect 1 get "$key"
}

escaped_keys_reach_any_byte()
{
	expect 0 set -e 'a\x00b\n' value && expect 0 list && printed 'a\\x00b\\n\n' &&
		expect 0 get -e "$(kcachectl list)" && printed value &&
		expect 1 get 'a\x00b\n' &&
		expect 0 remove -e 'a\x00b\n' && expect 0 list && printed '' &&
		expect 0 set -e '\t\r\\\x4A\x4a' value && expect 0 list && printed '\\t\\r\\\\JJ\n' &&
		expect 0 get $'\t\r\\JJ' && printed value
}

operand_that_starts_with_minus()
{
	expect 0 set temperature -- -5 && holds temperature -5 &&
		expect 0 set -- -key value && expect 0 get -- -key && printed value
}

ttl_expires()
{
	expect 0 set --ttl 3s brief value && holds brief value && sleep 3.1 &&
		expect 1 get brief && expect 1 stat brief && expect 0 list && printed ''
}

ttl_shows_in_stat_and_list()
{
	local ttl
	expect 0 set --ttl 90 key value && expect 0 stat --json key || return 1
	ttl=$(member ttl_ms)
	[ "$ttl" -gt 80000 ] && [ "$ttl" -le 90000 ] &&
		expect 0 stat key && grep -E '^ttl +1m[0-9]+s$' "$tmp/out" &&
		expect 0 list -l && grep -E '^ +5 +1m[0-9]+s  key$' "$tmp/out" &&
		expect 0 touch key never && expect 0 stat key && grep -E '^ttl +never$' "$tmp/out" &&
		expect 0 touch key 1h30m && expect 0 list -l && grep -E ' 1h(30|29)m  key$' "$tmp/out" &&
		expect 0 touch key 0 && expect 0 stat --json key && [ "$(member ttl_ms)" = None ] &&
		expect 0 set --ttl 1h --flags 7 key value && expect 0 list --json &&
		json "it[0]['flags'] == 7 and 3500000 < it[0]['ttl_ms'] <= 3600000" < "$tmp/out" | grep True &&
		expect 0 set --flags 7 key value && expect 0 list --json &&
		json "it[0]['flags'] == 7 and it[0]['ttl_ms'] is None" < "$tmp/out" | grep True
}

touch_of_no_key_is_exit_1()
{
	expect 1 touch nothing 1 && told 'nothing: no such key'
}

get_with_touch_sets_the_expiry()
{
	expect 0 set key value && expect 0 get --touch 1h key && printed value &&
		expect 0 stat --json key && [ "$(member ttl_ms)" -gt 3500000 ] &&
		expect 1 get --touch 1h nothing
}

keep_ttl_keeps_it()
{
	expect 0 set --ttl 1h key one && expect 0 set --keep-ttl key two && holds key two &&
		expect 0 stat --json key && [ "$(member ttl_ms)" -gt 3500000 ] &&
		expect 0 set key three && expect 0 stat --json key && [ "$(member ttl_ms)" = None ] &&
		expect 0 set --keep-ttl --ttl 1h new value && expect 0 stat --json new &&
		[ "$(member ttl_ms)" -gt 3500000 ]
}

if_absent_stores_once()
{
	expect 0 set --if-absent key one && expect 1 set --if-absent key two &&
		told 'key: the key is there already; without --if-absent' && holds key one
}

if_present_needs_an_entry()
{
	expect 1 set --if-present key one && told 'no such key; without --if-present' &&
		expect 1 get key &&
		expect 0 set key one && expect 0 set --if-present key two && holds key two
}

if_version_needs_that_version()
{
	local version
	expect 0 set key one || return 1
	version=$(version_of key)
	expect 0 set --if-version "$version" key two && holds key two &&
		expect 1 set --if-version "$version" key three && told 'key: the entry has another version' &&
		holds key two &&
		expect 1 append --if-version "$version" key x && expect 1 prepend --if-version "$version" key x &&
		expect 1 remove --if-version "$version" key && holds key two || return 1
	version=$(version_of key)
	expect 0 append --if-version "$version" key 2 || return 1
	version=$(version_of key)
	expect 0 prepend --if-version "$version" key 2 && holds key 2two2 || return 1
	version=$(version_of key)
	expect 0 remove --if-version "$version" key && expect 1 get key &&
		expect 1 set --if-version "$version" key four
}

set_json_tells_the_version()
{
	expect 0 set --json key one && [ "$(member version)" = "$(version_of key)" ] &&
		[ "$(member key)" = key ]
}

return_old_gives_what_was_there()
{
	expect 0 set --return-old key one && printed '' &&
		expect 0 set --return-old key two && printed one &&
		expect 0 set --return-old --json key three && [ "$(member old)" = two ] &&
		expect 0 set --return-old --json new value && [ "$(member old)" = None ] &&
		expect 0 set --file "$build/kcachectl" key && expect 0 set --return-old key four &&
		cmp "$tmp/out" "$build/kcachectl" && holds key four
}

flags_are_kept()
{
	expect 0 set --flags 4294967295 key value && expect 0 stat key && grep -E '^flags +4294967295$' "$tmp/out" &&
		expect 0 append key x && expect 0 stat --json key && [ "$(member flags)" = 4294967295 ] &&
		expect 0 set key value && expect 0 stat --json key && [ "$(member flags)" = 0 ]
}

stat_tells_length_and_a_new_version_with_each_change()
{
	local first
	expect 0 set key 12345 && expect 0 stat --json key && [ "$(member length)" = 5 ] || return 1
	first=$(member version)
	expect 0 touch key 1h && [ "$(version_of key)" != "$first" ] &&
		expect 1 stat nothing && printed ''
}

remove_takes_several_keys_and_misses_some()
{
	expect 0 set a 1 && expect 0 set b 2 && expect 0 set c 3 &&
		expect 1 remove a nothing b && told 'nothing: no such key' &&
		expect 0 list && printed 'c\n' && expect 0 rm c && expect 1 rm c
}

pop_gives_once()
{
	expect 0 set key value && expect 0 pop key && printed value && expect 1 pop key &&
		told 'key: no such key'
}

pop_among_many_gives_to_one()
{
	local i pids=()
	expect 0 set key value || return 1
	for i in 1 2 3 4 5 6 7 8; do
		kcachectl pop key 2> /dev/null >> "$tmp/popped" &
		pids+=($!)
	done
	wait "${pids[@]}"
	cat "$tmp/popped"
	[ "$(cat "$tmp/popped")" = value ]
}

add_counts()
{
	expect 1 add hits 1 && told 'hits: no such key; --initial' &&
		expect 0 add --initial 10 hits 1 && printed '10\n' &&
		expect 0 add --initial 10 hits 1 && printed '11\n' &&
		expect 0 add hits -20 && printed '-9\n' && holds hits -9 &&
		expect 0 add --initial -7 --ttl 1h --flags 3 other 1 && expect 0 stat --json other &&
		[ "$(member ttl_ms)" -gt 3500000 ] && [ "$(member flags)" = 3 ] &&
		expect 0 set hits 9223372036854775807 && expect 3 add hits 1 &&
		told 'no number of 64 bits.*set' && expect 0 set hits x && expect 3 add hits 1 && holds hits x
}

append_and_prepend_extend()
{
	expect 0 set key middle && expect 0 append key ' end' && expect 0 prepend key 'begin ' &&
		holds key 'begin middle end' &&
		printf 'x\0y' | expect 0 append key - && expect 0 get key && printed 'begin middle endx\0y' &&
		expect 1 append nothing x && expect 1 prepend nothing x
}

list_gives_all_keys_or_those_with_a_prefix()
{
	local key
	for key in user:1 user:2 'user 3' session:1 @odd; do
		expect 0 set "$key" value || return 1
	done
	kcachectl list | sort > "$tmp/keys"
	printf '%s\n' session:1 user:1 user:2 'user\x203' '\x40odd' | sort | diff - "$tmp/keys" &&
		[ "$(kcachectl list user: | sort | xargs)" = 'user:1 user:2' ] &&
		[ "$(kcachectl ls session)" = session:1 ] &&
		[ "$(kcachectl list -e 'user\x20')" = 'user\x203' ] &&
		expect 0 list nothing && printed '' &&
		expect 0 list --json nothing && printed '[]\n'
}

list_counts_escapes_of_values_as_bytes()
{
	printf '\\\n\t\r\0\x7fx\\x41\xff ' > "$tmp/value"
	expect 0 set --file "$tmp/value" key &&
		expect 0 list --json && [ "$(json "it[0]['length']" < "$tmp/out")" = "$(stat -c %s "$tmp/value")" ]
}

list_is_valid_json_for_any_key()
{
	local i
	for i in 00 01 09 0a 0d 1f 20 22 2f 5c 7f 80 c3 ff; do
		expect 0 set -e "k\\x$i" value || return 1
	done
	# The first and the last of their lengths, and what is just beyond.
	expect 0 set -e 'ünï↯😀\xe0\xa0\x80\xf4\x8f\xbf\xbf' value &&
		expect 0 set -e 'bad\xed\xa0\x80\xc0\x80\xf5' value &&
		expect 0 set -e '\xe0\x9f\xbf' value && expect 0 set -e '\xf4\x90\x80\x80' value &&
		expect 0 list --json && "$python" -m json.tool < "$tmp/out" > "$tmp/pretty" &&
		"$python" - "$tmp/out" <<-'END'
			import base64, json, sys
			with open(sys.argv[1], encoding='utf-8') as f:
			    it = json.load(f)
			keys = {base64.b64decode(e['key_base64']) if 'key_base64' in e
			        else e['key'].encode() for e in it}
			want = {b'k' + bytes([b]) for b in
			        (0, 1, 9, 10, 13, 31, 32, 34, 47, 92, 127, 128, 195, 255)}
			want |= {'ünï↯😀\u0800\U0010ffff'.encode(), b'bad\xed\xa0\x80\xc0\x80\xf5',
			         b'\xe0\x9f\xbf', b'\xf4\x90\x80\x80'}
			assert keys == want, keys ^ want
			assert all(e['length'] == 5 and e['ttl_ms'] is None and e['flags'] == 0 for e in it)
		END
}

json_of_each_command_is_valid()
{
	local command
	expect 0 set -e 'k\xff' value || return 1
	for command in 'stat --json -e k\xff' 'set --json --return-old -e k\xff new' 'list --json' \
		'stats --json' 'info --json'; do
		# shellcheck disable=SC2086 # the words of a command line
		expect 0 $command && "$python" -m json.tool < "$tmp/out" > "$tmp/pretty" || return 1
	done
}

many_entries_are_listed()
{
	seq 1 20000 | sed 's/.*/key& value&/' > /dev/kcache
	[ "$(kcachectl list | sort | uniq | wc -l)" = 20000 ] &&
		[ "$(kcachectl list key1999 | wc -l)" = 11 ] && holds key777 value777
}

stats_count()
{
	expect 0 stats --json || return 1
	local hits misses sets
	hits=$(member hits) misses=$(member misses) sets=$(member sets)
	expect 0 set key value && expect 0 get key && expect 0 get key && expect 1 get nothing &&
		expect 0 stats --json && [ "$(member hits)" = $((hits + 2)) ] &&
		[ "$(member misses)" = $((misses + 1)) ] && [ "$(member sets)" = $((sets + 1)) ] &&
		[ "$(member entries)" = 1 ] &&
		json 'abs(it["hit_ratio"] - it["hits"] / (it["hits"] + it["misses"])) < 1e-5' < "$tmp/out" | grep True &&
		expect 0 stats && grep -E '^hit_ratio +[0-9.]+%$' "$tmp/out" &&
		[ "$(wc -l < "$tmp/out")" = $(($(find /sys/class/kcache/kcache/stats/ -type f | wc -l) + 1)) ]
}

stats_watch_prints_rates()
{
	timeout 60 kcachectl stats --watch 1 | grep -m 2 -E '^sets .* [+-][0-9.]+/s$' > "$tmp/out"
	[ "$(wc -l < "$tmp/out")" = 2 ] || return 1
	timeout 60 kcachectl stats --watch 1 --json | head -n 2 > "$tmp/out"
	[ "$(wc -l < "$tmp/out")" = 2 ] && tail -n 1 "$tmp/out" | json "it['sets']"
}

stats_without_sysfs_names_it()
{
	# shellcheck disable=SC2016 # for the inner shell
	unshare --mount sh -c 'umount -l /sys || exit 9
		kcachectl info > "$1/out" || exit 8
		exec kcachectl stats' sh "$tmp" 2> "$tmp/err"
	[ $? = 3 ] && told '/stats: No such file.*have /sys mounted' && grep -E '^max_bytes ' "$tmp/out"
}

info_tells_the_limits()
{
	expect 0 info --json && [ "$(member name)" = kcache ] && [ "$(member key_max)" = 1024 ] &&
		[ "$(member max_bytes)" = "$(cat /sys/class/kcache/kcache/limits/max_bytes)" ] &&
		json "it['opcodes'].index('prepend')" < "$tmp/out" &&
		json "it['flags'].index('initial')" < "$tmp/out" &&
		expect 0 info && grep -E '^max_bytes +[0-9]+ \([0-9.]+[KMG]\)$' "$tmp/out"
}

flush_empties_the_cache()
{
	expect 0 set key value && expect 0 flush && printed '' && expect 0 list && printed ''
}

fill()
{
	expect 0 set plain value && expect 0 set --ttl 1h 'with space' $'a\nb\\c\td' &&
		expect 0 set --flags 77 -e '@\x00\xff\n' '' && expect 0 set --ttl 1d --flags 1 both '@ x' &&
		head -c 700000 /dev/urandom > "$tmp/big" && expect 0 set --file "$tmp/big" big
}

# All that is stored, with the times rounded.
content()
{
	sed -E 's/^@ttl_ms=([0-9]+)[0-9]{5}/@ttl_ms=\1/' /dev/kcache | LC_ALL=C sort
}

save_then_restore_gives_the_same()
{
	fill && content > "$tmp/before" && expect 0 save "$tmp/dump" && told '^saved 5 entries, ' &&
		printed '' && [ "$(stat -c %a "$tmp/dump")" = 644 ] &&
		expect 0 flush && expect 0 restore "$tmp/dump" && told '^restored 5 entries, ' &&
		content | cmp - "$tmp/before" && expect 0 get big && cmp "$tmp/out" "$tmp/big"
}

save_to_pipe_and_restore_from_it()
{
	fill && content > "$tmp/before" && kcachectl save - > "$tmp/dump" && expect 0 flush &&
		kcachectl restore - < <(cat "$tmp/dump") && content | cmp - "$tmp/before" &&
		expect 0 save /dev/null && [ -c /dev/null ]
}

# A dump that does not fit gives an error and leaves the old one.
save_that_fails_leaves_the_old_file()
{
	mkdir "$tmp/small" && mount -t tmpfs -o size=64k none "$tmp/small" || return 1
	fill && echo old > "$tmp/small/dump" && expect 3 save "$tmp/small/dump" && told 'No space left' &&
		[ "$(cat "$tmp/small/dump")" = old ] && [ "$(ls "$tmp/small")" = dump ]
	local result=$?
	umount "$tmp/small"
	return "$result"
}

save_where_no_file_can_be()
{
	expect 0 set key value && expect 3 save "$tmp/nothing/dump" && told 'cannot be made: No such file' &&
		expect 3 save "$tmp" && told 'Is a directory' &&
		expect 3 save "$(head -c 4100 /dev/zero | tr '\0' x)" && told 'File name too long'
}

# As a file that a container was given: its name cannot lead to another file.
save_over_a_mounted_file_leaves_it()
{
	expect 0 set key value && echo old > "$tmp/theirs" && : > "$tmp/ours" &&
		mount --bind "$tmp/theirs" "$tmp/ours" || return 1
	expect 3 save "$tmp/ours" && told 'busy' && [ "$(cat "$tmp/ours")" = old ] &&
		! compgen -G "$tmp/ours.*"
	local result=$?
	umount "$tmp/ours"
	return "$result"
}

# Each piece waits in a pipe that nobody reads for a while.
progress_is_shown_on_a_terminal()
{
	seq 1 300000 | sed 's/.*/key& value/' > "$tmp/lines"
	head -n 100000 "$tmp/lines" > /dev/kcache
	script -qec 'kcachectl save - | (sleep 2; cat > /dev/null)' /dev/null < /dev/null > "$tmp/out"
	grep -aE 'saved [0-9]+ entries, [0-9.]+[KM], [0-9.]+[KM]/s' "$tmp/out" || return 1
	script -qec "(head -n 50000 '$tmp/lines'; sleep 2; tail -n +50001 '$tmp/lines') | kcachectl restore -" \
		/dev/null < /dev/null > "$tmp/out"
	grep -aE 'restored [0-9]+ entries, [0-9.]+[KM], [0-9.]+[KM]/s' "$tmp/out" &&
		grep -a 'restored 300000 entries' "$tmp/out" &&
		script -qec "(cat '$tmp/lines'; sleep 2; cat '$tmp/lines'; echo) | kcachectl restore -" \
			/dev/null < /dev/null > "$tmp/out"
	grep -a 'line 600001: not a line' "$tmp/out"
}

# $1: signal. It hits a save that has all but named its file: it cannot write how
# many entries there were into a pipe that is full.
interrupt_save()
{
	local pid
	# What a shell does to its children: a trap that is not theirs, and no SIGINT.
	(trap - EXIT; exec env --default-signal=INT kcachectl save "$tmp/new" 2>&8) &
	pid=$!
	until compgen -G "$tmp/new.*" > /dev/null; do
		kill -0 "$pid" || return 1
	done
	kill -s "$1" "$pid"
	wait "$pid"
	echo "$1: status $?, $(ls "$tmp")"
	! compgen -G "$tmp/new*"
}

save_that_is_interrupted_leaves_nothing()
{
	fill && mkfifo "$tmp/full" || return 1
	exec 8<> "$tmp/full" && rm "$tmp/full"
	head -c 65536 /dev/zero >&8
	interrupt_save INT && interrupt_save TERM && interrupt_save HUP
	local result=$?
	exec 8>&-
	return "$result"
}

save_replaces_a_link_s_target()
{
	fill && echo old > "$tmp/target" && chmod 600 "$tmp/target" && ln -s target "$tmp/link" &&
		expect 0 save "$tmp/link" && [ -L "$tmp/link" ] && [ "$(wc -l < "$tmp/target")" = 5 ] &&
		[ "$(stat -c %a "$tmp/target")" = 600 ]
}

restore_names_the_line_that_is_none()
{
	local bad
	for bad in nospace ' nokey' '@frob=1 k v' '@ttl_ms k v' '@ttl_ms=x k v' 'k v\q' 'k\x v' ''; do
		kcachectl flush
		printf 'a 1\nb 2\n%s\nc 3\n' "$bad" > "$tmp/dump"
		expect 3 restore "$tmp/dump" && told 'dump: line 3: not a line.*2 entries' &&
			[ "$(kcachectl list | sort | xargs)" = 'a b' ] || return 1
	done
}

restore_finds_the_line_in_a_long_dump()
{
	seq 1 50000 | sed 's/.*/key& value&/; 43210s/ //' > "$tmp/dump"
	expect 3 restore "$tmp/dump" && told 'line 43210: not a line'
}

restore_refuses_half_a_line()
{
	printf 'a 1\nb 2' > "$tmp/dump"
	expect 3 restore "$tmp/dump" && told 'line 2: no newline at its end' && [ "$(kcachectl list)" = a ] || return 1
	{ printf 'a 1\nb '; head -c 600000 /dev/zero | tr '\0' x; } > "$tmp/dump"
	expect 3 restore "$tmp/dump" && told 'line 2: no newline at its end' && [ "$(kcachectl list)" = a ]
}

restore_of_a_line_longer_than_a_value()
{
	local max
	max=$(kcachectl info --json | json "it['value_max']")
	{ printf 'a 1\nb '; head -c $((max + 1)) /dev/zero | tr '\0' x; printf '\nc 3\n'; } > "$tmp/dump"
	expect 1 restore "$tmp/dump" && told 'line 2: key or value is longer.*: b$' &&
		[ "$(kcachectl list | sort | xargs)" = 'a c' ]
}

restore_of_nothing_is_nothing()
{
	expect 0 restore /dev/null && told '^restored 0 entries' &&
		expect 3 restore "$tmp/nothing" && told 'No such file' && expect 3 restore "$tmp" && told 'directory'
}

full_disk_is_told()
{
	expect 0 set key value || return 1
	local command got
	for command in 'get key' list 'list --json' 'stat key' stats info 'save -'; do
		got=0
		# shellcheck disable=SC2086 # the words of a command line
		kcachectl $command > /dev/full 2> "$tmp/err" || got=$?
		echo "$command: $got: $(cat "$tmp/err")"
		[ "$got" = 3 ] && told 'standard output: No space left' || return 1
	done
}

closed_pipe_ends_a_long_list()
{
	local got
	seq 1 20000 | sed 's/.*/key& value&/' > /dev/kcache
	kcachectl list 2> "$tmp/err" | head -n 1
	got=${PIPESTATUS[0]}
	cat "$tmp/err"
	[ "$got" = 3 ] && told 'standard output: Broken pipe'
}

# The device would be descriptor 1, and what is printed would be stored.
closed_output_does_not_write_to_the_cache()
{
	local got=0
	expect 0 set key $'x y\n' || return 1
	kcachectl get --touch 1h key >&- 2> "$tmp/err" || got=$?
	[ "$got" = 3 ] && [ "$(kcachectl list)" = key ]
}

terminal_gets_a_newline()
{
	expect 0 set key value && script -qec 'kcachectl get key' /dev/null < /dev/null | od -c | grep 'e *\\r *\\n'
}

as_nobody()
{
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

permissions_are_told_apart()
{
	local old got
	old=$(stat -c %a /dev/kcache)
	expect 0 set key value || return 1
	chmod 604 /dev/kcache
	[ "$(as_nobody kcachectl get key)" = value ] && got=0 &&
		{ as_nobody kcachectl set key other 2> "$tmp/err" || got=$?; } &&
		[ "$got" = 3 ] && told '/dev/kcache: permission denied; ' && holds key value &&
		chmod 606 /dev/kcache && as_nobody kcachectl set key other && got=0 &&
		{ as_nobody kcachectl flush 2> "$tmp/err" || got=$?; } &&
		[ "$got" = 3 ] && told 'only the owner of the device may flush' && holds key other
	got=$?
	chmod "$old" /dev/kcache
	cat "$tmp/err"
	return "$got"
}

other_device_is_used()
{
	expect 0 set key value && mknod "$tmp/node" c "$(stat -c %Hr /dev/kcache)" "$(stat -c %Lr /dev/kcache)" &&
		expect 0 -d "$tmp/node" get key && printed value &&
		expect 0 --device="$tmp/node" get key && expect 3 -d /dev/null get key && told 'not a cache'
}

example_runs()
{
	"$build/examples/sessions"
}

tests=$(sed -n 's/^\([a-z0-9_]*\)()$/\1/p' "${BASH_SOURCE[0]}" |
	grep -vx -e check -e expect -e told -e printed -e holds -e json -e member -e version_of \
		-e fill -e content -e as_nobody -e interrupt_save)

echo 'TAP version 14'
for test in $tests; do
	check "$test"
done
echo "1..$nr"
exit $failed
