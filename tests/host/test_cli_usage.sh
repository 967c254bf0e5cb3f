#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# What can be said of kcachectl and libkcache without a device: help, usage
# errors, exit codes, and what gets installed. KTAP on standard output; exit 0
# pass, 1 fail, 4 skip. $KCACHE_BUILD is where they were built.
#
# shellcheck disable=SC2317 # the tests are called by check()
set -u

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${KCACHE_BUILD:-$checkout/build/userspace}
source=$checkout/userspace
ctl=$build/kcachectl
nodev=/nonexistent/kcache

commands='set get remove pop stat touch add append prepend list stats info flush save restore'

if [ ! -x "$ctl" ]; then
	echo "1..0 # SKIP no kcachectl in $build; run make there first"
	exit 4
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

nr=0
failed=0

# $1: name; the rest: a command that succeeds if the test does. What it prints is
# shown if it fails.
check()
{
	local name=$1
	shift
	nr=$((nr + 1))
	if "$@" > "$tmp/log" 2>&1; then
		echo "ok $nr - $name"
	else
		echo "not ok $nr - $name"
		sed 's/^/# /' "$tmp/log"
		failed=1
	fi
}

# $1: exit code, $2: extended regular expression that standard error matches, or
# '' for nothing there; the rest: arguments of kcachectl
expect()
{
	local code=$1 pattern=$2 got=0
	shift 2
	"$ctl" "$@" > "$tmp/out" 2> "$tmp/err" < /dev/null || got=$?
	echo "kcachectl $*: exit $got, stderr: $(cat "$tmp/err")"
	[ "$got" = "$code" ] || return 1
	if [ -n "$pattern" ]; then
		grep -Eq -e "$pattern" "$tmp/err" && [ "$(wc -l < "$tmp/err")" = 1 ]
	else
		[ ! -s "$tmp/err" ]
	fi
}

usage_error()
{
	expect 2 "$@" && [ ! -s "$tmp/out" ]
}

help_lists_all_commands()
{
	local command
	expect 0 '' --help || return 1
	for command in $commands; do
		grep -q "^  $command " "$tmp/out" || return 1
	done
	grep -q 'Exit status' "$tmp/out" && grep -q 'Example' "$tmp/out"
}

each_command_has_help()
{
	local command
	for command in $commands; do
		expect 0 '' "$command" --help || return 1
		grep -q "^Usage: kcachectl .* $command" "$tmp/out" || return 1
		grep -q '^Options:' "$tmp/out" || return 1
		grep -q '^Example:' "$tmp/out" || return 1
	done
}

each_option_of_help_is_in_the_man_page()
{
	local command option
	for command in '' $commands; do
		# shellcheck disable=SC2086 # no command: no argument
		for option in $("$ctl" $command --help | grep -o -e '--[a-z-]*' | sort -u); do
			echo "$option"
			sed 's/\\-/-/g' "$source/man/kcachectl.1" | grep -q -e "$option" || return 1
		done
	done
}

full_disk_is_told()
{
	local got=0
	"$ctl" --help > /dev/full 2> "$tmp/err" || got=$?
	cat "$tmp/err"
	[ "$got" = 3 ] && grep -q 'standard output: No space left' "$tmp/err"
}

closed_pipe_is_told()
{
	local got
	{ sleep 0.2; "$ctl" --help 2> "$tmp/err"; } | true
	got=${PIPESTATUS[0]}
	cat "$tmp/err"
	echo "exit $got"
	[ "$got" = 3 ] && grep -q 'standard output: Broken pipe' "$tmp/err"
}

closed_output_is_told()
{
	local got=0
	"$ctl" --help >&- 2> "$tmp/err" || got=$?
	cat "$tmp/err"
	[ "$got" = 3 ] && grep -q 'standard output: Bad file descriptor' "$tmp/err"
}

bad_durations()
{
	local ttl
	for ttl in '' x s 9x 1.5h -1 -1s '1 h' 1hh 1h30 90S ms never1 1e3 \
		99999999999999999999 1099511627777ms 99999999d 18446744073709551616s; do
		usage_error "is no duration; write" set --ttl="$ttl" key value || return 1
		usage_error "is no duration; write" touch -- key "$ttl" || return 1
	done
}

# The durations are right if the device is the next thing that is missed.
good_durations()
{
	local ttl
	for ttl in 0 1 90 never 500ms 90s 15m 2h 7d 1h30m 1d2h3m4s5ms 1099511627776ms; do
		expect 3 'no such device' -d "$nodev" set --ttl "$ttl" key value || return 1
	done
}

bad_numbers()
{
	local n
	for n in '' x 1x 0x1 -1 4294967296 ' 1'; do
		usage_error 'is no number' set --flags="$n" key value || return 1
	done
	for n in '' x -1 18446744073709551616; do
		usage_error 'is no number' set --if-version="$n" key value || return 1
	done
	for n in '' x - + 1.5 9223372036854775808 -9223372036854775809 '1 '; do
		usage_error 'is no number' add key "$n" || return 1
		usage_error 'is no number' add --initial="$n" key 1 || return 1
	done
	for n in 0 -1 x 86401; do
		usage_error 'is no number' stats --watch="$n" || return 1
	done
}

good_numbers()
{
	local n
	for n in 0 1 -1 +1 9223372036854775807 -9223372036854775808; do
		expect 3 'no such device' -d "$nodev" add --initial "$n" key "$n" || return 1
	done
	expect 3 'no such device' -d "$nodev" set --flags 4294967295 key value &&
		expect 3 'no such device' -d "$nodev" set --if-version 18446744073709551615 key value
}

conditions_exclude_each_other()
{
	usage_error 'exclude each other' set --if-absent --if-present key value &&
		usage_error 'exclude each other' set --if-version 1 --if-absent key value &&
		usage_error 'exclude each other' set --if-present --if-version 1 key value
}

wrong_operands()
{
	usage_error 'get: operand missing: KEY' get &&
		usage_error "pop: one operand too many: 'b'" pop a b &&
		usage_error 'touch: operand missing: KEY TTL' touch key &&
		usage_error 'give either VALUE' set key &&
		usage_error 'give either VALUE' set --file /dev/null key value &&
		usage_error 'give either VALUE' append key &&
		usage_error 'one operand too many' info key &&
		usage_error 'operand missing' save &&
		usage_error 'goes with one KEY' remove --if-version 1 a b &&
		usage_error 'for a new entry' add --ttl 1h key 1 &&
		usage_error 'for a new entry' add --flags 1 key 1
}

# shellcheck disable=SC1003 # backslashes are meant
wrong_keys()
{
	usage_error 'KEY is empty' get '' &&
		usage_error 'escape' get -e 'a\' &&
		usage_error 'escape' get -e 'a\q' &&
		usage_error 'escape' get -e 'a\x1' &&
		usage_error 'escape' get -e 'a\xg0'
}

wrong_options()
{
	usage_error "wrong option '--frob'.*set --help" set --frob key value &&
		usage_error "wrong option '-5'" set key -5 &&
		usage_error "wrong option '--json'" pop --json key &&
		usage_error "wrong option '--json=1'" stat --json=1 key &&
		usage_error "option '--ttl' lacks" set key value --ttl &&
		usage_error "option '-f' lacks" set key -f &&
		usage_error "wrong option '-x'" -x get key &&
		usage_error "option '-d' lacks" -d
}

missing_device_names_the_way_out()
{
	local command
	for command in 'set k v' 'get k' 'remove k' 'pop k' 'stat k' 'touch k 1' 'add k 1' \
		'append k v' 'prepend k v' list stats info flush 'save -' 'restore -'; do
		# shellcheck disable=SC2086 # the words of a command line
		expect 3 "^kcachectl: $nodev: no such device; .*modprobe kcache.*make load" \
			-d "$nodev" $command || return 1
	done
}

wrong_device_is_no_cache()
{
	expect 3 '/dev/null: not a cache' -d /dev/null get key &&
		expect 3 "$tmp: Is a directory" -d "$tmp" set key value
}

failed_save_leaves_no_file()
{
	expect 3 'no such device' -d "$nodev" save "$tmp/dump"
	ls "$tmp"
	! compgen -G "$tmp/dump*"
}

names_in_the_map()
{
	sed -n 's/^\t\(kcache_[a-z_]*\);/\1/p' "$source/lib/libkcache.map"
}

exported_symbols_equal_the_map()
{
	diff <(names_in_the_map | sed 's/.*/T &@@LIBKCACHE_0.1/') \
		<(nm -D --defined-only "$build/libkcache.so.0" | cut -d' ' -f2- |
			grep -v '^A LIBKCACHE' | sort)
}

declared_calls_equal_the_map()
{
	diff <(names_in_the_map) \
		<(sed -n 's/^[a-z].*\(kcache_[a-z_]*\)(.*/\1/p' "$source/lib/kcache.h" |
			grep -v -e '^kcache_prep$' -e '^kcache_prep_' | sort)
}

soname_is_right()
{
	readelf -d "$build/libkcache.so.0" | grep 'soname: \[libkcache.so.0\]' &&
		[ "$(readlink "$build/libkcache.so")" = libkcache.so.0 ]
}

kcachectl_needs_no_libkcache()
{
	! readelf -d "$ctl" | grep 'NEEDED.*libkcache'
}

write_program()
{
	cat > "$1" <<-'END'
		#include <kcache.h>
		#include <fcntl.h>
		struct user { uint64_t id; char name[24]; };
		KCACHE_TYPED(user, uint64_t, struct user);
		int main(void)
		{
			struct kcache *cache;
			struct user user;
			int err = kcache_open(&cache, "/nonexistent/kcache", O_RDWR);
			if (!err)
				err = user_get(cache, 1, &user);
			return err == -ENOENT ? 0 : 1;
		}
	END
}

install_once()
{
	[ -d "$tmp/root" ] ||
		make -s -C "$source" O="$tmp/build" DESTDIR="$tmp/root" PREFIX=/usr install
}

# The flags of the installed pkg-config file, with the root in front of the paths.
flags()
{
	PKG_CONFIG_LIBDIR=$tmp/root/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$tmp/root \
		pkg-config "$@" libkcache
}

# $1: file name of the program, the rest: the compiler
installed_header_compiles()
{
	local file=$tmp/$1
	shift
	install_once && write_program "$file" || return 1
	# shellcheck disable=SC2046 # words
	"$@" -Wall -Wextra -Wshadow -Wconversion -Werror $(flags --cflags) -o "$tmp/program" \
		"$file" $(flags --libs) && LD_LIBRARY_PATH=$tmp/root/usr/lib "$tmp/program"
}

have()
{
	command -v "$1" > /dev/null
}

builds_for_32_bit()
{
	make -s -C "$source" O="$tmp/m32" CC='gcc -m32' CFLAGS='-O2 -Werror' &&
		readelf -h "$tmp/m32/kcachectl" | grep 'Class: *ELF32' &&
		qemu-i386 "$tmp/m32/kcachectl" --version
}

installs_what_it_says()
{
	local f
	install_once || return 1
	for f in bin/kcachectl lib/libkcache.so lib/libkcache.so.0 lib/libkcache.a \
		lib/pkgconfig/libkcache.pc include/kcache/kcache.h include/kcache/typed.h \
		include/kcache/linux/kcache.h share/man/man1/kcachectl.1 \
		share/man/man3/libkcache.3 share/man/man4/kcache.4 \
		share/bash-completion/completions/kcachectl; do
		echo "$f"
		[ -s "$tmp/root/usr/$f" ] || return 1
	done
}

man_pages_are_clean()
{
	local page
	for page in "$source"/man/*.[134]; do
		man --warnings -E UTF-8 -l -Tutf8 -Z "$page" > /dev/null
	done 2>&1 | tee "$tmp/warnings"
	[ ! -s "$tmp/warnings" ]
}

complete_words()
{
	PATH=$build:$PATH bash -c '
		source "$1/completion/kcachectl.bash"
		COMP_WORDS=("${@:2}")
		COMP_CWORD=$(($# - 2))
		_kcachectl
		echo "${COMPREPLY[*]}"' - "$source" "$@"
}

completion_knows_commands_and_options()
{
	local got
	got=$(complete_words kcachectl re) && echo "$got" && [ "$got" = 'remove restore' ] &&
		got=$(complete_words kcachectl -d /dev/x set --if) && echo "$got" &&
		[ "$got" = '--if-absent --if-present --if-version' ]
}

echo 'TAP version 14'
check help_lists_all_commands help_lists_all_commands
check each_command_has_help each_command_has_help
check each_option_of_help_is_in_the_man_page each_option_of_help_is_in_the_man_page
check version_is_printed expect 0 '' --version
check no_command_is_a_usage_error usage_error 'kcachectl --help'
check unknown_command_suggests_help usage_error "unknown command 'frob'; 'kcachectl --help'" frob
check wrong_operands_are_usage_errors wrong_operands
check wrong_options_are_usage_errors wrong_options
check wrong_keys_are_usage_errors wrong_keys
check conditions_exclude_each_other conditions_exclude_each_other
check bad_durations_are_usage_errors bad_durations
check good_durations_are_taken good_durations
check bad_numbers_are_usage_errors bad_numbers
check good_numbers_are_taken good_numbers
check missing_device_names_the_way_out missing_device_names_the_way_out
check wrong_device_is_no_cache wrong_device_is_no_cache
check failed_save_leaves_no_file failed_save_leaves_no_file
check full_disk_is_told full_disk_is_told
check closed_pipe_is_told closed_pipe_is_told
check closed_output_is_told closed_output_is_told
check exported_symbols_equal_the_map exported_symbols_equal_the_map
check declared_calls_equal_the_map declared_calls_equal_the_map
check soname_is_right soname_is_right
check kcachectl_needs_no_libkcache kcachectl_needs_no_libkcache
check installs_what_it_says installs_what_it_says
check header_is_c99 installed_header_compiles p.c gcc -std=c99 -pedantic
check header_is_cxx11 installed_header_compiles p.cc g++ -std=c++11 -pedantic
if have clang; then
	check header_is_c99_for_clang installed_header_compiles p.c clang -std=c99 -pedantic
fi
check builds_for_32_bit builds_for_32_bit
check completion_knows_commands_and_options completion_knows_commands_and_options
if have man; then
	check man_pages_are_clean man_pages_are_clean
fi
echo "1..$nr"
exit $failed
