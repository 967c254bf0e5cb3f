#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Looks for memory that nobody has a pointer to any more, after the suites that ran
# before it: unloads the module, lets kmemleak scan, and loads the module again. What is younger
# than 5 s or was seen by one scan only need not be lost, hence two scans. Pages that hold
# entries are not known to kmemleak; for them there is stats/bytes_allocated. KTAP on
# standard output; exit 0 pass, 1 fail, 4 skip. Run as root, in a guest:
#
#	tests/vm/run --kernel debug --append kmemleak=on -- tests/e2e/run SUITE... leaks.sh
#
# $KCACHE_KO is the module's file, else the one that the guest began with.
set -u

kmemleak=/sys/kernel/debug/kmemleak
module=${KCACHE_KO:-/run/vm/job/kcache.ko}
name=no_memory_is_lost_when_the_module_is_unloaded

# One that is off takes no commands.
if [ ! -e "$module" ] || ! { echo scan=off > "$kmemleak"; } 2> /dev/null; then
	echo "1..0 # SKIP no kmemleak=on, or no $module"
	exit 4
fi

echo 'KTAP version 1'
echo '1..1'
max_bytes=$(cat /sys/module/kcache/parameters/max_bytes)
if ! rmmod kcache; then
	echo "not ok 1 - $name"
	exit 1
fi
sleep 6
echo scan > "$kmemleak"
echo scan > "$kmemleak"
lost=$(cat "$kmemleak")
insmod "$module" "max_bytes=$max_bytes"
if [ "$lost" ]; then
	echo "$lost" | head -n 60 | sed 's/^/# /'
	echo "not ok 1 - $name"
	exit 1
fi
echo "ok 1 - $name"
