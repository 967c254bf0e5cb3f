#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Looks for memory that nobody has a pointer to any more: runs suites, unloads the
# module, and lets kmemleak scan twice, since what is younger than 5 s or was seen by
# one scan only need not be lost. KTAP on standard output; exit 0 pass, 1 fail, 4
# skip. Run as root, in a guest:
#
#	tests/vm/run --kernel debug --append kmemleak=on -- tests/e2e/leaks.sh [SUITE]...
#
# What a suite itself finds is not judged here, but that it ran to its end. $KCACHE_KO is
# the module's file, else the one that the guest began with.
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kmemleak=/sys/kernel/debug/kmemleak
module=${KCACHE_KO:-/run/vm/job/kcache.ko}
max_bytes=$(cat /sys/module/kcache/parameters/max_bytes 2> /dev/null || echo 64M)
failed=0
nr=0

# kmemleak that is off takes no commands.
if [ ! -e "$module" ] || ! { echo clear > "$kmemleak"; } 2> /dev/null; then
	echo "1..0 # SKIP no kmemleak=on, or no $module"
	exit 4
fi

lost_memory()
{
	echo scan > "$kmemleak"
	sleep 6
	echo scan > "$kmemleak"
	grep . "$kmemleak" | sed 's/^/# /'
}

[ $# -gt 0 ] || set -- op_test batch_test text_test
echo 'KTAP version 1'
echo "1..$#"
for suite; do
	nr=$((nr + 1))
	"$here/run" "$suite" | sed -n 's/^not ok/# not ok/p; s/^# [0-9]* passed/&/p'
	rmmod kcache || failed=1
	lost=$(lost_memory)
	insmod "$module" "max_bytes=$max_bytes" || failed=1
	if [ "$lost" ]; then
		echo "$lost" | head -n 60
		echo -n 'not '
		failed=1
		echo clear > "$kmemleak"
	fi
	echo "ok $nr - nothing_is_lost_after_$suite"
done
exit $failed
