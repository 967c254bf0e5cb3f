#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The udev rule and the group that make install brings: who may open the device once a
# real udevd has seen it. KTAP on standard output; exit 0 pass, 1 fail, 4 skip. Run as
# root, in a guest:
#
#	tests/vm/run -- tests/e2e/udev.sh
#
# Unloads the module, and loads it again.
#
# shellcheck disable=SC2317 # the tests are called by check()
set -u

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
module=${KCACHE_KO:-/run/vm/job/kcache.ko}
udevd=/lib/systemd/systemd-udevd
rule=/usr/local/lib/udev/rules.d/60-kcache.rules
at_load=$(cat /sys/module/kcache/parameters/max_bytes 2> /dev/null || echo 64M)

if [ ! -e "$module" ] || [ ! -w /proc/sys/kernel/hostname ]; then
	echo "1..0 # SKIP no $module, or not root"
	exit 4
elif [ ! -x "$udevd" ] || ! command -v systemd-sysusers > /dev/null; then
	echo "1..0 # SKIP no udev here"
	exit 4
fi

tmp=$(mktemp -d)
daemon=
nr=0
failed=0

end_udevd()
{
	[ -z "$daemon" ] || kill "$daemon" && wait "$daemon"
	daemon=
} 2> /dev/null

# So that all others find the device as it was.
finish()
{
	end_udevd
	rm -rf "$tmp" "$rule"
	rmmod kcache
	insmod "$module" max_bytes="$at_load"
}
trap finish EXIT

start_udevd()
{
	"$udevd" 2> "$tmp/udevd" &
	daemon=$!
	timeout 30 sh -c 'until udevadm control --ping 2> /dev/null; do sleep 0.1; done'
}

# $1: a function that succeeds if the test does, named as the behaviour is. What it
# prints is shown if it fails.
check()
{
	nr=$((nr + 1))
	if "$1" > "$tmp/log" 2>&1; then
		echo "ok $nr - $1"
	else
		echo "not ok $nr - $1"
		head -n 20 "$tmp/log" | cut -c 1-200 | sed 's/^/# /'
		failed=1
	fi
}

# Loads the module anew; udevd has seen the device then.
load()
{
	rmmod kcache && insmod "$module" max_bytes="$at_load" && udevadm settle --timeout 60
}

# $1: mode, owner and group that the node has to have
node_is()
{
	stat -c '%a %U %G' /dev/kcache
	[ "$(stat -c '%a %U %G' /dev/kcache)" = "$1" ]
}

# $@: a command, run by a user who is in the group $group and in no other
group=
as_member()
{
	setpriv --reuid 3456 --regid 3456 --groups "$group" -- "$@"
}

install_rule()
{
	install -D -m 644 "$checkout/packaging/udev/60-kcache.rules" "$rule" &&
		udevadm control --reload
}

without_the_rule_the_node_stays_roots()
{
	load && node_is '600 root root'
}

rule_without_its_group_lets_nobody_in()
{
	! getent group kcache || return 1
	install_rule && load && node_is '660 root root' || return 1
	group=3456
	! as_member sh -c ': < /dev/kcache'
}

group_is_made_and_made_once()
{
	systemd-sysusers "$checkout/packaging/sysusers.d/kcache.conf" || return 1
	[ "$(getent group kcache | cut -d : -f 4)" = '' ] || return 1
	getent group kcache > "$tmp/group" || return 1
	systemd-sysusers "$checkout/packaging/sysusers.d/kcache.conf" &&
		getent group kcache | cmp - "$tmp/group"
}

with_the_rule_the_node_is_the_group_s()
{
	# In this order, as make install does it: a rule is not read again for a new group.
	install_rule && load && node_is '660 root kcache'
}

members_read_and_write_and_flush_not()
{
	group=kcache
	as_member sh -c 'echo "greeting hello" > /dev/kcache' || return 1
	[ "$(as_member cat /dev/kcache)" = 'greeting hello' ] || return 1
	! as_member perl -e 'open(F, "+<", "/dev/kcache") && ioctl(F, 0xe812, 0) or exit(1)'
}

others_do_not_open_it()
{
	group=3456
	! as_member sh -c ': < /dev/kcache' && ! as_member sh -c ': > /dev/kcache'
}

# systemd 252 cannot verify a rule; it says what it would do, and what it does not know.
udev_understands_all_of_the_rule()
{
	udevadm test /sys/class/kcache/kcache > "$tmp/test" 2>&1
	cat "$tmp/test"
	grep -q "$rule" "$tmp/test" && ! grep "$rule:" "$tmp/test" | grep -Ei 'invalid|unknown|ignor'
}

echo 'KTAP version 1'
start_udevd
check without_the_rule_the_node_stays_roots
check rule_without_its_group_lets_nobody_in
check group_is_made_and_made_once
check with_the_rule_the_node_is_the_group_s
check members_read_and_write_and_flush_not
check others_do_not_open_it
check udev_understands_all_of_the_rule
echo "1..$nr"
exit $failed
